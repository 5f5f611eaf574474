/* Images: shared objects that `kiln link` has turned into a part of the executable (src/unlink), and
 * what the runtime needs to bring one to life at its first import (runtime/image).
 *
 * An image is the memory of a shared object, from its address 0 to the end of its last segment, as a
 * run of bytes in the section KILN_IMAGE_SECTION, which is mapped R-X. Most of its words have their
 * values when the executable is linked. What is left to do is in the tables below: read-only data in
 * which every reference is an index or a distance, so the program's start has nothing to relocate.
 * Offsets of an image count from its address 0.
 *
 * The host writes these structures as bytes (src/unlink/object.c). Both sides include this file.
 * Needs no Python.h. */
#ifndef KILN_INTERNAL_IMAGES_H
#define KILN_INTERNAL_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "kiln/table.h"

#define KILN_IMAGE_SECTION ".kiln_image"

/* No index. */
#define KILN_IMAGE_NONE UINT32_MAX

/* A run of `count` items of kiln_image_words. */
struct kiln_image_list {
    uint32_t first, count;
};

/* In kiln_image_words: an item of `dependencies` is an image that is needed, or, with the first of these, what the
 * image is bound to and does not need itself. These come behind, in the order of its relocations. */
#define KILN_IMAGE_BOUND UINT32_C(0x80000000)
#define KILN_IMAGE_IMPORT                                                                          \
    UINT32_C(0x40000000) /* it is an import, whose value is in the image that is meant */
#define KILN_IMAGE_UNIQUE UINT32_C(0x20000000) /* bound to a variable that the process has one of */
#define KILN_IMAGE_INDEX  UINT32_C(0x1fffffff)

/* In kiln_image_words: an item of `protections` is three words: the offset of the first page, the
 * bytes, and one of these. The pages are R-X until the image is prepared. */
enum kiln_image_protection {
    KILN_IMAGE_WRITABLE = 1, /* RW from then on */
    KILN_IMAGE_RELRO = 2,    /* RW while words are filled in, then R */
    KILN_IMAGE_ZEROS = 3,    /* RW, anonymous memory: zeros, which the file does not hold */
    KILN_IMAGE_CONSTANT = 4, /* R, never written: no code (--separate-code) */
};

/* How the value of an import comes about. */
enum kiln_image_import_kind {
    KILN_IMPORT_DISTANCE = 1, /* `where` is the distance from that field to the target */
    KILN_IMPORT_IMAGE = 2,    /* offset `where` of the image `index` */
    KILN_IMPORT_IFUNC = 3,    /* what the resolver at offset `where` of the image `index` returns */
    /* A variable that the process has one of (STB_GNU_UNIQUE): offset `where` of the image `index`,
     * unless another import of it was asked for first. */
    KILN_IMPORT_UNIQUE = 4,
    KILN_IMPORT_CALL = 5, /* a function of a shared library, to be called: its own address */
    /* A symbol of a shared library as the process sees it: a function may have a canonical PLT entry
     * (psABI), a variable a copy. */
    KILN_IMPORT_ADDRESS = 6,
    KILN_IMPORT_TLS_MODULE = 7, /* of a thread-local variable of a shared library: for
                                 * __tls_get_addr(), the id of its module ... */
    KILN_IMPORT_TLS_OFFSET = 8, /* ... and its offset in the module's block; */
    KILN_IMPORT_TLS_STATIC = 9, /* its offset from the thread pointer */
    /* Another import: which one depends on the image whose first import this is for, as the dynamic
     * loader binds a library in the scope of what it was loaded for. From `where` on, kiln_image_words has
     * a number of pairs, and the pairs: that image, and the import. The last pair is for any other image;
     * KILN_IMAGE_NONE in the place of an import: there is no such symbol. */
    KILN_IMPORT_CHOICE = 10,
};
#define KILN_IMPORT_WEAK UINT32_C(0x100) /* may be missing at run time: its value is 0, then */

struct kiln_image_import {
    uint32_t kind; /* enum kiln_image_import_kind, perhaps with KILN_IMPORT_WEAK */
    int32_t where; /* see the kind */
    /* An image, or, of a shared library's symbol, the library in kiln_image_libraries;
     * KILN_IMAGE_NONE: one of those that the program starts with, whichever has it. */
    uint32_t index;
    /* Offset in kiln_image_strings; KILN_IMPORT_UNIQUE: the import whose slot has the variable's
     * address. */
    uint32_t name;
    uint32_t version; /* offset in kiln_image_strings; KILN_IMAGE_NONE: no version */
};

/* A word to be filled in: the value of the import is added to what the image has there. An item of
 * `patches` is two words, offset and index of the import. */

struct kiln_image_tls {
    uint32_t offset; /* of the initial data */
    uint32_t file_size, size, align;
};

