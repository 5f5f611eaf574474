/* The compiler driver and the linker of the final link. */
#ifndef KILN_LINK_TOOLCHAIN_H
#define KILN_LINK_TOOLCHAIN_H

#include "base/ctx.h"

struct kiln_bake;

/* Set *OUT to the compiler driver: the user's choice, else that for the Python's machine. An error if there is
 * none. It may have arguments ("ccache gcc"): kiln_process_push_command() has its words. */
int kiln_toolchain_choose_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                 bool is_cplusplus, const char **out);
/* Pass: choose the driver, for C, and the linker. */
int kiln_toolchain_choose(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* Returns the path of the library NAME ("libc.so.6") that DRIVER links with, or NULL if it names none.
 */
const char *kiln_toolchain_find_library(struct kiln_ctx *ctx, const char *driver, const char *name);

#endif
