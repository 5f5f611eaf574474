/* The part of the loaders that is written in Python (kiln/internal/python_code.h): their type. It is importlib's own type of loaders
 * of shared libraries in all but what a module is created from. So whatever programs do with such
 * a loader works: attributes, comparing, copying, pickling, isinstance() of importlib's classes.
 *
 * The functions have the frames of importlib: a warning of a module counts create_module() or
 * exec_module(), and _call_with_frames_removed() below it, and when an import fails, CPython removes
 * the frames of importlib down to that one from the traceback. */
#include "core/python.h"
#include "load/loader.h"

PyObject *
kiln_loader_make_functions(PyObject *loaders, PyObject *bootstrap, PyMethodDef *create,
                           PyMethodDef *execute, PyMethodDef *is_package)
{
    PyObject *external = kiln_get_bootstrap_external(bootstrap);
    PyObject *make = external == NULL ? NULL : kiln_get_make(external, KILN_CODE_LOADER);
    PyObject *inner_create = make == NULL ? NULL : PyCFunction_New(create, loaders);
    PyObject *inner_execute = inner_create == NULL ? NULL : PyCFunction_New(execute, loaders);
    PyObject *inner_is_package =
        inner_execute == NULL ? NULL : PyCFunction_New(is_package, loaders);
    PyObject *functions = inner_is_package == NULL
                              ? NULL
                              : PyObject_CallFunctionObjArgs(make, bootstrap, inner_create,
                                                             inner_execute, inner_is_package, NULL);
    Py_XDECREF(inner_is_package);
    Py_XDECREF(inner_execute);
    Py_XDECREF(inner_create);
    Py_XDECREF(make);
    Py_XDECREF(external);
    return functions;
}
