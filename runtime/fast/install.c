/* Per-interpreter state of the fast path: the type of the object that holds it, and its
 * installation in importlib. */
#include "fast/fast.h"

#include <stdlib.h>
#include <string.h>

#include "core/python.h"
#include "fast/state.h"

#define FAST_NAME "_kiln.FastPath"

static int
fast_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct kiln_fast *self = (struct kiln_fast *)object;
#if KILN_TRAVERSE_VISITS_TYPE
    Py_VISIT(Py_TYPE(object));
#endif
    Py_VISIT(self->bootstrap);
    Py_VISIT(self->original);
    Py_VISIT(self->locks);
    Py_VISIT(self->sys_dict);
    Py_VISIT(self->finder);
    Py_VISIT(self->loaders);
    Py_VISIT(self->create_builtin);
    Py_VISIT(self->acquire_lock);
    Py_VISIT(self->release_lock);
    Py_VISIT(self->lock_held);
    Py_VISIT(self->thread);
    Py_VISIT(self->get_ident);
    Py_VISIT(self->spec_type);
    Py_VISIT(self->load_made);
    Py_VISIT(self->load_new);
    Py_VISIT(self->innermost);
    Py_VISIT(self->set_lazy_attributes);
    Py_VISIT(self->lock_type);
    return 0;
}

static int
fast_clear(PyObject *object)
{
    struct kiln_fast *self = (struct kiln_fast *)object;
    Py_CLEAR(self->bootstrap);
    Py_CLEAR(self->original);
    Py_CLEAR(self->locks);
    Py_CLEAR(self->sys_dict);
    Py_CLEAR(self->finder);
    Py_CLEAR(self->loaders);
    Py_CLEAR(self->create_builtin);
    Py_CLEAR(self->acquire_lock);
    Py_CLEAR(self->release_lock);
    Py_CLEAR(self->lock_held);
    Py_CLEAR(self->thread);
    Py_CLEAR(self->get_ident);
    Py_CLEAR(self->spec_type);
    Py_CLEAR(self->load_made);
    Py_CLEAR(self->load_new);
    Py_CLEAR(self->innermost);
    Py_CLEAR(self->set_lazy_attributes);
    Py_CLEAR(self->lock_type);
    Py_CLEAR(self->spare);
    Py_CLEAR(self->parent_name);
    return 0;
}

static void
fast_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    fast_clear(self);
    struct kiln_fast *fast = (struct kiln_fast *)self;
    Py_XDECREF(fast->empty);
    Py_XDECREF(fast->no_args);
    for (int i = 0; i < KILN_NAME_COUNT; i++) {
        Py_XDECREF(fast->names[i]);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef fast_methods[] = {
    {"_find_and_load", (PyCFunction)(void (*)(void))kiln_fast_find_and_load,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("Find and load a module: the fast path, or importlib's function.")},
    {"_continue", kiln_fast_continue, METH_O, PyDoc_STR("The inner half of _find_and_load().")},
    {0},
};

static PyType_Slot fast_slots[] = {
    {Py_tp_new, KILN_SLOT_FUNCTION(kiln_refuse_new)},
    {Py_tp_dealloc, KILN_SLOT_FUNCTION(fast_dealloc)},
    {Py_tp_traverse, KILN_SLOT_FUNCTION(fast_traverse)},
    {Py_tp_clear, KILN_SLOT_FUNCTION(fast_clear)},
    {Py_tp_methods, fast_methods},
    {Py_tp_doc, "Imports baked modules without importlib's Python code."},
    {0, NULL},
};

static PyType_Spec fast_spec = {
    .name = FAST_NAME,
    .basicsize = sizeof(struct kiln_fast),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = fast_slots,
};

static int
make_names(struct kiln_fast *fast)
{
    static const char *const names[KILN_NAME_COUNT] = {
        [KILN_NAME_FILE] = "__file__",
        [KILN_NAME_GETATTR] = "__getattr__",
        [KILN_NAME_LOADER] = "__loader__",
        [KILN_NAME_NAME] = "__name__",
        [KILN_NAME_PACKAGE] = "__package__",
        [KILN_NAME_PATH] = "__path__",
        [KILN_NAME_SPEC] = "__spec__",
        [KILN_NAME_SPEC_INITIALIZING] = "_initializing",
        [KILN_NAME_SPEC_CHILDREN] = "_uninitialized_submodules",
        [KILN_NAME_FIND_SPEC] = "find_spec",
        [KILN_NAME_META_PATH] = "meta_path",
        [KILN_NAME_MODULES] = "modules",
        [KILN_NAME_POP] = "pop",
        [KILN_NAME_OWNER] = "owner",
        [KILN_NAME_THREAD] = "_thread",
        [KILN_NAME_GET_IDENT] = "get_ident",
        [KILN_NAME_GET_FLAGS] = "getdlopenflags",
    };
    for (int i = 0; i < KILN_NAME_COUNT; i++) {
        fast->names[i] = PyUnicode_InternFromString(names[i]);
        if (fast->names[i] == NULL) {
            return -1;
        }
    }
    fast->empty = PyUnicode_InternFromString("");
    fast->no_args = PyTuple_New(0);
    return fast->empty == NULL || fast->no_args == NULL ? -1 : 0;
}

/* Fills what comes from _imp and from sys. */
static int
take_modules(struct kiln_fast *fast)
{
    PyObject *imp = PyObject_GetAttrString(fast->bootstrap, "_imp");
    if (imp == NULL) {
        return -1;
    }
    fast->create_builtin = kiln_get_imp_function(fast->bootstrap, "create_builtin");
    fast->acquire_lock = PyObject_GetAttrString(imp, "acquire_lock");
    fast->release_lock = PyObject_GetAttrString(imp, "release_lock");
    fast->lock_held = PyObject_GetAttrString(imp, "lock_held");
    fast->set_lazy_attributes = PyObject_GetAttrString(imp, "_set_lazy_attributes");
    PyErr_Clear();
    Py_DECREF(imp);
    PyObject *sys = PyObject_GetAttrString(fast->bootstrap, "sys");
    PyObject *sys_dict = sys == NULL || !PyModule_Check(sys) ? NULL : PyModule_GetDict(sys);
    Py_XINCREF(sys_dict);
    fast->sys_dict = sys_dict;
    Py_XDECREF(sys);
    return fast->create_builtin == NULL || fast->acquire_lock == NULL ||
                   fast->release_lock == NULL || fast->lock_held == NULL || fast->sys_dict == NULL
               ? -1
               : 0;
}

/* Fills what comes from _thread; it stays NULL if this importlib is not known. */
static void
take_threads(struct kiln_fast *fast)
{
    fast->thread = PyObject_GetAttr(fast->bootstrap, fast->names[KILN_NAME_THREAD]);
    if (fast->thread != NULL && PyModule_Check(fast->thread)) {
        fast->get_ident = PyObject_GetAttr(fast->thread, fast->names[KILN_NAME_GET_IDENT]);
    }
    PyErr_Clear();
}

static int
fill(struct kiln_fast *fast, PyObject *bootstrap, PyObject *finder, PyObject *loaders)
{
    Py_INCREF(bootstrap);
    fast->bootstrap = bootstrap;
    Py_INCREF(finder);
    fast->finder = finder;
    Py_INCREF(loaders);
    fast->loaders = loaders;
    fast->is_main = KILN_GET_INTERPRETER() == PyInterpreterState_Main();
    fast->locks = PyObject_GetAttrString(bootstrap, "_module_locks");
    fast->spec_type = PyObject_GetAttrString(bootstrap, "ModuleSpec");
    fast->lock_type = kiln_module_lock_make_type();
    if (fast->locks == NULL || fast->spec_type == NULL || fast->lock_type == NULL ||
        make_names(fast) < 0 || take_modules(fast) < 0)
    {
        return -1;
    }
    take_threads(fast);
    return kiln_fast_make_functions(fast);
}

static struct kiln_fast *
make_fast(PyObject *bootstrap, PyObject *finder, PyObject *loaders)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&fast_spec);
    struct kiln_fast *fast = type == NULL ? NULL : (struct kiln_fast *)type->tp_alloc(type, 0);
    Py_XDECREF(type);
    if (fast != NULL && fill(fast, bootstrap, finder, loaders) < 0) {
        Py_CLEAR(fast);
    }
    return fast;
}

