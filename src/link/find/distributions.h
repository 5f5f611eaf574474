/* Which distribution each extension belongs to. */
#ifndef KILN_LINK_DISTRIBUTIONS_H
#define KILN_LINK_DISTRIBUTIONS_H

#include <time.h>

#include "base/ctx.h"

struct kiln_bake;
struct kiln_baked;

/* An installed distribution, as its metadata describes it. */
struct kiln_installed {
    const char *directory; /* the last component of the metadata's: "numpy-2.3.5.dist-info" */
    const char *name, *version;
    size_t number;        /* in the order in which they were found */
    struct timespec time; /* at which it was installed */
};

/* Pass: find the distribution of each extension. */
int kiln_distributions_find(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* Returns the name of what EXTENSION shares STB_GNU_UNIQUE variables with: its distribution, or else
 * its top-level package; NULL if it shares none. */
const char *kiln_baked_get_distribution(struct kiln_ctx *ctx, const struct kiln_baked *extension);

#endif
