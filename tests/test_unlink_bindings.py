"""Unlinked extensions beside the dynamic loader's work: what each reference is bound to, and each relocated word in
memory. `make wheels` does the same with packages of the index."""

import json
import os
import sys

import pytest

from conftest import ROOT, run
from extensions import drop_standard, include, suffix

sys.path.insert(0, os.fspath(ROOT / "qa"))

import bindings  # noqa: E402
import words  # noqa: E402

MODULE = r"""
#include <Python.h>
#define MODULE(name) \
    static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, #name, NULL, -1, NULL, NULL, NULL, NULL, NULL}; \
    PyMODINIT_FUNC PyInit_##name(void) { return PyType_Ready(&type) < 0 ? NULL : PyModule_Create(&def); }
static PyTypeObject type = {PyVarObject_HEAD_INIT(&PyType_Type, 0) .tp_name = "t", .tp_basicsize = sizeof(PyObject),
                            .tp_base = &PyBaseObject_Type};
"""

# Functions and variables of the C library and of libm, which it is not linked against; tables; thread-local variables.
PLAIN = MODULE + r"""
#include <math.h>
#include <stdio.h>
extern int missing(void) __attribute__((weak));
extern char **environ;
static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*pick(void))(void) { return one; }
int picked(void) __attribute__((ifunc("pick")));
__thread int counter = 3;
__thread char block[5000];
struct table { int (*function)(void); double (*power)(double, double); void (*release)(void *); FILE **stream; char ***env; };
struct table table[] = {{one, pow, free, &stdout, &environ}, {two, atan2, PyMem_Free, &stderr, NULL}, {picked, NULL, NULL, NULL, NULL}};
int (*maybe)(void) = missing;
volatile double value = 2;
int call(void) { return counter++ + block[1] + (int)pow(value, exp(value)) + (int)log(value) + (maybe ? missing() : 0); }
MODULE(plain)
"""

LIBRARY = r"""
int data = 1;
int two(void) { return 2; }
int one(void) { return two() * 10 + data; }
int (*get_two(void))(void) { return two; }
"""
# Two extensions that need the library.
FIRST = MODULE + r"""
int one(void), two(void);
int data_of_its_own = 5;
int call(void) { return one() + two(); }
MODULE(first)
"""
SECOND = MODULE + r"""
int one(void), two(void);
extern int data;
int *pointer = &data;
int call(void) { return one() + two() + *pointer; }
MODULE(second)
"""

CPLUSPLUS = r"""
#include <Python.h>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>
struct Base { virtual ~Base() {} virtual int f() { return 1; } };
struct Derived : Base { int f() override { return 2; } };
inline int &counter() { static int n = 1; return n; }
template<class T> struct Held { static std::vector<T> value; };
template<class T> std::vector<T> Held<T>::value(3);
thread_local std::string text = "text";
int call(int n) {
    try {
        if (n > 2)
            throw std::runtime_error(text);
        Base *base = new Derived;
        int result = base->f() + counter() + (int)Held<int>::value.size();
        delete base;
        return result;
    } catch (const std::exception &error) {
        std::cout << error.what();
        return -1;
    }
}
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "cplusplus", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_cplusplus(void) { return call(1) + call(3) == 5 ? PyModule_Create(&def) : NULL; }
"""


@pytest.fixture(scope="module")
def linked(tmp_path_factory, python, build):
    """A directory with the extensions, the executable, and what `kiln link` says of them."""
    directory = tmp_path_factory.mktemp("unlinked")
    tree, sources = directory / "tree", directory / "sources"
    tree.mkdir()
    sources.mkdir()

    def compile(compiler, name, text, output, *more):
        (sources / name).write_text(text)
        run(compiler, "-shared", "-fPIC", "-O1", f"-I{include(python)}", sources / name, "-o", tree / output, *more)

    end = suffix(python)
    compile("gcc", "library.c", LIBRARY, "libtwo.so", "-Wl,-soname,libtwo.so")
    compile("gcc", "plain.c", PLAIN, f"plain{end}")
    compile("g++", "cplusplus.cc", CPLUSPLUS, f"cplusplus{end}")
    for name, text in (("first", FIRST), ("second", SECOND)):
        compile("gcc", f"{name}.c", text, f"{name}{end}", f"-L{tree}", "-ltwo", "-Wl,-rpath,$ORIGIN")
    run(build / "kiln", "link", "--python", python, "-o", directory / "app", "--bindings", directory / "bindings",
        "--report", directory / "report", tree)
    report = json.loads((directory / "report").read_text())
    assert sorted(module["name"] for module in drop_standard(report["modules"])) == ["cplusplus", "first", "plain", "second"]
    return directory


NAMES = ["cplusplus", "first", "plain", "second"]


def test_references_are_bound_as_by_the_dynamic_loader(linked, python, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.fspath(linked / "tree"))
    same, different = bindings.check(python, linked / "bindings", NAMES)
    assert different == []
    assert sum(same.values()) > 60


def test_what_leads_to_nothing_has_no_target(linked):
    targets = {line.split("\t")[5] for line in (linked / "bindings").read_text().splitlines() if "\tnone\t" in line}
    assert targets == {"-"}


def test_choices_among_nothing_and_something_are_written(tmp_path, python, build):
    tree = tmp_path / "tree"
    tree.mkdir()
    library = "int which(void) __attribute__((weak)); int ask(void) { return which ? which() : 0; }"
    run("gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", tree / "libone.so", "-Wl,-soname,libone.so", input=library)
    for name, more in (("a", "int which(void) { return 1; }"), ("b", "")):
        run("gcc", "-shared", "-fPIC", f"-I{include(python)}", "-x", "c", "-", "-o", tree / f"{name}{suffix(python)}", f"-L{tree}", "-lone",
            "-Wl,-rpath,$ORIGIN", input=f"void *PyInit_{name}(void) {{ int ask(void); ask(); return 0; }} {more}")
    run(build / "kiln", "link", "--python", python, "-o", tmp_path / "app", "--bindings", tmp_path / "bindings", tree)
    choices = {line.split("\t")[5] for line in (tmp_path / "bindings").read_text().splitlines() if "\twhich\t-\taddress\tchoice\t" in line}
    assert choices == {"-", str(tree / f"a{suffix(python)}")}


def test_words_in_memory_point_to_what_they_do_in_the_files(linked, python, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.fspath(linked / "tree"))
    comparison = words.check(python, linked / "app", NAMES)
    assert comparison.different == []
    assert len({path for path in comparison.seen if "/lib-dynload/" not in path}) == 5
    assert comparison.same["the image itself"] > 30 and comparison.same["a symbol of the program"] > 8
