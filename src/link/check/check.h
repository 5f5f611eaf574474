/* Checks of what the passes were asked for, and of what they have made. */
#ifndef KILN_LINK_CHECK_H
#define KILN_LINK_CHECK_H

#include "link/bake.h"

/* Pass: each symbol of --export must be defined by one module, and by nothing else. */
int kiln_bake_check_exports(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* Returns the section and the symbol of the first address in a read-only section of a module; NULL if none
 * has one. */
const char *kiln_bake_find_fixed(const struct kiln_bake *bake);
/* Check the executable at PATH before it gets its name. */
int kiln_bake_check_result(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path);
/* Start it. If only the program without extensions starts, sets bake->not_started and returns KILN_ERR_TOOL, which has
 * not been reported. */
int kiln_bake_check_start(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *path);

#endif
