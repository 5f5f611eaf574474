/* The extension files to bake, and their dotted names. */
#ifndef KILN_LINK_SEARCH_H
#define KILN_LINK_SEARCH_H

#include "link/find/python.h"

struct kiln_found {
    const char *name;   /* dotted */
    const char *path;   /* the extension file */
    const char *root;   /* the directory below which its path is its name */
    const char *place;  /* what ROOT is to be called: a wheel's path, if it was unpacked there */
    bool package;       /* it is the `__init__` of a package */
    const char *reason; /* why it cannot be baked; NULL if no reason is known */
    bool is_explicit;   /* named on the command line, not found in a directory */
    bool is_standard;   /* of the standard library */
    bool is_addition;   /* in none of the PATHs that were given, and of the standard library */
    size_t order;       /* of discovery */
};

struct kiln_found_list {
    struct kiln_found *items;
    size_t count, capacity;
};

/* The path of FOUND, or, in a wheel, that of the wheel and what is in it, as zipimport has it. */
const char *kiln_found_get_place(struct kiln_ctx *ctx, const struct kiln_found *found);

/* Find the extensions in PATHS, or, if there are none, on PYTHON's own path, and with WITH_STANDARD those
 * of the standard library; sorted by name. A directory is searched as importlib's FileFinder would search
 * it, a wheel is unpacked into the temporary directory, an extension file gets its name from its place.
 * Two files of one dotted name in PATHS are an error; on Python's own path the first one counts, as for
 * Python. */
int kiln_search(struct kiln_ctx *ctx, const struct kiln_python *python,
                const struct kiln_strings *paths, bool with_standard, struct kiln_found_list *out);

#endif
