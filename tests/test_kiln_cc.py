"""kiln-cc is the real compiler to whoever calls it, and the extensions that it links are fat."""

import concurrent.futures
import ctypes
import hashlib
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

import fat_section
from conftest import run

FILES = {
    "ext.c": "int helper(void); void *PyInit_ext(void) { return helper() ? 0 : (void *)1; }\n",
    "helper.c": "int helper(void) { return 7; }\n",
    "unused.c": "int nowhere(void); int unused(void) { return nowhere(); }\n",
    "plain.c": "int plain(void) { return 1; }\n",
    "main.c": "int main(void) { return 0; }\n",
    "warn.c": "void *PyInit_warn(void) { int unused = 1; return 0; }\n",
    "broken.c": "int broken(void) { return undeclared; }\n",
    "cpp.cc": "#include <string>\n#include <iostream>\n"
              "extern \"C\" void *PyInit_cpp() { std::cerr << std::string(); return 0; }\n",
    "args": "-shared -fPIC 'ext.c' helper.c\n-o \"from args.so\"\n",
}


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def cc(build):
    """A function that runs kiln-cc in a directory of sources, DIR, with ARGS."""
    def call(directory, *args, program="kiln-cc", **kwargs):
        return run(build / program, *args, cwd=directory, **kwargs)
    return call


def write_sources(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def work(tmp_path):
    """A directory with the sources, and objects of them."""
    directory = write_sources(tmp_path / "work")
    run("cc", "-fPIC", "-c", "ext.c", "helper.c", "unused.c", "plain.c", cwd=directory)
    return directory


def load(path):
    """Whether the shared object at PATH can be loaded, in a process of its own."""
    code = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], mode=os.RTLD_LAZY)"
    return run(sys.executable, "-c", code, path, check=False).returncode == 0


# -- The real compiler's doing -------------------------------------------------------------------

