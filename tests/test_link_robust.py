"""kiln link in surroundings that are odd: links in circles, FIFOs, commas, names that are not UTF-8, signals."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, drop_standard, extension, list_modules, suffix


def link(python, *args, **kwargs):
    return run(BUILD / "kiln", "link", "--python", python, *args, timeout=60, **kwargs)


def value(program, site, name):
    script = f"import {name} as m; print(m.value())"
    return run(program, "-c", script, env={**os.environ, "PYTHONPATH": str(site)}).stdout.strip()


# --- The search ---

def test_links_in_a_circle_are_not_followed_without_end(python, tmp_path):
    site = tmp_path / "site"
    extension(site, "pkg._a", python)
    for name in "one", "two", "three":
        (site / "pkg" / name).symlink_to(".")
    (site / "pkg" / "up").symlink_to("..")
    link(python, "-o", tmp_path / "app", site)
    assert list(list_modules(tmp_path / "app")) == ["pkg._a"]


def test_a_file_under_two_names_stays_one(python, tmp_path):
    site = tmp_path / "site"
    extension(site, "pkg._a", python)
    (site / "alias").symlink_to("pkg")
    said = link(python, "-o", tmp_path / "app", site).stderr
    assert list(list_modules(tmp_path / "app")) == []
    assert said.count("stays a file: its file is that of another module, too") == 2


def test_one_directory_may_be_named_twice(python, tmp_path):
    extension(tmp_path / "site", "pkg._a", python)
    (tmp_path / "again").symlink_to("site")
    link(python, "-o", "app", "site/", "./site", "again", f"site/pkg/_a{suffix(python)}", cwd=tmp_path)
    assert value(tmp_path / "app", tmp_path / "site", "pkg._a") == "pkg._a"


def test_two_files_of_one_name_are_an_error(python, tmp_path):
    for place in "one", "two":
        extension(tmp_path / place, "pkg._a", python)
    result = link(python, "-o", tmp_path / "app", tmp_path / "one", tmp_path / "two", check=False)
    assert result.returncode == 1 and "two extensions have this name" in result.stderr


# --- What is no file ---

def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    # By way of a descriptor: the name of a socket has 108 bytes at most.
    directory = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)


@pytest.mark.parametrize("make", [make_fifo, make_socket])
def test_what_is_no_file_is_not_waited_for(make, python, tmp_path):
    site = tmp_path / "site"
    good = extension(site, "good", python)
    info = site / "pkg-1.0.dist-info"
    info.mkdir()
    for name in f"odd{suffix(python)}", "pkg-1.0.dist-info/RECORD", "pkg-1.0.dist-info/METADATA":
        make(site / name)
    link(python, "-o", tmp_path / "app", site)
    assert value(tmp_path / "app", site, "good") == "good"
    make(tmp_path / "x.whl")
    for path in tmp_path / "x.whl", site / f"odd{suffix(python)}":
        result = link(python, "-o", tmp_path / "app", path, good, check=False)
        assert result.returncode == 1 and f"{path}: " in result.stderr


@pytest.mark.parametrize("bundled", [False, True])
def test_a_library_that_has_become_a_fifo_is_not_waited_for(bundled, python, tmp_path):
    (tmp_path / "lib.c").write_text("int lib(void) { return 1; }\n")
    library = tmp_path / "build" / "liblib.so"
    library.parent.mkdir()
    run("cc", "-shared", "-fPIC", tmp_path / "lib.c", "-o", library)
    source = MULTI_PHASE + "int lib(void); int use(void) { return lib(); }\n"
    extension(tmp_path / "site", "user", python, source=source,
              more=[f"-L{library.parent}", "-llib", "-Wl,-rpath,$ORIGIN", f"-Wl,-rpath,{library.parent}"])
    if bundled:
        library = tmp_path / "site" / "liblib.so"
    else:
        library.unlink()
    make_fifo(library)
    said = link(python, "-o", tmp_path / "app", tmp_path / "site").stderr
    assert ("user stays a file" in said) != bundled


def test_a_response_file_that_is_a_fifo_is_left_to_the_compiler(tmp_path):
    make_fifo(tmp_path / "fifo")
    process = subprocess.Popen([BUILD / "kiln-cc", "--version", f"@{tmp_path}/fifo"], env={**os.environ, "KILN_CC": "true"})
    assert process.wait(timeout=20) == 0


# --- Paths ---

def test_a_comma_in_the_path_of_a_library(python, tmp_path):
    place = tmp_path / "c,d"
    place.mkdir()
    (tmp_path / "foo.c").write_text("const char *foo(void) { return \"foo\"; }\n")
    run("cc", "-shared", "-fPIC", tmp_path / "foo.c", "-o", place / "libfoo.so")
    source = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", "PyUnicode_FromString(foo())")
    extension(tmp_path / "site", "user", python, source="const char *foo(void);\n" + source,
              more=[f"-L{place}", "-lfoo", "-Xlinker", "-rpath", "-Xlinker", place])
    link(python, "-o", tmp_path / "app", tmp_path / "site")
    assert value(tmp_path / "app", tmp_path / "site", "user") == "foo"


def test_a_comma_in_the_path_of_libpython(python, tmp_path):
    answer = run(python, "-c", "import sysconfig as s, sys; print(s.get_config_var('LIBDIR'), s.get_config_var('MULTIARCH'), "
                 "'libpython%d.%d%s.so' % (*sys.version_info[:2], sys.abiflags))").stdout.split()
    places = [os.path.join(answer[0], answer[1]), answer[0]]
    found = [os.path.join(place, answer[2]) for place in places if os.path.exists(os.path.join(place, answer[2]))]
    if not found:
        pytest.skip("this Python has no shared libpython")
    place = tmp_path / "a,b"
    place.mkdir()
    real = os.path.realpath(found[0])
    for name in answer[2], os.path.basename(real), answer[2] + ".1.0":
        if not (place / name).exists():
            (place / name).symlink_to(real)
    # A Python that says its libpython is there.
    stand_in = tmp_path / "python"
    stand_in.write_text(f'#!/bin/sh\nif [ "$1" = - ]; then {python} "$@" | sed -z "s|^shared_library=.*|shared_library={place}/{answer[2]}|"\n'
                        f'else exec {python} "$@"; fi\n')
    stand_in.chmod(0o755)
    extension(tmp_path / "site", "user", python)
    link(stand_in, "--libpython", "shared", "-o", tmp_path / "app", tmp_path / "site")
    assert f"{place}" in run("readelf", "-d", tmp_path / "app").stdout
    assert value(tmp_path / "app", tmp_path / "site", "user") == "user"


def test_the_report_has_paths_that_are_not_utf8_as_python_has_them(python, tmp_path):
    site = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        site.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    file = extension(site, "user", python)
    link(python, "-o", tmp_path / "app", "--report", tmp_path / "report", site)
    (module,) = drop_standard(json.loads((tmp_path / "report").read_bytes())["modules"])
    assert module["file"] == str(file)
    (module,) = drop_standard(json.loads(subprocess.check_output([BUILD / "kiln", "ls", "--json", tmp_path / "app"]))["modules"])
    assert module["file"] == str(file)


# --- Signals ---

@pytest.fixture(scope="module")
def site(python, tmp_path_factory):
    """Extensions whose objects take a while to isolate."""
    root = tmp_path_factory.mktemp("signals") / "site"
    functions = "".join(f"int f{i}(int x) {{ return x + {i}; }}\n" for i in range(2000))
    first = extension(root, "big0", python, source=MULTI_PHASE + functions)
    for number in range(1, 20):
        os.link(first, root / f"big{number}{suffix(python)}")
    return root


def interrupt(argv, number, after, tmp_path):
    """Send NUMBER to the process of ARGV after so many seconds. The seconds until its end, and its status."""
    def default_signals():
        for each in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(each, signal.SIG_DFL)
    process = subprocess.Popen(argv, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, stderr=subprocess.DEVNULL,
                               start_new_session=True, preexec_fn=default_signals)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        pass
    process.send_signal(number)
    start = time.monotonic()
    status = process.wait(timeout=20)
    return time.monotonic() - start, status


def test_a_reader_that_is_gone_ends_a_link_that_leaves_nothing(site, python, tmp_path):
    (tmp_path / "tmp").mkdir()
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([BUILD / "kiln", "link", "--verbose", "--python", python, "-o", tmp_path / "app", site], stderr=writing,
                            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, restore_signals=True, check=False)
    os.close(writing)
    assert result.returncode == -signal.SIGPIPE
    assert list(tmp_path.iterdir()) == [tmp_path / "tmp"] and not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_link_wherever_it_is_and_leaves_nothing(number, site, python, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    link(python, "-o", tmp_path / "app", site)  # the importer is compiled now
    argv = [BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "out" / "app", site]
    ended = 0
    for step in range(1, 13):
        seconds, status = interrupt(argv, number, step * 0.05, tmp_path)
        assert status in (0, -number)
        assert seconds < 5  # of which 0.2 s are wanted, on a machine that has nothing else to do
        ended += status != 0
        left = [path.name for path in (tmp_path / "tmp").iterdir()]
        left += [path.name for path in (tmp_path / "out").iterdir() if path.name != "app"]
        assert left == []
        # Whole or not there; a signal may come between its getting its name and the end.
        is_there = (tmp_path / "out" / "app").exists()
        assert is_there or status != 0
        assert not is_there or value(tmp_path / "out" / "app", site, "big0") == "big0"
        (tmp_path / "out" / "app").unlink(missing_ok=True)
    assert ended > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search(number, python, tmp_path):
    """One that never ends, of directories that have a million names."""
    (tmp_path / "tmp").mkdir()
    for level in range(30):
        place = tmp_path / "site" / f"d{level}"
        place.mkdir(parents=True)
        for name in "a", "b":
            (place / name).symlink_to(tmp_path / "site" / f"d{level + 1}")
    (tmp_path / "site" / "d30").mkdir()
    seconds, status = interrupt([BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", tmp_path / "site" / "d0"],
                                number, 1, tmp_path)
    assert status == -number and seconds < 5
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_signal_ends_a_wait_for_a_reader_of_the_report(python, tmp_path):
    (tmp_path / "tmp").mkdir()
    extension(tmp_path / "site", "user", python)
    make_fifo(tmp_path / "report")
    argv = [BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", "--report", tmp_path / "report", tmp_path / "site"]
    while True:
        seconds, status = interrupt(argv, signal.SIGTERM, 2, tmp_path)
        if (tmp_path / "app").exists():
            break
    assert status == -signal.SIGTERM and seconds < 5
    assert list((tmp_path / "tmp").iterdir()) == []


# --- One bad file ---

def make_cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def make_empty(path):
    path.write_bytes(b"")


def make_script(path):
    path.write_text("INPUT(-lgcc_s)\n")


def make_32_bit(path):
    data = bytearray(path.read_bytes())
    data[4] = 1
    path.write_bytes(data)


def make_headless(path):
    """Program headers far outside of the file."""
    data = bytearray(path.read_bytes())
    data[32:40] = (1 << 60).to_bytes(8, "little")
    path.write_bytes(data)


UNDERLINKED = "extern int nowhere(void); int (*volatile p)(void);\n" + MULTI_PHASE.replace(
    "return PyModuleDef_Init", "p = nowhere; return PyModuleDef_Init")


@pytest.mark.parametrize("make", [make_cut, make_empty, make_script, make_32_bit, make_headless, None])
def test_one_bad_file_stays_one_and_fails_nothing(make, python, tmp_path):
    site = tmp_path / "site"
    extension(site, "good", python)
    bad = extension(site, "pkg.bad", python, source=MULTI_PHASE if make else UNDERLINKED)
    if make:
        make(bad)
    said = link(python, "-o", tmp_path / "app", site).stderr
    assert said.count("stays a file") == 1 and "kiln: pkg.bad stays a file: " in said and f"({bad})" in said
    assert value(tmp_path / "app", site, "good") == "good"
    # --strict makes it an error, which --keep takes back.
    (tmp_path / "app").unlink()
    result = link(python, "-o", tmp_path / "app", "--strict", site, check=False)
    assert result.returncode == 1 and f"error: {bad}: pkg.bad would stay a file: " in result.stderr
    assert not (tmp_path / "app").exists()
    link(python, "-o", tmp_path / "app", "--strict", "--keep", "pkg", site)
    assert value(tmp_path / "app", site, "good") == "good"


def test_strict_lists_all_that_would_stay_files(python, tmp_path):
    site = tmp_path / "site"
    extension(site, "good", python)
    for name in "pkg.one", "pkg.two":
        make_empty(extension(site, name, python))
    extension(site, "pkg.three", python, compiler="cc", more=["-Wl,-z,initfirst"])
    result = link(python, "-o", tmp_path / "app", "--strict", site, check=False)
    assert result.returncode == 1 and [name for name in ("pkg.one", "pkg.two", "pkg.three") if f"{name} would stay a file" in result.stderr] == [
        "pkg.one", "pkg.two", "pkg.three"]
    assert result.stderr.count("error: ") == 3


# --- An executable that does not start ---

@pytest.fixture
def spoiled(tmp_path):
    """The environment of a compiler driver that spoils each executable with the module SPOILER, by the word in it."""
    compiler = tmp_path / "cc"
    compiler.write_text(f"""#!/bin/sh
