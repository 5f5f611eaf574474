/* Combining: the inputs of one extension's link to one relocatable object, by `ld -r`. kiln-cc does
 * this when it sees the link. The object keeps its names; isolating (isolate/isolate.h) comes later,
 * in `kiln link`. */
#ifndef KILN_COMBINE_COMBINE_H
#define KILN_COMBINE_COMBINE_H

#include "base/ctx.h"

/* What was linked: an object file, an archive of which ld chooses members, or one member. */
struct kiln_link_input {
    const char *path;
    const char *member; /* of the archive at PATH; NULL: the file as a whole */
};

struct kiln_link_inputs {
    struct kiln_link_input *items;
    size_t count, capacity;
};

/* What goes into one extension. */
struct kiln_combine {
    struct kiln_link_inputs inputs; /* in the order of the link */
    struct kiln_strings flags;      /* for ld -r, as recorded: --wrap=, --defsym=, -u, ... */
    struct kiln_strings maps;       /* "OLD=NEW": for the paths of ARCHIVES and PARTS */
    struct kiln_strings inits;      /* the init symbols to keep; empty: all that are defined */
    const char *cc; /* the driver that lowers gcc's LTO objects; NULL: the one for their machine */
    const char *ld; /* GNU ld, and the assembler; NULL: those for the machine of the objects */
    const char *as;

    /* Filled by kiln_combine() if there are members of archives among the inputs, so that the object
     * can be combined again without some of them; NULL: not wanted. */
    struct kiln_strings *archives; /* absolute paths */
    struct kiln_span *parts;       /* see parts.h; in the context's arena */
};

/* Joins INPUTS into one relocatable object at OUT_PATH. LTO inputs are lowered to machine code.
 * Constructors and destructors are hidden from the linker, and run when an init function is called
 * first. names/combined.h has the names that the object then defines. */
int kiln_combine(struct kiln_ctx *ctx, const struct kiln_combine *in, const char *out_path);

#endif
