"""What debuggers and profilers see of baked extensions, and `kiln link --strip` and `--split-debug`."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, run
from extensions import extension, suffix

# Two functions in front of value(): one local, one for other objects. The numbers are those of the lines.
SOURCE = r"""#include <Python.h>
int outer(int x);

static __attribute__((noinline)) int inner(int x)
{ /* 5 */
    return x + (VALUE)[0]; /* 6 */
}

__attribute__((noinline)) int outer(int x)
{ /* 10 */
    return inner(x) + 1; /* 11 */
}

static PyObject *value(PyObject *m, PyObject *a)
{
    volatile int n = outer(1); /* 16 */
    return PyUnicode_FromString(n ? VALUE : "lost");
}
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

NAMES = ["one", "pkg.two"]
CALL = "import one, pkg.two; print(one.value(), pkg.two.value())"
WANTED = "one pkg.two\n"

needs_gdb = pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")


def make(root, python, *flags):
    """Both extensions, of one source."""
    root.mkdir(exist_ok=True)
    (root / "thing.c").write_text(SOURCE)
    for name in NAMES:
        extension(root, name, python, source='#include "thing.c"\n', more=["-O0", *flags])
    return root


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """Two extensions of one source, with debug information."""
    return make(tmp_path_factory.mktemp("site"), python, "-g")


def link(python, output, site, *args, way="objects", check=True, **kwargs):
    return run(BUILD / "kiln", "link", "--from", way, "--python", python, "-o", output, *args, site, check=check, **kwargs)


def call(program, site):
    return run(program, "-c", CALL, env={**os.environ, "PYTHONPATH": str(site)}).stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory, python, site):
    output = tmp_path_factory.mktemp("whole") / "app"
    link(python, output, site)
    return output


@pytest.fixture(scope="module")
def split(tmp_path_factory, python, site):
    """The same by --split-debug: app and app.debug."""
    output = tmp_path_factory.mktemp("split") / "app"
    link(python, output, site, "--split-debug", "--report", output.with_suffix(".json"))
    return output


@pytest.fixture(params=["whole", "split"])
def debuggable(request):
    """An executable whose debug information is in it or beside it."""
    return request.getfixturevalue({"whole": "program", "split": "split"}[request.param])


def sections(path):
    return set(re.findall(r"\] (\.\S+)", run("readelf", "-SW", path).stdout))


def functions(path):
    """{name: [(address, size), ...]} of the functions in .symtab."""
    found = {}
    for line in run("readelf", "-sW", path).stdout.partition("Symbol table '.symtab'")[2].splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            found.setdefault(fields[7], []).append((int(fields[1], 16), int(fields[2], 0)))
    return found


# Debuggers.

def start_gdb(site, *args):
    """What gdb says and what it complains of."""
    result = run("gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex", "set breakpoint pending on", *args,
                 check=False, env={**os.environ, "PYTHONPATH": str(site)})
    if "ptrace" in result.stderr or "Couldn't" in result.stderr:
        pytest.skip("no permission to debug")
    return result


def list_commands(commands):
    return [word for command in commands for word in ("-ex", command)]


def gdb(program, site, *commands):
    return start_gdb(site, *list_commands(commands), "--args", program, "-c", CALL).stdout


@needs_gdb
def test_gdb_stops_at_a_function_of_each_module(debuggable, site):
    said = gdb(debuggable, site, "break inner", "run", "backtrace 3", "continue", "backtrace 3")
    assert "(2 locations)" in said
    assert len(re.findall(r"^#0 +(0x\w+ in )?inner \(x=1\) at \S*thing.c:6$", said, re.M)) == 2
    assert len(re.findall(r"^#1 .* in outer \(x=1\) at \S*thing.c:11$", said, re.M)) == 2
    assert len(re.findall(r"^#2 .* in value \(.*\) at \S*thing.c:16$", said, re.M)) == 2


