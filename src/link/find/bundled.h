/* Shared libraries that come with an extension, inside its package, and are found by $ORIGIN. */
#ifndef KILN_LINK_BUNDLED_H
#define KILN_LINK_BUNDLED_H

#include "base/ctx.h"

struct kiln_baked;

/* Returns RPATH with the directory of MODULE's file for the $ORIGIN that it begins with, or NULL if it
 * does not begin with that. */
const char *kiln_bundled_expand_origin(struct kiln_ctx *ctx, const struct kiln_baked *module,
                                       const char *rpath);
/* Returns the path, links resolved, of the bundled library that MODULE was linked against as NAME
 * ("libfoo.so"), which may have another name now, or NULL if it is not bundled. */
const char *
kiln_bundled_find(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name);
/* The bundled libraries of MODULE's link. They are added to ALL as well. */
struct kiln_strings
kiln_bundled_list(struct kiln_ctx *ctx, const struct kiln_baked *module, struct kiln_strings *all);
/* Returns the path, links resolved, of the library NAME in RPATH, a search path of the library at the
 * path LIBRARY, or NULL if it is not there. */
const char *kiln_bundled_find_needed(struct kiln_ctx *ctx, const char *library, const char *rpath,
                                     const char *name);

#endif
