/* The inputs of one extension's link to one relocatable object, joined by `ld -r` when kiln-cc sees
 * that link. The result still has its names; isolating (isolate/isolate.h) gives it its own. */
#ifndef KILN_COMBINE_COMBINE_H
#define KILN_COMBINE_COMBINE_H

#include "base/ctx.h"

/* What goes into one extension, in the order of its link. */
struct kiln_combine {
    struct kiln_strings inputs;  /* paths of object files and whole archives; an archive's member is
                                 * "libx.a(member.o)" */
    struct kiln_strings flags;   /* for ld -r, as recorded: --wrap=, --defsym=, -u, ... */
    struct kiln_strings inits;   /* the init symbols to keep; empty: all that are defined */
    const char *cc;              /* the driver that lowers gcc's LTO objects; NULL: the one for
                                  * their machine */
    struct kiln_strings origins; /* for each of INPUTS, "libx.a(member.o)" if it is an archive's
                                  * member, or ""; or empty */

    /* Filled by kiln_combine(), unless NULL; if no input has an origin, left as they are. */
    struct kiln_strings *archives; /* those of ORIGINS */
    struct kiln_span *parts;       /* see parts.h; in the context's arena */
};

/* Join INPUTS into one relocatable at OUT_PATH. LTO inputs are lowered to machine code.
 * Constructors and destructors are taken out of the linker's sight and hang on the init functions
 * instead. The result still has its names. */
int kiln_combine(struct kiln_ctx *ctx, const struct kiln_combine *in, const char *out_path);

#endif