@needs_gdb
def test_gdb_stops_at_a_line_of_each_module(debuggable, site):
    said = gdb(debuggable, site, "break thing.c:11", "run", "print x", "continue", "print x + 1")
    assert len(re.findall(r"outer \(x=1\) at \S*thing.c:11", said)) == 2
    assert "$1 = 1" in said and "$2 = 2" in said


@needs_gdb
def test_backtraces_without_debug_information_have_names(python, tmp_path):
    site = make(tmp_path / "site", python, "-g0")
    link(python, tmp_path / "app", site)
    said = gdb(tmp_path / "app", site, "break inner", "run", "backtrace 3", "continue", "backtrace 3")
    assert len(re.findall(r"^#0 .* inner \(\)$", said, re.M)) == 2
    # gdb takes a name of lower-case letters and a dot for one of Ada's.
    assert ("in outer.one ()" in said or "in outer[one] ()" in said) and "in outer.pkg_dtwo ()" in said
    assert len(re.findall(r"^#2 .* in value \(\)$", said, re.M)) == 2


@needs_gdb
def test_backtraces_go_through_the_importer_to_main(debuggable, site):
    said = gdb(debuggable, site, "break PyInit_one", "run", "backtrace")
    assert "in PyInit_one ()" in said or re.search(r"#0 +PyInit_one \(\)", said)
    assert "Py_RunMain ()" in said and "main=" in said and "in _start ()" in said


def addr2line(path, address):
    return run("addr2line", "-f", "-e", path, hex(address)).stdout.splitlines()


def test_addr2line_gives_function_file_and_line_in_each_module_as_for_its_file(program, site, python):
    inner = functions(program)["inner"]
    assert len(inner) == 2
    for name, symbol in zip(NAMES, ("outer.one", "outer.pkg_dtwo")):
        file = site / (name.replace(".", "/") + suffix(python))
        (address, _), = functions(program)[symbol]
        (there, _), = functions(file)["outer"]
        function, place = addr2line(program, address)
        assert [function, place] == addr2line(file, there)
        assert function == "outer" and place.endswith("c:10")
        (there, _), = functions(file)["inner"]
        assert addr2line(file, there) in [addr2line(program, address) for address, _ in inner]


# Profilers read the symbol table.

