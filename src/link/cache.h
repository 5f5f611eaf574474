/* Isolated objects that an earlier run has made, by content. */
#ifndef KILN_LINK_CACHE_H
#define KILN_LINK_CACHE_H

#include <stdatomic.h>

#include "isolate/isolate.h"

struct kiln_cache {
    const char *dir; /* NULL: there is none, and nothing is found or kept */
    int lock;        /* held by whoever uses files of the directory; -1 without one */
    uint64_t limit;  /* bytes */
    uint64_t maker;  /* what tells this build of Kiln from others */
    atomic_bool grown;
};

/* One object and what isolating it found out. */
struct kiln_cache_key {
    char text[33];
};

/* Open the cache, unless there is no place for it, which is no error. From here to
 * kiln_cache_close() no other run removes anything from it. */
void kiln_cache_open(struct kiln_ctx *ctx, struct kiln_cache *out);
/* Close it; if it has grown beyond its limit and nobody uses it, remove what has been out of use
 * for longest. Safe on {0} and twice. */
void kiln_cache_close(struct kiln_cache *cache);

/* The key of what isolating FRAME, a compressed relocatable, as AS gives. */
struct kiln_cache_key kiln_cache_make_key(const struct kiln_cache *cache, struct kiln_span frame,
                                          const struct kiln_isolation *as);

/* The path of the object with KEY, in CTX, and what was found out about it; NULL if it is not
 * there, or damaged. Threads may do this, and the next, at the same time. */
const char *kiln_cache_find(struct kiln_ctx *ctx, const struct kiln_cache *cache,
                            const struct kiln_cache_key *key, struct kiln_isolated *isolated);
/* Keep OBJECT; the value is its path, NULL if it could not be kept. */
const char *
kiln_cache_keep(struct kiln_ctx *ctx, struct kiln_cache *cache, const struct kiln_cache_key *key,
                struct kiln_span object, const struct kiln_isolated *isolated);

#endif
