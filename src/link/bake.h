/* What the passes of `kiln link` share: one executable in the making. link.c calls them in order;
 * each fills the members that its comment names. */
#ifndef KILN_LINK_BAKE_H
#define KILN_LINK_BAKE_H

#include "fat/fat.h"
#include "isolate/isolate.h"
#include "link/link.h"
#include "link/python.h"
#include "link/search.h"

/* One module that goes into the executable. */
struct kiln_baked {
    const struct kiln_found *found;
    struct kiln_fat fat;
    struct kiln_isolated isolated;
    const char *object;                  /* path of the isolated relocatable */
    const struct kiln_installed *origin; /* distributions; NULL: not known */
};

struct kiln_baked_list {
    struct kiln_baked *items;
    size_t count, capacity;
};

struct kiln_bake {
    const struct kiln_link_options *options;
    struct kiln_python python;
    struct kiln_found_list found;

    struct kiln_baked_list modules; /* select; sorted by name, as `found` is */
    size_t kept;                    /* select: extensions that stay files, each said */
    size_t origins;                 /* distributions: how many the modules came from */

    const char *runtime; /* runtime: path of libkiln.a for this Python */
    const char *data;    /* data: path of the object with table, manifest and settings */

    /* toolchain */
    const char *driver; /* the compiler driver that links: the C++ one if a module needs it */
    const char *linker; /* for -fuse-ld= */

    /* libpython */
    bool shared_libpython, pie;
};

/* Read the `.kiln` section of everything found; bake what has an object, keep the rest as files. */
int kiln_bake_select(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Find the distribution that each module came from. */
int kiln_bake_distributions(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Isolate each module into an object file in the temporary directory. */
int kiln_bake_isolate(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Choose compiler driver and linker. */
int kiln_bake_toolchain(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Choose static or shared libpython, PIE or not, by trial. */
int kiln_bake_libpython(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Compile the importer for this Python, unless the cache has it. */
int kiln_bake_runtime(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Emit and assemble the table, the manifest that `kiln ls` reads, and the runtime's settings. */
int kiln_bake_data(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Link it all and put the result into place. */
int kiln_bake_output(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* Arguments for the driver that link with libpython as chosen. The static archive goes before the
 * modules: programs in them that compare addresses of their callers with libpython's expect it
 * below them. Shared libraries go last, as --as-needed wants it. */
void kiln_bake_push_archive(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                            struct kiln_strings *argv);
void kiln_bake_push_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                              struct kiln_strings *argv);

/* Whether a linker ran out of disk, from what it said in TEXT. */
bool kiln_bake_is_disk_full(const char *text);

#endif
