/* The versions of distributions in the file system, and verdicts on them. Plain C. */
#ifndef KILN_RUNTIME_DIST_INFO_H
#define KILN_RUNTIME_DIST_INFO_H

#include <stdbool.h>

#include "kiln/internal/distributions.h"

/* What has been found out about a distribution, kept in its record. Two are static singletons: the
 * version that was baked is installed (fits); none is installed (absent). Others are from
 * malloc(). */
struct kiln_verdict {
    const char *version; /* the one that is installed instead; "": not known */
    const char *path;    /* of its metadata, or "" */
    unsigned char warned;
    bool other_files; /* the version is not known, but it is not the one that was baked */
};
extern struct kiln_verdict kiln_verdict_fits, kiln_verdict_absent;

/* Returns a new verdict: the metadata ENTRY below PREFIX have VERSION. NULL if there is no
 * memory. */
struct kiln_verdict *kiln_verdict_new(const char *version, const char *prefix, const char *entry);

/* A PREFIX is a directory with a slash at its end, or "", the working directory. */

/* Returns whether there are metadata of the version that was baked below PREFIX: one stat(). */
bool kiln_dist_info_exists(const char *prefix, const struct kiln_distribution *distribution);

/* Searches the directory PREFIX for any version; of several, the one that was installed last counts. Returns
 * 1 if that is the one that was baked, under any spelling of its name; 0 if not, with a verdict on
 * another version in *OTHER, or NULL; -1 if there is no memory. */
int kiln_dist_info_search(const char *prefix, const struct kiln_distribution *distribution,
                          struct kiln_verdict **other);

#endif
