/* `kiln link`: from fat extensions to one executable. */
#ifndef KILN_LINK_LINK_H
#define KILN_LINK_LINK_H

#include "base/ctx.h"

enum kiln_libpython {
    KILN_LIBPYTHON_ANY, /* the static one if it links, else the shared one */
    KILN_LIBPYTHON_STATIC,
    KILN_LIBPYTHON_SHARED,
};

/* Which way extensions go into the executable. */
enum kiln_from {
    KILN_FROM_AUTO,    /* from their objects if they have a record of them, else unlinked */
    KILN_FROM_OBJECTS, /* from their objects, or not at all */
    KILN_FROM_WHEELS,  /* unlinked, or not at all */
};

/* Whether the executable is position-independent. */
enum kiln_pie {
    KILN_PIE_ANY, /* as is best for the libpython that it is linked with */
    KILN_PIE_YES,
    KILN_PIE_NO,
};

struct kiln_link_options {
    const char *python; /* an interpreter; NULL: python3 on PATH */
    const char *output; /* NULL: "python" */
    const char *linker; /* "bfd", "gold", "lld", "mold"; NULL: lld if present, else bfd */
    enum kiln_libpython libpython; /* the one asked for */
    enum kiln_from from;
    enum kiln_pie pie;
    bool separate_code; /* no read-only data of an image can be executed once it is imported */
    bool strict;        /* what stays a file, unless the user wants it to, is an error */
    struct kiln_strings keeps;   /* modules, and packages, that stay files */
    struct kiln_strings exports; /* symbols of modules that stay visible under their own names */
    bool strip;                  /* no debug information, and no symbols but the dynamic ones */
    bool split_debug;            /* debug information in a file beside the output */
    struct kiln_strings shares;  /* libraries and sets of extensions, see kiln-link(1) */
    struct kiln_strings
        path_maps; /* "OLD=NEW": what places are to be called in the executable and the report */
    const char *report;        /* path of the report, in JSON; NULL: none */
    const char *bindings;      /* path of what images are bound to; NULL: none */
    struct kiln_strings paths; /* directories, fat extensions, wheels; none: PYTHON's own */
};

/* Bake the extensions of OPTIONS->paths into OPTIONS->output. A note tells of each extension that stays
 * a file, and why. On failure there is no output. */
int kiln_link(struct kiln_ctx *ctx, const struct kiln_link_options *options);

#endif
