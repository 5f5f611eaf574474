/* Carrying out the plan. */
#ifndef KILN_ISOLATE_EDIT_H
#define KILN_ISOLATE_EDIT_H

#include "isolate/plan.h"

/* Sets *OUT to the bytes of the module that PLAN describes, in ARENA. */
int kiln_edit_apply(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_arena *arena,
                    struct kiln_span *out);

#endif
