"""Programs whose main() calls the functions of kiln.h before Python starts, and whose module `api` calls them while it
runs. test_interfaces.py says what they do, test_refleaks.py what they leave."""

import json
import os

from conftest import run
from sources import multi

# A `python` that prepares its imports by the C expression PREPARE, with DEFINITIONS before main().
HOST = r"""
#include <Python.h>
#include <kiln/kiln.h>
#define MULTI(name) static PyObject *name(void) { return PyModuleDef_Init(&multi_def); }
static int executed;
static int exec(PyObject *m) { return PyModule_AddIntConstant(m, "executed", ++executed); }
static int exec_raises(PyObject *m) { PyErr_SetString(PyExc_ValueError, "no luck"); return -1; }
static PyModuleDef_Slot multi_slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef multi_def = {PyModuleDef_HEAD_INIT, "multi", "made in C", 0, NULL, multi_slots, 0, 0, 0};
__attribute__((unused)) MULTI(init_multi)
static PyModuleDef_Slot bad_slots[] = {{Py_mod_exec, exec_raises}, {0, NULL}};
static struct PyModuleDef bad_def = {PyModuleDef_HEAD_INIT, "bad", NULL, 0, NULL, bad_slots, 0, 0, 0};
__attribute__((unused)) static PyObject *init_bad_exec(void) { return PyModuleDef_Init(&bad_def); }
static struct PyModuleDef single_def = {PyModuleDef_HEAD_INIT, "single", "made at once", -1, NULL, NULL, 0, 0, 0};
__attribute__((unused)) static PyObject *init_single(void) {
    executed++;
    return kiln_PyModule_Create2(&single_def, PYTHON_API_VERSION);
}
__attribute__((unused)) static PyObject *init_null(void) { return NULL; }
__attribute__((unused)) static PyObject *init_raises(void) { PyErr_SetString(PyExc_ValueError, "no luck"); return NULL; }
__attribute__((unused)) static PyObject *init_unreported(void) { init_raises(); return init_multi(); }
__attribute__((unused)) static PyObject *init_other(void) { return PyLong_FromLong(1); }
__attribute__((unused)) static PyObject *init_plain(void) { return PyModule_New("plain"); }
DEFINITIONS
int main(int argc, char **argv) {
    int result = PREPARE;
    if (result < 0) { fprintf(stderr, "%d: %s\n", result, Kiln_GetInstallError(result)); return 1; }
    return Py_BytesMain(argc, argv);
}
"""

# A module `api` with the functions of kiln.h, made from the init functions of HOST; and with more.
INITS = r"""
static const struct { const char *name; Kiln_InitFunction initfunc; } inits[] = {
    {"multi", init_multi}, {"single", init_single}, {"null", init_null}, {"raises", init_raises},
    {"unreported", init_unreported}, {"other", init_other}, {"plain", init_plain}, {"bad_exec", init_bad_exec},
    {"nothing", NULL}};
static Kiln_InitFunction find_init(const char *name) {
    for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++)
        if (strcmp(inits[i].name, name) == 0) return inits[i].initfunc;
    abort();
}
"""
API = r"""
static PyObject *import(PyObject *m, PyObject *args) {
    const char *name, *init;
    if (!PyArg_ParseTuple(args, "zs", &name, &init)) return NULL;
    return Kiln_ImportByInitFunc(name, find_init(init));
}
static PyObject *import_bytes(PyObject *m, PyObject *name) { return Kiln_ImportByInitFunc(PyBytes_AsString(name), init_multi); }
static PyObject *create(PyObject *m, PyObject *args) {
    PyObject *spec; const char *init;
    if (!PyArg_ParseTuple(args, "Os", &spec, &init)) return NULL;
    return Kiln_CreateModuleFromInitfunc(spec, find_init(init));
}
static PyObject *late(PyObject *m, PyObject *a) {
    return Py_BuildValue("[iiii]", Kiln_Install(&kiln_table), Kiln_SetLookup(NULL, NULL), Kiln_LookupSymbols(NULL, 0), Kiln_HashInittab());
}
static PyMethodDef api_methods[] = {
    {"load", import, METH_VARARGS, NULL}, {"load_bytes", import_bytes, METH_O, NULL},
    {"create", create, METH_VARARGS, NULL}, {"late", late, METH_NOARGS, NULL}, MORE_METHODS {0}};
static PyModuleDef_Slot api_slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef api_def = {PyModuleDef_HEAD_INIT, "api", NULL, 0, api_methods, api_slots, 0, 0, 0};
__attribute__((unused)) static PyObject *init_api(void) { return PyModuleDef_Init(&api_def); }
"""


