/* The distributions that baked modules came from: what `kiln link` writes into an executable, and
 * the importer compares with what is installed (docs/version-skew.md).
 *
 * A second table in the layout of kiln/table.h, the whole of the section
 * KILN_DISTRIBUTIONS_SECTION. Its names are not modules but prefixes of their names, whole
 * components, and in the place of the function is the record of a distribution: all baked modules
 * of that name, and below it, came from there. It has the shortest prefixes that are true, mostly
 * one a distribution, so a module costs nothing. Needs no Python.h. */
#ifndef KILN_DISTRIBUTIONS_H
#define KILN_DISTRIBUTIONS_H

#include "kiln/table.h"

#define KILN_DISTRIBUTIONS_SECTION ".kiln_distributions"

/* The flag of a prefix that is a module's name and tells of that module only: others below it came
 * from elsewhere. */
#define KILN_PREFIX_EXACT 0x01u

/* In memory that can be written. The first three fields are the distance from the field itself to a
 * string with a NUL at its end. */
struct kiln_distribution {
    int32_t directory; /* of its metadata, in the directory that it is installed in:
                          "PyYAML-6.0.3.dist-info" */
    int32_t name;      /* as its metadata has it */
    int32_t version;
    int32_t unused;
    void *answer; /* NULL at the start; belongs to the importer */
};

/* Weak: an executable without known distributions, as one linked by hand, has no such table. */
extern const struct kiln_table kiln_distributions __attribute__((weak));

#endif
