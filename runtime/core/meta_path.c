/* The finders behind ours in sys.meta_path, asked about modules that are to be found as if Kiln
 * were not there. */
#include "core/python.h"

#include <string.h>

bool
kiln_is_finder(PyObject *object)
{
    return strcmp(Py_TYPE(object)->tp_name, KILN_FINDER_TYPE_NAME) == 0;
}

/* Returns the index of the first finder behind OURS; 0 if OURS is not in FINDERS. */
static Py_ssize_t
find_next(PyObject *finders, PyObject *ours)
{
    PyObject *item;
    for (Py_ssize_t i = 0; (item = kiln_get_item(finders, i)) != NULL; i++) {
        Py_DECREF(item);
        if (item == ours) {
            return i + 1;
        }
    }
    return 0;
}

/* Returns what FINDER.find_spec() returns; NULL without an exception for None, and for a finder
 * that has no such method. */
static PyObject *
ask(PyObject *finder, PyObject *name, PyObject *path)
{
    PyObject *find_spec = PyObject_GetAttrString(finder, "find_spec");
    if (find_spec == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
        }
        return NULL;
    }
    PyObject *spec = PyObject_CallFunctionObjArgs(find_spec, name, path, Py_None, NULL);
    Py_DECREF(find_spec);
    if (spec == Py_None) {
        Py_CLEAR(spec);
    }
    return spec;
}

/* A directory without __init__.py is not a module here: the callers have something better. */
static bool
is_namespace(PyObject *spec)
{
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    bool result = loader == Py_None;
    Py_XDECREF(loader);
    return result;
}

PyObject *
kiln_find_behind(PyObject *ours, PyObject *name, PyObject *path)
{
    PyObject *finders = kiln_get_sys("meta_path");
    if (finders == NULL || !PyList_Check(finders)) {
        Py_XDECREF(finders);
        return NULL;
    }
    PyObject *spec = NULL, *finder;
    for (Py_ssize_t i = find_next(finders, ours);
         spec == NULL && !PyErr_Occurred() && (finder = kiln_get_item(finders, i)) != NULL; i++)
    {
        if (!kiln_is_finder(finder)) {
            spec = ask(finder, name, path);
        }
        Py_DECREF(finder);
        if (spec != NULL && is_namespace(spec)) {
            Py_CLEAR(spec);
        }
    }
    Py_DECREF(finders);
    if (spec != NULL && PyErr_Occurred()) {
        Py_CLEAR(spec);
    }
    return spec;
}
