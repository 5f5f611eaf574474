/* Shared libraries with their symbols, each read once. */
#ifndef KILN_LINK_DSO_H
#define KILN_LINK_DSO_H

#include "base/ctx.h"

/* A dynamic symbol that is not local. */
struct kiln_dso_symbol {
    const char *name;
    bool is_defined;
    bool is_exported; /* defined for other objects */
    bool is_weak;     /* not STB_GLOBAL */
    bool is_named;    /* a relocation of the library names it: the dynamic loader looks it up */
};

struct kiln_dso {
    const char *path;
    bool is_shared;     /* it could be read as a shared object; if not, the rest is empty */
    const char *soname; /* NULL if it has none */
    struct kiln_strings needed, rpaths;
    bool has_versions;               /* of symbols that it defines */
    struct kiln_dso_symbol *symbols; /* sorted by name */
    size_t symbol_count;
};

struct kiln_dso_list {
    struct kiln_dso **items;
    size_t count, capacity;
};

/* Returns the library at PATH, read now if it is not in LIST. All of it is in the context's arena. Not
 * for several threads at a time. */
const struct kiln_dso *
kiln_dso_get(struct kiln_ctx *ctx, struct kiln_dso_list *list, const char *path);

/* The symbols called NAME: returns the first, and sets *count. */
const struct kiln_dso_symbol *
kiln_dso_find(const struct kiln_dso *dso, const char *name, size_t *count);
/* Whether the library defines NAME, or looks NAME up. */
bool kiln_dso_defines(const struct kiln_dso *dso, const char *name);
bool kiln_dso_looks_up(const struct kiln_dso *dso, const char *name);

#endif
