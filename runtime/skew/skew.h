/* What the floor gives to those above: does a baked module fit the version that is installed? */
#ifndef KILN_RUNTIME_SKEW_H
#define KILN_RUNTIME_SKEW_H

#include "core/pycompat.h"

#include <stddef.h>

struct kiln_distribution; /* kiln/internal/distributions.h */
struct kiln_target;       /* create/create.h */

/* Returns the record of the distribution that the baked module NAME came from; NULL if that is not
 * known. */
struct kiln_distribution *kiln_distribution_find(const char *name, size_t len);

/* Decides whether FINDER is to find the baked module NAME, which is TARGET. PATH is that of
 * find_spec(), GET_FLAGS sys.getdlopenflags (NULL: there is none). Returns 1, or KILN_SKEW_LOOKED if Python code may have run for that; 0 if another
 * version is installed, with the spec of the installed module in *SPEC, a new reference; -1 with an
 * exception. */
enum { KILN_SKEW_LOOKED = 2 };
int kiln_skew_check(PyObject *finder, PyObject *get_flags, PyObject *name,
                    const struct kiln_target *target, PyObject *path, PyObject **spec);

#endif
