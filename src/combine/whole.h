/* Archives that are inputs as a whole. */
#ifndef KILN_COMBINE_WHOLE_H
#define KILN_COMBINE_WHOLE_H

#include "combine/combining.h"

/* Prepares INPUT, an archive, for ld: it is rebuilt if a member has to be replaced. Adds the init
 * symbols of its members to OFFERED. */
int kiln_whole_prepare(struct kiln_combining *run, struct kiln_input *input,
                       struct kiln_strings *offered);
/* Checks the object MEMBER, which ld took out of an archive: BYTES, called NAME. */
int kiln_whole_check_member(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                            const char *member);

#endif
