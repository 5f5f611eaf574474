/* The manifest of a baked executable: the contents of its `.kiln` section, which is not loaded, and which
 * `kiln ls` reads.
 *
 * Strings "key=value", each ended by a NUL byte. The first is "kiln-baked=1" (the version of this
 * format), then facts about the executable follow; each "module=" starts a module, which the strings
 * up to the next "module=" describe. At the end are those that stayed files: "stays=", "file=", "reason=". */
#ifndef KILN_LINK_MANIFEST_H
#define KILN_LINK_MANIFEST_H

#include <stdio.h>

#include "link/bake.h"

#define KILN_MANIFEST_MAGIC "kiln-baked=1"

/* Write the section as assembly to STREAM. */
void kiln_manifest_emit(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake);

/* Set *is_manifest to whether CONTENTS, a `.kiln` section, is a manifest. One of another version, or that
 * ends inside a string, is KILN_ERR_FORMAT. */
int kiln_manifest_check(struct kiln_ctx *ctx, struct kiln_span contents, const char *name,
                        bool *is_manifest);

/* Returns the string at *offset of a checked manifest, and advances *offset; NULL at the end. *value
 * points behind its "=". */
const char *kiln_manifest_next(struct kiln_span contents, uint64_t *offset, const char **value);

#endif
