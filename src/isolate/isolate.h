/* One combined object (combine/combine.h) to one relocatable that can be linked with any number of
 * others. Isolating gives it its dotted name, when `kiln link` knows where the extension is
 * installed: an edit of the ELF bytes in memory, without any program run. */
#ifndef KILN_ISOLATE_ISOLATE_H
#define KILN_ISOLATE_ISOLATE_H

#include "base/ctx.h"
#include "elf/machine.h"

/* What isolating found out about one extension. In the context's arena. */
struct kiln_isolated {
    const char *symbol;        /* the exported init function, see kiln_isolate_symbol_name() */
    const char *init;          /* the init symbol it stands for: "PyInit__core" */
    const char *suffix;        /* what the name of every other defined symbol got: ".a_db", */
    const char *common_suffix; /* but those that the distribution has one of: ".a_u"; NULL: none, */
    const char *bound_suffix;  /* and those of a library that it shares: ".libx_da_l"; NULL: none */
    uint64_t size;             /* bytes of SHF_ALLOC sections */
    size_t constructors;       /* deferred ones */
    size_t destructors;
    size_t hidden;                 /* symbols renamed and hidden */
    bool asks_dladdr;              /* had an undefined dladdr, now kiln_dladdr */
    const char *not_pic;           /* section and symbol of an absolute 32-bit relocation, which
                                    * cannot be linked into a PIE; NULL if there is none */
    struct kiln_strings undefined; /* global, not weak; sorted, without duplicates */
    struct kiln_strings shared;    /* symbols that are one for the distribution: "SIZE NAME" */
    struct kiln_strings exported;  /* of kiln_isolation.exports, those that it defines */
};

/* For `init` below: an export hook (PEP 793) rather than an init function where the extension has
 * both, as Python does from 3.15 on. */
extern const char kiln_init_export_first[];

/* A symbol that is, or refers to, a shared library's: its name in the object, and after isolating. If
 * the object defines it, too (weakly), both are one. */
struct kiln_binding {
    const char *name, *target;
};

struct kiln_bindings {
    struct kiln_binding *items; /* sorted by name, each once */
    size_t count, capacity;
    const char *suffix; /* the library's, that every target has */
};

/* What an object is to become. */
struct kiln_isolation {
    const char *name; /* the dotted name */
    /* The init symbol; NULL: the one for the name's last component, or the only one there is;
     * kiln_init_export_first. */
    const char *init;
    /* What is one for the whole process where it is a shared object (STB_GNU_UNIQUE) is one for all
     * modules that are given the same name here; NULL: the module has its own. */
    const char *distribution;
    const struct kiln_strings *own;     /* symbols of these that the module has of its own all the
                                         * same; NULL: none */
    const struct kiln_bindings *bound;  /* symbols of libraries that it shares; NULL: none */
    const char *library;                /* not a module: a shared library, and this is its id, see
                                         * kiln_isolate_library_id(); NULL: a module */
    const struct kiln_strings *exports; /* symbols that keep their names and stay visible; NULL:
                                         * none */
};

/* Make OBJECT (it came from kiln_combine()) the module AS: every defined symbol gets a suffix made
 * of the dotted name and is hidden, and the init symbol is exported as kiln_isolate_symbol_name()
 * of it. The result is checked: what is defined carries the suffix, nothing is left that another
 * extension could meet. *bytes, the module's object, is in ARENA; what *out has, in the context's.
 * Any number of threads may do this, each with a context of its own. */
int kiln_isolate(struct kiln_ctx *ctx, struct kiln_span object, const struct kiln_isolation *as,
                 struct kiln_isolated *out, struct kiln_arena *arena, struct kiln_span *bytes);
/* The same with the object file at PATH, which is replaced. */
int kiln_isolate_file(struct kiln_ctx *ctx, const char *path, const struct kiln_isolation *as,
                      struct kiln_isolated *out);

/* Make SYMBOL, which is that of a module that kiln_isolate() has made at PATH, visible to the dynamic
 * linker, if the program's link exports it. */
int kiln_isolate_export(struct kiln_ctx *ctx, const char *path, const char *symbol);

/* Injective, and a C identifier: "kiln_init_" (for PyModExport "kiln_export_") and the dotted name
 * with "_" as "__", "." as "_d", and every byte outside [A-Za-z0-9] as "_x" and two hexadecimal
 * digits. */
const char *
kiln_isolate_symbol_name(struct kiln_ctx *ctx, const char *init, const char *dotted_name);

/* The object of a library that several modules share is combined with KILN_LIBRARY_INIT as its only
 * init symbol, which kiln_isolate_make_library_start() puts into an object at OUT: a function that
 * does nothing but run the library's constructors, once, if it has some. Its isolated symbol is
 * "kiln_init_" and the id, its suffix "." and the id. No module has such an id. */
#define KILN_LIBRARY_INIT "PyInit_kiln_library"
int kiln_isolate_make_library_start(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                                    const char *out);
const char *kiln_isolate_library_id(struct kiln_ctx *ctx, const char *name, size_t number);
/* An object at OUT with which a module runs the constructors of the library with ID before its own. */
int kiln_isolate_make_library_call(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                                   const char *id, const char *out);

/* The init symbol that Python looks for: KIND ("PyInit", "PyModExport"), then "_" and the last
 * component of DOTTED_NAME, or, if that is not ASCII, "U_" and its Punycode with "_" for "-" (PEP
 * 489). */
const char *kiln_isolate_init_name(struct kiln_ctx *ctx, const char *kind, const char *dotted_name);

/* 0, or KILN_ERR_INPUT that says what is wrong: DOTTED_NAME must be UTF-8 components of letters,
 * digits, "_" and non-ASCII, joined by single dots. (A leading digit is let through: generated
 * module names have it, and importlib does not mind.) */
int kiln_check_dotted_name(struct kiln_ctx *ctx, const char *dotted_name);

#endif
