/* What a baked executable says of itself: the contents of its `.kiln` section, which no program
 * loads and `kiln ls` reads.
 *
 * Strings "key=value", each ended by a NUL byte. The first is "kiln-baked=1" (the version of this
 * format), then facts about the executable; each "module=" starts a module, of which the strings up
 * to the next "module=" tell. */
#ifndef KILN_LINK_MANIFEST_H
#define KILN_LINK_MANIFEST_H

#include <stdio.h>

#include "link/bake.h"

#define KILN_MANIFEST_MAGIC "kiln-baked=1"

/* Write the section as assembly to STREAM. */
void kiln_manifest_emit(FILE *stream, const struct kiln_bake *bake);

/* Whether CONTENTS, a `.kiln` section, is a manifest; KILN_ERR_FORMAT, said, if it is one of
 * another version or ends inside a string. */
int kiln_manifest_check(struct kiln_ctx *ctx, struct kiln_span contents, const char *name,
                        bool *is_manifest);

/* Step through the strings of a checked manifest: the one at *offset, which moves on; NULL at the
 * end. *value points behind its "=". */
const char *kiln_manifest_next(struct kiln_span contents, uint64_t *offset, const char **value);

#endif
