/* One extension to one relocatable object that can be linked with any number of others.
 *
 * Two steps, as they happen at different times. *Combining* joins the inputs of one extension's
 * link with `ld -r`, when kiln-cc sees that link. *Isolating* gives the result its dotted name,
 * when `kiln link` knows where the extension is installed: its own in-place ELF edit, without any
 * program run. */
#ifndef KILN_ISOLATE_ISOLATE_H
#define KILN_ISOLATE_ISOLATE_H

#include "base/ctx.h"

/* What goes into one extension, in the order of its link. */
struct kiln_combine {
    struct kiln_strings inputs; /* paths of object files and whole archives; an archive's member is
                                 * "libx.a(member.o)" */
    struct kiln_strings flags;  /* for ld -r, as recorded: --wrap=, --defsym=, -u, ... */
    struct kiln_strings inits;  /* the init symbols to keep; empty: all that are defined */
    const char *cc;             /* the driver that lowers gcc's LTO objects; NULL: "cc" */
};

/* Join INPUTS into one relocatable at OUT_PATH. LTO inputs are lowered to machine code.
 * Constructors and destructors are taken out of the linker's sight and hang on the init functions
 * instead. The result still has its names. */
int kiln_combine(struct kiln_ctx *ctx, const struct kiln_combine *in, const char *out_path);

/* What isolating found out about one extension. In the context's arena. */
struct kiln_isolated {
    const char *symbol;  /* the exported init function, see kiln_isolate_symbol_name() */
    const char *init;    /* the init symbol it stands for: "PyInit__core" */
    const char *suffix;  /* what the name of every other defined symbol got: ".a_db" */
    uint64_t size;       /* bytes of SHF_ALLOC sections */
    size_t constructors; /* deferred ones */
    size_t destructors;
    size_t hidden;                 /* symbols renamed and hidden */
    bool asks_dladdr;              /* had an undefined dladdr, now kiln_dladdr */
    const char *not_pic;           /* section and symbol of an absolute 32-bit relocation, which
                                    * cannot be linked into a PIE; NULL if there is none */
    struct kiln_strings undefined; /* global, not weak; sorted, without duplicates */
};

/* For INIT of kiln_isolate(): an export hook (PEP 793) rather than an init function where the
 * extension has both, as Python does from 3.15 on. */
extern const char kiln_init_export_first[];

/* Edit the relocatable file at PATH in place (it came from kiln_combine()): every defined symbol
 * gets a suffix made of DOTTED_NAME and is hidden, and INIT (NULL: the one for the name's last
 * component, or the only init symbol there is) is exported as kiln_isolate_symbol_name(DOTTED_NAME).
 * The result is checked: what is defined carries the suffix, nothing is left that another extension
 * could meet. */
int kiln_isolate(struct kiln_ctx *ctx, const char *path, const char *dotted_name, const char *init,
                 struct kiln_isolated *out);

/* Make SYMBOL, which is that of a module that kiln_isolate() has made at PATH, visible to the dynamic
 * linker, if the program's link exports it. */
int kiln_isolate_export(struct kiln_ctx *ctx, const char *path, const char *symbol);

/* Injective, and a C identifier: "kiln_init_" (for PyModExport "kiln_export_") and the dotted name
 * with "_" as "__", "." as "_d", and every byte outside [A-Za-z0-9] as "_x" and two hexadecimal
 * digits. */
const char *
kiln_isolate_symbol_name(struct kiln_ctx *ctx, const char *init, const char *dotted_name);

/* The init symbol that Python looks for: KIND ("PyInit", "PyModExport"), then "_" and the last
 * component of DOTTED_NAME, or, if that is not ASCII, "U_" and its Punycode with "_" for "-" (PEP
 * 489). */
const char *kiln_isolate_init_name(struct kiln_ctx *ctx, const char *kind, const char *dotted_name);

/* 0, or KILN_ERR_INPUT that says what is wrong: DOTTED_NAME must be UTF-8 components of letters,
 * digits, "_" and non-ASCII, joined by single dots. (A leading digit is let through: generated
 * module names have it, and importlib does not mind.) */
int kiln_check_dotted_name(struct kiln_ctx *ctx, const char *dotted_name);

#endif
