/* The module _kiln: it holds an interpreter's finder and the type of loaders. To import it puts the finder in
 * front in sys.meta_path; normally install.c has done that before any other import. */
#include "core/python.h"
#include "create/create.h"
#include "fast/fast.h"
#include "find/finder.h"
#include "load/loader.h"
#include "start/start.h"

#include "kiln/version.h"

struct state {
    PyObject *finder, *loaders;
};

/* Adds FINDER to sys.meta_path, unless that has one of ours. */
static int
add_finder(PyObject *finder)
{
    PyObject *finders = kiln_get_sys("meta_path");
    if (finders == NULL || !PyList_Check(finders)) {
        Py_XDECREF(finders);
        PyErr_SetString(PyExc_RuntimeError, "sys.meta_path must be a list");
        return -1;
    }
    PyObject *item;
    bool found = false;
    for (Py_ssize_t i = 0; !found && (item = kiln_get_item(finders, i)) != NULL; i++) {
        found = kiln_is_finder(item);
        Py_DECREF(item);
    }
    int result = found ? 0 : PyList_Insert(finders, 0, finder);
    Py_DECREF(finders);
    return result;
}

static int
add_object(PyObject *module, const char *name, PyObject *object)
{
    return object == NULL ? -1 : PyObject_SetAttrString(module, name, object);
}

/* While one thread creates a module through the trampoline, other threads and interpreters may find
 * this one under its name in the inittab: for them there is no built-in module of that name. */
static PyObject *
module_create(PyObject *spec, PyModuleDef *Py_UNUSED(def))
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    PyObject *module = NULL;
    if (name != NULL && PyUnicode_Check(name) &&
        PyUnicode_CompareWithASCIIString(name, KILN_MODULE_NAME) == 0)
    {
        module = PyModule_NewObject(name);
    }
    else if (name != NULL) {
        kiln_fail_import(name, NULL, "no built-in module named %R");
    }
    Py_XDECREF(name);
    return module;
}

static int
module_exec(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    /* In the first interpreter, while there is no other. */
    if (PyModuleDef_Init(&kiln_public_module) == NULL || kiln_admission_prepare() < 0) {
        return -1;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    if (bootstrap != NULL && state->loaders == NULL) {
        state->loaders = kiln_loaders_new(bootstrap, &kiln_importer_module, &kiln_public_module);
    }
    if (state->loaders != NULL && state->finder == NULL) {
        state->finder = kiln_finder_new(bootstrap, state->loaders);
    }
    if (add_object(module, "finder", state->finder) < 0 ||
        PyModule_AddStringConstant(module, "__version__", KILN_VERSION) < 0)
    {
        Py_XDECREF(bootstrap);
        return -1;
    }
    int result = add_finder(state->finder);
    if (result == 0) {
        result = kiln_fast_install(bootstrap, state->finder, state->loaders);
    }
    Py_DECREF(bootstrap);
    return result;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_VISIT(state->finder);
        Py_VISIT(state->loaders);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_CLEAR(state->finder);
        Py_CLEAR(state->loaders);
    }
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

/* Loader is made when it is first asked for. */
static PyObject *
module_getattr(PyObject *module, PyObject *name)
{
    struct state *state = PyModule_GetState(module);
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "Loader") == 0) {
        PyObject *type = kiln_loaders_get_type(state == NULL ? NULL : state->loaders);
        Py_XINCREF(type);
        return type;
    }
    return PyErr_Format(PyExc_AttributeError, "module '" KILN_MODULE_NAME "' has no attribute %R",
                        name);
}

static PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, NULL},
    {0},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_create, KILN_SLOT_FUNCTION(module_create)},
    {Py_mod_exec, KILN_SLOT_FUNCTION(module_exec)},
    KILN_SLOT_INTERPRETERS KILN_SLOT_GIL{0, NULL},
};

struct PyModuleDef kiln_importer_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = KILN_MODULE_NAME,
    .m_doc = PyDoc_STR("The importer of the modules that are linked into the program."),
    .m_size = sizeof(struct state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

/* Makes _kiln as importlib would, but not from the inittab: another interpreter may be using the
 * trampoline. The type of loaders cannot be made yet. */
static PyObject *
make_module(PyObject *bootstrap)
{
    PyObject *spec = PyObject_CallMethod(bootstrap, "ModuleSpec", "sO", KILN_MODULE_NAME, Py_None);
    PyObject *origin = spec == NULL ? NULL : PyUnicode_FromString("built-in");
    PyObject *module = NULL;
    if (origin != NULL && PyObject_SetAttrString(spec, "origin", origin) == 0) {
        module = PyModule_FromDefAndSpec(&kiln_importer_module, spec);
    }
    if (module != NULL && PyModule_ExecDef(module, &kiln_importer_module) < 0) {
        Py_CLEAR(module);
    }
    PyObject *loader = module == NULL ? NULL : PyObject_GetAttrString(bootstrap, "BuiltinImporter");
    if (loader == NULL || PyObject_SetAttrString(spec, "loader", loader) < 0 ||
        PyObject_SetAttrString(module, "__loader__", loader) < 0 ||
        PyObject_SetAttrString(module, "__spec__", spec) < 0 ||
        PyModule_AddStringConstant(module, "__package__", "") < 0)
    {
        Py_CLEAR(module);
    }
    Py_XDECREF(loader);
    Py_XDECREF(origin);
    Py_XDECREF(spec);
    return module;
}

int
kiln_importer_ensure(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    if (PyMapping_HasKeyString(modules, KILN_MODULE_NAME)) {
        return 0;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *module = bootstrap == NULL ? NULL : make_module(bootstrap);
    int result = module == NULL ? -1 : PyMapping_SetItemString(modules, KILN_MODULE_NAME, module);
    Py_XDECREF(module);
    Py_XDECREF(bootstrap);
    return result;
}
