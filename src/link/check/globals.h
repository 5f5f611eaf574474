/* The names that the program itself exports: those of libpython and of the C library. */
#ifndef KILN_LINK_GLOBALS_H
#define KILN_LINK_GLOBALS_H

#include "link/bake.h"

struct kiln_global {
    const char *name, *owner; /* "deflate", "libpython" */
};

struct kiln_globals {
    struct kiln_global *items; /* sorted by name */
    size_t count, capacity;
};

/* Read them. Requires that the libpython has been chosen. A library that is not found adds nothing. */
int kiln_globals_read(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_globals *out);
/* Returns the owner of NAME, or NULL if it has none. */
const char *kiln_globals_find(const struct kiln_globals *globals, const char *name);

/* Push the names of the symbols that the extension file in BYTES exports and looks up, and that GLOBALS
 * has as well: as a file, the extension would get those of GLOBALS. */
int
kiln_globals_find_interposed(struct kiln_ctx *ctx, const struct kiln_globals *globals,
                             struct kiln_span bytes, const char *path, struct kiln_strings *out);

#endif
