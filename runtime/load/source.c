/* The part of the loaders that is written in Python: their type. It is importlib's own type of loaders
 * of shared libraries in all but what a module is created from. So whatever programs do with such
 * a loader works: attributes, comparing, copying, pickling, isinstance() of importlib's classes.
 *
 * The functions have the frames of importlib: a warning of a module counts create_module() or
 * exec_module(), and _call_with_frames_removed() below it, and when an import fails, CPython removes
 * the frames of importlib down to that one from the traceback. */
#include "core/python.h"
#include "load/loader.h"

/* A module of a program that was linked by hand may have no place; its path is None. Its repr appears in
 * that of the module. */
static const char source[] =
    "def make(bootstrap, create, execute, is_package):\n"
    " def make_type(ExtensionFileLoader):\n"
    "  class Loader(ExtensionFileLoader):\n"
    "   'The loader of a module that is linked into the program.'\n"
    "   __module__ = '" KILN_MODULE_NAME "'\n"
    "   __qualname__ = 'Loader'\n"
    "   def create_module(self, spec):\n"
    "    return bootstrap._call_with_frames_removed(create, spec)\n"
    "   def exec_module(self, module):\n"
    "    bootstrap._call_with_frames_removed(execute, module)\n"
    "   def is_package(self, fullname): return is_package(self.name)\n"
    "   def get_filename(self, fullname=None):\n"
    "    path = super().get_filename(fullname)\n"
    "    if path is None:\n"
    "     raise ImportError(f'module {self.name!r} has no file', name=self.name)\n"
    "    return path\n"
    "   def get_resource_reader(self, fullname):\n"
    "    return None if self.path is None else super().get_resource_reader(fullname)\n"
    "   def __repr__(self):\n"
    "    if self.path is None: return 'baked by Kiln'\n"
    "    return f'<loader of {self.name!r}, baked by Kiln from {self.path!r}>'\n"
    "  return Loader\n"
    " def make_exec_module(_call_with_frames_removed):\n"
    "  def exec_module(arg): return _call_with_frames_removed(arg)\n"
    "  return exec_module\n"
    " return make_type, make_exec_module\n";

PyObject *
kiln_loader_make_functions(PyObject *loaders, PyObject *bootstrap, PyMethodDef *create,
                           PyMethodDef *execute, PyMethodDef *is_package)
{
    PyObject *external = kiln_get_bootstrap_external(bootstrap);
    PyObject *make =
        external == NULL ? NULL : kiln_compile_make(external, KILN_FILE_OF_EXTERNAL, source);
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