def host(bakery, directory, definitions, prepare, modules=None, more=(), more_methods="", kind=None):
    main = HOST.replace("DEFINITIONS", INITS + definitions + API).replace("PREPARE", prepare).replace("MORE_METHODS", more_methods)
    return bakery.bake(directory / "app", modules or {"flat": multi("PyInit_flat")}, kind=kind, main=main, more=more)


def asker(program, site, *always):
    def call(code, *options, **env):
        script = "import sys\n" + code + "\nimport json\nprint('\\nANSWER', json.dumps(answer))"
        env = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **env}
        return json.loads(run(program, *always, *options, "-c", script, env=env).stdout.rpartition("\nANSWER ")[2])
    return call


# A callback for Kiln_SetLookup(), and functions of `api` that replace it.
LOOKUP = r"""
static char pair_a, pair_b;
#ifdef Py_mod_abi
PyABIInfo_VAR(hook_abi);
#endif
static PyModuleDef_Slot hook_slots[] = {
#ifdef Py_mod_abi
    {Py_mod_abi, &hook_abi},
#endif
    {Py_mod_exec, exec}, {0, NULL}};
static PyModuleDef_Slot *hook(void) { return hook_slots; }
static Kiln_InitFunction lookup(const char *name, unsigned *flags, void *arg) {
    static int times;
    if (arg != &pair_a || *flags != 0 || *name == 0) abort();
    if (strncmp(name, "say.", 4) == 0) PySys_WriteStdout("[%s]", name);
    if (strcmp(name, "called") == 0 || strcmp(name, "flat") == 0 || strcmp(name, "zlib") == 0 || strcmp(name, "_symtable") == 0 ||
        strcmp(name, "plain") == 0 || strcmp(name, "pkg.called") == 0 || strcmp(name, "gr\xc3\xb6\xc3\x9f" "e") == 0)
        return init_multi;
    if (strcmp(name, "callpkg") == 0) { *flags = KILN_MODULE_PACKAGE; return init_multi; }
    if (strcmp(name, "callpkg.inner") == 0) return init_single;
    if (strcmp(name, "hook") == 0) { *flags = KILN_MODULE_EXPORT; return (Kiln_InitFunction)hook; }
    if (strcmp(name, "raises") == 0) return init_raises() ? init_multi : NULL;
    if (strcmp(name, "both") == 0) { init_raises(); return init_multi; }
    if (strcmp(name, "flags") == 0) { *flags = 0x100; return init_multi; }
    if (strcmp(name, "once") == 0) return times++ == 0 ? init_multi : NULL;
    if (strcmp(name, "imports") == 0) { Py_XDECREF(PyImport_ImportModule("called")); return init_multi; }
    for (const char *init = strncmp(name, "init_", 5) == 0 ? name + 5 : NULL; init != NULL;) return find_init(init);
    return NULL;
}
static Kiln_InitFunction other_lookup(const char *name, unsigned *flags, void *arg) {
    if (arg != &pair_b) abort();
    return strcmp(name, "called") == 0 ? init_raises : NULL;
}
static PyObject *set(PyObject *m, PyObject *which) {
    long n = PyLong_AsLong(which);
    return PyLong_FromLong(n == 0 ? Kiln_SetLookup(NULL, &pair_a) : n == 1 ? Kiln_SetLookup(lookup, &pair_a)
                                                                           : Kiln_SetLookup(other_lookup, &pair_b));
}
"""
LOOKUP_METHODS = '{"set", set, METH_O, NULL},'
