/* The part of the fast path that is written in Python (kiln/internal/python_code.h), for two reasons.
 *
 * Frames. The frames above a module's code during its import are importlib's: warnings count them
 * for their stacklevel and are issued in their name, and tracebacks leave them out, by the names of
 * file and function. So the functions here have those names; the innermost calls
 * kiln_fast_continue(). Each frame costs as much as a twentieth of the import, so there are no more
 * than have different names of files, of the five or six that importlib has; warnings.c counts the
 * others.
 *
 * Speed. To set all attributes that ModuleSpec.__init__() sets takes as long by the C API as
 * creating the module; bytecode is several times faster. One spec is made by ModuleSpec as a model,
 * and has to have the attributes that the function sets, of the same values and in the same order, apart from name,
 * loader and place. */
#include "fast/state.h"

#include "core/python.h"
#include "find/finder.h"
#include "load/loader.h"

/* Those of a spec, in the order in which ModuleSpec.__init__() sets them. */
enum { CHILDREN = 5, HAS_LOCATION = 6, COUNT = 8 };
static const char *const attributes[COUNT] = {
    "name",
    "loader",
    "origin",
    "loader_state",
    "submodule_search_locations",
    [CHILDREN] = "_uninitialized_submodules", /* from 3.11 on */
    [HAS_LOCATION] = "_set_fileattr",
    "_cached",
};

/* Returns the __dict__ of a new spec, the model; NULL with or without an exception. */
static PyObject *
get_model(struct kiln_fast *fast)
{
    PyObject *spec = PyObject_CallFunctionObjArgs(fast->spec_type, fast->empty, Py_None, NULL);
    PyObject *values = spec == NULL ? NULL : PyObject_GetAttrString(spec, "__dict__");
    Py_XDECREF(spec);
    if (values == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    if (values != NULL && !PyDict_CheckExact(values)) {
        Py_CLEAR(values);
    }
    return values;
}

/* Returns whether VALUE is that of the attribute number I of a spec without a name. */
static bool
is_default(struct kiln_fast *fast, size_t i, PyObject *value)
{
    switch (i) {
    case 0:
        return value == fast->empty;
    case CHILDREN:
        return PyList_CheckExact(value) && PyList_GET_SIZE(value) == 0;
    case HAS_LOCATION:
        return value == Py_False;
    default:
        return value == Py_None;
    }
}

/* Returns whether specs have the attributes that the functions set, in their order; -1 with an exception. */
static int
check_model(struct kiln_fast *fast)
{
    PyObject *values = get_model(fast);
    if (values == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    size_t i = 0;
    fast->tracks_children = PyDict_Contains(values, fast->names[KILN_NAME_SPEC_CHILDREN]) == 1;
    bool is_known = true;
    while (is_known && PyDict_Next(values, &position, &key, &value)) {
        i += i == CHILDREN && !fast->tracks_children;
        is_known = i < COUNT && PyUnicode_Check(key) &&
                   PyUnicode_CompareWithASCIIString(key, attributes[i]) == 0 &&
                   is_default(fast, i, value);
        i++;
    }
    Py_DECREF(values);
    return is_known && i == COUNT;
}

/* Calls the function make(). */
static PyObject *
run(struct kiln_fast *fast)
{
    PyObject *make = kiln_get_make(fast->bootstrap, KILN_CODE_IMPORT);
    PyObject *inner = make == NULL ? NULL : PyObject_GetAttrString((PyObject *)fast, "_continue");
    PyObject *functions =
        inner == NULL ? NULL
                      : PyObject_CallFunctionObjArgs(make, inner,
                                                     kiln_loaders_get_wrapper(fast->loaders), NULL);
    Py_XDECREF(inner);
    Py_XDECREF(make);
    return functions;
}

int
kiln_fast_make_functions(struct kiln_fast *fast)
{
    int result = check_model(fast);
    if (result <= 0) {
        return result;
    }
    PyObject *functions = run(fast), *older, *newer;
    if (functions == NULL ||
        !PyArg_ParseTuple(functions, "OOOO", &fast->load_made, &older, &newer, &fast->innermost))
    {
        Py_XDECREF(functions);
        return -1;
    }
    fast->load_new = fast->tracks_children ? newer : older;
    Py_INCREF(fast->load_made);
    Py_INCREF(fast->load_new);
    Py_INCREF(fast->innermost);
    Py_DECREF(functions);
    return 0;
}

/* Makes the spec as importlib does, by asking the finder. */
static PyObject *
load_by_finder(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *path = import->path == NULL ? Py_None : import->path;
    import->spec = PyObject_CallMethodObjArgs(fast->finder, fast->names[KILN_NAME_FIND_SPEC],
                                              import->name, path, NULL);
    return import->spec == NULL
               ? NULL
               : PyObject_CallFunctionObjArgs(fast->load_made, import->spec, import->lock, NULL);
}

PyObject *
kiln_fast_load_from_python(struct kiln_fast *fast, struct kiln_import *import)
{
    if (kiln_fast_is_package(import)) {
        return load_by_finder(fast, import);
    }
    import->origin =
        kiln_finder_get_place(fast->finder, import->name, import->path, &import->target);
    if (import->origin == NULL && PyErr_Occurred()) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)fast->spec_type;
    PyTypeObject *loader_type = (PyTypeObject *)kiln_loaders_get_type(fast->loaders);
    if (loader_type == NULL) {
        return NULL;
    }
    import->spec = type->tp_new(type, fast->no_args, NULL);
    import->loader = loader_type->tp_new(loader_type, fast->no_args, NULL);
    if (import->spec == NULL || import->loader == NULL) {
        return NULL;
    }
    PyObject_GC_UnTrack(import->loader); /* it will hold two strings */
    PyObject *origin = import->origin == NULL ? Py_None : import->origin;
    PyObject *args[] = {
        import->spec, (PyObject *)import->lock,
        import->name, import->loader,
        origin,       origin == Py_None ? Py_False : Py_True,
    };
    return KILN_VECTORCALL(fast->load_new, args, sizeof args / sizeof args[0], NULL);
}
