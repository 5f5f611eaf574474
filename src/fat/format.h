/* The bytes of a `.kiln` section, all integers little-endian:
 *
 *     0   "KILNFAT\0"
 *     8   u32  version
 *     12  u32  bytes of the record
 *     16  u64  bytes of the object, uncompressed; 0: there is none
 *     24  u64  bytes of the zstd frame; 0: there is none
 *     32  u64  XXH3-64 of all that follows, except the second frame
 *     in version 2:
 *     40  u64  bytes of the parts, uncompressed
 *     48  u64  bytes of their zstd frame
 *     56  u64  XXH3-64 of that frame
 *     in both:
 *         the record: entries { u32 tag, u32 length, text without a NUL }
 *         the frame
 *     in version 2:
 *         the frame of the parts, which has the uncompressed object as its prefix (dictionary)
 *
 * Version 2 is written only if there are parts: the inputs from which the object was combined
 * (combine/parts.h), mostly the same bytes, and read only to share a library.
 * A list is its entries of one tag, in order. A reader skips tags that it does not know; whatever it
 * must know requires a new version. */
#ifndef KILN_FAT_FORMAT_H
#define KILN_FAT_FORMAT_H

#include "fat/fat.h"

#define KILN_FAT_MAGIC "KILNFAT" /* and its NUL */

enum {
    KILN_FAT_VERSION = 2,
    KILN_FAT_HEADER_SIZE = 40,
    KILN_FAT_PARTS_HEADER_SIZE = 64,
};

enum kiln_fat_tag {
    KILN_FAT_DRIVER = 1,
    KILN_FAT_OUTPUT = 2,
    KILN_FAT_INIT = 3,
    KILN_FAT_ARG = 4,   /* only in older records, as the next two: what the final link was to */
    KILN_FAT_RPATH = 5, /* repeat. They are passed over, and their numbers not used again. */
    KILN_FAT_DSO = 6,
    KILN_FAT_FAILURE = 7,
    KILN_FAT_ARCHIVE = 8,
    KILN_FAT_COMBINE = 9,
    KILN_FAT_CONTENTS = 10, /* missing in older records */
};

/* The parts of a section, borrowed from its bytes. */
struct kiln_fat_section {
    const char *name; /* of the file, for messages */
    struct kiln_span record, frame;
    uint64_t object_size;
    struct kiln_span parts_frame; /* empty: there are none */
    uint64_t parts_size, parts_checksum;
};

/* Returns whether a frame of FRAME_SIZE bytes may hold an object of OBJECT_SIZE: a damaged or hostile
 * file must not take all memory. */
bool kiln_fat_is_plausible(uint64_t object_size, uint64_t frame_size);

/* Encodes FAT and OBJECT as the bytes of a section. Equal inputs give equal bytes. */
int kiln_fat_encode(struct kiln_ctx *ctx, const struct kiln_fat *fat, struct kiln_span object,
                    struct kiln_span *out);
/* Checks and splits the bytes of a section. */
int kiln_fat_parse_section(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                           struct kiln_fat_section *out);
int kiln_fat_parse_record(struct kiln_ctx *ctx, const struct kiln_fat_section *section,
                          struct kiln_fat *fat);

#endif
