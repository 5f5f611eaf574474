/* Writing the executable, and what is written for it and about it. */
#ifndef KILN_LINK_EMIT_H
#define KILN_LINK_EMIT_H

#include "link/bake.h"

/* Pass: choose static or shared libpython, and PIE or not, by trial. */
int kiln_bake_libpython(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: compile the importer for this Python, unless the cache has it. */
int kiln_bake_runtime(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: write and assemble the table, the manifest that `kiln ls` reads, and the runtime's settings. */
int kiln_bake_data(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: link everything and rename the result into place. */
int kiln_bake_output(struct kiln_ctx *ctx, struct kiln_bake *bake);
/* Pass: report what was done to each module, if the options ask for it. */
int kiln_bake_report(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* The name of the file that --split-debug writes beside OUTPUT. */
const char *kiln_bake_get_debug_path(struct kiln_ctx *ctx, const char *output);
/* Move the debug information of the program at PATH into a file beside it; with --strip, the symbols as
 * well. */
int kiln_bake_split_debug(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path);

/* The same of the images that have debug information: copies of it in a directory, and a script for gdb that adds them;
 * neither if no image has any. kiln_bake_split_debug() comes first. */
int kiln_bake_split_images(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *path);
/* The names of the two beside OUTPUT. */
const char *kiln_bake_get_debug_dir(struct kiln_ctx *ctx, const char *output);
const char *kiln_bake_get_debug_script(struct kiln_ctx *ctx, const char *output);

/* Push the driver's arguments that link with the chosen libpython. The static archive goes before the
 * modules: code in them that compares addresses of its callers with libpython's expects it at lower
 * addresses. Shared libraries go last, for --as-needed. */
void kiln_link_args_push_archive(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                 struct kiln_strings *argv);
void kiln_link_args_push_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                   struct kiln_strings *argv);
/* Whether a linker reports in TEXT that the disk is full. */
bool kiln_link_args_is_disk_full(const char *text);

#endif
