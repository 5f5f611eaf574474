"""C sources of extension modules that do something when they are imported, used or dropped."""

from bakery import Module

# Declares INTERPRETERS, a value of Py_mod_multiple_interpreters, where there is that slot.
DECLARING = r"""
#include <Python.h>
static PyObject *value(PyObject *m, PyObject *a) { return PyUnicode_FromString("declaring"); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {
#if defined Py_mod_multiple_interpreters && defined INTERPRETERS
    {Py_mod_multiple_interpreters, INTERPRETERS},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "declaring", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# A heap type, a static type, an exception and functions, with signatures and docs.
TYPES = r"""
#include <Python.h>
static PyObject *add(PyObject *m, PyObject *args) {
    long a, b;
    return PyArg_ParseTuple(args, "ll", &a, &b) ? PyLong_FromLong(a + b) : NULL;
}
static PyObject *fail(PyObject *m, PyObject *callable) { return PyObject_CallFunctionObjArgs(callable, NULL); }
static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS, "add($module, a, b, /)\n--\n\nThe sum."}, {"fail", fail, METH_O, NULL}, {0}};
static PyType_Slot point_slots[] = {{Py_tp_doc, "A point."}, {0, NULL}};
static PyType_Spec point = {"pkg.types.Point", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, point_slots};
static PyTypeObject fixed = {PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "pkg.types.Fixed",
    .tp_basicsize = sizeof(PyObject), .tp_flags = Py_TPFLAGS_DEFAULT, .tp_new = PyType_GenericNew};
static int exec(PyObject *m) {
    PyObject *type = PyType_FromSpec(&point);
    if (type == NULL || PyModule_AddObject(m, "Point", type) < 0 || PyType_Ready(&fixed) < 0) return -1;
    Py_INCREF(&fixed);
    if (PyModule_AddObject(m, "Fixed", (PyObject *)&fixed) < 0) return -1;
    return PyModule_AddObject(m, "Error", PyErr_NewException("pkg.types.Error", NULL, NULL));
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "types", "Types and functions.", 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# Runs the Python code PYTHON in its namespace when it is executed, or in its init function if SINGLE.
SCRIPT = r"""
#include <Python.h>
static int exec(PyObject *m) {
    PyObject *globals = PyModule_GetDict(m);
    PyObject *builtins = PyImport_ImportModule("builtins");
    if (builtins == NULL || PyDict_SetItemString(globals, "__builtins__", builtins) < 0) return -1;
    Py_DECREF(builtins);
    PyObject *result = PyRun_String(PYTHON, Py_file_input, globals, globals);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
#ifdef SINGLE
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, SINGLE, NULL, -1, NULL, NULL, 0, 0, 0};
PyMODINIT_FUNC INIT(void) {
    PyObject *m = PyModule_Create(&def);
    if (m != NULL && exec(m) < 0) Py_CLEAR(m);
    return m;
}
#else
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "script", NULL, 0, NULL, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
#endif
"""

# Says when it is freed.
FREED = r"""
#include <Python.h>
static void say(void *m) { printf("freed %s\n", WHO); fflush(stdout); }
#ifdef SINGLE
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, WHO, NULL, SIZE, NULL, NULL, 0, 0, say};
PyMODINIT_FUNC INIT(void) { return PyModule_Create(&def); }
#else
static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, WHO, NULL, 8, NULL, slots, 0, 0, say};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
#endif
"""


def declaring(name, value=None):
    return Module(DECLARING, f"-DINIT=PyInit_{name}", *([f"-DINTERPRETERS={value}"] if value else []))


def script(name, python, single=False, **more):
    text = python.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return Module(SCRIPT, f"-DINIT=PyInit_{name}", f'-DPYTHON="{text}"',
                  *([f'-DSINGLE="{name}"'] if single else []), **more)


def freed(name, *more):
    return Module(FREED, f"-DINIT=PyInit_{name}", f'-DWHO="{name}"', *more)


# Python code that replaces the module itself in sys.modules.
REPLACE = """
import sys, types
class Other(types.ModuleType):
    answer = 42
sys.modules[__name__] = Other(__name__)
"""

BEHAVING = {
    "pkg.types": Module(TYPES, "-DINIT=PyInit_types"),
    "pkg.undeclared": declaring("undeclared"),
    "pkg.own_gil": declaring("own_gil", "Py_MOD_PER_INTERPRETER_GIL_SUPPORTED"),
    "pkg.one_gil": declaring("one_gil", "Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED"),
    "pkg.main_only": declaring("main_only", "Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED"),
    "pkg.replaced": script("replaced", REPLACE),
    "pkg.replaced_single": script("replaced_single", REPLACE.replace("__name__", "'pkg.replaced_single'"), single=True),
    "pkg.removed": script("removed", "import sys; del sys.modules[__name__]"),
    "pkg.circle": script("circle", "first = 1\nimport pkg.pure_circle as pure\nlast = 2"),
    "pkg.circle_single": script("circle_single", "first = 1\nimport pkg.pure_circle_single as pure\nlast = 2", single=True),
    "pkg.circle_from": script("circle_from", "import pkg.pure_circle_from as pure\nlast = 2"),
    "pkg.ring_a": script("ring_a", "import pkg.ring_b as other"),
    "pkg.ring_b": script("ring_b", "import pkg.ring_a as other"),
    "pkg.slow": script("slow", "import pkg.pure_slow as pure"),
    "pkg.wants": script("wants", "import missing_module"),
    "pkg.divides": script("divides", "import pkg.pure_divides"),
    "pkg.divides_single": script("divides_single", "import pkg.pure_divides", single=True),
    "pkg.relative": script("relative", "from . import pure_circle_from\nfrom .types import add"),
    "pkg.forks": script("forks", "import os; pid = os.fork()"),
    "pkg.forks_single": script("forks_single", "import os; pid = os.fork()", single=True),
    "pkg.freed": freed("freed"),
    "pkg.freed_zero": freed("freed_zero", "-DSINGLE", "-DSIZE=0"),
    "pkg.freed_static": freed("freed_static", "-DSINGLE", "-DSIZE=-1"),
    "runnable.__main__": script("__main__", "import sys; print('main', __name__, sys.argv)"),
    "runnable.part": declaring("part"),
    "walk.ext": declaring("ext"),
    "walk.sub": declaring("sub"),
    "walk.deep": Module(DECLARING, "-DINIT=PyInit_deep", package=True),
    "walk.deep.leaf": declaring("leaf"),
    "spread.far": declaring("far"),
}