@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
@pytest.mark.parametrize("flag", ["-g", "-g0"])
def test_every_function_has_a_symbol_with_a_size(flag, linker, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    site = make(tmp_path / "site", python, flag)
    for more in [], ["--split-debug"]:
        link(python, tmp_path / "app", site, "--linker", linker, *more)
        found = functions(tmp_path / "app")
        assert len(found["inner"]) == 2 and len(found["value"]) >= 2
        for symbol in "inner", "outer.one", "outer.pkg_dtwo", "PyInit_two.pkg_dtwo", "kiln_init_one":
            assert all(size > 0 for _, size in found.get(symbol, [(0, 1)])), symbol
        assert len(found["outer.one"]) == len(found["outer.pkg_dtwo"]) == 1


@pytest.mark.skipif(not shutil.which("perf"), reason="no perf")
def test_perf_names_the_functions_of_a_module(program, site, tmp_path):
    busy = "import one\nfor _ in range(3000000): one.value()"
    recorded = run("perf", "record", "-q", "-e", "cpu-clock", "-F", "9999", "-o", tmp_path / "data", program, "-c", busy, check=False,
                   env={**os.environ, "PYTHONPATH": str(site)})
    if recorded.returncode:
        pytest.skip("perf may not record here")
    said = run("perf", "report", "--stdio", "-i", tmp_path / "data", "--percent-limit", "0", check=False).stdout
    assert re.search(r"\[\.\] (inner|outer\.one|value)\b", said)


# --strip

@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_a_stripped_executable_has_no_symbols_and_works(linker, site, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    link(python, tmp_path / "app", site, "--strip", "--linker", linker)
    found = sections(tmp_path / "app")
    assert ".symtab" not in found and not any(name.startswith(".debug") for name in found)
    assert call(tmp_path / "app", site) == WANTED
    listing = json.loads(run(BUILD / "kiln", "ls", "--json", tmp_path / "app").stdout)
    assert [m["name"] for m in listing["modules"]] == NAMES


def test_files_still_load_into_a_stripped_executable(site, python, tmp_path):
    extension(tmp_path / "site", "plain", python, compiler="cc")
    shutil.copytree(site, tmp_path / "site", dirs_exist_ok=True)
    link(python, tmp_path / "app", tmp_path / "site", "--strip")
    assert run(tmp_path / "app", "-c", "import plain; print(plain.value())",
               env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}).stdout == "plain\n"


# --split-debug

@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_debug_information_is_split_off(linker, site, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    link(python, tmp_path / "app", site, "--split-debug", "--linker", linker)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "app.debug"]
    found = sections(tmp_path / "app")
    assert not any(name.startswith(".debug") for name in found)
    assert {".symtab", ".gnu_debuglink", ".note.gnu.build-id", ".kiln"} <= found
    assert ".debug_info" in sections(tmp_path / "app.debug")
    run("objcopy", "--dump-section", f".gnu_debuglink={tmp_path / 'link'}", tmp_path / "app", "/dev/null")
    assert (tmp_path / "link").read_bytes().startswith(b"app.debug\0")
    ids = [re.search(r"Build ID: (\w+)", run("readelf", "-n", tmp_path / name).stdout)[1] for name in ("app", "app.debug")]
    assert ids[0] == ids[1]
    assert call(tmp_path / "app", site) == WANTED
    assert len(json.loads(run(BUILD / "kiln", "ls", "--json", tmp_path / "app").stdout)["modules"]) == 2
    assert os.access(tmp_path / "app", os.X_OK)


def test_the_report_names_the_file_with_the_debug_information(split, site, python, tmp_path):
    assert json.loads(split.with_suffix(".json").read_text())["debug"] == f"{split}.debug"


def test_stripped_and_split_the_symbols_go_to_the_file(site, python, tmp_path):
    link(python, tmp_path / "app", site, "--strip", "--split-debug")
    assert ".symtab" not in sections(tmp_path / "app") and ".gnu_debuglink" in sections(tmp_path / "app")
    assert "outer.one" in functions(tmp_path / "app.debug")
    assert call(tmp_path / "app", site) == WANTED


def test_an_objcopy_that_fails_leaves_the_old_output_and_one_message(site, python, tmp_path):
    (tmp_path / "app").write_text("old")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "objcopy").write_text("#!/bin/sh\necho 'objcopy: no such luck' >&2\nexit 1\n")
    (tmp_path / "bin" / "objcopy").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    result = link(python, tmp_path / "app", site, "--split-debug", check=False, env=env)
    assert result.returncode == 1 and result.stderr.count("kiln: error: ") == 1
    assert "cannot split off the debug information" in result.stderr and "no such luck" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "bin"]
    assert (tmp_path / "app").read_text() == "old"


def test_a_missing_objcopy_is_named(site, python, tmp_path):
    (tmp_path / "bin").mkdir()
    for directory in os.environ["PATH"].split(":"):
        for path in os.listdir(directory) if os.path.isdir(directory) else []:
            if "objcopy" not in path and not (tmp_path / "bin" / path).is_symlink():
                (tmp_path / "bin" / path).symlink_to(os.path.join(directory, path))
    result = link(python, tmp_path / "app", site, "--split-debug", check=False,
                  env={**os.environ, "PATH": str(tmp_path / "bin")})
    assert result.returncode == 1 and "objcopy" in result.stderr and not (tmp_path / "app").exists()


# --split-debug of unlinked extensions: a script for gdb, and copies of what it adds.

