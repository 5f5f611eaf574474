/* The init function of an isolated module, visible to the dynamic linker. */
#ifndef KILN_ISOLATE_VISIBLE_INIT_H
#define KILN_ISOLATE_VISIBLE_INIT_H

#include "base/ctx.h"

/* Makes SYMBOL of the module that kiln_isolate_file() made at PATH visible: programs find it at run
 * time if their link exports it. */
int kiln_visible_init_set(struct kiln_ctx *ctx, const char *path, const char *symbol);

#endif
