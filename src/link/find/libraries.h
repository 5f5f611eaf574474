/* Shared libraries among the files of packages: what is not an extension, and may be opened by its path or
 * by another's search path at run time. */
#ifndef KILN_LINK_LIBRARIES_H
#define KILN_LINK_LIBRARIES_H

#include "base/ctx.h"

/* Returns whether BYTES are a shared object that exports no init function. */
bool kiln_libraries_is_one(struct kiln_span bytes);

/* Push the paths of the libraries anywhere below the directory ROOT that are none of KNOWN, which is sorted. They are
 * sorted within each directory. What cannot be read is passed over. */
void kiln_libraries_find(struct kiln_ctx *ctx, const char *root, const struct kiln_strings *known,
                         struct kiln_strings *out);

#endif
