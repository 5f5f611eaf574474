/* What prepare.c and whole.c do for each other. */
#ifndef KILN_COMBINE_PREPARE_H
#define KILN_COMBINE_PREPARE_H

#include "combine/inputs.h"

/* What there is to do for an object. */
struct kiln_needs {
    bool shim;     /* it has constructors or destructors */
    bool reversal; /* some of them in legacy arrays */
};

struct kiln_needs kiln_prepare_find_needs(const struct kiln_elf *elf);
/* 0, or why ELF cannot be part of an isolated extension, said. */
int kiln_prepare_check(struct kiln_ctx *ctx, const struct kiln_elf *elf);
/* Add the init symbols that ELF defines to OUT. */
void
kiln_prepare_find_inits(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_strings *out);
/* Check INPUT, an object, note what it has in RUN, and replace it by an altered copy if need be. */
int kiln_prepare_object(struct kiln_combining *run, struct kiln_input *input);
/* The same for an archive; its init symbols go to OFFERED. */
int kiln_prepare_archive(struct kiln_combining *run, struct kiln_input *input,
                         struct kiln_strings *offered);

#endif