/* With -E and -I this variable is ignored as Python's own are. */
static void
read_environment(void)
{
    const char *value = kiln_is_flag_set("ignore_environment") ? NULL : getenv("KILN_FAST");
    kiln_fast_set_default(value == NULL || strcmp(value, "0") != 0);
}

/* With -v, importlib reports what it does. */
static bool
is_wanted(PyObject *original)
{
    read_environment();
    return KILN_HAS_FAST_PATH && kiln_fast_is_on() && PyFunction_Check(original) &&
           !kiln_is_flag_set("verbose");
}

/* Returns whether importlib's _find_spec() iterates over a copy of sys.meta_path, as it does from
 * some release of 3.13 on: then it uses the name `list`. */
static bool
copies_finders(PyObject *bootstrap)
{
    PyObject *function = PyObject_GetAttrString(bootstrap, "_find_spec");
    PyObject *code = function == NULL ? NULL : PyObject_GetAttrString(function, "__code__");
    PyObject *names = code == NULL ? NULL : PyObject_GetAttrString(code, "co_names");
    PyObject *list = names == NULL ? NULL : PyUnicode_FromString("list");
    bool result = list != NULL && PySequence_Contains(names, list) == 1;
    Py_XDECREF(list);
    Py_XDECREF(names);
    Py_XDECREF(code);
    Py_XDECREF(function);
    PyErr_Clear();
    return result;
}

/* ORIGINAL, a borrowed reference, is the function to replace. */
static int
install(PyObject *bootstrap, PyObject *finder, PyObject *loaders, PyObject *original)
{
    struct kiln_fast *fast = make_fast(bootstrap, finder, loaders);
    if (fast == NULL) {
        return -1;
    }
    int result = 0;
    /* Otherwise this importlib is not known, and stays as it is. */
    if (fast->load_new != NULL && fast->get_ident != NULL && PyDict_CheckExact(fast->locks)) {
        Py_INCREF(original);
        fast->original = original;
        fast->copies_finders = copies_finders(bootstrap);
        PyObject *method = PyObject_GetAttrString((PyObject *)fast, "_find_and_load");
        result = method == NULL ? -1 : PyObject_SetAttrString(bootstrap, "_find_and_load", method);
        Py_XDECREF(method);
    }
    Py_DECREF(fast);
    return result;
}

int
kiln_fast_install(PyObject *bootstrap, PyObject *finder, PyObject *loaders)
{
    PyObject *original = PyObject_GetAttrString(bootstrap, "_find_and_load");
    if (original == NULL) {
        return -1;
    }
    int result = is_wanted(original) ? install(bootstrap, finder, loaders, original) : 0;
    Py_DECREF(original);
    return result;
}