def look_at(directory):
    """What is in DIRECTORY: names, modes and contents, less the sections that are ours."""
    seen = {}
    for path in sorted(directory.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        if data.startswith(b"\x7fELF"):
            # Both sides are rewritten, so that nothing but the section can differ.
            run("objcopy", "--remove-section=.kiln", path)
            data = path.read_bytes()
        seen[str(path.relative_to(directory))] = (path.stat().st_mode, hashlib.sha256(data).hexdigest())
    return seen


COMMANDS = [
    "",
    "--version",
    "-v",
    "-dumpversion",
    "-print-search-dirs",
    "--help",
    "-### -shared ext.c",
    "--no-such-option",
    "-c ext.c",
    "-c -o x.o ext.c",
    "-E main.c",
    "-S main.c -o -",
    "-fsyntax-only -shared broken.c",
    "-shared -fPIC -c ext.c",
    "-shared -fPIC -E ext.c",
    "-r -nostdlib -shared ext.o -o r.o",
    "main.c",
    "main.c -o main",
    "plain.c -o main",
    "-shared nothing.o",
    "-shared",
    "-shared --version",
    "-shared -fPIC broken.c",
    "-shared -fPIC ext.c helper.c",
    "-shared -fPIC -Wall warn.c -o warn.so",
    "-shared -fPIC -Wall -v warn.c -o /dev/null -###",
    "-shared ext.o helper.o -o /dev/null",
    "-shared ext.o helper.o -o missing/x.so",
    "-shared ext.o -Wl,--no-undefined -o x.so",
    "-shared ext.o helper.o -Wl,--trace -o x.so",
    "-shared ext.o helper.o -Wl,--print-memory-usage,-M -o x.so",
    "-shared plain.o -o plain.so",
    "@args",
    "@no-such-file",
    "-shared @no-such-file",
    "-shared -fPIC -MD -MF x.d ext.c helper.c -o x.so",
    "-shared -fPIC -MMD ext.c helper.c -o x.so",
    "-shared -fPIC -Wp,-MD,x.d ext.c -o x.so",
    "-shared -fPIC -save-temps=obj ext.c -o x.so",
    "-shared -fPIC --coverage -frandom-seed=1 ext.c helper.c -o x.so",
    "-shared -fPIC -g -gsplit-dwarf ext.c helper.c -o x.so",
    "-shared -fPIC -fstack-usage -fdump-tree-original ext.c -o x.so",
    "-shared ext.o -Wl,-Map,x.map,--cref,--dependency-file=x.d -o x.so",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_streams_status_and_files_are_the_real_compilers(command, build, tmp_path):
    results = []
    for number, program in enumerate(["/usr/bin/cc", build / "kiln-cc"]):
        # Under one name, as paths may be part of what is printed or written.
        directory = write_sources(tmp_path / "work")
        run("/usr/bin/cc", "-fPIC", "-c", "ext.c", "helper.c", "plain.c", cwd=directory)
        result = run(program, *command.split(), cwd=directory, check=False,
                     env={**os.environ, "KILN_CC": "/usr/bin/cc"})
        streams = [re.sub(r"/tmp/cc\w+", "/tmp/ccRANDOM", text) for text in (result.stdout, result.stderr)]
        results.append((result.returncode, streams, look_at(directory)))
        shutil.move(directory, tmp_path / str(number))
    assert results[0] == results[1]


def test_a_source_can_come_from_standard_input(cc, work):
    for args in (["-c", "-o", "in.o"], ["-shared", "-fPIC", "-o", "in.so"]):
        cc(work, "-x", "c", "-", *args, input=FILES["ext.c"])
    assert (work / "in.o").exists()
    assert "standard input" in fat_section.read(work / "in.so").failure


def test_dependencies_named_by_the_environment_are_those_of_the_real_compiler(cc, work):
    cc(work, "-shared", "-fPIC", "ext.c", "-o", "x.so",
       env={**os.environ, "DEPENDENCIES_OUTPUT": "x.d"})
    assert (work / "x.d").read_text().count("x.so:") <= 1
    assert "kiln-" not in (work / "x.d").read_text()


def make_compiler(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_killed_compiler_looks_killed(cc, work, tmp_path):
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        compiler = make_compiler(tmp_path / "killed", f"kill -{int(number)} $$\n")
        for args in (["-shared", "ext.o"], ["-c", "ext.c"]):
            result = cc(work, *args, check=False, env={**os.environ, "KILN_CC": str(compiler)})
            assert result.returncode == -number


def test_a_signal_reaches_the_compiler(build, work, tmp_path):
    compiler = make_compiler(
        tmp_path / "slow", "trap 'touch caught; exit 3' TERM\ntouch ready\nwhile :; do sleep 0.05; done\n")
    process = subprocess.Popen([build / "kiln-cc", "-shared", "ext.o"], cwd=work,
                               env={**os.environ, "KILN_CC": str(compiler)})
    while not (work / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 3
    assert (work / "caught").exists()


def test_a_signal_during_the_second_link_ends_it_and_cleans_up(build, work, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    compiler = make_compiler(
        tmp_path / "slow",
        'case "$*" in *--trace*) touch ready; exec sleep 60;; *) exec cc "$@";; esac\n')
    process = subprocess.Popen([build / "kiln-cc", "-shared", "ext.o", "-o", "x.so"], cwd=work,
                               env={**os.environ, "KILN_CC": str(compiler), "TMPDIR": str(temporary)})
    while not (work / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert list(temporary.iterdir()) == []


# -- Which compiler it is ------------------------------------------------------------------------

def test_the_compiler_is_that_of_the_environment(cc, work, tmp_path):
    make_compiler(tmp_path / "my cc", "echo C \"$@\"\n")
    make_compiler(tmp_path / "my c++", "echo C++ \"$@\"\n")
    env = {**os.environ, "KILN_CC": f"{tmp_path}/my cc", "KILN_CXX": f"{tmp_path}/my c++"}
    assert cc(work, "-c", "a b", env=env).stdout == "C -c a b\n"
    assert cc(work, "-c", "a b", env=env, program="kiln-c++").stdout == "C++ -c a b\n"


def test_the_compiler_may_come_with_arguments(cc, work, tmp_path):
    launcher = make_compiler(tmp_path / "launcher", "echo launched >>log\nexec \"$@\"\n")
    cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so", env={**os.environ, "KILN_CC": f"{launcher} gcc -g"})
    assert (work / "log").read_text().startswith("launched\n")
    assert fat_section.read(work / "x.so").driver == shutil.which("gcc")


@pytest.mark.parametrize("compiler", ["t-linux-gnu-gcc-9", "ccache t-linux-gnu-gcc-9", "a link"])
def test_the_archiver_is_that_of_the_compiler(build, compiler, tmp_path):
    for name in "t-linux-gnu-gcc-9", "t-linux-gnu-gcc-ar-9", "ccache":
        make_compiler(tmp_path / name, "echo $(basename $0) $@\n")
    (tmp_path / "a link").symlink_to("t-linux-gnu-gcc-9")
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KILN_CC": compiler}
    assert run(build / "kiln-gcc-ar", "qc", "x.a", env=env).stdout == "t-linux-gnu-gcc-ar-9 qc x.a\n"


def test_the_archiver_is_that_of_the_path_or_a_plain_one_if_the_compiler_has_none(build, tmp_path):
    make_compiler(tmp_path / "compiler", "")
    make_compiler(tmp_path / "ranlib", "echo ranlib $@\n")
    env = {"PATH": f"{tmp_path}:/bin", "KILN_CC": "compiler"}
    make_compiler(tmp_path / "gcc-ranlib", "echo gcc-ranlib $@\n")
    assert run(build / "kiln-gcc-ranlib", "x.a", env=env).stdout == "gcc-ranlib x.a\n"
    (tmp_path / "gcc-ranlib").unlink()
    env["PATH"] = str(tmp_path)
    assert run(build / "kiln-gcc-ranlib", "x.a", env=env).stdout == "ranlib x.a\n"


def test_an_empty_variable_is_no_choice(cc, work):
    assert cc(work, "--version", env={**os.environ, "KILN_CC": ""}).stdout == run("cc", "--version").stdout


@pytest.mark.parametrize("program, variable", [("kiln-cc", "KILN_CC"), ("kiln-c++", "KILN_CXX")])
def test_a_missing_compiler_is_one_clear_message(program, variable, cc, work):
    result = cc(work, "-c", "ext.c", program=program, check=False,
                env={**os.environ, variable: "no-such-compiler"})
    assert result.returncode == 127
    assert result.stderr == (f"{program}: error: there is no compiler no-such-compiler: "
                             f"set {variable} to the real compiler\n")


def test_a_compiler_that_is_kiln_cc_itself_is_refused(build, cc, work, tmp_path):
    (tmp_path / "link").symlink_to(build / "kiln-cc")
    shutil.copy(build / "kiln-cc", tmp_path / "copy")
    path = f"{build}:{os.environ['PATH']}"
    for value in ("kiln-cc", build / "kiln-cc", build / "kiln-c++", tmp_path / "link"):
        result = cc(work, "-c", "ext.c", check=False,
                    env={**os.environ, "PATH": path, "KILN_CC": str(value)})
        assert (result.returncode, result.stderr) == (
            127, f"kiln-cc: error: the compiler {value} is kiln-cc itself: set KILN_CC to the real compiler\n")


def test_two_copies_do_not_call_each_other_for_ever(build, work, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(build / "kiln-cc", tmp_path / name / "only-here")
    result = run(tmp_path / "a" / "only-here", "-c", "ext.c", cwd=work, check=False,
                 env={**os.environ, "PATH": f"{tmp_path}/a:{tmp_path}/b:/usr/bin:/bin"})
    assert result.returncode == 127
    assert "only-here is kiln-cc itself" in result.stderr


def test_a_link_named_as_a_compiler_is_the_next_one_of_that_name(build, work, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for name in ("gcc", "g++", "no-such-compiler"):
        (links / name).symlink_to(build / "kiln-cc")
    env = {**os.environ, "PATH": f"{links}:{os.environ['PATH']}"}
    run("gcc", "-shared", "ext.o", "helper.o", "-o", "x.so", cwd=work, env=env)
    assert fat_section.read(work / "x.so").driver == shutil.which("gcc")
    run("g++", "-shared", "-fPIC", "cpp.cc", "-o", "y.so", cwd=work, env=env)
    assert fat_section.read(work / "y.so").driver == shutil.which("g++")
    result = run("no-such-compiler", "-c", "ext.c", cwd=work, env=env, check=False)
    assert result.returncode == 127
    assert "put the directory of the real compiler on PATH" in result.stderr


def test_a_compiler_that_calls_kiln_cc_again_does_the_work_once(build, cc, work, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "gcc").symlink_to(build / "kiln-cc")
    script = make_compiler(tmp_path / "script", "echo once >>log\nexec gcc \"$@\"\n")
    cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so",
       env={**os.environ, "PATH": f"{links}:{os.environ['PATH']}", "KILN_CC": str(script)})
    assert (work / "log").read_text() == "once\n" * 2  # the link and its repetition
    assert fat_section.read(work / "x.so").failure is None


# -- What becomes fat ----------------------------------------------------------------------------

@pytest.mark.parametrize("spelling", ["-o x.so", "-ox.so", "--output=x.so", "--output x.so", ""])
def test_the_output_is_found_in_every_spelling(spelling, cc, work):
    cc(work, "-shared", "ext.o", *spelling.split(), "helper.o")
    assert fat_section.read(work / ("x.so" if spelling else "a.out")).failure is None


def test_a_response_file_is_read(cc, work):
    cc(work, "@args")
    fat = fat_section.read(work / "from args.so")
    assert fat.output == str(work / "from args.so")
    assert {"PyInit_ext", "helper"} <= fat_section.defined(fat, work)


def test_a_library_that_is_no_extension_stays_as_it_is(cc, work):
    cc(work, "-shared", "plain.o", "-o", "x.so")
    assert not fat_section.has_section(work / "x.so")


def test_an_old_extension_is_not_taken_for_the_output(cc, work):
    run("cc", "-shared", "ext.o", "helper.o", "-o", "a.out", cwd=work)
    cc(work, "-shared", "--version")
    cc(work, "ext.o", "-shared", "-o", "/dev/null", "helper.o")
    assert not fat_section.has_section(work / "a.out")


@pytest.mark.parametrize("init", ["PyInitU_eckzk5d", "PyModExport_x"])
def test_every_kind_of_init_symbol_counts(init, cc, work):
    (work / "init.c").write_text(f"void *{init}(void) {{ return 0; }}\n")
    cc(work, "-shared", "-fPIC", "init.c", "-o", "x.so")
    assert fat_section.read(work / "x.so").inits == [init]


def test_mode_and_loading_stay(cc, work):
    os.umask(old := os.umask(0o022))
    cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so")
    assert (work / "x.so").stat().st_mode & 0o777 == 0o777 & ~old
    assert load(work / "x.so")


@pytest.mark.parametrize("tool", [
    ["strip"], ["strip", "-g"], ["strip", "--strip-unneeded"], ["objcopy", "--strip-unneeded"],
    ["objcopy", "--only-keep-debug"], ["patchelf", "--set-rpath", "/a/rather/long/path:$ORIGIN/lib"],
    ["patchelf", "--set-soname", "other.so"],
])
def test_the_section_outlives(tool, cc, work):
    need(tool[0])
    cc(work, "-shared", "-g", "-fPIC", "ext.c", "helper.c", "-o", "x.so")
    before = fat_section.read(work / "x.so")
    run(*tool, work / "x.so")
    after = fat_section.read(work / "x.so")
    if "--only-keep-debug" not in tool:
        assert load(work / "x.so")
    assert after == before


def test_the_same_link_gives_the_same_bytes_also_in_parallel(cc, work):
    def link(number):
        directory = work / str(number)
        directory.mkdir()
        for name in ("ext.c", "helper.c"):
            shutil.copy(work / name, directory)
        cc(directory, "-shared", "-fPIC", "-g0", "ext.c", "helper.c", "-o", "x.so")
        return fat_section.read(directory / "x.so").object
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        objects = set(pool.map(link, range(16)))
    assert len(objects) == 1
    cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so")
    first = (work / "x.so").read_bytes()
    cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so")
    assert (work / "x.so").read_bytes() == first


def test_nothing_is_left_in_the_temporary_directory(cc, work, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary)}
    cc(work, "-shared", "-fPIC", "-flto", "ext.c", "helper.c", "-o", "x.so", env=env)
    cc(work, "-shared", "ext.o", "-T", "nothing.ld", "-o", "x.so", env=env, check=False)
    cc(work, "-shared", "ext.o", "-Wl,-init,helper", "-o", "x.so", env=env)
    assert list(temporary.iterdir()) == []


# -- What is in it -------------------------------------------------------------------------------

COMPILERS = ["gcc", "clang"]
LINKERS = ["bfd", "gold", "lld", "mold"]


def fuse(compiler, linker):
    need(compiler, "mold" if linker == "mold" else f"ld.{linker}")
    return f"-fuse-ld={linker}"


@pytest.fixture(params=[(compiler, linker) for compiler in COMPILERS for linker in LINKERS], ids="-".join)
def toolchain(request, cc):
    """A function that links with one compiler and linker."""
    compiler, linker = request.param
    flag = fuse(compiler, linker)

    def call(directory, *args):
        cc(directory, flag, *args, env={**os.environ, "KILN_CC": compiler})
        return fat_section.read(directory / "x.so")
    call.linker = flag.removeprefix("-fuse-ld=")
    return call


@pytest.fixture
def archive_toolchain(toolchain):
    """The same without mold, which does not tell what it takes of archives."""
    if toolchain.linker == "mold":
        pytest.skip("mold is to record nothing: test_what_mold_takes_of_archives_is_not_guessed")
    return toolchain


def test_objects_and_the_members_that_were_linked_are_in_it(archive_toolchain, work):
    run("ar", "rcs", "libhelper.a", "helper.o", "unused.o", cwd=work)
    fat = archive_toolchain(work, "-shared", "ext.o", "plain.o", "-L.", "-lhelper", "-lm", "-o", "x.so")
    names = fat_section.defined(fat, work)
    assert {"PyInit_ext", "plain", "helper"} <= names
    assert "unused" not in names


def test_a_thin_archives_members_are_in_it(archive_toolchain, work):
    (work / "sub" / "objects").mkdir(parents=True)
    shutil.copy(work / "helper.o", work / "sub" / "objects")
    run("ar", "rcsT", "libthin.a", "objects/helper.o", cwd=work / "sub")
    fat = archive_toolchain(work, "-shared", "ext.o", "sub/libthin.a", "-o", "x.so")
    assert {"PyInit_ext", "helper"} <= fat_section.defined(fat, work)


def test_members_of_one_name_are_both_in_it(archive_toolchain, work):
    (work / "other").mkdir()
    (work / "other" / "helper.c").write_text("int other(void) { return 8; }\n")
    run("cc", "-fPIC", "-c", "helper.c", cwd=work / "other")
    run("ar", "qcs", "libtwo.a", "helper.o", "other/helper.o", cwd=work)
    fat = archive_toolchain(work, "-shared", "ext.o", "-Wl,--whole-archive", "libtwo.a",
                    "-Wl,--no-whole-archive", "-o", "x.so")
    assert {"PyInit_ext", "helper", "other"} <= fat_section.defined(fat, work)


def test_what_mold_takes_of_archives_is_not_guessed(cc, work):
    if shutil.which("ld.mold") is None:
        pytest.skip("mold is not installed")
    # GNU ld takes the weak one, which is first, and mold the strong one.
    for name, code in [("weak", "__attribute__((weak)) int helper(void) { return 1; }"), ("strong", "int helper(void) { return 2; }")]:
        (work / f"{name}.c").write_text(code + "\n")
        run("cc", "-fPIC", "-c", f"{name}.c", cwd=work)
        run("ar", "rcs", f"lib{name}.a", f"{name}.o", cwd=work)
    cc(work, "-fuse-ld=mold", "-shared", "ext.o", "plain.o", "-L.", "-lweak", "-lstrong", "-o", "x.so")
    assert "mold does not tell which members of static libraries it took" in fat_section.read(work / "x.so").failure
    cc(work, "-fuse-ld=mold", "-shared", "ext.o", "plain.o", "helper.o", "-o", "y.so")
    assert fat_section.read(work / "y.so").failure is None


def test_sources_of_the_link_command_are_in_it(toolchain, work):
    fat = toolchain(work, "-shared", "-fPIC", "-DX=1", "ext.c", "helper.o", "-x", "c", "plain.c", "-o", "x.so")
    assert {"PyInit_ext", "helper", "plain"} <= fat_section.defined(fat, work)


def test_objects_with_destructors_at_exit_are_in_it(toolchain, work):
    # They refer to __dso_handle, a hidden symbol of the toolchain's start files.
    (work / "exit.cc").write_text("struct S { ~S(); }; S::~S() {}\nstatic S at_exit;\n"
                                  "extern \"C\" void *PyInit_exit() { static S late; return 0; }\n")
    run("c++", "-O2", "-fPIC", "-c", "exit.cc", cwd=work)
    fat = toolchain(work, "-shared", "exit.o", "-lstdc++", "-o", "x.so")
    assert "PyInit_exit" in fat_section.defined(fat, work)
    assert "__dso_handle" in fat_section.undefined(fat, work)


def test_undefined_symbols_may_stay(toolchain, work):
    fat = toolchain(work, "-shared", "ext.o", "-o", "x.so")
    assert "helper" in fat_section.undefined(fat, work)


@pytest.mark.parametrize("compiler, linker", [
    ("gcc", "bfd"), ("gcc", "gold"), ("gcc", "mold"), ("clang", "bfd"), ("clang", "gold"), ("clang", "lld")])
def test_objects_of_link_time_optimisation_are_lowered(compiler, linker, cc, work):
    flag = fuse(compiler, linker)
    need("ld.lld")
    env = {**os.environ, "KILN_CC": compiler}
    cc(work, "-flto", "-fPIC", "-c", "ext.c", "helper.c", env=env)
    result = cc(work, "-flto", flag, "-shared", "ext.o", "helper.o", "-o", "x.so", env=env, check=False)
    if result.returncode != 0:
        pytest.skip(f"{compiler} cannot link LTO objects with {linker}")
    assert "PyInit_ext" in fat_section.defined(fat_section.read(work / "x.so"), work)


def test_shared_libraries_are_not_in_it_however_they_are_found(cc, work):
    run("cc", "-shared", "plain.o", "-o", "libplain.so", cwd=work)
    run("ar", "rcs", "libhelper.a", "helper.o", cwd=work)
    run("ar", "rcs", "libplain.a", "plain.o", cwd=work)
    (work / "env").mkdir()
    shutil.copy(work / "libplain.so", work / "env" / "libother.so")
    cc(work, "-shared", "-pthread", "-fopenmp", "ext.o", "-L", ".", "-Wl,--no-as-needed", "-u", "plain", "-lplain",
       "-Wl,--push-state,-Bstatic", "-lhelper", "-Wl,--pop-state", "-lm", "-l", "other", "./libplain.so",
       "-Wl,-rpath,/one:$ORIGIN/two", "-static-libgcc", "-O2", "-o", "x.so",
       env={**os.environ, "LIBRARY_PATH": str(work / "env")})
    fat = fat_section.read(work / "x.so")
    assert {"PyInit_ext", "helper"} <= fat_section.defined(fat, work)
    assert "plain" in fat_section.undefined(fat, work)


def test_the_cxx_driver_is_recorded(cc, work):
    cc(work, "-shared", "-fPIC", "cpp.cc", "-o", "x.so", program="kiln-c++")
    assert fat_section.read(work / "x.so").driver == shutil.which("c++")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the version is of x86-64")
def test_a_version_of_a_function_of_the_c_library_can_be_asked_for(cc, work):
    (work / "old.c").write_text("""
        #include <stdlib.h>
        #include <string.h>
        static void nothing(void) {}
        void *old_memcpy(void *, const void *, size_t);
        __asm__(".symver old_memcpy,memcpy@GLIBC_2.2.5");
        void *PyInit_ext(void) { static char to[3]; atexit(nothing); return old_memcpy(to, "ab", 3); }
    """)
    run("cc", "-fPIC", "-c", "old.c", cwd=work)
    cc(work, "-shared", "old.o", "plain.o", "-o", "x.so")
    fat = fat_section.read(work / "x.so")
    assert fat.failure is None
    (work / "x.o").write_bytes(fat.object)
    assert "memcpy@GLIBC_2.2.5" in run("nm", "--undefined-only", work / "x.o").stdout
    assert "atexit" in fat_section.undefined(fat, work)  # of libc_nonshared.a


def test_wrap_and_defsym_are_done(cc, work):
    (work / "wrapped.c").write_text("int __wrap_helper(void) { return 8; }\n")
    cc(work, "-shared", "-fPIC", "ext.c", "helper.c", "wrapped.c", "-Wl,--wrap=helper", "-Wl,--defsym,alias=helper",
       "-o", "x.so")
    fat = fat_section.read(work / "x.so")
    assert "alias" in fat_section.defined(fat, work)
    relocations = run("objdump", "-dr", work / "relocatable.o").stdout
    assert "__wrap_helper" in relocations[relocations.index("PyInit_ext"):]


def test_debug_information_goes_with_it_unless_the_link_strips(cc, work):
    def has_debug(*args):
        cc(work, "-shared", "-g", "-fPIC", "ext.c", "helper.c", *args, "-o", "x.so")
        (work / "r.o").write_bytes(fat_section.read(work / "x.so").object)
        return ".debug_info" in run("readelf", "-SW", work / "r.o").stdout
    assert has_debug()
    assert not has_debug("-s")
    assert not has_debug("-Wl,--strip-debug")


# -- What cannot be ------------------------------------------------------------------------------

@pytest.mark.parametrize("args, reason", [
    (["-Wl,-T,x.ld"], "layout of its own"),
    (["x.ld"], "x.ld: a linker script with a layout"),
    (["-Wl,-init,helper"], "-init helper"),
    (["-Wl,-b,binary,ext.c,-b,elf64-x86-64"], "another format"),
    (["-Wl,-z,execstack"], "an executable stack"),
    (["alias.ld"], "alias.ld: a linker script that defines symbols"),
    (["provide.ld"], "provide.ld: a linker script that defines symbols"),
])
def test_the_reason_is_recorded_and_the_build_succeeds(args, reason, cc, work):
    default = run("ld", "--verbose", "-shared").stdout.split("=" * 50)[1]
    (work / "x.ld").write_text(default if args != ["x.ld"] else
                               "SECTIONS { .mine : { *(.mine) } }\n")
    (work / "alias.ld").write_text("INPUT(plain.o)\nalias = helper;\n")
    (work / "provide.ld").write_text("/* of libx */ PROVIDE_HIDDEN(alias = helper);\n")
    run("cc", "-shared", "ext.o", "helper.o", *args, "-o", "reference.so", cwd=work)
    result = cc(work, "-shared", "ext.o", "helper.o", *args, "-o", "x.so", check=False)
    assert (result.returncode, result.stdout) == (0, "")
    fat = fat_section.read(work / "x.so")
    assert reason in fat.failure
    assert fat.object is None
    assert fat.inits == ["PyInit_ext"]
    assert load(work / "x.so") == load(work / "reference.so")  # a C library may refuse an executable stack


def test_a_script_that_only_says_what_to_link_is_followed(cc, work):
    (work / "x.ld").write_text('/* a = b; */ OUTPUT_FORMAT(elf64-x86-64)\nVERSION { VERS_1 { global: PyInit_ext; }; }\n'
                               'INPUT(plain.o "helper.o")\nEXTERN(helper)\n')
    cc(work, "-shared", "ext.o", "x.ld", "-o", "x.so")
    assert fat_section.read(work / "x.so").failure is None


def test_a_function_of_bitcode_that_the_link_wraps_is_a_recorded_reason(cc, work):
    if not (shutil.which("clang") and shutil.which("ld.lld")):
        pytest.skip("no clang with lld")
    (work / "wrapped.c").write_text("int __real_f(void); int __wrap_f(void) { return 1 + __real_f(); }\n"
                                    "int f(void) { return 2; }\n")
    (work / "calls.c").write_text("int f(void); void *PyInit_ext(void) { return (char *)0 + f(); }\n")
    run("clang", "-fPIC", "-flto", "-O2", "-c", "wrapped.c", "calls.c", cwd=work)
    env = {**os.environ, "KILN_CC": "clang"}
    cc(work, "-shared", "-flto", "-fuse-ld=lld", "wrapped.o", "calls.o", "-Wl,--wrap=f", "-o", "x.so", env=env)
    assert "--wrap=f wraps a function" in fat_section.read(work / "x.so").failure
    cc(work, "-shared", "-flto", "-fuse-ld=lld", "wrapped.o", "calls.o", "-Wl,--wrap=g", "-o", "x.so", env=env)
    assert fat_section.read(work / "x.so").failure is None


def test_a_second_link_that_fails_is_a_recorded_reason(cc, work, tmp_path):
    compiler = make_compiler(
        tmp_path / "once", 'case "$*" in *--trace*) echo no second time >&2; exit 5;; *) exec cc "$@";; esac\n')
    result = cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so", env={**os.environ, "KILN_CC": str(compiler)})
    assert result.stderr == ""
    failure = fat_section.read(work / "x.so").failure
    assert "cannot repeat the link" in failure and "no second time" in failure


def test_a_missing_temporary_directory_is_a_recorded_reason(cc, work):
    result = cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so", env={**os.environ, "TMPDIR": "/no/such/place"})
    assert (result.stdout, result.stderr) == ("", "")
    assert fat_section.read(work / "x.so").failure.count("TMPDIR") == 1


def test_two_sources_of_one_name_are_a_recorded_reason(cc, work):
    (work / "sub").mkdir()
    shutil.copy(work / "plain.c", work / "sub" / "ext.c")
    cc(work, "-shared", "-fPIC", "ext.c", "sub/ext.c", "-o", "x.so")
    assert "two source files" in fat_section.read(work / "x.so").failure


def test_a_crash_is_a_recorded_reason(cc, work, tmp_path):
    compiler = make_compiler(
        tmp_path / "murderous", 'case "$*" in *--trace*) kill -9 $PPID;; *) exec cc "$@";; esac\n')
    result = cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so", env={**os.environ, "KILN_CC": str(compiler)})
    assert (result.stdout, result.stderr) == ("", "")
    assert fat_section.read(work / "x.so").failure == "kiln-cc stopped unexpectedly (signal 9)"


def test_an_output_that_cannot_take_the_section_is_left_as_it_was(cc, work):
    run("cc", "-shared", "ext.o", "helper.o", "-o", "plain.so", cwd=work)
    expected = (work / "plain.so").read_bytes()

    def limit():
        """Room for the shared object, but for nothing more: what a full disk is."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(expected) + 10,) * 2)
    result = cc(work, "-shared", "ext.o", "helper.o", "-o", "x.so", preexec_fn=limit)
    assert (result.stdout, result.stderr) == ("", "")
    assert (work / "x.so").read_bytes() == expected
    assert [path.name for path in work.glob("x.so*")] == ["x.so"]


# -- Build systems -------------------------------------------------------------------------------

MODULE = """\
#include <Python.h>
#include <math.h>
static PyObject *root(PyObject *m, PyObject *x) { return PyFloat_FromDouble(sqrt(PyFloat_AsDouble(x))); }
static PyMethodDef methods[] = {{"root", root, METH_O, NULL}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "mod", NULL, 0, methods};
PyMODINIT_FUNC PyInit_mod(void) { return PyModuleDef_Init(&def); }
"""


def check_module(python, directory):
    """The module that was built in DIRECTORY works, and is fat."""
    [path] = directory.glob("mod*.so")
    fat = fat_section.read(path)
    assert "PyInit_mod" in fat_section.defined(fat, directory)
    result = run(python, "-c", "import mod; print(mod.root(49))", cwd=path.parent)
    assert result.stdout == "7.0\n"
    return fat


def test_setuptools_with_cc(build, python, tmp_path):
    if run(python, "-c", "import setuptools", check=False).returncode != 0:
        pytest.skip("no setuptools")
    (tmp_path / "mod.c").write_text(MODULE)
    (tmp_path / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='mod', ext_modules=[Extension('mod', ['mod.c'], libraries=['m'])])\n")
    run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=tmp_path,
        env={**os.environ, "CC": str(build / "kiln-cc"), "LDSHARED": f"{build}/kiln-cc -shared"})
    check_module(python, tmp_path)


def include_dir(python):
    return run(python, "-c", "import sysconfig; print(sysconfig.get_path('include'))").stdout.strip()


def test_make_with_cc(build, python, tmp_path):
    need("make")
    (tmp_path / "mod.c").write_text(MODULE)
    (tmp_path / "Makefile").write_text(
        f"mod.so: mod.o\n\t$(CC) -shared $< -lm -o $@\nmod.o: mod.c\n\t$(CC) -fPIC -I{include_dir(python)} -c $<\n")
    run("make", f"CC={build}/kiln-cc", cwd=tmp_path)
    check_module(python, tmp_path)


def write_cmake_project(directory, python, settings=""):
    (directory / "mod.c").write_text(MODULE)
    (directory / "helper.c").write_text("int helper(void) { return 7; }\n")
    (directory / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(mod C CXX)\n" + settings +
        "add_library(helper STATIC helper.c)\nset_target_properties(helper PROPERTIES POSITION_INDEPENDENT_CODE ON)\n"
        "add_library(mod MODULE mod.c)\nset_target_properties(mod PROPERTIES PREFIX \"\")\n"
        f"target_include_directories(mod PRIVATE {include_dir(python)})\ntarget_link_libraries(mod helper m)\n")


def test_cmake_with_cc(build, python, tmp_path):
    need("cmake", "make")
    write_cmake_project(tmp_path, python)
    env = {**os.environ, "CC": str(build / "kiln-cc"), "CXX": str(build / "kiln-c++")}
    run("cmake", "-S", ".", "-B", "out", cwd=tmp_path, env=env)
    run("cmake", "--build", "out", cwd=tmp_path)
    check_module(python, tmp_path / "out")


@pytest.mark.parametrize("c, cxx", [("gcc", "g++"), ("clang", "clang++")])
def test_cmake_can_have_link_time_optimization_if_it_can_without_kiln(build, python, c, cxx, tmp_path):
    need("cmake", "make", c, cxx)
    write_cmake_project(
        tmp_path, python,
        "include(CheckIPOSupported)\n"
        "check_ipo_supported(RESULT supported OUTPUT why)\nmessage(STATUS \"supported: ${supported}\")\n"
        "if(supported)\n  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)\nendif()\n")

    def configure(directory, **env):
        said = run("cmake", "-S", ".", "-B", directory, cwd=tmp_path, env={**os.environ, **env}).stdout
        return re.search("supported: (.*)", said)[1]

    kiln = {"CC": str(build / "kiln-cc"), "CXX": str(build / "kiln-c++"), "KILN_CC": c, "KILN_CXX": cxx}
    # Without an archiver of LLVM's beside clang, CMake finds none; kiln-cc's own is one all the same.
    plain = configure("plain", CC=c, CXX=cxx)
    assert configure("kiln", **kiln) in (plain, "YES")
    run("cmake", "--build", "kiln", cwd=tmp_path, env={**os.environ, **kiln})
    check_module(python, tmp_path / "kiln")


@pytest.fixture(scope="session")
def meson(tmp_path_factory):
    """A directory with meson and ninja."""
    if shutil.which("meson") and shutil.which("ninja"):
        return os.path.dirname(shutil.which("meson"))
    venv = tmp_path_factory.mktemp("meson") / "venv"
    run("/usr/bin/python3", "-m", "venv", venv)
    if run(venv / "bin" / "pip", "-q", "install", "meson", "ninja", check=False).returncode != 0:
        pytest.skip("meson cannot be installed")
    return venv / "bin"


def test_meson_with_cc(build, python, meson, tmp_path):
    (tmp_path / "mod.c").write_text(MODULE)
    (tmp_path / "helper.c").write_text("int helper(void) { return 7; }\n")
    (tmp_path / "meson.build").write_text(
        "project('mod', 'c', 'cpp')\nhelper = static_library('helper', 'helper.c', pic: true)\n"
        "shared_module('mod', 'mod.c', name_prefix: '', link_whole: helper,\n"
        f"  include_directories: include_directories('{include_dir(python)}'),\n"
        "  dependencies: meson.get_compiler('c').find_library('m'))\n")
    env = {**os.environ, "CC": str(build / "kiln-cc"), "CXX": str(build / "kiln-c++"),
           "PATH": f"{meson}:{os.environ['PATH']}"}
    run("meson", "setup", "out", cwd=tmp_path, env=env)
    run("ninja", "-C", "out", cwd=tmp_path, env=env)
    fat = check_module(python, tmp_path / "out")
    assert "helper" in fat_section.defined(fat, tmp_path)


def test_cargo_with_a_linker(build, tmp_path):
    need("cargo", "rustc")
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text(
        "[package]\nname = \"rusty\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\ncrate-type = [\"cdylib\"]\n")
    (tmp_path / "src" / "lib.rs").write_text(
        "use std::collections::HashMap;\n#[no_mangle]\npub extern \"C\" fn PyInit_rusty() -> *mut u8 {\n"
        "    let mut map = HashMap::new();\n    map.insert(std::env::args().count(), 1);\n"
        "    println!(\"{:?}\", map);\n    std::ptr::null_mut()\n}\n")
    target = run("rustc", "-vV").stdout.split("host: ")[1].split()[0].replace("-", "_").upper()
    run("cargo", "build", "--release", "--offline", cwd=tmp_path,
        env={**os.environ, f"CARGO_TARGET_{target}_LINKER": str(build / "kiln-cc"),
             "CARGO_TARGET_DIR": str(tmp_path / "target")})
    path = tmp_path / "target" / "release" / "librusty.so"
    assert "PyInit_rusty" in fat_section.defined(fat_section.read(path), tmp_path)
    ctypes.CDLL(str(path))


def test_every_argument_of_a_long_link_is_repeated(cc, work):
    (work / "many").mkdir()
    for number in range(300):
        shutil.copy(work / "plain.o", work / "many" / f"{number}.o")
        run("objcopy", "--redefine-sym", f"plain=plain_{number}", work / "many" / f"{number}.o")
    (work / "list").write_text("".join(f"many/{number}.o\n" for number in range(300)))
    cc(work, "-shared", "ext.o", "@list", "helper.o", "-o", "x.so")
    names = fat_section.defined(fat_section.read(work / "x.so"), work)
    assert {f"plain_{number}" for number in range(300)} <= names
