/* The module _kiln: it holds an interpreter's finder and loader. Whoever imports it has the finder
 * in front of sys.meta_path; normally install.c has seen to that before any other import. */
#include "core/runtime.h"

#include "kiln/version.h"

struct state {
    PyObject *finder, *loader;
};

PyObject *
kiln_get_bootstrap(void)
{
    PyObject *name = PyUnicode_FromString("_frozen_importlib");
    PyObject *bootstrap = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (bootstrap == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ImportError, "Kiln needs importlib, and it is not there yet");
    }
    return bootstrap;
}

bool
kiln_is_flag_set(const char *name)
{
    PyObject *flags = kiln_get_sys("flags");
    PyObject *flag = flags == NULL ? NULL : PyObject_GetAttrString(flags, name);
    Py_XDECREF(flags);
    bool result = flag != NULL && PyObject_IsTrue(flag) == 1;
    Py_XDECREF(flag);
    PyErr_Clear();
    return result;
}

/* Add FINDER to sys.meta_path, unless it has one of ours. */
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
        found = kiln_finder_check(item);
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

/* Other interpreters and threads have the name of a module that one is creating in the inittab for a
 * moment, and find this one under it: for them there is no built-in module of that name. */
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
        PyObject *message = PyUnicode_FromFormat("no built-in module named %R", name);
        if (message != NULL) {
            PyErr_SetImportError(message, name, NULL);
            Py_DECREF(message);
        }
    }
    Py_XDECREF(name);
    return module;
}

static int
module_exec(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    /* By the first interpreter, while there is no other. */
    if (PyModuleDef_Init(&kiln_public_module_def) == NULL || kiln_admission_prepare() < 0) {
        return -1;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    if (bootstrap != NULL && state->loader == NULL) {
        state->loader = kiln_loader_new(bootstrap);
    }
    if (state->loader != NULL && state->finder == NULL) {
        state->finder = kiln_finder_new(bootstrap, state->loader);
    }
    if (add_object(module, "loader", state->loader) < 0 ||
        add_object(module, "finder", state->finder) < 0 ||
        PyModule_AddStringConstant(module, "__version__", KILN_VERSION) < 0)
    {
        Py_XDECREF(bootstrap);
        return -1;
    }
    int result = add_finder(state->finder);
    if (result == 0) {
        result = kiln_fast_install(bootstrap, state->finder, state->loader);
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
        Py_VISIT(state->loader);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_CLEAR(state->finder);
        Py_CLEAR(state->loader);
    }
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_create, KILN_SLOT_FUNCTION(module_create)},
    {Py_mod_exec, KILN_SLOT_FUNCTION(module_exec)},
    KILN_SLOT_INTERPRETERS KILN_SLOT_GIL{0, NULL},
};

struct PyModuleDef kiln_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = KILN_MODULE_NAME,
    .m_doc = PyDoc_STR("The importer of the modules that are linked into the program."),
    .m_size = sizeof(struct state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

/* As importlib would, but without asking the inittab: another interpreter may be using the slot. */
static PyObject *
make_module(PyObject *bootstrap)
{
    PyObject *spec = PyObject_CallMethod(bootstrap, "ModuleSpec", "sO", KILN_MODULE_NAME, Py_None);
    PyObject *origin = spec == NULL ? NULL : PyUnicode_FromString("built-in");
    PyObject *module = NULL;
    if (origin != NULL && PyObject_SetAttrString(spec, "origin", origin) == 0) {
        module = PyModule_FromDefAndSpec(&kiln_module_def, spec);
    }
    if (module != NULL && PyModule_ExecDef(module, &kiln_module_def) < 0) {
        Py_CLEAR(module);
    }
    if (module != NULL) {
        PyObject *loader = ((struct state *)PyModule_GetState(module))->loader;
        if (PyObject_SetAttrString(spec, "loader", loader) < 0 ||
            PyObject_SetAttrString(module, "__loader__", loader) < 0 ||
            PyObject_SetAttrString(module, "__spec__", spec) < 0 ||
            PyModule_AddStringConstant(module, "__package__", "") < 0)
        {
            Py_CLEAR(module);
        }
    }
    Py_XDECREF(origin);
    Py_XDECREF(spec);
    return module;
}

int
kiln_module_ensure(void)
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
