/* What is installed of a distribution; see look.c. */
#ifndef KILN_RUNTIME_LOOK_H
#define KILN_RUNTIME_LOOK_H

#include "core/pycompat.h"

#include <stddef.h>

#include "skew/dist_info.h"

/* A baked module that is being looked for. All references are borrowed. */
struct kiln_asked {
    PyObject *finder, *name, *path; /* path: that of find_spec() */
    const char *text;               /* the name in UTF-8 */
    size_t len, parent_len;         /* of the name; of the package's name, 0 at the top level */
    unsigned flags;
    struct kiln_distribution *distribution;
};

/* Searches the file system. Returns a verdict, which is not yet that of the process; NULL with an
 * exception. */
struct kiln_verdict *kiln_skew_look(const struct kiln_asked *asked);

#endif
