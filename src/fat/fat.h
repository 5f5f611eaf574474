/* The `.kiln` section, which makes an extension a fat one.
 *
 * It is a non-allocated section at the end of the `.so`: loaders do not see it, strip and patchelf keep
 * it. It holds a record of the link that made the `.so` and, zstd-compressed, a relocatable object of
 * the same inputs, combined but not isolated, since the dotted name is known only where the `.so` is
 * installed. If no relocatable could be made, it holds the reason instead. */
#ifndef KILN_FAT_FAT_H
#define KILN_FAT_FAT_H

#include "base/ctx.h"
#include "elf/machine.h"

#define KILN_FAT_SECTION ".kiln"

/* The record of the link of one extension. All strings are in the context's arena. */
struct kiln_fat {
    const struct kiln_machine *machine; /* of the file that was read */
    const char *driver;        /* the compiler driver that linked it, as found: "/usr/bin/g++" */
    const char *output;        /* the path it was linked to, absolute */
    struct kiln_strings inits; /* its init symbols, sorted: "PyInit__core" */
    const char *failure;       /* why there is no object, for people; NULL if there is one */
    const char *
        contents; /* a hash of the file's code and data when it was linked; NULL: an older record */
    bool is_edited;         /* the file that was read has others */
    uint64_t object_size;   /* bytes of the relocatable, uncompressed; 0 with a failure */
    struct kiln_span frame; /* the relocatable, compressed: bytes of the file that was read */

    /* If members of archives were linked: what combining again without some of them takes. */
    struct kiln_strings archives; /* paths, in the order of the parts' numbers */
    struct kiln_strings combine;  /* the flags of struct kiln_combine */
    struct kiln_span parts;       /* see combine/parts.h; only for kiln_fat_write() */
    struct kiln_span parts_frame; /* the same as it was read: compressed, */
    uint64_t parts_size;          /* bytes uncompressed, */
    uint64_t parts_checksum;      /* and XXH3-64 of the frame */
};

/* Writes a `.kiln` section with FAT and OBJECT (empty if FAT->failure) to the shared object at PATH,
 * replacing an old one; the hash of the contents is that of the file, whatever FAT has. The loaded part of the file keeps
 * every byte. On failure the file is unchanged. */
int kiln_fat_write(struct kiln_ctx *ctx, const char *path, const struct kiln_fat *fat,
                   struct kiln_span object);

/* Reads the record in BYTES, an ELF file called NAME. If it has no `.kiln` section, returns 0, sets
 * *FOUND to false, and fills nothing of FAT but the machine. A damaged section, or one of a newer
 * version, is an error. */
int kiln_fat_read(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                  struct kiln_fat *fat, bool *found);

/* Decompresses the relocatable of FAT into ARENA. Requires the bytes of the file NAME from which
 * kiln_fat_read() read FAT. *OBJECT is empty if there is none. */
int kiln_fat_decompress(struct kiln_ctx *ctx, const struct kiln_fat *fat, const char *name,
                        struct kiln_arena *arena, struct kiln_span *object);
/* The same for the parts. OBJECT is from kiln_fat_decompress(). *PARTS is empty if there are none. */
int kiln_fat_decompress_parts(struct kiln_ctx *ctx, const struct kiln_fat *fat, const char *name,
                              struct kiln_span object, struct kiln_arena *arena,
                              struct kiln_span *parts);

#endif
