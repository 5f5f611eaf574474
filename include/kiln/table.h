/* The table of baked modules: a minimal perfect hash from dotted name to init function, laid out at
 * build time by `kiln table`, read-only, position-independent, shared between processes.
 *
 * Every reference inside the table is a 32-bit offset from the place that holds it, so loading it
 * needs no relocation, and looking a name up allocates nothing, takes no lock, and touches one
 * bucket, one entry and, if the lengths agree, one name. Needs no Python.h. C11 and C++11.
 *
 * This file is the reference for the layout, version 1. The table is the whole of the ELF section
 * KILN_TABLE_SECTION (linkers keep a name they do not know as a section of its own, so it is found
 * in a stripped executable as well), aligned to 64 bytes, integers in the byte order of the machine
 * (little-endian):
 *
 *     offset 0       struct kiln_table_header
 *     32             struct kiln_table_entry, header.count of them, and one more that ends the last
 *                    name; the place of an entry is its slot
 *     then           uint32_t, header.bucket_count of them: how to get to the slot
 *     then           the name records, in the order of the slots, without gaps: a byte of flags, the
 *                    name in UTF-8, a NUL
 *     header.size    the end
 *
 * A module takes 8 bytes of entry, 1 of flags and 1 of NUL besides its name, and 1 for its share in
 * a bucket of four: 11 in all, and 40 bytes once for header and last entry.
 *
 * Looking up: hash the name (kiln_table_hash); its upper half chooses the bucket. The word in the
 * bucket is a slot if KILN_TABLE_DIRECT is set in it, otherwise a displacement that, with the hash,
 * gives the slot (kiln_table_displace). The slot's entry has the wanted name or no entry has. The
 * length of a name is the distance to the next slot's record, so most misses end there, without
 * reading the name. */
#ifndef KILN_TABLE_H
#define KILN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__SIZEOF_INT128__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kiln/table.h is for 64-bit little-endian machines"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_TABLE_SECTION ".kiln_table"
#define KILN_TABLE_MAGIC   "KILNTAB" /* with the NUL, 8 bytes */
#define KILN_TABLE_VERSION 1
#define KILN_TABLE_DIRECT  UINT32_C(0x80000000)

/* Flags of a module. */
#define KILN_MODULE_PACKAGE 0x01u /* it is a package: the extension is the package's __init__ */
#define KILN_MODULE_EXPORT  0x02u /* its function is a PEP 793 export hook, not an init function */
/* It is of the standard library: what is before that on sys.path comes first. */
#define KILN_MODULE_STANDARD 0x04u

/* Opaque: it goes on after what a C type could say of it. */
struct kiln_table;

/* `kiln table` emits the table under this name, hidden, for the executable or library it is linked
 * into. */
extern const struct kiln_table kiln_table __attribute__((visibility("hidden")));

struct kiln_table_header {
    char magic[8];
    uint32_t version;
    uint32_t size;         /* bytes, header and names included */
    uint32_t count;        /* modules */
    uint32_t bucket_count; /* (count + 3) / 4 */
    uint64_t seed;         /* of the hash */
};

struct kiln_table_entry {
    int32_t name;     /* from this entry to the name record */
    int32_t function; /* from this field to the function */
};

/* Whether TABLE is one that this header can read: magic and version of the layout, and counts and
 * size that agree with one another. The other functions check nothing: they require a table that the
 * linker has put into the program, which is trusted as the program's code is. */
static inline bool kiln_table_check(const struct kiln_table *table);

/* The entry of the module NAME (LEN bytes, any bytes; need not end in NUL), or NULL. One hash; at
 * most one comparison. */
static inline const struct kiln_table_entry *
kiln_table_find(const struct kiln_table *table, const char *name, size_t len);

/* The modules one by one, in no useful order: INDEX < kiln_table_get_count(). */
static inline size_t kiln_table_get_count(const struct kiln_table *table);
static inline const struct kiln_table_entry *
kiln_table_get_entry(const struct kiln_table *table, size_t index);

/* ENTRY must lie in its table: these read what stands around it. */
static inline const char *kiln_table_get_name(const struct kiln_table_entry *entry);
static inline size_t kiln_table_get_name_len(const struct kiln_table_entry *entry);
static inline unsigned kiln_table_get_flags(const struct kiln_table_entry *entry);
/* To be cast to `PyObject *(*)(void)`, or `PyModuleDef_Slot *(*)(void)` with KILN_MODULE_EXPORT. */
typedef void (*kiln_table_function)(void);
static inline kiln_table_function kiln_table_get_function(const struct kiln_table_entry *entry);

/* --- The hash: part of the layout ------------------------------------------------------------ */

/* A name is folded in 16 bytes at a time by multiplying two 64-bit words and xoring the halves of
 * the product (the idea of wyhash). Odd numbers; the bytes 0xff and 0xfe in both halves of the
 * first one cannot stand in UTF-8, so no name makes a factor zero. */
#define KILN_TABLE_K1 UINT64_C(0xff9a3fd75bfe64c5)
#define KILN_TABLE_K2 UINT64_C(0xe7037ed1a0b428db)
#define KILN_TABLE_K3 UINT64_C(0x9e3779b97f4a7c15)

__extension__ typedef unsigned __int128 kiln_table_uint128;

