/* What the files of skew.c share. */
#ifndef KILN_RUNTIME_SKEW_H
#define KILN_RUNTIME_SKEW_H

#include "core/runtime.h"

#include <limits.h>

#include "kiln/internal/distributions.h"

/* What has been found out of a distribution, in its record. Two are no others than themselves: what
 * is installed is what was baked; nothing is installed. Others are from malloc(). */
struct kiln_answer {
    const char *version; /* the one that is installed instead; "": nothing tells */
    const char *path;    /* of the metadata that tell it; "" then */
    unsigned char warned;
};
extern struct kiln_answer kiln_answer_fits, kiln_answer_absent;

/* A baked module that is being looked for. All borrowed. */
struct kiln_asked {
    PyObject *finder, *name, *path; /* path: as find_spec() was given it */
    const char *text;               /* the name in UTF-8 */
    size_t len, parent_len;         /* of it; of the package's name, 0 at the top level */
    unsigned flags;
    struct kiln_distribution *distribution;
};

/* Look what is installed; no answer is set. NULL with an exception. */
struct kiln_answer *kiln_skew_look(const struct kiln_asked *asked);

/* --- installed.c: the file system, without Python ------------------------------------------------
 *
 * A PREFIX is a directory with a slash at its end, or "", the working directory. */

/* Whether the version that was baked is installed below PREFIX: one stat(). */
bool kiln_installed_is(const char *prefix, const struct kiln_distribution *distribution);

/* Read the directory PREFIX for any version: 1 if the one that was baked is there under another
 * spelling of its name; 0 if not, and *OTHER is another version, or NULL if there is none; -1 if
 * there is no memory. */
int kiln_installed_search(const char *prefix, const struct kiln_distribution *distribution,
                          struct kiln_answer **other);

/* The metadata ENTRY below PREFIX tell VERSION. NULL if there is no memory. */
struct kiln_answer *kiln_answer_new(const char *version, const char *prefix, const char *entry);

/* The strings of a record. */
static inline const char *
kiln_distribution_get_string(const int32_t *field)
{
    return (const char *)field + *field;
}

#endif
