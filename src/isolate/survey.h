/* Facts about an object. */
#ifndef KILN_ISOLATE_SURVEY_H
#define KILN_ISOLATE_SURVEY_H

#include "isolate/plan.h"

/* Fills the rest of *OUT: sizes, counts, undefined symbols. */
int kiln_survey_fill(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out);

#endif