static inline uint64_t
kiln_table_fold(uint64_t a, uint64_t b)
{
    kiln_table_uint128 product = (kiln_table_uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
kiln_table_load64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t
kiln_table_load32(const unsigned char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t
kiln_table_hash(uint64_t seed, const char *name, size_t len)
{
    const unsigned char *p = (const unsigned char *)name;
    uint64_t state = seed ^ KILN_TABLE_K3, a = 0, b = 0;
    if (len > 16) {
        size_t left = len;
        for (; left > 16; left -= 16, p += 16) {
            state = kiln_table_fold(kiln_table_load64(p) ^ KILN_TABLE_K1,
                                    kiln_table_load64(p + 8) ^ state);
        }
        /* The last 16 bytes, which may overlap what the loop has seen. */
        a = kiln_table_load64(p + left - 16);
        b = kiln_table_load64(p + left - 8);
    }
    else if (len >= 8) {
        a = kiln_table_load64(p);
        b = kiln_table_load64(p + len - 8);
    }
    else if (len >= 4) {
        a = kiln_table_load32(p);
        b = kiln_table_load32(p + len - 4);
    }
    else if (len > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[len / 2] << 8 | p[len - 1];
    }
    return kiln_table_fold(KILN_TABLE_K2 ^ len, kiln_table_fold(a ^ KILN_TABLE_K1, b ^ state));
}

/* A number below RANGE, in proportion to VALUE. */
static inline uint32_t
kiln_table_scale(uint32_t value, uint32_t range)
{
    return (uint32_t)((uint64_t)value * range >> 32);
}

static inline uint32_t
kiln_table_bucket(uint64_t hash, uint32_t bucket_count)
{
    return kiln_table_scale((uint32_t)(hash >> 32), bucket_count);
}

static inline uint32_t
kiln_table_displace(uint64_t hash, uint32_t displacement, uint32_t count)
{
    uint64_t mixed = (hash ^ displacement * KILN_TABLE_K3) * KILN_TABLE_K2;
    return kiln_table_scale((uint32_t)(mixed >> 32), count);
}

/* --- Reading the table ------------------------------------------------------------------------ */

static inline const struct kiln_table_header *
kiln_table_get_header(const struct kiln_table *table)
{
    return (const struct kiln_table_header *)(const void *)table;
}

static inline size_t
kiln_table_get_count(const struct kiln_table *table)
{
    return kiln_table_get_header(table)->count;
}

static inline const struct kiln_table_entry *
kiln_table_get_entry(const struct kiln_table *table, size_t index)
{
    return (const struct kiln_table_entry *)(const void *)(kiln_table_get_header(table) + 1) +
           index;
}

static inline bool
kiln_table_check(const struct kiln_table *table)
{
    const struct kiln_table_header *header = kiln_table_get_header(table);
    if (memcmp(header->magic, KILN_TABLE_MAGIC, sizeof header->magic) != 0 ||
        header->version != KILN_TABLE_VERSION ||
        header->bucket_count != ((uint64_t)header->count + 3) / 4)
    {
        return false;
    }
    /* The names begin where the buckets end; the entry behind the last one tells where they end. */
    uint64_t names = sizeof *header +
                     ((uint64_t)header->count + 1) * sizeof(struct kiln_table_entry) +
                     (uint64_t)header->bucket_count * sizeof(uint32_t);
    if (names > header->size) {
        return false;
    }
    const struct kiln_table_entry *first = kiln_table_get_entry(table, 0);
    const struct kiln_table_entry *end = kiln_table_get_entry(table, header->count);
    return first->name == (int64_t)(names - sizeof *header) &&
           end->name == (int64_t)header->size - ((const char *)end - (const char *)header);
}

static inline const char *
kiln_table_get_name(const struct kiln_table_entry *entry)
{
    return (const char *)entry + entry->name + 1;
}

static inline size_t
kiln_table_get_name_len(const struct kiln_table_entry *entry)
{
    /* Less the flags and the NUL. */
    return (size_t)((int64_t)sizeof *entry + entry[1].name - entry[0].name - 2);
}

static inline unsigned
kiln_table_get_flags(const struct kiln_table_entry *entry)
{
    return *((const unsigned char *)entry + entry->name);
}

static inline kiln_table_function
kiln_table_get_function(const struct kiln_table_entry *entry)
{
    return (kiln_table_function)((uintptr_t)&entry->function +
                                 (uintptr_t)(intptr_t)entry->function);
}

static inline const struct kiln_table_entry *
kiln_table_find(const struct kiln_table *table, const char *name, size_t len)
{
    const struct kiln_table_header *header = kiln_table_get_header(table);
    uint32_t count = header->count;
    if (count == 0) {
        return NULL;
    }
    const uint32_t *buckets =
        (const uint32_t *)(const void *)kiln_table_get_entry(table, (size_t)count + 1);
    uint64_t hash = kiln_table_hash(header->seed, name, len);
    uint32_t word = buckets[kiln_table_bucket(hash, header->bucket_count)];
    uint32_t slot = (word & KILN_TABLE_DIRECT) != 0 ? word & ~KILN_TABLE_DIRECT
                                                    : kiln_table_displace(hash, word, count);
    const struct kiln_table_entry *entry = kiln_table_get_entry(table, slot);
    if (kiln_table_get_name_len(entry) != len || memcmp(kiln_table_get_name(entry), name, len) != 0)
    {
        return NULL;
    }
    return entry;
}

#ifdef __cplusplus
}
#endif

#endif
