"""What `kiln link` cannot know of a process: modes of dlopen(), as for symbols that are made everybody's (RTLD_GLOBAL), and LD_LIBRARY_PATH. Then
the dynamic loader opens the files, as long as nothing is there twice."""

import json
import os
import shutil

import pytest

from conftest import BUILD, run
from extensions import extension

SOURCE = """
#include <Python.h>
int answer(void);
int count(void);
%s
static PyObject *value(PyObject *m, PyObject *a) { return PyLong_FromLong(%s()); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""


def library(path, code, *flags):
    path.parent.mkdir(parents=True, exist_ok=True)
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, f"-Wl,-soname,{path.name}", *flags, input=code)
    return path


@pytest.fixture(scope="module", params=["kiln-cc", "cc"])
def root(request, tmp_path_factory, python):
    """Extensions that define one function, or share a library; from objects, and from files."""
    root = tmp_path_factory.mktemp("root")
    compiler = BUILD / "kiln-cc" if request.param == "kiln-cc" else "cc"
    for number, name in enumerate(["one", "two", "three"], 1):
        extension(root / "site", f"{name}.m", python, compiler=compiler,
                  source=SOURCE % (f"int answer(void) {{ return {number}; }}", "answer"))
    extension(root / "site", "deep.m", python, compiler=compiler,
              source=SOURCE % ("int Py_IsInitialized(void) { return 77; }", "Py_IsInitialized"))
    counting = "int count(void) { static int n = %d; return ++n; }"
    for name, tags in [("runpath", "--enable-new-dtags"), ("rpath", "--disable-new-dtags")]:
        common = library(root / f"site/{name}/lib{name}.so", counting % 0)
        library(root / f"other/lib{name}.so", counting % 100)
        for module in ["m", "n"]:
            extension(root / "site", f"{name}.{module}", python, source=SOURCE % ("", "count"), compiler=compiler,
                      more=[common, f"-Wl,{tags},-rpath,$ORIGIN"])
    library(root / "libglobal.so", "int answer(void) { return 9; }")
    return root


@pytest.fixture(scope="module")
def app(root, python):
    run(BUILD / "kiln", "link", "--python", python, "-o", root / "app", root / "site", "--quiet")
    return root / "app"


GLOBAL = "import sys, os, ctypes; local = sys.getdlopenflags(); sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)\n"
DEEP = "import sys, os, ctypes; local = sys.getdlopenflags(); sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)\n"
LOCAL = "sys.setdlopenflags(local)\n"
SCRIPTS = {
    "never": "ask('one.m', 'two.m', 'runpath.m', 'runpath.n')",
    "always": GLOBAL + "ask('one.m', 'two.m', 'three.m')",
    "the other order": GLOBAL + "ask('three.m', 'two.m', 'one.m')",
    "the first only": GLOBAL + "ask('one.m')\n" + LOCAL + "ask('two.m', 'three.m')",
    "after one": "ask('two.m')\n" + GLOBAL + "ask('one.m')\n" + LOCAL + "ask('three.m', 'two.m')",
    "a library": GLOBAL + LOCAL + "ctypes.CDLL(LIBRARY, os.RTLD_GLOBAL)\nask('one.m', 'two.m')",
    "an extension by its path": GLOBAL + LOCAL + "ctypes.PyDLL(FILE, os.RTLD_GLOBAL)\nask('one.m', 'two.m', 'three.m')",
    "half of a package was there": "ask('runpath.m')\n" + GLOBAL + "ask('one.m')\n" + LOCAL + "ask('runpath.n', 'runpath.m', 'rpath.m', 'rpath.n')",
    "a whole package later": GLOBAL + "ask('one.m', 'runpath.m', 'runpath.n')",
    "its own symbols first": DEEP + "ask('deep.m', 'runpath.m')\n" + LOCAL + "ask('runpath.n')",
    "its own symbols first, by its path": DEEP + LOCAL + "ctypes.PyDLL(DEEP, os.RTLD_NOW | os.RTLD_DEEPBIND); ask('deep.m')",
    "its own symbols first, too late": DEEP + LOCAL + "ask('deep.m'); ctypes.PyDLL(DEEP, os.RTLD_NOW | os.RTLD_DEEPBIND); ask('deep.m')",
    "again": GLOBAL + "ask('one.m'); del sys.modules['one.m']; ask('one.m', 'two.m')",
}


def answers(program, root, script, **env):
    """What the modules say, and of how many the dynamic loader has the file."""
    script = f"""
