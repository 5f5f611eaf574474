/* Isolating: one combined object (combine/combine.h) to the module of one dotted name, which can be
 * linked with any number of others. This happens in `kiln link`, which knows where the extension is
 * installed: an edit of the ELF bytes in memory that runs no program. */
#ifndef KILN_ISOLATE_ISOLATE_H
#define KILN_ISOLATE_ISOLATE_H

#include "base/ctx.h"

/* The facts about one isolated module. In the context's arena. */
struct kiln_isolated {
    const char *symbol;        /* the exported init function, see kiln_module_symbol_make() */
    const char *init;          /* the init symbol it stands for: "PyInit__core" */
    const char *suffix;        /* of all other symbols that it defines: ".a_db", */
    const char *unique_suffix; /* except the distribution's UNIQUE symbols: ".a_u"; NULL: none, */
    const char *bound_suffix;  /* and those of a library that it shares: ".libx_da_l"; NULL: none */
    uint64_t size;             /* bytes of SHF_ALLOC sections */
    size_t constructors;       /* deferred ones */
    size_t destructors;
    size_t hidden;       /* symbols renamed and hidden */
    const char *not_pic; /* section and symbol of an absolute 32-bit relocation, which
                                    * cannot be linked into a PIE; NULL if there is none */
    const char
        *read_only_address; /* section and symbol of an absolute 64-bit relocation in a section
                                    * that is not written; NULL if there is none */
    struct kiln_strings undefined; /* global, not weak; sorted, without duplicates */
    struct kiln_strings exported;  /* those of kiln_isolation.exports that it defines */
};

/* A symbol of a shared library, and its name after isolating. The module refers to it, or defines it
 * too (weakly); either becomes the library's. */
struct kiln_binding {
    const char *name, *target;
};

struct kiln_bindings {
    struct kiln_binding *items; /* sorted by name, each once */
    size_t count, capacity;
    const char *suffix; /* the library's, of every target */
};

/* What an object is to become. */
struct kiln_isolation {
    const char *name; /* the dotted name */
    /* The init symbol, or kiln_init_export_first; NULL: the one for the name's last component, or
     * the only one there is. */
    const char *init;
    /* STB_GNU_UNIQUE symbols are shared with the modules that have the same name here (in shared
     * objects, by the whole process); NULL: the module has its own. */
    const char *distribution;
    /* Sorted: weak references that lead nowhere, whatever the program has; versions that others ask for are the
     * default ones. NULL: not known. */
    const struct kiln_strings *absent;
    const struct kiln_bindings *bound;  /* symbols of libraries that it shares; NULL: none */
    const char *library;                /* a shared library's id, of
                                         * kiln_module_symbol_make_library_id(); NULL: a module */
    const struct kiln_strings *exports; /* symbols that keep their names and stay visible; NULL:
                                         * none */
};

/* Makes OBJECT, which kiln_combine() made, the module AS. Each symbol that it defines gets a suffix
 * made of the dotted name and is hidden, except the init symbol, which is exported under the name
 * that kiln_module_symbol_make() gives it. The result is then verified: every defined symbol has the
 * suffix, and nothing can conflict with another module. *BYTES, the module, is in ARENA. Threads may
 * do this at the same time, each with its own context. */
int kiln_isolate(struct kiln_ctx *ctx, struct kiln_span object, const struct kiln_isolation *as,
                 struct kiln_isolated *out, struct kiln_arena *arena, struct kiln_span *bytes);
/* The same for the object file at PATH, which is replaced. */
int kiln_isolate_file(struct kiln_ctx *ctx, const char *path, const struct kiln_isolation *as,
                      struct kiln_isolated *out);

#endif
