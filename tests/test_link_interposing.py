"""Functions of an extension that shared libraries look for: callbacks without registration, and what they define
for others to replace."""

import json
import os
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension

LINKERS = [name for name in ("bfd", "gold", "lld", "mold") if shutil.which(f"ld.{name}")]


def link(python, output, *args):
    return run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", output, *args)


def values(program, site, *names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    return json.loads(run(program, "-c", script % (names,), env=env).stdout)


def hooked(root, python, names, hook, static=False):
    """Extensions NAMES, each with a hook() of its own and linked against one library, which calls hook() and has HOOK as
    its declaration or definition."""
    root.mkdir(exist_ok=True)
    library = root / "libhelper.so"
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-Wl,-soname,libhelper.so",
        input=f"{hook} int help(int x) {{ return hook(x); }}")
    for number, name in enumerate(names, 1):
        source = MULTI_PHASE.replace("#include <Python.h>", f"""#include <Python.h>
int help(int x);
{"static" if static else ""} int hook(int x) {{ return {number} * x; }}
int (*volatile used)(int) = hook;
""").replace("PyUnicode_FromString(VALUE)", "PyLong_FromLong(help(10))")
        extension(root / "site", name, python, source=source, more=[library, f"-Wl,-rpath,{root}"])
    return root / "site"


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("hook", ["int hook(int x);", "int hook(int x) { return -x; }"], ids=["missing", "default"])
def test_a_library_gets_the_function_of_its_extension(hook, linker, python, tmp_path):
    site = hooked(tmp_path / "x", python, ["pkg.one"], hook)
    link(python, tmp_path / "app", "--linker", linker, "--report", tmp_path / "report", site)
    assert values(tmp_path / "app", site, "pkg.one") == values(python, site, "pkg.one") == [10]
    module, = json.loads((tmp_path / "report").read_text())["modules"]
    assert module["exports"] == ["hook"]


def test_a_function_that_the_extension_keeps_to_itself_is_not_for_the_library(python, tmp_path):
    site = hooked(tmp_path / "x", python, ["pkg.one"], "int hook(int x) { return -x; }", static=True)
    link(python, tmp_path / "app", site)
    assert values(tmp_path / "app", site, "pkg.one") == values(python, site, "pkg.one") == [-10]


def test_of_two_extensions_with_the_function_the_first_counts_and_that_is_said(python, tmp_path):
    site = hooked(tmp_path / "x", python, ["pkg.one", "pkg.two"], "int hook(int x) { return -x; }")
    said = link(python, tmp_path / "app", site).stderr
    assert "warning: pkg.one and pkg.two both define hook, which shared libraries of theirs look for" in said
    # As files, the one that is imported first gives the library its function.
    assert values(tmp_path / "app", site, "pkg.one", "pkg.two") == values(python, site, "pkg.one", "pkg.two") == [10, 10]


def test_who_takes_the_function_from_a_library_does_not_get_that_of_another_extension(python, tmp_path):
    """As with a static copy of zlib in one extension, and zlib itself for all others."""
    site = hooked(tmp_path, python, ["one"], "int hook(int x) { return -x; }")
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nint hook(int x);").replace(
        "PyUnicode_FromString(VALUE)", "PyLong_FromLong(hook(10))")
    extension(site, "two", python, source=source, more=[tmp_path / "libhelper.so", f"-Wl,-rpath,{tmp_path}"])
    said = link(python, tmp_path / "app", site).stderr
    assert "warning: one defines hook, which shared libraries of it look for, but two takes that from a library" in said
    assert values(tmp_path / "app", site, "two") == values(python, site, "two") == [-10]


