/* The file with a shared object's debug information. */
#ifndef KILN_LINK_FIND_DEBUG_FILE_H
#define KILN_LINK_FIND_DEBUG_FILE_H

#include "base/ctx.h"

/* Returns the path of the file with the debug information of the object at PATH: PATH, or a file where debuggers
 * look for it that has the same build ID. NULL if there is none, or the object is damaged. */
const char *kiln_debug_file_find(struct kiln_ctx *ctx, const char *path);

/* Returns the build ID of the object at PATH in hexadecimal digits; NULL if it has none. */
const char *kiln_debug_file_get_build_id(struct kiln_ctx *ctx, const char *path);

#endif
