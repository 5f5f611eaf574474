/* The second half of an import on the fast path: from a spec to a module in sys.modules and in its
 * parent. Follows importlib's _load_unlocked() and its callers step by step, failures included. */
#include "fast/state.h"

#include "load/loader.h"

/* importlib's frames are _find_and_load(), _find_and_load_unlocked(), _load_unlocked(),
 * module_from_spec() if the module is created, a method of the loader, and
 * _call_with_frames_removed(). The fast path has three. */
enum {
    MISSING_TO_CREATE = 3,
    MISSING_TO_EXECUTE = 2,
};

/* Sets the item KEY of DICT if it is None or missing. */
static int
set_missing(PyObject *dict, PyObject *key, PyObject *value)
{
    PyObject *present = PyDict_GetItemWithError(dict, key);
    if (present != NULL && present != Py_None) {
        return 0;
    }
    return present == NULL && PyErr_Occurred() ? -1 : PyDict_SetItem(dict, key, value);
}

/* For objects that are not plain modules, and for modules that compute attributes. */
static int
describe_by_importlib(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    PyObject *result =
        PyObject_CallMethod(fast->bootstrap, "_init_module_attrs", "OO", import->spec, module);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Sets the attributes of MODULE that come from its spec. */
static int
describe(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    PyObject **names = fast->names;
    if (!PyModule_CheckExact(module) || kiln_fast_is_package(import)) {
        return describe_by_importlib(fast, import, module);
    }
    PyObject *dict = PyModule_GetDict(module);
    int computes = PyDict_Contains(dict, names[KILN_NAME_GETATTR]);
    if (computes != 0) {
        return computes < 0 ? -1 : describe_by_importlib(fast, import, module);
    }
    PyObject *package = import->parent_name == NULL ? fast->empty : import->parent_name;
    if (set_missing(dict, names[KILN_NAME_NAME], import->name) < 0 ||
        set_missing(dict, names[KILN_NAME_LOADER], import->loader) < 0 ||
        set_missing(dict, names[KILN_NAME_PACKAGE], package) < 0 ||
        PyDict_SetItem(dict, names[KILN_NAME_SPEC], import->spec) < 0)
    {
        return -1;
    }
    return import->origin == NULL ? 0 : set_missing(dict, names[KILN_NAME_FILE], import->origin);
}

/* Does what importlib's module_from_spec() does. */
static PyObject *
create(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *origin = import->origin;
    if (origin == NULL && !kiln_fast_is_package(import)) {
        origin = Py_None;
    }
    PyObject *module = kiln_create_in_table(fast->create_builtin, import->spec, import->name,
                                            origin, &import->target, fast->is_main);
    if (module == Py_None) {
        Py_DECREF(module);
        module = PyModule_NewObject(import->name);
    }
    if (module != NULL && describe(fast, import, module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

/* Removes the module that has failed from sys.modules, if it is still there. Keeps the exception
 * unless that fails. */
static void
unregister(struct kiln_fast *fast, struct kiln_import *import)
{
    struct kiln_error error;
    kiln_error_save(&error);
    if (kiln_fast_follow_modules(fast, import) < 0 ||
        (PyObject_DelItem(import->modules, import->name) < 0 &&
         !PyErr_ExceptionMatches(PyExc_KeyError)))
    {
        kiln_error_drop(&error);
        return;
    }
    PyErr_Clear();
    kiln_error_restore(&error);
}

/* Returns the module that is in sys.modules now, as it may have replaced itself. Like importlib,
 * takes it out and puts it in again, at the end. */
static PyObject *
move_to_end(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *module =
        PyObject_CallMethodObjArgs(import->modules, fast->names[KILN_NAME_POP], import->name, NULL);
    if (module != NULL && PyObject_SetItem(import->modules, import->name, module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

/* Puts MODULE into sys.modules. Returns whether it is the last item; -1 with an exception. */
static int
put_in(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    if (kiln_fast_follow_modules(fast, import) < 0) {
        return -1;
    }
    if (!PyDict_CheckExact(import->modules)) {
        return PyObject_SetItem(import->modules, import->name, module);
    }
    Py_ssize_t size = PyDict_Size(import->modules);
    return PyDict_SetItem(import->modules, import->name, module) < 0
               ? -1
               : PyDict_Size(import->modules) > size;
}

static PyObject *
register_and_execute(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    int is_last = put_in(fast, import, module);
    if (is_last < 0) {
        return NULL;
    }
    PyObject *modules = import->modules;
    Py_ssize_t size = is_last ? PyDict_Size(modules) : 0;
    size_t calls = fast->calls;
    if (kiln_loader_exec(module) < 0) {
        unregister(fast, import);
        return NULL;
    }
    if (kiln_fast_follow_modules(fast, import) < 0) {
        return NULL;
    }
    /* It still is the last item, unless it has imported others. */
    bool stays = is_last && modules == import->modules && calls == fast->calls &&
                 size == PyDict_Size(modules);
    return stays ? PyObject_GetItem(modules, import->name) : move_to_end(fast, import);
}

PyObject *
kiln_fast_load(struct kiln_fast *fast, struct kiln_import *import)
{
    struct kiln_frames outer = kiln_fast_frames;
    kiln_fast_frames = (struct kiln_frames){fast->innermost, MISSING_TO_CREATE};
    PyObject *module = create(fast, import);
    kiln_fast_frames.missing = MISSING_TO_EXECUTE;
    PyObject *result = module == NULL ? NULL : register_and_execute(fast, import, module);
    kiln_fast_frames = outer;
    Py_XDECREF(module);
    return result;
}

/* Issues a warning in the name of importlib. MESSAGE is stolen. */
static int
warn(struct kiln_fast *fast, PyObject *message)
{
    if (message == NULL) {
        return -1;
    }
    PyObject *warnings = PyObject_GetAttrString(fast->bootstrap, "_warnings");
    PyObject *function = warnings == NULL ? NULL : PyObject_GetAttrString(warnings, "warn");
    PyObject *result = function == NULL
                           ? NULL
                           : PyObject_CallMethod(fast->bootstrap, "_call_with_frames_removed",
                                                 "OOO", function, message, PyExc_ImportWarning);
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(warnings);
    Py_DECREF(message);
    return result == NULL ? -1 : 0;
}

/* From 3.15 on, names that have been imported lazily become attributes of the module. */
static int
set_lazy_attributes(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    if (fast->set_lazy_attributes == NULL) {
        return 0;
    }
    PyObject *result =
        PyObject_CallFunctionObjArgs(fast->set_lazy_attributes, module, import->name, NULL);
    Py_XDECREF(result);
    if (result != NULL || !PyErr_ExceptionMatches(PyExc_Exception)) {
        return result == NULL ? -1 : 0;
    }
    struct kiln_error error;
    kiln_error_save(&error);
    PyObject *message =
        PyUnicode_FromFormat("Cannot set lazy attributes on %R: %R", import->name, error.value);
    kiln_error_drop(&error);
    return warn(fast, message);
}

/* PARENT.CHILD = MODULE. For a plain module that sets an item of its dict, unless its type has a
 * data descriptor of the name, such as __dict__. PyObject_SetAttr() would look the name up in the
 * type first, which fills CPython's cache of types' attributes with names that no type has, and
 * intern it, which costs as much again: a lookup in the largest dict of all. */
static int
set_child(PyObject *parent, PyObject *child, PyObject *module)
{
    bool is_plain = PyModule_CheckExact(parent) && PyUnicode_GET_LENGTH(child) > 0 &&
                    PyUnicode_READ_CHAR(child, 0) != '_';
    return is_plain ? PyDict_SetItem(PyModule_GetDict(parent), child, module)
                    : PyObject_SetAttr(parent, child, module);
}

int
kiln_fast_bind(struct kiln_fast *fast, struct kiln_import *import, PyObject *module)
{
    if (import->parent_name == NULL) {
        return set_lazy_attributes(fast, import, module);
    }
    PyObject *parent = PyObject_GetItem(import->modules, import->parent_name);
    if (parent == NULL) {
        return -1;
    }
    int result = set_child(parent, import->child, module);
    Py_DECREF(parent);
    if (result < 0) {
        if (!KILN_WARNS_OF_UNBOUND_MODULE || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        if (warn(fast, PyUnicode_FromFormat("Cannot set an attribute on %R for child module %R",
                                            import->parent_name, import->child)) < 0)
        {
            return -1;
        }
    }
    return set_lazy_attributes(fast, import, module);
}
