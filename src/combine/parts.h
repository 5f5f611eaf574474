/* The inputs of one combining, kept so that it can be repeated without some of them, in order to share
 * a library.
 *
 * As bytes, the parts follow one another in the order of the link; integers are little-endian:
 *
 *     0   u32  the archive of which it is a member, counted from 1; 0: none
 *     4   u32  bytes of the name
 *     8   u64  bytes of the object
 *     16  the name, without a NUL, and zeros up to a multiple of 8
 *         the object (or an archive that ld chose from), and zeros likewise
 */
#ifndef KILN_COMBINE_PARTS_H
#define KILN_COMBINE_PARTS_H

#include "base/ctx.h"

struct kiln_part {
    uint32_t archive;
    const char *name; /* of the member, or the path of the object */
    struct kiln_span bytes;
};

struct kiln_part_list {
    struct kiln_part *items;
    size_t count, capacity;
};

/* Formats PARTS as bytes, in ARENA. */
struct kiln_span kiln_parts_format(const struct kiln_part_list *parts, struct kiln_arena *arena);
/* Parses BYTES; the parts are borrowed from them, their names are in the context's arena. Returns false
 * if they are not such bytes, or name an archive beyond ARCHIVES. */
bool kiln_parts_parse(struct kiln_ctx *ctx, struct kiln_span bytes, size_t archives,
                      struct kiln_part_list *out);

struct kiln_elf;
/* Returns a hash of the part ELF, of everything that is loaded or linked by: allocated sections, their
 * relocations, global symbols. Debug information, which contains the directory, does not count. */
uint64_t kiln_part_identify(const struct kiln_elf *elf);

#endif
