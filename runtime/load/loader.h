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

/* --- More of the loader, for loader.c only -------------------------------------------------------
 */

/* traceback.c: returns NULL with the exception that is set, from whose traceback `import` will
 * remove the frames of importlib, as it does for CPython's own loaders. */
PyObject *kiln_fail_without_frames(void);
/* files.c: methods. */
PyObject *kiln_loader_get_filename(PyObject *self, PyObject *name);
PyObject *kiln_loader_get_data(PyObject *self, PyObject *path);
PyObject *kiln_loader_get_resource_reader(PyObject *self, PyObject *name);

#endif
