/* The compiler driver and the linker of the final link. */
#ifndef KILN_LINK_TOOLCHAIN_H
#define KILN_LINK_TOOLCHAIN_H

#include "base/ctx.h"

struct kiln_bake;

/* Pass: choose driver and linker. Requires the modules. */
int kiln_toolchain_choose(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* The compiler driver for C or C++: the user's choice, else that for the Python's machine. */
const char *
kiln_toolchain_get_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool cplusplus);
/* Whether DRIVER links the C++ run-time library by itself. */
bool kiln_toolchain_is_cplusplus(const char *driver);
/* Returns the path of the library NAME ("libc.so.6") that DRIVER links with, or NULL if it names none.
 */
const char *kiln_toolchain_find_library(struct kiln_ctx *ctx, const char *driver, const char *name);

#endif
