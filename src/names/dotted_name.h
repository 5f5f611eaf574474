/* The dotted name of a module: UTF-8 components of ASCII letters, digits, "_" and non-ASCII
 * characters, joined by single dots. */
#ifndef KILN_NAMES_DOTTED_NAME_H
#define KILN_NAMES_DOTTED_NAME_H

#include "base/ctx.h"

/* Returns what keeps NAME from being a dotted name, as a clause for a message ("a component is
 * empty"), or NULL if it is one. */
const char *kiln_dotted_name_find_problem(struct kiln_span name);
/* Returns 0, or KILN_ERR_INPUT with a message if DOTTED_NAME is not a dotted name. */
int kiln_dotted_name_check(struct kiln_ctx *ctx, const char *dotted_name);

#endif
