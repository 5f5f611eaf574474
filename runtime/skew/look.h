/* What is installed of a distribution; see look.c. */
#ifndef KILN_RUNTIME_LOOK_H
#define KILN_RUNTIME_LOOK_H

#include "core/pycompat.h"

#include <stdbool.h>
#include <stddef.h>

#include "skew/dist_info.h"

/* A baked module that is being looked for. All references are borrowed. */
struct kiln_asked {
    PyObject *finder, *name, *path; /* path: that of find_spec() */
    const char *text;               /* the name in UTF-8 */
    size_t len, parent_len;         /* of the name; of the package's name, 0 at the top level */
    unsigned flags;
    struct kiln_distribution *distribution; /* NULL: not known */
    const struct kiln_module_file *file;    /* that the module was baked from; NULL: not known */
};

/* Searches the file system. Returns a verdict, which is not yet that of the process; NULL with an
 * exception. */
struct kiln_verdict *kiln_skew_look(const struct kiln_asked *asked);

/* Compares the package of a module with what it was baked with, by the directory. */
enum kiln_package {
    KILN_PACKAGE_SAME,    /* the Python files are the same, byte by byte */
    KILN_PACKAGE_OTHER,   /* they are not */
    KILN_PACKAGE_UNKNOWN, /* there are none to compare */
};
enum kiln_package kiln_skew_compare(const struct kiln_asked *asked);
/* Returns whether the package of a module is somewhere else than it was, although it could be found there: in
 * front on sys.path. */
bool kiln_skew_is_in_front(const struct kiln_asked *asked);

#endif
