/* Which distribution each baked module came from, for the manifest and the importer. */
#ifndef KILN_LINK_DISTRIBUTIONS_H
#define KILN_LINK_DISTRIBUTIONS_H

#include <stdio.h>

#include "base/ctx.h"

struct kiln_bake;

/* A distribution that is installed beside the extensions, as its metadata has it. */
struct kiln_installed {
    const char *directory; /* of the metadata, without the way to it: "numpy-2.3.5.dist-info" */
    const char *name, *version;
    size_t number; /* in the order of `directory`s found */
};

/* A module's name and where it came from; NULL: not known. */
struct kiln_named_origin {
    const char *name;
    const struct kiln_installed *origin;
};

/* See kiln/distributions.h. */
struct kiln_prefix {
    const char *text;
    const struct kiln_installed *origin;
    bool exact; /* the module of this name, and not what is below it */
};
struct kiln_prefix_list {
    struct kiln_prefix *items;
    size_t count, capacity;
};

/* The shortest prefixes below which all of MODULES, which are sorted by name, have one origin. */
void kiln_prefixes_find(struct kiln_ctx *ctx, const struct kiln_named_origin *modules, size_t count,
                        struct kiln_prefix_list *out);

/* Write the table of prefixes and the records as assembly to STREAM; nothing if no module has an
 * origin. */
int kiln_distributions_emit(struct kiln_ctx *ctx, const struct kiln_bake *bake, FILE *stream);

#endif
