/* What one object needs before ld gets it. */
#ifndef KILN_COMBINE_PREPARE_H
#define KILN_COMBINE_PREPARE_H

#include "combine/combining.h"

struct kiln_needs {
    bool shim;     /* it has constructors or destructors */
    bool reversal; /* some of them in legacy arrays */
};

struct kiln_needs kiln_prepare_find_needs(const struct kiln_elf *elf);
/* Returns 0, or an error with a message if ELF cannot be part of an isolated extension. */
int kiln_prepare_check(struct kiln_ctx *ctx, const struct kiln_elf *elf);
/* Adds the init symbols that ELF defines to OUT. */
void
kiln_prepare_find_inits(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_strings *out);
/* Checks INPUT, an object, records in RUN what it holds, and replaces it by an altered copy if
 * needed. */
int kiln_prepare_object(struct kiln_combining *run, struct kiln_input *input);

#endif
