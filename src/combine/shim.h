/* Objects that Kiln assembles itself. */
#ifndef KILN_COMBINE_SHIM_H
#define KILN_COMBINE_SHIM_H

#include "combine/combining.h"

/* Assembles, as an object at OUT, the functions that run the constructors before each of
 * run->inits. */
int kiln_shim_make(struct kiln_combining *run, const char *out);

/* Assembles KILN_LIBRARY_INIT, for the object of a library that several extensions share. */
int kiln_shim_make_library_start(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                                 const char *out);
/* Assembles an object that makes an extension run the constructors of the library with ID before its
 * own. */
int kiln_shim_make_library_call(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                                const char *id, const char *out);

#endif
