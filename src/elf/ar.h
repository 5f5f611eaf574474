/* Reads untrusted ar archives, and writes archives. */
#ifndef KILN_ELF_AR_H
#define KILN_ELF_AR_H

#include "base/ctx.h"

/* Calls VISIT with each member of the archive BYTES, in order, without the symbol index and the name
 * table. VISIT returns 0 to continue; any other value ends the visit and is returned. A thin archive
 * is KILN_ERR_INPUT: its members are separate files. */
int
kiln_ar_visit(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
              int (*visit)(void *arg, const char *member, struct kiln_span contents), void *arg);

/* A thin archive holds the paths of its members, relative to its own directory unless absolute.
 * kiln_ar_list_thin() appends them to NAMES, in the context's arena. */
bool kiln_ar_is_thin(struct kiln_span bytes);
int kiln_ar_list_thin(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                      struct kiln_strings *names);

/* Writes an archive of MEMBERS, in order, to PATH. It has no index, so links must take it whole.
 * Members start at multiples of 8 in the file; each is padded with zeros to the next one. */
struct kiln_ar_member {
    const char *name;
    struct kiln_span contents;
};
int kiln_ar_write(struct kiln_ctx *ctx, const char *path, const struct kiln_ar_member *members,
                  size_t count);

#endif
