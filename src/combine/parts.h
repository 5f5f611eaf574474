/* The inputs of one combining, kept so that it can be done again without some of them: what sharing
 * a library takes.
 *
 * Bytes, integers little-endian, one part after the other, in the order of the link:
 *
 *     0   u32  the archive it is a member of, counted from 1; 0: of none
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

/* PARTS as bytes, in ARENA. */
struct kiln_span kiln_parts_format(const struct kiln_part_list *parts, struct kiln_arena *arena);
/* Split BYTES; the parts are borrowed from them, their names in the context's arena. False if they
 * are not such bytes, or name an archive beyond ARCHIVES. */
bool kiln_parts_parse(struct kiln_ctx *ctx, struct kiln_span bytes, size_t archives,
                      struct kiln_part_list *out);

struct kiln_elf;
/* A number that tells the part in ELF from others by all that gets into memory or is linked by:
 * allocated sections, their relocations, global symbols; not by debug information, which has the
 * directory in it. */
uint64_t kiln_part_identify(const struct kiln_elf *elf);

#endif
