"""What `kiln link` tells about the extensions it has baked, what can be kept visible, and what the
extensions of one distribution share."""

import json
import os

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension

VALUE = "PyUnicode_FromString(VALUE)"


def returning(expression, before=""):
    """C source whose value() is the C string EXPRESSION."""
    return before + MULTI_PHASE.replace(VALUE, f"PyUnicode_FromString({expression})")


LOOKS_ITSELF_UP = returning('dlsym(RTLD_DEFAULT, SYMBOL) ? "found" : "lost"', """
#define _GNU_SOURCE
#include <dlfcn.h>
#define NUMBER(name) int name = 1;
OWN
""")


def link(python, output, *args, check=True):
    return run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", output, *args, check=check)


def values(program, site, *names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    return json.loads(run(program, "-c", script % (names,), env=env).stdout)


@pytest.fixture(scope="module")
def reported(tmp_path_factory, python):
    """(the report as it was read, what was said with --verbose)."""
    root = tmp_path_factory.mktemp("report")
    site = root / "site"
    extension(site, "plain", python, compiler="cc")
    extension(site, "quiet", python)
    extension(site, "pkg.busy", python, more=["-lm"], source=returning('VALUE', """
        #include <math.h>
        char *strfry(char *text) { return text; }
        int PyOS_mystrnicmp(const char *a, const char *b, long n) { return a == b && n; }
        char *(*volatile first)(char *) = strfry;
        int (*volatile second)(const char *, const char *, long) = PyOS_mystrnicmp;
        volatile double x = 2;
        __attribute__((constructor)) static void one(void) { x = hypot(x, x); }
        __attribute__((constructor)) static void two(void) { x = hypot(x, x); }
        __attribute__((destructor)) static void three(void) { x = 0; }
    """))
    extension(site, "watcher", python, source=returning('dlsym(0, "x") ? "a" : (dladdr(value, &info), VALUE)', """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        static Dl_info info;
    """))
    said = link(python, root / "app", "--verbose", "--report", root / "report.json", site).stderr
    return json.loads((root / "report.json").read_text()), said


def module(reported, name):
    return next(module for module in reported[0]["modules"] if module["name"] == name)


def test_the_report_tells_of_every_module(reported):
    assert [m["name"] for m in reported[0]["modules"]] == ["pkg.busy", "quiet", "watcher"]
    busy = module(reported, "pkg.busy")
    assert (busy["constructors"], busy["destructors"]) == (2, 1)
    assert busy["hidden"] > module(reported, "quiet")["hidden"]
    assert busy["size"] > 0 and any("libm" in library for library in busy["libraries"])
    assert busy["distribution"] == "pkg" and module(reported, "quiet")["distribution"] is None


def test_the_report_tells_what_interposition_changed(reported):
    assert sorted((i["symbol"], i["library"]) for i in module(reported, "pkg.busy")["interposed"]) == [
        ("PyOS_mystrnicmp", "libpython"), ("strfry", "libc")]
    assert module(reported, "quiet")["interposed"] == []
    assert "pkg.busy: uses its own strfry" in reported[1]


def test_what_can_see_the_difference_is_told_with_what_kiln_does(reported):
    sees = {entry["function"]: entry["effect"] for entry in module(reported, "watcher")["sees"]}
    assert set(sees) == {"dlsym", "dladdr"}
    assert "--export" in sees["dlsym"] and "answered by Kiln" in sees["dladdr"]
    assert module(reported, "quiet")["sees"] == []
    assert "warning: watcher uses dlsym" in reported[1]
    assert "warning: watcher uses dladdr" not in reported[1] and "watcher uses dladdr" in reported[1]


def test_the_report_lists_what_stayed_a_file(reported):
    files = reported[0]["files"]
    assert [entry["name"] for entry in files] == ["plain"] and "built without Kiln" in files[0]["reason"]


def test_unasked_one_line_says_that_some_can_tell(python, tmp_path):
    extension(tmp_path / "site", "watcher", python, source=LOOKS_ITSELF_UP, more=["-DOWN=", '-DSYMBOL="x"'])
    said = link(python, tmp_path / "app", tmp_path / "site").stderr
    assert "1 extension uses functions" in said


def test_a_report_that_cannot_be_written_is_an_error(python, tmp_path):
    extension(tmp_path / "site", "quiet", python)
    result = link(python, tmp_path / "app", "--report", tmp_path / "missing" / "file", tmp_path / "site", check=False)
    assert result.returncode == 1 and "missing/file" in result.stderr


@pytest.fixture(scope="module")
def lookers(tmp_path_factory, python):
    """Two modules that look their own variable up by name: one of its own, and one called the same in
    both."""
    site = tmp_path_factory.mktemp("lookers")
    for name in "one", "two":
        extension(site, name, python, source=LOOKS_ITSELF_UP,
                  more=[f"-DOWN=NUMBER(own_{name}) NUMBER(both)", f'-DSYMBOL="own_{name}"'])
    return site


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
@pytest.mark.parametrize("libpython", ["static", "shared"])
def test_an_exported_symbol_is_found_by_name(lookers, linker, libpython, python, tmp_path):
    if run("which", f"ld.{linker}", check=False).returncode:
        pytest.skip(f"ld.{linker} is not installed")
    result = link(python, tmp_path / "app", "--linker", linker, "--libpython", libpython, "--export", "own_one",
                  lookers, check=False)
    if f"no {libpython} libpython" in result.stderr:
        pytest.skip(f"no {libpython} libpython")
    assert values(tmp_path / "app", lookers, "one", "two") == ["found", "lost"]


def test_a_symbol_that_two_modules_export_is_an_error(lookers, python, tmp_path):
    result = link(python, tmp_path / "app", "--export", "both", lookers, check=False)
    assert result.returncode == 1 and "--export both: one and two both define it" in result.stderr


def test_a_symbol_that_no_module_exports_is_an_error(lookers, python, tmp_path):
    result = link(python, tmp_path / "app", "--export", "nothing", lookers, check=False)
    assert result.returncode == 1 and "--export nothing: no extension defines" in result.stderr


@pytest.mark.parametrize("symbol, library", [("strfry", "libc"), ("PyOS_mystrnicmp", "libpython")])
def test_a_symbol_of_a_library_cannot_be_exported(symbol, library, python, tmp_path):
    extension(tmp_path / "site", "one", python, source=LOOKS_ITSELF_UP,
              more=["-DOWN=int own __asm__(SYMBOL) = 1;", f'-DSYMBOL="{symbol}"'])
    result = link(python, tmp_path / "app", "--export", symbol, tmp_path / "site", check=False)
    assert result.returncode == 1 and f"one defines it, but so does {library}" in result.stderr


# A variable that g++ makes one for the process. value() counts how often it was called through it.
COUNTS = r"""
#include <Python.h>
#include <string>
struct Counter { int calls; char more[SIZE]; Counter() : calls(100) {} };
inline Counter counter;
static PyObject *value(PyObject *, PyObject *) { return PyLong_FromLong(++counter.calls); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, nullptr}, {}};
static PyModuleDef_Slot slots[] = {{0, nullptr}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""


def counter(site, name, python, size=8):
    extension(site, name, python, source=COUNTS, compiler=BUILD / "kiln-c++",
              more=["-std=c++17", f"-DSIZE={size}"], before=["-x", "c++"])


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_a_process_wide_variable_is_one_for_its_distribution(linker, python, tmp_path):
    if run("which", f"ld.{linker}", check=False).returncode:
        pytest.skip(f"ld.{linker} is not installed")
    site = tmp_path / "site"
    for name in "red.one", "red.two", "blue.one":
        counter(site, name, python)
    link(python, tmp_path / "app", "--linker", linker, "--report", tmp_path / "report", site)
    assert values(tmp_path / "app", site, "red.one", "red.two", "blue.one", "red.one") == [101, 102, 101, 103]
    report = json.loads((tmp_path / "report").read_text())
    assert [set(m["shared"]) for m in report["modules"]] == [{"counter", "_ZGV7counter"}] * 3
    assert report["conflicts"] == []


def test_a_variable_of_different_sizes_is_each_modules_own_and_told(python, tmp_path):
    site = tmp_path / "site"
    counter(site, "red.one", python)
    counter(site, "red.two", python, size=800)
    counter(site, "red.three", python)
    said = link(python, tmp_path / "app", "--report", tmp_path / "report", site).stderr
    assert "warning: red: its extensions disagree about the size of counter" in said
    assert values(tmp_path / "app", site, "red.one", "red.two", "red.three", "red.one") == [101, 101, 101, 102]
    conflict, = json.loads((tmp_path / "report").read_text())["conflicts"]
    assert conflict == {"symbol": "counter", "distribution": "red", "modules": ["red.one", "red.three", "red.two"]}
