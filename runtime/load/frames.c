/* The frames of importlib above a module's code. CPython's loaders of shared libraries are Python code:
 * a warning of the module counts create_module() or exec_module(), and
 * _call_with_frames_removed() below it, and when an import fails, CPython removes the frames of
 * importlib down to that one from the traceback. */
#include "core/python.h"
#include "load/loader.h"

#define SOURCE                                                                                     \
    "def make(bootstrap, create, execute):\n"                                                      \
    " def create_module(spec): return bootstrap._call_with_frames_removed(create, spec)\n"         \
    " def exec_module(module): bootstrap._call_with_frames_removed(execute, module)\n"             \
    " def make_exec_module(_call_with_frames_removed):\n"                                          \
    "  def exec_module(arg): return _call_with_frames_removed(arg)\n"                              \
    "  return exec_module\n"                                                                       \
    " return create_module, exec_module, make_exec_module\n"

PyObject *
kiln_loader_make_functions(PyObject *loader, PyObject *bootstrap, PyMethodDef *create,
                           PyMethodDef *execute)
{
    PyObject *external = kiln_get_bootstrap_external(bootstrap);
    PyObject *make =
        external == NULL ? NULL : kiln_compile_make(external, KILN_FILE_OF_EXTERNAL, SOURCE);
    PyObject *inner_create = make == NULL ? NULL : PyCFunction_New(create, loader);
    PyObject *inner_execute = inner_create == NULL ? NULL : PyCFunction_New(execute, loader);
    PyObject *functions =
        inner_execute == NULL
            ? NULL
            : PyObject_CallFunctionObjArgs(make, bootstrap, inner_create, inner_execute, NULL);
    Py_XDECREF(inner_execute);
    Py_XDECREF(inner_create);
    Py_XDECREF(make);
    Py_XDECREF(external);
    return functions;
}
