/* Response files: `@file` on the command line of a compiler or linker. */
#ifndef KILN_BASE_RESPONSE_H
#define KILN_BASE_RESPONSE_H

#include "base/ctx.h"

/* Append to OUT the arguments in BYTES, the contents of an `@file`, by the rules of gcc's
 * expandargv(): white space separates; quotes of either kind keep it; a backslash takes the next
 * character as it is, inside quotes too. */
void kiln_response_parse(struct kiln_ctx *ctx, struct kiln_span bytes, struct kiln_strings *out);
/* ARGS as text that kiln_response_parse(), gcc and clang read back the same. */
struct kiln_span kiln_response_format(struct kiln_ctx *ctx, const struct kiln_strings *args);
/* Write ARGS to the file PATH, for commands longer than an argv may be. */
int kiln_response_write(struct kiln_ctx *ctx, const char *path, const struct kiln_strings *args);
/* Append ARGS to OUT with every `@file` replaced by what is in it, those inside it too. An `@file`
 * that cannot be read stays as it is, as in gcc. False if the files name each other without end. */
bool kiln_response_expand(struct kiln_ctx *ctx, const struct kiln_strings *args,
                          struct kiln_strings *out);

#endif