LIBRARY = r"""int helped(int x)
{
    return x * 2; /* 3 */
}
"""
USER = r"""#include <Python.h>
int helped(int x);
static PyObject *value(PyObject *m, PyObject *a)
{
    int n = helped(20); /* 5 */
    return PyLong_FromLong(n);
}
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""
WHEELS_WANTED = "one 40\n"

has_gdb_python = shutil.which("gdb") and run("gdb", "-batch", "-nx", "-ex", "python 1", check=False).stderr == ""
needs_gdb_python = pytest.mark.skipif(not has_gdb_python, reason="no gdb with Python")


def make_wheels(root, python, *flags):
    """`one` as above and `pkg.two`, as wheels have them; a library of the second's package."""
    (root / "pkg").mkdir(parents=True)
    for name, text in ("thing.c", SOURCE), ("user.c", USER), ("help.c", LIBRARY):
        (root / name).write_text(text)
    library = root / "pkg" / "libhelp.so"
    run("gcc", "-shared", "-fPIC", "-Wl,--build-id", *flags, root / "help.c", "-o", library)
    extension(root, "one", python, source='#include "thing.c"\n', compiler="gcc", more=["-O0", "-Wl,--build-id", *flags])
    extension(root, "pkg.two", python, source='#include "user.c"\n', compiler="gcc",
              more=["-O0", "-Wl,--build-id", *flags, library, "-Wl,-rpath,$ORIGIN"])
    return root


def split_wheels(python, output, site, *options, **kwargs):
    return link(python, output, site, "--split-debug", *options, way="wheels", **kwargs)


def get_script(program):
    return program.with_name(f"{program.name}-gdb.gdb")


def script_gdb(program, site, *commands):
    """gdb with the script, on the program."""
    return start_gdb(site, "-x", get_script(program), *list_commands(commands), "--args", program, "-c", CALL)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, python):
    return make_wheels(tmp_path_factory.mktemp("wheels") / "site", python, "-g")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory, python, wheels):
    """Not position-independent."""
    output = tmp_path_factory.mktemp("fixed") / "app"
    split_wheels(python, output, wheels, "--no-pie", "--report", output.with_suffix(".json"))
    return output


@pytest.fixture(scope="module")
def movable(tmp_path_factory, python, wheels):
    output = tmp_path_factory.mktemp("movable") / "app"
    assert ", PIE)" in split_wheels(python, output, wheels, "--pie").stderr
    return output


