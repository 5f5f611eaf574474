"""C sources of small extension modules, one for each way an init function can behave. INIT is set by a
define where the same source serves several names."""

from bakery import Module

MULTI_PHASE = r"""
#include <Python.h>
#ifndef VALUE
#define VALUE "multi-phase"
#endif
static PyObject *value(PyObject *m, PyObject *a) { return PyUnicode_FromString(VALUE); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static int executed;
static int exec(PyObject *m) { return PyModule_AddIntConstant(m, "executed", ++executed); }
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "anything", "The doc.", 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# The module creates itself in its init function, under the name its author wrote down.
SINGLE_PHASE = r"""
#include <Python.h>
static PyObject *value(PyObject *m, PyObject *a) { return PyUnicode_FromString("single-phase"); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, NAME, NULL, SIZE, methods, 0, 0, 0, 0};
static int initialised;
PyMODINIT_FUNC INIT(void) {
    PyObject *m = PyModule_Create(&def);
    if (m != NULL) PyModule_AddIntConstant(m, "initialised", ++initialised);
    return m;
}
"""

# A create slot that returns what is no module.
NOT_A_MODULE_OBJECT = r"""
#include <Python.h>
static PyObject *create(PyObject *spec, PyModuleDef *def) {
    PyObject *types = PyImport_ImportModule("types");
    PyObject *object = types ? PyObject_CallMethod(types, "SimpleNamespace", NULL) : NULL;
    PyObject *name = object ? PyObject_GetAttrString(spec, "name") : NULL;
    if (name) PyObject_SetAttrString(object, "asked", name);
    return object;
}
static PyModuleDef_Slot slots[] = {{Py_mod_create, create}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "object", NULL, 0, NULL, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# EXEC and BODY are what an exec slot and an init function do wrong.
FAILING_EXEC = r"""
#include <Python.h>
static int exec(PyObject *m) { EXEC }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, NULL, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""
FAILING_INIT = r"""
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, NULL, NULL, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { (void)def; BODY }
"""

# The init function imports another baked module, of the same last name, and then creates its own.
NESTED = r"""
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "same", NULL, -1, NULL, NULL, 0, 0, 0};
PyMODINIT_FUNC INIT(void) {
    PyObject *other = PyImport_ImportModule("other.same");
    if (other == NULL) return NULL;
    PyObject *m = PyModule_Create(&def);
    if (m != NULL) PyModule_AddObject(m, "other", other);
    return m;
}
"""

# Two modules are created in one init function, as pybind11's def_submodule() and others do.
TWO_MODULES = r"""
#include <Python.h>
static struct PyModuleDef inner = {PyModuleDef_HEAD_INIT, "two", NULL, -1, NULL, NULL, 0, 0, 0};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "two", NULL, -1, NULL, NULL, 0, 0, 0};
PyMODINIT_FUNC INIT(void) {
    PyObject *m = PyModule_Create(&def);
    if (m != NULL) PyModule_AddObject(m, "inner", PyModule_Create(&inner));
    return m;
}
"""

# Hands its caller the functions of libkiln, as C code of an embedder would call them.
API = r"""
#include <Python.h>
#include <kiln/kiln.h>
static PyObject *null_init(void) { return NULL; }
static int executed;
static int exec(PyObject *m) { return PyModule_AddIntConstant(m, "executed", ++executed); }
static PyModuleDef_Slot made_slots[] = {
    {Py_mod_exec, exec},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static struct PyModuleDef made_def = {PyModuleDef_HEAD_INIT, "made", NULL, 0, NULL, made_slots, 0, 0, 0};
static PyObject *made_init(void) { return PyModuleDef_Init(&made_def); }
static struct PyModuleDef single_def = {PyModuleDef_HEAD_INIT, "single", NULL, -1, NULL, NULL, 0, 0, 0};
static PyObject *single_init(void) { return kiln_PyModule_Create2(&single_def, PYTHON_API_VERSION); }
static struct PyModuleDef warning_def = {PyModuleDef_HEAD_INIT, "warning", NULL, -1, NULL, NULL, 0, 0, 0};
static PyObject *warning_init(void) { return kiln_PyModule_Create2(&warning_def, PYTHON_API_VERSION + 1); }
static PyObject *create(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, made_init); }
static PyObject *create_single(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, single_init); }
/* os.fork() without its warning of threads, for which CPython takes a lock from 3.14 on. */
static PyObject *fork_silently(PyObject *m, PyObject *none) {
    PyOS_BeforeFork();
    pid_t pid = fork();
    if (pid == 0) PyOS_AfterFork_Child(); else PyOS_AfterFork_Parent();
    return PyLong_FromLong(pid);
}
static PyObject *create_warning(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, warning_init); }
static PyObject *create_null(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, null_init); }
static PyObject *create_nothing(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, NULL); }
static PyObject *install(PyObject *m, PyObject *a) { return PyLong_FromLong(Kiln_Install(&kiln_table)); }
static PyMethodDef methods[] = {
    {"create", create, METH_O, NULL}, {"create_single", create_single, METH_O, NULL},
    {"fork", fork_silently, METH_NOARGS, NULL}, {"create_warning", create_warning, METH_O, NULL}, {"create_null", create_null, METH_O, NULL}, {"create_nothing", create_nothing, METH_O, NULL},
    {"install", install, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "api", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""


def multi(init, value="multi-phase", **more):
    return Module(MULTI_PHASE, f"-DINIT={init}", f'-DVALUE="{value}"', **more)


def single(init, size, name=None):
    return Module(SINGLE_PHASE, f"-DINIT={init}", f"-DSIZE={size}", f'-DNAME="{name or init[7:]}"')


def failing_exec(init, body):
    return Module(FAILING_EXEC, f"-DINIT={init}", f"-DEXEC={body}")


def failing_init(init, body):
    return Module(FAILING_INIT, f"-DINIT={init}", f"-DBODY={body}")


RAISE = 'PyErr_SetString(PyExc_ValueError, "no luck");'

# Modules that import, and those that fail, each in a way of its own. Packages: pkg, other, first, second.
GOOD = {
    "flat": multi("PyInit_flat"),
    "pkg.multi": multi("PyInit_multi"),
    "pkg.static": single("PyInit_static", -1),
    "pkg.zero": single("PyInit_zero", 0),
    "pkg.state": single("PyInit_state", 16),
    "pkg.object": Module(NOT_A_MODULE_OBJECT, "-DINIT=PyInit_object"),
    "pkg.two": Module(TWO_MODULES, "-DINIT=PyInit_two"),
    "pkg.same": Module(NESTED, "-DINIT=PyInit_same"),
    "other.same": single("PyInit_same", -1),
    "extpkg": multi("PyInit_extpkg", package=True),
    "extpkg.inner": single("PyInit_inner", -1),
    "pkg.größe": multi("PyInitU_gre_6ka8i"),
    "first._speedups": multi("PyInit__speedups", "first"),
    "second._speedups": multi("PyInit__speedups", "second"),
}
BAD = {
    "pkg.exec_raises": failing_exec("PyInit_exec_raises", RAISE + " return -1;"),
    "pkg.exec_silent": failing_exec("PyInit_exec_silent", "return -1;"),
    "pkg.exec_unreported": failing_exec("PyInit_exec_unreported", RAISE + " return 0;"),
    "pkg.init_raises": failing_init("PyInit_init_raises", RAISE + " return NULL;"),
    "pkg.init_null": failing_init("PyInit_init_null", "return NULL;"),
    "pkg.init_unreported": failing_init("PyInit_init_unreported", RAISE + " return PyModuleDef_Init(&def);"),
    "pkg.init_other": failing_init("PyInit_init_other", "return PyLong_FromLong(1);"),
    "pkg.init_plain": failing_init("PyInit_init_plain", 'return PyModule_New("init_plain");'),
    "pkg.init_raw": failing_init("PyInit_init_raw", "return (PyObject *)&def;"),
}
