/* Response files: `@file` on the command line of a compiler or linker. */
#ifndef KILN_BASE_RESPONSE_H
#define KILN_BASE_RESPONSE_H

#include "base/ctx.h"

/* Append to OUT the arguments in BYTES, the contents of an `@file`, by the rules of gcc's
 * expandargv(): white space separates; quotes of either kind keep it; a backslash takes the next
 * character as it is, inside quotes too. */
void kiln_response_parse(struct kiln_ctx *ctx, struct kiln_span bytes, struct kiln_strings *out);
/* Returns ARGS as text that kiln_response_parse(), gcc and clang read back unchanged. */
struct kiln_span kiln_response_format(struct kiln_ctx *ctx, const struct kiln_strings *args);
/* Write ARGS to the file PATH, for commands that exceed ARG_MAX. */
int kiln_response_write(struct kiln_ctx *ctx, const char *path, const struct kiln_strings *args);
/* Append ARGS to OUT with every `@file` replaced by its arguments, recursively. An `@file` that cannot be
 * read, or is not a regular file, stays as it is, as in gcc. Returns false if the files name each
 * other without end. */
bool kiln_response_expand(struct kiln_ctx *ctx, const struct kiln_strings *args,
                          struct kiln_strings *out);

#endif