@needs_gdb_python
@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
@pytest.mark.parametrize("pie", ["--no-pie", "--pie"])
def test_gdb_stops_at_a_line_of_an_unlinked_extension_and_of_its_library(pie, linker, python, wheels, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    linked = split_wheels(python, tmp_path / "app", wheels, pie, "--linker", linker, check=False)
    if "no libpython to link with" in linked.stderr or "gold relocates absolute symbols" in linked.stderr:
        pytest.skip(f"ld.{linker} does not link this libpython with {pie}")
    assert linked.returncode == 0, linked.stderr
    said = script_gdb(tmp_path / "app", wheels, "break thing.c:11", "break help.c:3", "run", "print x", "continue", "backtrace 2",
                      "continue").stdout
    assert re.search(r"outer \(x=1\) at \S*thing.c:11\n11\t    return inner\(x\) \+ 1;", said)
    assert "$1 = 1" in said
    assert re.search(r"^#0 +helped \(x=20\) at \S*help.c:3\n#1 .* in value \(.*\) at \S*user.c:5$", said, re.M)
    assert WHEELS_WANTED in said


@needs_gdb_python
def test_gdb_knows_the_lines_before_the_program_runs_and_each_once(movable, wheels):
    said = script_gdb(movable, wheels, "break help.c:3", "break inner", "run", "info breakpoints", "kill",
                      "set disable-randomization off", "run", "backtrace 1", f"source {get_script(movable)}", "info breakpoints").stdout
    assert re.search(r"Breakpoint 1 at 0x\w+: file \S*help.c, line 3\.$", said, re.M)
    assert re.search(r"Breakpoint 2 at 0x\w+: file \S*thing.c, line 6\.$", said, re.M)
    assert len(re.findall(r"^#0 +inner \(x=1\) at \S*thing.c:6$", said, re.M)) == 1  # the second run has another address
    assert said.count("<MULTIPLE>") == 0 and len(re.findall(r"in helped at \S*help.c:3$", said, re.M)) == 2


@needs_gdb_python
@pytest.mark.parametrize("form", ["fixed", "movable"])
def test_gdb_shows_the_lines_in_a_core(form, wheels, tmp_path, request):
    program = request.getfixturevalue(form)
    said = script_gdb(program, wheels, "set disable-randomization off", "break help.c:3", "run", f"generate-core-file {tmp_path / 'core'}")
    if not (tmp_path / "core").exists():
        pytest.skip("gdb writes no core here: " + said.stderr)
    said = start_gdb(wheels, "-x", get_script(program), "-ex", "backtrace 2", program, tmp_path / "core").stdout
    assert re.search(r"^#0 +helped \(x=20\) at \S*help.c:3\n#1 .* in value \(.*\) at \S*user.c:5$", said, re.M)


@needs_gdb_python
@pytest.mark.parametrize("form", ["fixed", "movable"])
def test_gdb_shows_the_lines_in_a_process_that_runs(form, wheels, request):
    program = request.getfixturevalue(form)
    with subprocess.Popen([program, "-c", CALL + "\nprint(flush=True)\ninput()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, "PYTHONPATH": str(wheels)}) as process:
        assert process.stdout.readline().endswith(WHEELS_WANTED)
        said = start_gdb(wheels, "-p", str(process.pid), "-x", get_script(program), "-ex", "info line help.c:3", "-ex", "print helped(4)")
        process.stdin.close()
    if "Operation not permitted" in said.stderr:
        pytest.skip("no permission to attach")
    assert re.search(r'^Line 3 of "\S*help.c" starts at address', said.stdout, re.M) and "$1 = 8" in said.stdout


@needs_gdb_python
def test_gdb_loads_the_script_by_itself_where_it_may(fixed, wheels):
    said = start_gdb(wheels, "-iex", f"add-auto-load-safe-path {fixed.parent}", "-ex", "info line help.c:3", fixed).stdout
    assert re.search(r'^Line 3 of "\S*help.c" ', said, re.M)


@needs_gdb_python
def test_the_wheels_files_are_not_needed_any_more_and_the_files_may_move(python, wheels, tmp_path):
    shutil.copytree(wheels, tmp_path / "site")
    (tmp_path / "out").mkdir()
    split_wheels(python, tmp_path / "out" / "app", tmp_path / "site", "--pie")
    for path in (tmp_path / "site").rglob("*.so"):
        path.unlink()
    place = tmp_path / "it's \"here\" now\\"
    (tmp_path / "out").rename(place)
    said = start_gdb(tmp_path / "site", "-iex", "cd " + str(place), "-x", "app-gdb.gdb", "-ex", "break help.c:3", "-ex", "run",
                     "-ex", "backtrace 1", "--args", "app", "-c", CALL)
    assert re.search(r"^#0 +helped \(x=20\) at \S*help.c:3$", said.stdout, re.M), said


@needs_gdb_python
def test_gdb_goes_on_without_the_copies(python, wheels, tmp_path):
    split_wheels(python, tmp_path / "app", wheels)
    shutil.rmtree(tmp_path / "app.debug.d")
    said = script_gdb(tmp_path / "app", wheels, "break helped", "run", "backtrace 1", "continue")
    assert said.stderr.count("No such file") == 3
    assert "helped ()" in said.stdout and WHEELS_WANTED in said.stdout


@needs_gdb_python
def test_gdb_takes_no_lines_for_another_program(python, wheels, tmp_path):
    split_wheels(python, tmp_path / "app", wheels)
    link(python, tmp_path / "app", wheels, way="wheels")
    said = script_gdb(tmp_path / "app", wheels, "break help.c:3", "run", "info line help.c:3")
    assert "helped (x" not in said.stdout and WHEELS_WANTED in said.stdout


def list_names(directory):
    """The files below DIRECTORY, without the hash in their names."""
    return sorted(re.sub("-[0-9a-f]{16}", "", str(path.relative_to(directory))) for path in directory.rglob("*") if path.is_file())


COPIES = ["app", "app-gdb.gdb", "app.debug", "app.debug.d/libhelp.so.debug", "app.debug.d/one.debug", "app.debug.d/pkg.two.debug"]


def test_the_report_names_the_script(fixed):
    assert json.loads(fixed.with_suffix(".json").read_text())["gdb"] == str(get_script(fixed))


def test_the_same_wheels_give_the_same_files(python, wheels, tmp_path):
    for name in "a", "b":
        (tmp_path / name).mkdir()
        split_wheels(python, tmp_path / name / "app", wheels)
    assert list_names(tmp_path / "a") == COPIES
    for path in (tmp_path / "a").rglob("*"):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.is_dir() or path.read_bytes() == other.read_bytes()


def test_another_link_replaces_the_copies(python, wheels, tmp_path):
    (tmp_path / "out" / "app.debug.d").mkdir(parents=True)
    (tmp_path / "out" / "app.debug.d" / "old.debug").touch()
    split_wheels(python, tmp_path / "out" / "app", wheels)
    assert list_names(tmp_path / "out") == COPIES


def test_without_debug_information_there_is_no_script(python, tmp_path):
    site = make_wheels(tmp_path / "site", python, "-g0")
    (tmp_path / "out").mkdir()
    split_wheels(python, tmp_path / "out" / "app", site, "--report", tmp_path / "report.json")
    assert list_names(tmp_path / "out") == ["app", "app.debug"]
    assert json.loads((tmp_path / "report.json").read_text())["gdb"] is None


def test_debug_information_that_was_stripped_off_is_found_by_its_build_id(python, wheels, tmp_path):
    shutil.copytree(wheels, tmp_path / "site")
    for path in [tmp_path / "site" / "pkg" / "libhelp.so", *(tmp_path / "site").glob("one.*")]:
        run("objcopy", "--only-keep-debug", path, f"{path}.dbg")
        run("objcopy", "--strip-all", f"--add-gnu-debuglink={path}.dbg", path)
    shutil.copy(tmp_path / "site" / "pkg" / "libhelp.so.dbg", next((tmp_path / "site").glob("one.*.dbg")))  # not its own
    (tmp_path / "out").mkdir()
    split_wheels(python, tmp_path / "out" / "app", tmp_path / "site")
    assert list_names(tmp_path / "out") == [name for name in COPIES if "one" not in name]
    assert ".debug_info" in sections(next((tmp_path / "out" / "app.debug.d").glob("libhelp*")))


def test_what_objcopy_does_not_understand_is_left_out(python, wheels, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "objcopy").write_text(f"""#!/bin/sh
case "$*" in *libhelp*) echo 'objcopy: a riddle' >&2; exit 1;; esac
exec {shutil.which("objcopy")} "$@"
""")
    (tmp_path / "bin" / "objcopy").chmod(0o755)
    (tmp_path / "out").mkdir()
    result = split_wheels(python, tmp_path / "out" / "app", wheels,
                          env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    assert "libhelp.so: its debug information is left out: " in result.stderr and "a riddle" in result.stderr
    assert list_names(tmp_path / "out") == [name for name in COPIES if "help" not in name]


def test_copies_that_cannot_be_moved_into_place_leave_the_old_output(python, wheels, tmp_path):
    (tmp_path / "out" / "app-gdb.gdb").mkdir(parents=True)
    (tmp_path / "out" / "app").write_text("old")
    result = split_wheels(python, tmp_path / "out" / "app", wheels, check=False)
    assert result.returncode == 1 and "app-gdb.gdb: cannot write" in result.stderr
    assert (tmp_path / "out" / "app").read_text() == "old" and not (tmp_path / "out" / "app.debug").exists()
