/* The distributions that baked modules came from: the contract between `kiln link`
 * (src/link/find/prefixes.c), which writes them into an executable, and the runtime (runtime/skew),
 * which compares them with what is installed (docs/version-skew.md).
 *
 * They are a table in the layout of kiln/table.h, the whole of the section
 * KILN_DISTRIBUTIONS_SECTION. Its names are prefixes of module names, whole components, and instead
 * of a function an entry has the record of a distribution: all baked modules of that name, and
 * below it, came from there. The prefixes are as short as possible, mostly one per distribution.
 * Needs no Python.h. */
#ifndef KILN_INTERNAL_DISTRIBUTIONS_H
#define KILN_INTERNAL_DISTRIBUTIONS_H

#include <assert.h>

#include "kiln/internal/distance.h"
#include "kiln/table.h"

#define KILN_DISTRIBUTIONS_SECTION ".kiln_distributions"

/* The flag of a prefix that stands for the module of that name only: those below it came from
 * elsewhere. */
#define KILN_PREFIX_EXACT 0x01u

/* In writable memory. The first three fields are distances to strings that end in NUL. */
struct kiln_distribution {
    int32_t directory; /* the directory of its metadata: "PyYAML-6.0.3.dist-info" */
    int32_t name;      /* in the spelling of its metadata */
    int32_t version;
    int32_t unused;
    void *verdict; /* NULL at the start; for the runtime only */
};

/* The same record in assembly, a format for printf() with the number of the distribution three
 * times. A change of one must change the other. */
#define KILN_DISTRIBUTION_ALIGN "8"
#define KILN_DISTRIBUTION_ASSEMBLY                                                                 \
    "\t.4byte .Ldirectory%zu-.\n"                                                                  \
    "\t.4byte .Lname%zu-.\n"                                                                       \
    "\t.4byte .Lversion%zu-.\n"                                                                    \
    "\t.4byte 0\n"                                                                                 \
    "\t.8byte 0\n"
static_assert(offsetof(struct kiln_distribution, directory) == 0 &&
                  offsetof(struct kiln_distribution, name) == 4 &&
                  offsetof(struct kiln_distribution, version) == 8 &&
                  offsetof(struct kiln_distribution, verdict) == 16 &&
                  sizeof(struct kiln_distribution) == 24,
              "KILN_DISTRIBUTION_ASSEMBLY has another layout");

/* Weak: an executable without known distributions, such as one linked by hand, has no such
 * table. */
extern const struct kiln_table kiln_distributions __attribute__((weak));

#endif
