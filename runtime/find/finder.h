/* The finder of baked modules; see finder.c. */
#ifndef KILN_RUNTIME_FINDER_H
#define KILN_RUNTIME_FINDER_H

#include "core/pycompat.h"
#include "create/create.h"

/* Makes the finder of an interpreter, with its type. BOOTSTRAP is importlib._bootstrap; the method
 * get_type() of LOADERS returns the type of loaders. New reference, or NULL with an exception. */
PyObject *kiln_finder_new(PyObject *bootstrap, PyObject *loaders);
/* Returns the place of the module NAME, which is TARGET and not a package, in a package of this __path__ (NULL or
 * None: in none): where its file is, or would be. New reference, or NULL, with an exception, or without one if it has
 * no place. */
PyObject *kiln_finder_get_place(PyObject *finder, PyObject *name, PyObject *path,
                                const struct kiln_target *target);

/* --- More of the finder, for finder.c only -------------------------------------------------------
 */

/* discover.c: the method. */
PyObject *kiln_finder_discover(PyObject *self, PyObject *args, PyObject *kwargs);
/* pkgutil.c: returns an iterator over (PREFIX + name, whether it is a package) of the baked modules
 * that are in no package. */
PyObject *kiln_iter_top_level(PyObject *prefix);
/* pkgutil.c: what FINDER.find_spec("pkgutil", PATH) returns. That is the spec that the finders
 * behind FINDER have, prepared to make pkgutil list baked modules; or None. */
PyObject *kiln_find_pkgutil(PyObject *finder, PyObject *name, PyObject *path);

#endif
