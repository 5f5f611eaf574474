/* Symbols with versions. */
#ifndef KILN_ISOLATE_VERSIONS_H
#define KILN_ISOLATE_VERSIONS_H

#include "isolate/plan.h"

/* Names the symbols with versions ("f@V", "f@@V") that are defined, and references to them. */
void kiln_versions_name(struct kiln_plan *plan);

#endif
