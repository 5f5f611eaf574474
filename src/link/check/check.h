/* Checks: modules that were files, each with a scope of its own, share one scope in the executable.
 * Where that would change what a name means, the link is refused, or what can be kept is kept. */
#ifndef KILN_LINK_CHECK_H
#define KILN_LINK_CHECK_H

#include "link/bake.h"

/* Set *found to whether isolated extensions must be isolated again, with symbols visible that their
 * shared libraries look up: these are in their `interposing`. */
int kiln_bake_find_interposing(struct kiln_ctx *ctx, struct kiln_bake *bake, bool *found);

/* Pass: no two different libraries may have one DT_SONAME. */
int kiln_bake_check_sonames(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: what a module or a library takes from its own libraries must not come from another's. */
int kiln_bake_check_scope(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: each symbol of --export must be defined by one module, and by nothing else. */
int kiln_bake_check_keep_symbols(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Returns why modules have addresses in read-only sections (IS_ANY: or other absolute ones): the section and
 * the symbol of the first; NULL if none has. */
const char *kiln_bake_find_fixed(const struct kiln_bake *bake, bool is_any);
/* Check the executable at PATH before it gets its name. */
int kiln_bake_check_result(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path);
/* Warn of libraries that the dynamic loader does not find for the executable at PATH. */
void kiln_bake_check_loading(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path);

#endif
