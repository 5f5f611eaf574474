/* The names that the program itself has for everyone: those of libpython and of the C library. */
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

/* Read them, for the libpython of BAKE, which has been chosen. A library that cannot be found adds
 * nothing. */
int kiln_globals_read(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_globals *out);
/* The owner of NAME, NULL if it is nobody's. */
const char *kiln_globals_find(const struct kiln_globals *globals, const char *name);

/* Of the symbols that the extension file in BYTES exports, those that GLOBALS has too and that the
 * extension reaches in such a way that, as a shared object, it would get theirs: a relocation by
 * name is left. Their names go to OUT. */
int
kiln_globals_find_interposed(struct kiln_ctx *ctx, const struct kiln_globals *globals,
                             struct kiln_span bytes, const char *path, struct kiln_strings *out);

#endif