# The library of C++ allocates with the one and the inline code of the extension frees with the other, or the other
# way round: both must be the extension's.
ALLOCATING = r"""
#include <Python.h>
#include <cstdlib>
#include <new>
#include <string>
static long calls;
void *operator new(std::size_t size) { calls++; return (char *)std::malloc(size + 16) + 16; }
void operator delete(void *block) noexcept { if (block) std::free((char *)block - 16); }
void operator delete(void *block, std::size_t) noexcept { operator delete(block); }
static PyObject *
value(PyObject *, PyObject *)
{
    {
        std::string text(100, 'x');
        text += text;
        text.append(std::to_string(calls));
        text.reserve(100000);
    }
    return PyLong_FromLong(calls);
}
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, nullptr}, {}};
static PyModuleDef_Slot slots[] = {{0, nullptr}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", nullptr, 0, methods, slots, nullptr, nullptr, nullptr};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""


@pytest.mark.parametrize("linker", LINKERS)
def test_an_extension_with_an_operator_new_of_its_own_bakes(linker, python, tmp_path):
    extension(tmp_path / "site", "one", python, source=ALLOCATING, compiler=BUILD / "kiln-c++", more=["-O2"],
              before=["-x", "c++"])
    link(python, tmp_path / "app", "--linker", linker, tmp_path / "site")
    # How many are the C++ library's depends on how much of it is inline.
    calls = values(python, tmp_path / "site", "one")
    assert values(tmp_path / "app", tmp_path / "site", "one") == calls and calls[0] >= 2


# A library that comes with C++ extensions, and what both have of a header: one registry for all, they think.
HEADER = r"""
#include <string>
struct Registry { static inline int calls = 0; };
inline std::string &names() { static std::string all; return all; }
int add(const char *name);
"""
REGISTERING = r"""
#include <Python.h>
#include "registry.h"
static PyObject *
value(PyObject *, PyObject *)
{
    int before = add(VALUE);
    names() += "!";
    Registry::calls += 10;
    return Py_BuildValue("isi", before, names().c_str(), Registry::calls);
}
""" + ALLOCATING[ALLOCATING.index("static PyMethodDef"):]


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_variables_of_a_header_are_one_for_a_library_and_its_extensions(compiler, linker, python, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    (tmp_path / "registry.h").write_text(HEADER)
    run(compiler, "-shared", "-fPIC", "-std=c++17", "-x", "c++", "-", "-o", tmp_path / "libregistry.so",
        f"-I{tmp_path}", "-Wl,-soname,libregistry.so",
        input='#include "registry.h"\nint add(const char *name) { names() += name; return ++Registry::calls; }')
    (tmp_path / "cxx").write_text(f'#!/bin/sh\nKILN_CXX={compiler} exec {BUILD / "kiln-c++"} "$@"\n')
    (tmp_path / "cxx").chmod(0o755)
    for name in "one", "two":
        extension(tmp_path / "site", name, python, source=REGISTERING, compiler=tmp_path / "cxx",
                  before=["-x", "c++", "-std=c++17", f"-I{tmp_path}"],
                  more=["-x", "none", tmp_path / "libregistry.so", f"-Wl,-rpath,{tmp_path}"])
    link(python, tmp_path / "app", "--linker", linker, tmp_path / "site")
    # As files: clang's variables are one for the library and the first extension, g++'s for the process.
    assert values(python, tmp_path / "site", "one") == [[1, "one!", 11]]
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [[1, "one!", 11], [12, "one!two!", 22]]


def test_a_function_that_a_shared_library_looks_for_cannot_be_shared(python, tmp_path):
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "libhelper.so", "-Wl,-soname,libhelper.so",
        input="int hook(int x); int help(int x) { return hook(x); }")
    run("cc", "-c", "-fPIC", "-x", "c", "-", "-o", tmp_path / "hook.o", input="int hook(int x) { return x + 1; }")
    run("ar", "rcs", tmp_path / "libhook.a", tmp_path / "hook.o")
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nint help(int x), hook(int x);").replace(
        "PyUnicode_FromString(VALUE)", "PyLong_FromLong(help(10) + hook(20))")
    for name in "one", "two":
        extension(tmp_path / "site", name, python, source=source,
                  more=[tmp_path / "libhook.a", tmp_path / "libhelper.so", f"-Wl,-rpath,{tmp_path}"])
    said = run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", tmp_path / "app", "--share", "libhook.a", tmp_path / "site",
               check=False)
    assert said.returncode == 1 and "one cannot share libhook.a: a shared library looks for its hook" in said.stderr
    assert not (tmp_path / "app").exists()
