/* What the floor gives to those above: the loaders of baked modules. */
#ifndef KILN_RUNTIME_LOADER_H
#define KILN_RUNTIME_LOADER_H

#include "core/pycompat.h"

/* Makes what the loaders of an interpreter have in common. Its method get_type() is
 * kiln_loaders_get_type(). BOOTSTRAP is importlib._bootstrap; the two define _kiln and kiln, which
 * loaders create as well. New reference, or NULL with an exception. */
PyObject *
kiln_loaders_new(PyObject *bootstrap, PyModuleDef *importer_module, PyModuleDef *public_module);
/* Returns the type of loaders, a borrowed reference; NULL with an exception, as while importlib has
 * no loader of shared libraries yet. */
PyObject *kiln_loaders_get_type(PyObject *loaders);
/* Returns a function, a borrowed reference: called with f, it returns a function that calls f(arg)
 * with the frames of exec_module(). */
PyObject *kiln_loaders_get_wrapper(PyObject *loaders);
/* exec_module() of a loader. Returns 0, or -1 with an exception. */
int kiln_loader_exec(PyObject *module);

/* --- More of the loaders, for loader.c only ------------------------------------------------------
 */

/* source.c: returns two functions in a tuple: one makes the type of loaders from that of importlib's
 * loaders of shared libraries; the other is kiln_loaders_get_wrapper()'s. CREATE, EXECUTE and
 * IS_PACKAGE are methods of LOADERS. New reference, or NULL with an exception. */
PyObject *kiln_loader_make_functions(PyObject *loaders, PyObject *bootstrap, PyMethodDef *create,
                                     PyMethodDef *execute, PyMethodDef *is_package);

#endif
