/* Asking the finders behind ours in sys.meta_path, for a module that is to be found as if Kiln were
 * not there. */
#include "core/runtime.h"

/* Where in FINDERS those behind OURS begin. */
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

/* What FINDER says; NULL without an exception if it says None, or is of a kind that cannot say. */
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

/* A directory that is no package is no module, here: whoever asks has something better. */
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
        if (!kiln_finder_check(finder)) {
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
