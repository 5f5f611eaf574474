"""Small extensions for tests, compiled through kiln-cc into the layout of a site-packages."""

import json
import subprocess

from conftest import BUILD, run

MULTI_PHASE = r"""
#include <Python.h>
static PyObject *value(PyObject *m, PyObject *a) { return PyUnicode_FromString(VALUE); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# As Cython before 3.1 and pybind11 before 3.0 do: the module is created in the init function, under
# the last component of its name.
SINGLE_PHASE = r"""
#include <Python.h>
static PyObject *value(PyObject *m, PyObject *a) { return PyUnicode_FromString(VALUE); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, NAME, NULL, -1, methods, 0, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModule_Create(&def); }
"""


def drop_standard(modules):
    """Of MODULES that `kiln` lists those that are not the standard library's."""
    return [module for module in modules if "/lib-dynload/" not in module["file"]]


def list_all_modules(app):
    """What `kiln ls` tells of each module of APP: {name: facts}, in its order."""
    modules = json.loads(run(BUILD / "kiln", "ls", "--json", app).stdout)["modules"]
    named = {module["name"]: module for module in modules}
    assert len(named) == len(modules)  # each name once
    return named


def list_modules(app):
    """The same of those that are not the standard library's."""
    return {module["name"]: module for module in drop_standard(list_all_modules(app).values())}


def ask(python, script):
    """What PYTHON says to SCRIPT, which binds `answer` to something that JSON can carry."""
    script = script + "\nimport json\nprint(json.dumps(answer))"
    return json.loads(run(python, "-c", script).stdout)


def suffix(python):
    return ask(python, "import sysconfig; answer = sysconfig.get_config_var('EXT_SUFFIX')")


def include(python):
    return ask(python, "import sysconfig; answer = sysconfig.get_path('include')")


def extension(root, name, python, source=MULTI_PHASE, value=None, compiler=None, more=(), package=False,
              before=()):
    """Compile SOURCE to the extension NAME (dotted) below ROOT, with packages around it. INIT, NAME and
    VALUE are macros: the init symbol, the last component, and a string (by default the dotted name).
    BEFORE and MORE are arguments in front of and behind the source."""
    *parents, last = name.split(".")
    directory = root.joinpath(*parents)
    if package:
        directory = directory / last
        directory.mkdir(parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    for depth in range(len(parents)):
        root.joinpath(*parents[:depth + 1], "__init__.py").touch()
    source_file = root / f".{name}.c"
    source_file.write_text(source)
    output = directory / (("__init__" if package else last) + suffix(python))
    run(compiler or BUILD / "kiln-cc", "-shared", "-fPIC", "-O1", f"-I{include(python)}",
        f"-DINIT=PyInit_{last}", f'-DNAME="{last}"', f'-DVALUE="{value or name}"',
        *before, source_file, "-o", output, *more)
    source_file.unlink()
    return output


def snapshot(root):
    """Every file below ROOT with its bytes, to show that a command left them alone."""
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
