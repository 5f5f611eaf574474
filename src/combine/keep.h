/* Keeping the inputs beside the combined object. */
#ifndef KILN_COMBINE_KEEP_H
#define KILN_COMBINE_KEEP_H

#include "combine/combining.h"

/* Fills run->in->archives and ->parts, if they are wanted and there are members of archives, from
 * run->inputs as they were resolved and lowered. */
int kiln_keep_inputs(struct kiln_combining *run);

#endif
