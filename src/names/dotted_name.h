/* Checking a dotted name without reporting: for callers whose message has more to say than the
 * name. kiln_check_dotted_name() in isolate.h is this with a message. */
#ifndef KILN_NAMES_DOTTED_NAME_H
#define KILN_NAMES_DOTTED_NAME_H

#include "base/span.h"

/* What is wrong with NAME as a dotted name, for a message ("a component is empty"); NULL if nothing
 * is. */
const char *kiln_name_find_problem(struct kiln_span name);

#endif
