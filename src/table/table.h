/* Making the table of modules: from names to the assembly of a read-only section. The layout, and
 * the lookup, are in the public header kiln/table.h.
 *
 * kiln_table_emit() is all of it; the steps are here one by one for tests and for who wants the
 * bytes. */
#ifndef KILN_TABLE_TABLE_H
#define KILN_TABLE_TABLE_H

#include <stdio.h>

#include "base/ctx.h"
#include "kiln/table.h"

/* One module of the table to be. */
struct kiln_table_name {
    const char *name;   /* the dotted name */
    const char *symbol; /* the init function or export hook */
    unsigned flags;     /* KILN_MODULE_... */
    const char *file;   /* where it was asked for, for messages; NULL: nowhere in particular */
    size_t line;
};

struct kiln_table_names {
    struct kiln_table_name *items; /* in the context's arena, strings included */
    size_t count, capacity;
};

/* Append the modules in TEXT, lines of `dotted.name symbol [package]`; FILE is what messages call
 * it, and is borrowed. Lines without a name, a symbol, or a known third word are all reported; what
 * the words are is for kiln_table_sort() to judge. */
int kiln_table_read(struct kiln_ctx *ctx, struct kiln_table_names *names, struct kiln_span text,
                    const char *file);

/* Sort NAMES by name, and report every one that cannot be in a table: no dotted name, no symbol
 * that an assembler takes, a name that is there already. */
int kiln_table_sort(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count);

/* A table as it will be in the program, but with 0 in the place of every function. */
struct kiln_table_image {
    struct kiln_span bytes; /* aligned as the section is */
    const uint32_t *order;  /* by slot: the index of its name */
};

/* Lay the table out; NAMES come from kiln_table_sort(). */
int kiln_table_build(struct kiln_ctx *ctx, struct kiln_table_image *image,
                     const struct kiln_table_name *names, size_t count);

/* Write the section with the table as assembly for GNU as or clang: the same bytes for the same
 * names in any order. NAMES are sorted by it. */
int
kiln_table_emit(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count, FILE *stream);
/* The same for a table of its own SYMBOL and SECTION, in which not functions need be found. */
int kiln_table_emit_as(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count,
                       const char *symbol, const char *section, FILE *stream);

/* The table in BYTES, the contents of a section of NAME (a file, for messages), whoever may have
 * written them. Once this has returned 0, kiln_table_find() of any name, and the kiln_table_get_...
 * functions for every entry, read nothing outside BYTES; what kiln_table_get_function() gives is an
 * address and must not be called. *table is BYTES, or a copy in the arena if they are not aligned.
 */
int kiln_table_check_bytes(struct kiln_ctx *ctx, const struct kiln_table **table,
                           struct kiln_span bytes, const char *name);

#endif