import importlib, json
LIBRARY, FILE = {os.fspath(root / "libglobal.so")!r}, {os.fspath(next((root / "site/three").glob("m.*")))!r}
DEEP = {os.fspath(next((root / "site/deep").glob("m.*")))!r}
said = []
def ask(*names):
    for name in names: said.append(importlib.import_module(name).value())
{script}
maps = open("/proc/self/maps").read()
print(json.dumps([said, len({{line.split()[-1] for line in maps.splitlines() if {os.fspath(root / "site")!r} in line}})]))"""
    return json.loads(run(program, "-c", script, env={**os.environ, "PYTHONPATH": str(root / "site"), **env}).stdout)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_global_counts_as_from_files(name, app, root, python):
    assert answers(app, root, SCRIPTS[name])[0] == answers(python, root, SCRIPTS[name])[0]


@pytest.mark.parametrize("mode", ["0", "os.RTLD_LAZY | os.RTLD_NOLOAD", "os.RTLD_NOW | 0x10000", "os.RTLD_GLOBAL"])
def test_a_mode_that_loads_nothing_does_not(mode, app, root, python):
    script = f"""import sys, os
local = sys.getdlopenflags(); sys.setdlopenflags({mode})
for name in ["one.m", "runpath.m"]:
    try: ask(name)
    except ImportError as error: said.append(str(error))
{LOCAL}ask("one.m", "runpath.m")"""
    said, _ = answers(python, root, script)
    assert [type(item) for item in said] == [str, str, int, int] and answers(app, root, script)[0] == said


@pytest.mark.parametrize("mode", ["0", "os.RTLD_NOW | 0x10000", "os.RTLD_NOW | os.RTLD_NOLOAD", "os.RTLD_LAZY | os.RTLD_NODELETE"])
def test_dlopen_refuses_the_modes_that_the_loader_does(mode, app, root, python):
    script = f"""import ctypes, os
