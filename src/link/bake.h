/* One executable being linked: the data that the passes of `kiln link` hand on. link.c calls them in
 * order; the comment of a member names the pass that fills it. */
#ifndef KILN_LINK_BAKE_H
#define KILN_LINK_BAKE_H

#include "base/file.h"
#include "fat/fat.h"
#include "isolate/isolate.h"
#include "link/find/distributions.h"
#include "link/find/python.h"
#include "link/find/search.h"
#include "link/link.h"

/* How one module shares static libraries with others: it is combined again without them. */
struct kiln_sharing {
    size_t common; /* the index of their object in the bake's common_libs */
    struct kiln_strings libraries;
    const char *object;         /* path of the module's relocatable without them */
    struct kiln_bindings bound; /* the symbols of the libraries that it uses */
};

/* Static libraries of which several modules use one copy; they are one object. */
struct kiln_common {
    const char *id;                /* see kiln_module_symbol_make_library_id() */
    const char *name;              /* "libfoo.a", or several, "libbar.a, libfoo.a" */
    struct kiln_strings libraries; /* the names of their files */
    struct kiln_strings users;     /* the names of the modules */
    size_t members;                /* how many objects it is combined from */
    const char *object;            /* path of the isolated object */
    struct kiln_isolated isolated;
    struct kiln_bindings bound; /* inline functions that only the modules define */
};

/* What an executable has not much of. */
enum kiln_memory { KILN_MEMORY_PROCESS, KILN_MEMORY_THREAD, KILN_MEMORIES };

/* One extension that was found. It becomes a module of the executable unless there is a reason not
 * to. */
struct kiln_baked {
    const struct kiln_found *found;
    const struct kiln_installed *distribution; /* distributions; NULL if not known */

    /* open */
    const char *reason;    /* why it stays a file; NULL if it does not, and the rest is filled */
    bool is_kept;          /* the user wants it to stay one */
    bool is_library;       /* it has the name of an extension, but no init function */
    bool is_plain;         /* it can be unlinked at most */
    const char *fault;     /* why its record cannot be used; NULL: it can, or there is none */
    struct kiln_file file; /* the extension's file, mapped until the end of the link */
    struct kiln_fat fat;

    /* open, ways */
    bool is_sharing; /* --share asks for it */
    const char
        *not_objects;     /* why it is not baked from its objects; NULL: it is, or is not baked */
    size_t library_count; /* how many libraries of the process it wants named */
    struct kiln_strings needed;     /* DT_NEEDED of the file, if it is */
    struct kiln_strings absent;     /* weak references of its objects that lead nowhere, sorted */
    uint64_t memory[KILN_MEMORIES]; /* of its file, if it is */

    const struct kiln_sharing *sharing; /* share; NULL if it shares no library */

    /* isolate */
    struct kiln_isolated isolated;

    /* unlink */
    bool is_image;              /* it is baked as an image of its file */
    struct kiln_strings images; /* paths of the libraries that are images with it */
    struct kiln_strings opened; /* names of the shared libraries that its import opens */
};

struct kiln_baked_list {
    struct kiln_baked *items;
    size_t count, capacity;
};

/* Modules with which the executable has not started, in an earlier link. */
struct kiln_unfit_list {
    struct kiln_unfit {
        const char *name, *reason;
    } * items;
    size_t count, capacity;
};

struct kiln_set;
struct kiln_unlink_image;

struct kiln_bake {
    const struct kiln_link_options *options;
    const struct kiln_unfit_list *unfit;
    const char *bindings; /* a temporary file with what images are bound to; NULL: nobody asks */
    struct kiln_python python;         /* python */
    struct kiln_found_list found;      /* search */
    size_t distribution_count;         /* distributions */
    struct kiln_baked_list extensions; /* one for each of `found`, in the same order */
    struct kiln_strings libraries;     /* open: shared libraries beside the extensions */

    const char *driver; /* toolchain: the compiler driver for C, perhaps with arguments */
    const char *
        link_driver; /* ways: the one that links; C++'s, if a module that shares needs its run-time library */
    const char *linker;         /* toolchain: for -fuse-ld= */
    bool shared_libpython, pie; /* libpython */
    const char *program; /* libpython: a program without extensions, linked in the same form */

    struct kiln_set *process; /* ways: what is in the process before any extension */
    struct kiln_strings
        linked; /* ways: libraries of it that the program has to name for its modules */

    struct kiln_common_list {
        struct kiln_common *items;
        size_t count, capacity;
    } common_libs; /* share */

    struct kiln_strings objects; /* isolate: files with the relocatables; archives among them are to
                                  * be linked whole */
    struct kiln_baked_list modules; /* select: the extensions that are baked, sorted by name */
    size_t kept;                    /* select: how many stay files, */
    size_t refused;                 /* and how many of them must not */

    const struct kiln_unlink_image *images; /* unlink: all that is in the executable */
    size_t image_count;
    size_t debug_images;     /* output: those with debug information that gdb is told of, */
    const char *not_started; /* and why the executable does not start; NULL: it does */

    const char *runtime; /* runtime: path of libkiln.a for this Python */
    const char *data;    /* data: path of the object with table, manifest and settings */
};

/* The passes in this folder. Those of share/, check/ and emit/ are in share.h, check.h, emit.h. */

/* Open every extension's file, once, and read its record. */
int kiln_bake_open(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Unmap the files. */
void kiln_bake_close(struct kiln_bake *bake);
/* Decide which extensions are baked from their objects. */
int kiln_bake_choose_ways(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Isolate the relocatables and write them where the linker will read them. */
int kiln_bake_isolate(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Sort the extensions into modules, files, and those to unlink. */
int kiln_bake_select(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Fail if there is no module. */
int kiln_bake_check_any(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* Let EXTENSION stay a file; with --verbose, say so. */
int
kiln_bake_keep(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct kiln_baked *extension);
/* Say which stay files, in a line for each distribution; nothing with --verbose. */
void kiln_bake_say_kept(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* Turn the extensions that are not baked from objects into images, which are modules, too. */
int kiln_bake_unlink(struct kiln_ctx *ctx, struct kiln_bake *bake);

#endif
