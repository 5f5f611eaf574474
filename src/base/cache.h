/* The cache: what took long to make, under a key that tells everything it was made of. Nothing depends on it. Where
 * there is no place for it, or others could have written what is in it, one warning says so, and the work is done without;
 * with KILN_CACHE_SIZE=0, which asks for that, there is none. */
#ifndef KILN_BASE_CACHE_H
#define KILN_BASE_CACHE_H

#include "base/ctx.h"

/* Returns the path of the directory NAME of the cache, $XDG_CACHE_HOME/kiln or ~/.cache/kiln, which is made for this
 * user alone if it is missing; or NULL if there is no cache. */
const char *kiln_cache_get_dir(struct kiln_ctx *ctx, const char *name);

/* Set *OUT to the bytes that were stored in the directory NAME under KEY, in the context's arena. Returns whether they
 * are there, and whole. */
bool
kiln_cache_load(struct kiln_ctx *ctx, const char *name, const char *key, struct kiln_span *out);
/* Store BYTES; or not. */
void
kiln_cache_store(struct kiln_ctx *ctx, const char *name, const char *key, struct kiln_span bytes);

/* Do without the cache from here on: WHY tells what is the matter with PATH. */
void kiln_cache_give_up(struct kiln_ctx *ctx, const char *path, const char *why);

#endif