libc = ctypes.CDLL(None); libc.dlopen.restype, libc.dlerror.restype = ctypes.c_void_p, ctypes.c_char_p
for name in [FILE, DEEP]:
    said += [libc.dlopen(name.encode(), {mode}) is None, str(libc.dlerror())]"""
    assert answers(app, root, script)[0] == answers(python, root, script)[0]


def test_a_mode_that_binds_likewise_opens_no_file(app, root):
    script = "import sys, os; sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_NODELETE); ask('one.m', 'runpath.m', 'deep.m')"
    assert answers(app, root, script) == [[1, 1, 1], 0]


def test_without_it_no_file_is_opened(app, root):
    assert answers(app, root, SCRIPTS["never"]) == [[1, 2, 1, 2], 0]


def test_what_was_global_matters_to_the_test(root, python):
    assert answers(python, root, SCRIPTS["always"])[0] == [1, 1, 1]
    assert answers(python, root, SCRIPTS["its own symbols first"])[0] == [77, 1, 2]
    assert answers(python, root, SCRIPTS["half of a package was there"])[0] == [1, 1, 2, 3, 1, 2]


def test_what_cannot_become_global_is_said(app, root):
    script = GLOBAL + "import warnings; warnings.simplefilter('error')\ntry: ask(%r)\nexcept RuntimeWarning as warning: said = str(warning)"
    said, files = answers(app, root, "ask('runpath.m')\n" + script % "runpath.n")
    assert said == ("runpath.n: sys.setdlopenflags() has no effect on it, as something that it needs was loaded from the program "
                    "before; `kiln link --keep runpath.n` leaves it a file")
    assert answers(app, root, script % "one.m") == [[1], 1]


@pytest.mark.parametrize("path", ["other", "nowhere:other", "other:", "site/runpath", "site/runpath:site/rpath:other"])
def test_a_search_path_counts_as_from_files(path, app, root, python):
    path = ":".join(os.fspath(root / part) if part else "" for part in path.split(":"))
    script = "ask('runpath.m', 'runpath.n', 'rpath.m', 'one.m')"
    assert answers(app, root, script, LD_LIBRARY_PATH=path)[0] == answers(python, root, script, LD_LIBRARY_PATH=path)[0]


def test_a_search_path_that_has_nothing_else_opens_no_file(app, root):
    script = "ask('runpath.m', 'runpath.n', 'rpath.m', 'one.m')"
    path = f"{root / 'site/runpath'}:{root}"
    assert answers(app, root, script, LD_LIBRARY_PATH=path) == [[1, 2, 1, 1], 0]
    assert answers(app, root, script, LD_LIBRARY_PATH=f"{root / 'other'}")[0] == [101, 102, 1, 1]


def test_what_has_no_file_is_taken_from_the_program(app, root, tmp_path):
    gone = tmp_path / "root"
    shutil.copytree(root, gone, ignore=shutil.ignore_patterns("site"))
    for package in ["one", "two", "three", "deep", "runpath", "rpath"]:
        (gone / "site" / package).mkdir(parents=True)
        (gone / "site" / package / "__init__.py").touch()
    (gone / "site/three/m.x").touch()
    (gone / "site/deep/m.x").touch()
    assert answers(app, gone, SCRIPTS["always"])[0] == [1, 2, 3]
    assert answers(app, gone, "ask('runpath.m')", LD_LIBRARY_PATH=f"{root / 'other'}")[0] == [1]


OPENING = """
#include <dlfcn.h>
static int open_plug(void) {
    void *handle = dlopen("libplug.so", RTLD_NOW);
    return handle ? ((int (*)(void))dlsym(handle, "plug"))() : -1;
}
"""


@pytest.mark.parametrize("path", [None, "other", "nowhere:other", "{site}:other"])
def test_a_library_by_its_bare_name_is_where_the_loader_finds_it(path, tmp_path, python):
    """From images and from files; below $LIB and glibc-hwcaps, only the loader knows."""
    flags = {"runpath": ["-Wl,--enable-new-dtags,-rpath,$ORIGIN"], "rpath": ["-Wl,--disable-new-dtags,-rpath,$ORIGIN"],
             "file": ["-Wl,--enable-new-dtags,-rpath,$ORIGIN", "-Wl,-z,initfirst"],
             "token": ["-Wl,--enable-new-dtags,-rpath,$ORIGIN/$LIB:$ORIGIN"],
             "variant": ["-Wl,--enable-new-dtags,-rpath,$ORIGIN", "-Wl,-z,initfirst"]}
    for name, more in flags.items():
        extension(tmp_path / "site", f"{name}.m", python, compiler="cc", source=SOURCE % (OPENING, "open_plug"), more=more)
        library(tmp_path / f"site/{name}/libplug.so", "int plug(void) { return 1; }")
    library(tmp_path / "other/libplug.so", "int plug(void) { return 2; }")
    places = ["lib", "lib64", "lib/x86_64-linux-gnu"]
    for place in [*(f"token/{name}" for name in places), *(f"variant/glibc-hwcaps/x86-64-v{level}" for level in [2, 3, 4])]:
        library(tmp_path / "site" / place / "libplug.so", "int plug(void) { return 3; }")
    run(BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", tmp_path / "site", "--quiet")
    env = {**os.environ, "PYTHONPATH": os.fspath(tmp_path / "site")}
    if path is not None:
        env["LD_LIBRARY_PATH"] = ":".join(os.fspath(tmp_path / part) for part in path.format(site="site/runpath").split(":"))
    for name in flags:  # one in a process: the first of a soname is everybody's
        said = [run(program, "-c", f"import {name}.m; print({name}.m.value())", env=env).stdout for program in [python, tmp_path / "app"]]
        assert said[0] == said[1], name
        if path is None and name == "token":
            assert said[0] == "3\n"