struct kiln_image {
    int32_t start;   /* from this field to the image's address 0 */
    uint32_t size;   /* bytes */
    uint32_t path;   /* offset in kiln_image_strings: of the file that it was made of */
    uint32_t soname; /* the same, or KILN_IMAGE_NONE */
    struct kiln_image_list dependencies; /* images, in the order of DT_NEEDED; see above */
    struct kiln_image_list libraries;    /* shared libraries to be opened, as DT_NEEDED has them */
    struct kiln_image_list imports;      /* those that have to be known before anything is done */
    struct kiln_image_list patches;      /* those that are of an ifunc, or may be, come last */
    struct kiln_image_list protections;
    /* Offsets of words to which the image's address is added, in the coding of SHT_RELR with entries
     * of 32 bits: an even entry is the offset of a word; an odd one a bitmap of the 31 words that
     * follow the last one named. */
    struct kiln_image_list relative;
    /* As in the dynamic section (gABI, "Initialization and Termination Functions"); 0: none. The
     * arrays are bytes long. */
    uint32_t init, init_array, init_array_size;
    uint32_t fini, fini_array, fini_array_size;
    struct kiln_image_tls tls; /* of an image with blocks of its own, see KILN_TLS_IMAGE */
    uint32_t program_headers, program_header_count, dynamic; /* offsets; dynamic: 0 is none */
    /* Symbols that others look for by name at run time: offsets of DT_SYMTAB, DT_STRTAB, DT_GNU_HASH or
     * else DT_HASH (the other is 0), DT_VERSYM and DT_VERDEF (0: none). */
    uint32_t symbols, strings, gnu_hash, hash, versions, version_definitions;
    uint32_t
        contents[2]; /* halves of the hash of what its segments have in its file, lower first */
};

/* The hash is taken in pieces of so many bytes: of each PT_LOAD from its start, in their order, and without
 * the ELF header, as tools that remove sections change that. */
enum { KILN_IMAGE_PIECE = 65536 };
#define KILN_IMAGE_HASH_SEED KILN_TABLE_K1

static inline uint64_t
kiln_image_hash(uint64_t hash, const void *piece, size_t len)
{
    return kiln_table_hash(hash, (const char *)piece, len);
}

/* The first word of a pair for __tls_get_addr() has one of these bits if the variable is an image's:
 * static, and the second word is the offset from the thread pointer; or in a block of the image whose
 * index the lower half is. Ids of modules of the dynamic loader are small numbers. */
#define KILN_TLS_STATIC UINT64_C(0x2000000000000000)
#define KILN_TLS_IMAGE  UINT64_C(0x4000000000000000)

struct kiln_images {
    uint32_t image_count, import_count, library_count;
};

/* A module's function, in the table, is a few instructions that call kiln_image_start() with the index
 * of its image, return NULL if that returns another value than 0 (an exception is set), and else jump
 * to the image's init function. The caller has the GIL. In runtime/create; all else of images is in
 * runtime/image and needs no Python. */
int kiln_image_start(uint32_t index);

/* Make the image at INDEX, and all that it depends on, ready to run: NULL; or else what is wrong, in
 * TEXT (SIZE bytes, cut if need be), in the words of the dynamic loader. A failure has changed nothing
 * of any image, and the next call tries again. Any number of threads may call it. */
const char *kiln_image_prepare(uint32_t index, char *text, size_t size);

/* Whether `kiln link` has bound everything as dlopen() with MODE does: RTLD_LOCAL, and not RTLD_DEEPBIND, say. */
_Bool kiln_image_is_plain_mode(int mode);
/* From now on, the process has files that were opened with a mode that is not plain. Symbols may be everybody's that
 * nobody knew of when the program was linked (RTLD_GLOBAL). */
void kiln_image_begin_special(void);
/* Whether any module of the executable may have to give way to its file. Quick. */
_Bool kiln_image_may_give_way(void);
/* Whether the file at PATH, which a module was baked from, is to be loaded in its place: the dynamic loader would bind
 * it otherwise than `kiln link` has. */
_Bool kiln_image_gives_way_to(const char *path);

/* Whether PATH is that of an image, and another file is there now. */
_Bool kiln_image_is_outdated(const char *path);

/* All weak: a program without images has none of these. */
#define KILN_WEAK __attribute__((weak, visibility("hidden")))
extern const struct kiln_images kiln_images KILN_WEAK;
extern const struct kiln_image kiln_image_records[] KILN_WEAK;
extern const struct kiln_image_import kiln_image_imports[] KILN_WEAK;
extern const uint32_t kiln_image_libraries[] KILN_WEAK; /* names: offsets in kiln_image_strings */
extern const uint32_t kiln_image_words[] KILN_WEAK;
extern const char kiln_image_strings[] KILN_WEAK;
/* Other files with the same bytes as an image's: their count, and for each two words, the offset of
 * its path in kiln_image_strings and the index of the image. May be missing. */
extern const uint32_t kiln_image_aliases[] KILN_WEAK;
/* An import's value once it is known, a word each: `jmp *` in the stub of a function goes there. In
 * memory that can be written, zeros at the start. */
extern uintptr_t kiln_image_slots[] KILN_WEAK;
/* One byte an image, and one an import; they belong to the runtime. */
extern unsigned char kiln_image_states[] KILN_WEAK;
extern unsigned char kiln_image_import_states[] KILN_WEAK;

_Static_assert(sizeof(struct kiln_image) == 148 && sizeof(struct kiln_image_import) == 20,
               "src/unlink/object.c writes these structures for the machine code of others");

#endif
