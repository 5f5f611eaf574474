/* What is around an extension when it is loaded from its file, or linked. */
#ifndef KILN_LINK_SURROUNDINGS_H
#define KILN_LINK_SURROUNDINGS_H

#include "unlink/set.h"

struct kiln_bake;

/* Read the process before any extension, from BAKE's program: that, and the libraries that it starts with, are
 * `global` of *OUT. Caller must release *OUT, even after a failure. */
int kiln_surroundings_read_process(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                   struct kiln_set **out);
void kiln_surroundings_release_process(struct kiln_set *process);

/* Push the libraries that the compiler driver links for C++. Caller must release their files. */
int kiln_surroundings_read_cplusplus(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                     struct kiln_object_list *out);

/* Push to NEEDED the names, without directories, of all libraries that extensions and libraries of packages need,
 * and that the libraries need which these find; to LACKING the symbols that one of them has from none of
 * those. They are sorted then. Requires the process. */
void kiln_surroundings_list_needed(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                   struct kiln_strings *needed, struct kiln_strings *lacking);

/* Push the symbols of the compiler's archives of which every link takes for itself what it needs: libgcc.a,
 * libc_nonshared.a. They are sorted then. */
void kiln_surroundings_list_archived(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                     struct kiln_strings *out);

#endif
