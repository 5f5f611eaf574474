"""What debuggers and profilers see of baked extensions, and `kiln link --strip` and `--split-debug`."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from extensions import extension, suffix

# Two functions in front of value(): one local, one for other objects. The numbers are those of the lines.
SOURCE = r"""#include <Python.h>


int outer(int x);

static __attribute__((noinline)) int inner(int x)
{ /* 7 */
    return x + (VALUE)[0]; /* 8 */
}

__attribute__((noinline)) int outer(int x)
{ /* 12 */
    return inner(x) + 1; /* 13 */
}

static PyObject *value(PyObject *m, PyObject *a)
{

    volatile int n = outer(1); /* 19 */
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


def link(python, output, site, *args, check=True, **kwargs):
    return run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", output, *args, site, check=check, **kwargs)


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

def gdb(program, site, *commands):
    args = [word for command in commands for word in ("-ex", command)]
    result = run("gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "set breakpoint pending on",
                 *args, "--args", program, "-c", CALL, check=False,
                 env={**os.environ, "PYTHONPATH": str(site)})
    if "ptrace" in result.stderr or "Couldn't" in result.stderr:
        pytest.skip("no permission to debug")
    return result.stdout


@needs_gdb
def test_gdb_stops_at_a_function_of_each_module(debuggable, site):
    said = gdb(debuggable, site, "break inner", "run", "backtrace 3", "continue", "backtrace 3")
    assert "(2 locations)" in said
    assert len(re.findall(r"^#0 +(0x\w+ in )?inner \(x=1\) at \S*thing.c:8$", said, re.M)) == 2
    assert len(re.findall(r"^#1 .* in outer \(x=1\) at \S*thing.c:13$", said, re.M)) == 2
    assert len(re.findall(r"^#2 .* in value \(.*\) at \S*thing.c:19$", said, re.M)) == 2


@needs_gdb
def test_gdb_stops_at_a_line_of_each_module(debuggable, site):
    said = gdb(debuggable, site, "break thing.c:13", "run", "print x", "continue", "print x + 1")
    assert len(re.findall(r"outer \(x=1\) at \S*thing.c:13", said)) == 2
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
        assert function == "outer" and place.endswith("c:12")
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
