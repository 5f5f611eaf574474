/* Makes the table of modules: from names to the assembly of a read-only section. The public header
 * kiln/table.h has the layout and the lookup.
 *
 * kiln_table_emit() does all of it; tests call the steps one by one. */
#ifndef KILN_TABLE_TABLE_H
#define KILN_TABLE_TABLE_H

#include <stdio.h>

#include "base/ctx.h"
#include "kiln/table.h"

/* One module of the table. */
struct kiln_table_name {
    const char *name;   /* the dotted name */
    const char *symbol; /* the init function or export hook */
    unsigned flags;     /* KILN_MODULE_... */
    const char *file;   /* with LINE, where it is listed, for messages; NULL: in no file */
    size_t line;
};

struct kiln_table_names {
    struct kiln_table_name *items; /* in the context's arena, strings included */
    size_t count, capacity;
};

/* Appends the modules in TEXT, lines of `dotted.name symbol [package]`, to NAMES. FILE is its name for
 * messages, and borrowed. Reports every line that has no symbol or an unknown third word;
 * kiln_table_sort() checks names and symbols. */
int kiln_table_read(struct kiln_ctx *ctx, struct kiln_table_names *names, struct kiln_span text,
                    const char *file);

/* Sorts NAMES, and reports each that cannot be in a table: not a dotted name, not a symbol for an
 * assembler, a duplicate. */
int kiln_table_sort(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count);

/* A table as it will be in the program, but with 0 for every function. */
struct kiln_table_image {
    struct kiln_span bytes; /* aligned as the section is */
    const uint32_t *order;  /* by slot: the index of its name */
};

/* Lays the table out. Requires NAMES as kiln_table_sort() leaves them. */
int kiln_table_build(struct kiln_ctx *ctx, struct kiln_table_image *image,
                     const struct kiln_table_name *names, size_t count);

/* Sorts NAMES and writes the section with the table as assembly for GNU as or clang: the same bytes
 * for the same names in any order. *ORDER, unless ORDER is NULL, is by slot the index of its name, in the
 * context's arena. */
int kiln_table_emit(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count, FILE *stream,
                    const uint32_t **order);
/* The same for another table, SYMBOL in SECTION, whose symbols need not be functions. */
int
kiln_table_emit_as(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count,
                   const char *symbol, const char *section, FILE *stream, const uint32_t **order);

#endif
