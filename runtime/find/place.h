/* Where the file of a baked module is; see place.c. */
#ifndef KILN_RUNTIME_PLACE_H
#define KILN_RUNTIME_PLACE_H

#include "core/pycompat.h"

struct kiln_module_file; /* kiln/internal/settings.h */

/* Returns the directory of FILE, of a module in a package of this __path__, or of none (PATH is NULL): the one in
 * which it was, or else one in which it is. If there is none, that is the first of PATH, or where it was. New
 * reference, or NULL with an exception. */
PyObject *kiln_place_get_directory(const struct kiln_module_file *file, PyObject *path);
/* The same for the file itself. */
PyObject *kiln_place_get(const struct kiln_module_file *file, PyObject *path);

#endif
