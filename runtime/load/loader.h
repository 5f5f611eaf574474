/* What the floor gives to those above: the loader of baked modules. */
#ifndef KILN_RUNTIME_LOADER_H
#define KILN_RUNTIME_LOADER_H

#include "core/pycompat.h"

/* Makes the loader of an interpreter, with its type. BOOTSTRAP is importlib._bootstrap; the two
 * define _kiln and kiln, which it creates as well. New reference, or NULL with an exception. */
PyObject *
kiln_loader_new(PyObject *bootstrap, PyModuleDef *importer_module, PyModuleDef *public_module);
/* exec_module() of the loader. Returns 0, or -1 with an exception. */
int kiln_loader_exec(PyObject *module);

/* Functions that have the frames of importlib's loader of shared libraries. */
enum kiln_loader_function {
    KILN_LOADER_CREATE,  /* create_module(spec) */
    KILN_LOADER_EXECUTE, /* exec_module(module) */
    KILN_LOADER_MAKE,    /* make(f) returns a function that calls f(arg), as exec_module() does */
};
/* Returns a borrowed reference. */
PyObject *kiln_loader_get_function(PyObject *loader, enum kiln_loader_function index);

/* --- More of the loader, for loader.c only -------------------------------------------------------
 */

/* frames.c: returns the functions, in a tuple. CREATE and EXECUTE are methods of LOADER. New
 * reference, or NULL with an exception. */
PyObject *kiln_loader_make_functions(PyObject *loader, PyObject *bootstrap, PyMethodDef *create,
                                     PyMethodDef *execute);
/* files.c: methods. */
PyObject *kiln_loader_get_filename(PyObject *self, PyObject *name);
PyObject *kiln_loader_get_data(PyObject *self, PyObject *path);
PyObject *kiln_loader_get_resource_reader(PyObject *self, PyObject *name);

#endif
