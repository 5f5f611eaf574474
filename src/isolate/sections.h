/* Sections that linkers find by their names. */
#ifndef KILN_ISOLATE_SECTIONS_H
#define KILN_ISOLATE_SECTIONS_H

#include "isolate/plan.h"

/* Names the sections that linkers would join with those of other modules, and the symbols of their
 * bounds (`__start_SECTION`). */
void kiln_sections_name(struct kiln_plan *plan);

#endif
