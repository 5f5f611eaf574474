/* The loader's methods for files: the file's name, data beside it, and the resources of a package.
 * importlib's own loader of shared libraries does the work, for the file that the module's spec
 * names: that need not exist, but the data of its package do. */
#include "core/python.h"
#include "load/loader.h"

/* Returns the place of the module NAME: a str, or None. */
static PyObject *
find_place(PyObject *name)
{
    PyObject *util = PyImport_ImportModule("importlib.util");
    PyObject *spec = util == NULL ? NULL : PyObject_CallMethod(util, "find_spec", "O", name);
    Py_XDECREF(util);
    if (spec == NULL || spec == Py_None) {
        return spec;
    }
    PyObject *place = NULL;
    PyObject *has_location = PyObject_GetAttrString(spec, "has_location");
    int located = has_location == NULL ? -1 : PyObject_IsTrue(has_location);
    if (located > 0) {
        place = PyObject_GetAttrString(spec, "origin");
    }
    else if (located == 0) {
        place = Py_None;
        Py_INCREF(place);
    }
    Py_XDECREF(has_location);
    Py_DECREF(spec);
    return place;
}

/* Calls METHOD(ARG) of a loader for the extension NAME in the file PATH. */
static PyObject *
ask_file_loader(PyObject *name, PyObject *path, const char *method, PyObject *arg)
{
    PyObject *machinery = PyImport_ImportModule("importlib.machinery");
    PyObject *loader =
        machinery == NULL ? NULL
                          : PyObject_CallMethod(machinery, "ExtensionFileLoader", "OO", name, path);
    PyObject *result = loader == NULL ? NULL : PyObject_CallMethod(loader, method, "O", arg);
    Py_XDECREF(loader);
    Py_XDECREF(machinery);
    return result;
}

PyObject *
kiln_loader_get_filename(PyObject *Py_UNUSED(self), PyObject *name)
{
    PyObject *place = find_place(name);
    if (place == Py_None) {
        Py_DECREF(place);
        return kiln_fail_import(name, NULL, "module %R has no file");
    }
    return place;
}

PyObject *
kiln_loader_get_data(PyObject *Py_UNUSED(self), PyObject *path)
{
    return ask_file_loader(path, path, "get_data", path);
}

PyObject *
kiln_loader_get_resource_reader(PyObject *Py_UNUSED(self), PyObject *name)
{
    PyObject *place = find_place(name);
    if (place == NULL || place == Py_None) {
        return place;
    }
    PyObject *reader = ask_file_loader(name, place, "get_resource_reader", name);
    Py_DECREF(place);
    return reader;
}
