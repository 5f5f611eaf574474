/* What the passes of `kiln link` share: one executable in the making. link.c calls them in order;
 * each fills the members that its comment names. */
#ifndef KILN_LINK_BAKE_H
#define KILN_LINK_BAKE_H

#include "fat/fat.h"
#include "isolate/isolate.h"
#include "link/cache.h"
#include "link/find/distributions.h"
#include "link/link.h"
#include "link/find/python.h"
#include "link/find/search.h"

/* A module that shares libraries with others: it is combined without them. */
struct kiln_sharing {
    size_t shared; /* which of the bake's */
    struct kiln_strings libraries;
    const char *object;         /* path of its relocatable without them, combined anew */
    struct kiln_bindings bound; /* what it uses of them */
};

/* Libraries of which several modules have one copy. */
struct kiln_shared {
    const char *id;                /* see kiln_module_symbol_make_library_id() */
    const char *name;              /* "libfoo.a", or several, "libbar.a, libfoo.a" */
    struct kiln_strings libraries; /* their files' names */
    struct kiln_strings users;     /* modules */
    size_t members;                /* objects that it is made of */
    const char *object;            /* path of it, isolated */
    struct kiln_isolated isolated;
    struct kiln_bindings
        bound; /* what it uses of the modules: inline functions that only they have */
};

/* One extension that was found; one that goes into the executable, if nothing is against it. */
struct kiln_baked {
    const struct kiln_found *found;
    const char *reason; /* why it cannot be baked; NULL: it can, and the rest is filled */
    bool is_library;    /* read: no extension at all, though it has the name of one */
    struct kiln_fat fat;
    struct kiln_isolated isolated;
    struct kiln_strings
        needed;    /* read: DT_NEEDED of the file, if it is linked against any library */
    bool is_rpath; /* read: the search path of the file holds for what its libraries need, too */
    const struct kiln_installed *origin; /* distributions; NULL: not known */
    struct kiln_strings own;             /* see struct kiln_isolation */
    struct kiln_strings looked_for;      /* read: symbols that stay visible for its libraries */
    const struct kiln_sharing *sharing;  /* share; NULL: nothing is shared */
};

struct kiln_baked_list {
    struct kiln_baked *items;
    size_t count, capacity;
};

/* A variable that is one for its distribution, but not of one size in all of it. */
struct kiln_conflict {
    const char *distribution, *symbol;
    struct kiln_strings modules;
};

struct kiln_bake {
    const struct kiln_link_options *options;
    struct kiln_python python;
    struct kiln_found_list found;

    struct kiln_cache cache;

    struct kiln_shared_list {
        struct kiln_shared *items;
        size_t count, capacity;
    } shared; /* share */

    struct kiln_baked_list extensions; /* one for each of `found`, in their order */
    struct kiln_strings objects;       /* read: files with the isolated relocatables of those that
                                        * can be baked, some of them archives to be taken whole */

    struct kiln_conflict_list {
        struct kiln_conflict *items;
        size_t count, capacity;
    } conflicts; /* read */

    struct kiln_baked_list modules; /* select: the extensions that are baked; sorted by name */
    size_t kept;                    /* select: extensions that stay files, each said */
    size_t origins;                 /* distributions: how many the extensions came from */

    const char *runtime; /* runtime: path of libkiln.a for this Python */
    const char *data;    /* data: path of the object with table, manifest and settings */

    /* toolchain */
    const char *driver; /* the compiler driver that links: the C++ one if a module needs it */
    const char *linker; /* for -fuse-ld= */

    /* libpython */
    bool shared_libpython, pie;
};

/* Find the distribution that each extension came from. */
int kiln_bake_distributions(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* What EXTENSION shares process-wide variables with: the name of its distribution or else of its
 * top-level package; NULL: nothing. */
const char *kiln_baked_get_distribution(struct kiln_ctx *ctx, const struct kiln_baked *extension);
/* Whether extensions that were isolated are to be isolated anew, with some variables of their own:
 * these are in their `own` and in BAKE's conflicts. */
bool kiln_bake_find_conflicts(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Set *found to whether extensions that were isolated are to be isolated anew, with some symbols visible
 * that shared libraries look for: these are in their `looked_for`. */
int kiln_bake_find_looked_for(struct kiln_ctx *ctx, struct kiln_bake *bake, bool *found);
/* Whether the standard library has a module of this NAME, which Python prefers. */
bool kiln_bake_is_reserved(const struct kiln_bake *bake, const char *name);
/* Take the libraries that are to be shared out of the extensions that use them. */
int kiln_bake_share(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Read everything found, once, and isolate the relocatables there are. */
int kiln_bake_read(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Bake what can be baked, keep the rest as files. */
int kiln_bake_select(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* RPATH of MODULE with $ORIGIN as the place of its file; NULL if it does not begin with that. */
const char *
kiln_baked_expand_origin(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *rpath);
/* The shared library that MODULE was linked against as NAME ("libfoo.so") and would find by $ORIGIN,
 * perhaps under another name: its path, links resolved, or NULL. */
const char *
kiln_baked_find_helper(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name);
/* The shared libraries of MODULE's link that it would find so; they are added to ALL. */
struct kiln_strings kiln_baked_list_helpers(struct kiln_ctx *ctx, const struct kiln_baked *module,
                                            struct kiln_strings *all);
/* The library NAME as the library at the path LIBRARY would find it in RPATH of its own: the path, links
 * resolved, or NULL. */
const char *kiln_library_find_needed(struct kiln_ctx *ctx, const char *library, const char *rpath,
                                     const char *name);
/* A name that the dynamic loader knows libraries by must not be that of two different ones. */
int kiln_bake_check_sonames(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* What a module or a library takes from its own libraries must not come from another's instead. */
int kiln_bake_check_scope(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* The compiler driver for C or C++: the user's choice, else that for the Python's machine. */
const char *
kiln_bake_get_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool cplusplus);
/* Whether DRIVER adds the C++ run-time library by itself. */
bool kiln_bake_is_cplusplus(const char *driver);
/* The path of the library NAME ("libc.so.6") that DRIVER links with; NULL if it does not say. */
const char *kiln_bake_ask_driver(struct kiln_ctx *ctx, const char *driver, const char *name);
/* Choose compiler driver and linker. */
int kiln_bake_toolchain(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Choose static or shared libpython, PIE or not, by trial. */
int kiln_bake_libpython(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* The symbols that are to stay visible must be there, once. */
int kiln_bake_check_exports(struct kiln_ctx *ctx, const struct kiln_bake *bake);
/* Compile the importer for this Python, unless the cache has it. */
int kiln_bake_runtime(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Emit and assemble the table, the manifest that `kiln ls` reads, and the runtime's settings. */
int kiln_bake_data(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Link it all and put the result into place. */
int kiln_bake_output(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* Warn of libraries that the dynamic loader will not find. */
void kiln_bake_check_loading(struct kiln_ctx *ctx, const struct kiln_bake *bake);

/* The name of the file that --split-debug writes beside OUTPUT. */
const char *kiln_bake_get_debug_path(struct kiln_ctx *ctx, const char *output);
/* Move the debug information of the program at PATH, which stays in its place, into a file beside it;
 * with --strip, the symbols as well. */
int kiln_bake_split_debug(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path);

/* Say and write what was done to each module, if somebody wants to know. */
int kiln_bake_report(struct kiln_ctx *ctx, const struct kiln_bake *bake);

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
