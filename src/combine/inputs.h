/* The first pass of combining. */
#ifndef KILN_COMBINE_INPUTS_H
#define KILN_COMBINE_INPUTS_H

#include "combine/combining.h"

/* Fills run->inputs with the files for run->in->inputs, and run->archives. Members of archives are
 * written to files. */
int kiln_inputs_resolve(struct kiln_combining *run);

#endif
