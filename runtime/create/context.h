/* The package context: how single-phase modules get their whole name; see context.c. */
#ifndef KILN_RUNTIME_CONTEXT_H
#define KILN_RUNTIME_CONTEXT_H

#include "core/pycompat.h"

#include <stdbool.h>

struct kiln_context;

/* From here until kiln_context_end(), the first module that this thread creates under the last
 * component of NAME gets the whole NAME. If NAME is NULL, modules keep the names that they give
 * themselves. Returns NULL with an exception. */
struct kiln_context *kiln_context_begin(const char *name);

/* Returns whether no module has got the name. */
bool kiln_context_end(struct kiln_context *context);

/* Returns whether MODULE, which an init function has returned, should have got NAME, if no module
 * got it: then the module's calls of PyModule_Create2() do not reach Kiln. */
bool kiln_context_was_missed(const char *name, PyObject *module);

/* Call in the child after fork(). */
void kiln_context_survive_fork(void);

#endif
