/* The table of distributions for the importer, see kiln/internal/distributions.h. */
#ifndef KILN_LINK_EMIT_DISTRIBUTIONS_H
#define KILN_LINK_EMIT_DISTRIBUTIONS_H

#include <stdio.h>

#include "link/bake.h"

/* A module's name and its distribution; NULL if that is not known. */
struct kiln_named_distribution {
    const char *name;
    const struct kiln_installed *distribution;
};

struct kiln_prefix {
    const char *text;
    const struct kiln_installed *distribution;
    bool exact; /* only the module of this name, not those below it */
};
struct kiln_prefix_list {
    struct kiln_prefix *items;
    size_t count, capacity;
};

/* Find the shortest prefixes below which all of MODULES, which are sorted by name, have one
 * distribution. */
void kiln_prefixes_find(struct kiln_ctx *ctx, const struct kiln_named_distribution *modules,
                        size_t count, struct kiln_prefix_list *out);

/* Write the table of prefixes and the records as assembly to STREAM; nothing if no distribution is
 * known. */
int kiln_distributions_emit(struct kiln_ctx *ctx, const struct kiln_bake *bake, FILE *stream);

#endif