gcc "$@" || exit
for arg; do
    case $arg in @*/link.rsp)
        output=$(sed -n '/^-o$/{{n;p}}' "${{arg#@}}")
        for word in $SPOILERS; do if grep -q $word "$output"; then $SPOIL "$output" || exit; fi; done;;
    esac
done
""")
    compiler.chmod(0o755)
    return {**os.environ, "KILN_CC": str(compiler), "SPOILERS": "spoil""ing-a spoil""ing-b"}


SPOILER = MULTI_PHASE + '\nstatic const char word[] __attribute__((used)) = WORD;\n'


@pytest.mark.parametrize("spoil, why", [
    ("objcopy --set-start=0", "signal 11"),
    ("sed -i s,/ld-linux-x86-64,/xd-linux-x86-64,", "it cannot be run"),
    ("sed -i s/libm.so.6/libM.so.6/", "cannot open shared object file"),
], ids=["crash", "loader", "library"])
def test_a_module_with_which_the_executable_does_not_start_stays_a_file(spoil, why, spoiled, python, tmp_path):
    site = tmp_path / "site"
    for name in "a", "b", "pkg.c", "d":
        extension(site, name, python)
    bad = extension(site, "pkg.bad", python, source=SPOILER, before=['-DWORD="spoil" "ing-a"'])
    result = link(python, "-o", tmp_path / "app", site, env={**spoiled, "SPOIL": spoil})
    (line,) = [line for line in result.stderr.splitlines() if "stays a file" in line]
    assert line.startswith("kiln: pkg.bad stays a file: the executable does not start with it: ") and why in line and f"({bad})" in line
    assert list(list_modules(tmp_path / "app")) == ["a", "b", "d", "pkg.c"]
    assert [value(tmp_path / "app", site, name) for name in ("a", "pkg.bad")] == ["a", "pkg.bad"]


def test_two_such_modules_stay_files_and_strict_makes_them_errors(spoiled, python, tmp_path):
    site = tmp_path / "site"
    extension(site, "good", python)
    for name in "a", "b":
        extension(site, f"bad_{name}", python, source=SPOILER, before=[f'-DWORD="spoil" "ing-{name}"'])
    env = {**spoiled, "SPOIL": "objcopy --set-start=0"}
    said = link(python, "-o", tmp_path / "app", site, env=env).stderr
    assert [said.count(f"bad_{name} stays a file: the executable") for name in "ab"] == [1, 1]
    (tmp_path / "app").unlink()
    result = link(python, "-o", tmp_path / "app", "--strict", site, env=env, check=False)
    assert result.returncode == 1 and "bad_a would stay a file: the executable does not start" in result.stderr
    assert not (tmp_path / "app").exists()


def test_an_executable_that_never_starts_is_an_error_and_keeps_the_old_one(spoiled, python, tmp_path):
    site = tmp_path / "site"
    extension(site, "good", python)
    (tmp_path / "app").write_text("old")
    result = link(python, "-o", tmp_path / "app", "--from", "objects", site, check=False, env={
        **spoiled, "SPOILERS": "PyInit", "SPOIL": "objcopy --set-start=0"})
    assert result.returncode == 1 and result.stderr.count("error: ") == 1
    assert (tmp_path / "app").read_text() == "old"
