/* Checking the result. */
#ifndef KILN_ISOLATE_VERIFY_H
#define KILN_ISOLATE_VERIFY_H

#include "isolate/plan.h"

/* Checks that nothing in ELF, a module, conflicts with another module or harms the program. */
int
kiln_verify(struct kiln_ctx *ctx, const struct kiln_elf *elf, const struct kiln_isolated *isolated);

#endif
