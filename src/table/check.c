/* A table that nobody vouches for: for `kiln ls`, which is given a file, not a program it is part
 * of.
 *
 * The lookup in kiln/table.h checks nothing. What it relies on is checked here, once for the whole
 * table: the counts fill the header's size, every name record lies behind the last and ends in NUL,
 * and a bucket that names a slot names an existing one (a displacement cannot do otherwise). */
#include "table/table.h"

static int
fail(struct kiln_ctx *ctx, const char *name, const char *problem)
{
    return kiln_fail(ctx, KILN_ERR_FORMAT, "%s: the table of modules is damaged: %s", name,
                     problem);
}

/* Check the header and set *names_offset to where the name records begin. */
static int
check_header(struct kiln_ctx *ctx, const struct kiln_table_header *header, struct kiln_span bytes,
             const char *name, uint64_t *names_offset)
{
    if (memcmp(header->magic, KILN_TABLE_MAGIC, sizeof header->magic) != 0) {
        return fail(ctx, name, "it does not begin with " KILN_TABLE_MAGIC);
    }
    if (header->version != KILN_TABLE_VERSION) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: the table of modules has layout version %u, this Kiln reads version "
                         "%d; use the Kiln that made it",
                         name, header->version, KILN_TABLE_VERSION);
    }
    if (header->size > bytes.len) {
        return fail(ctx, name, "it is cut short");
    }
    *names_offset = sizeof *header +
                    (header->count + UINT64_C(1)) * sizeof(struct kiln_table_entry) +
                    header->bucket_count * (uint64_t)sizeof(uint32_t);
    if (header->size > INT32_MAX || *names_offset > header->size ||
        (header->count > 0 && header->bucket_count == 0))
    {
        return fail(ctx, name, "the counts in its header do not fit its size");
    }
    return 0;
}

/* The name records are the bytes from OFFSET to the end, one slot's after the other's. */
static int
check_names(struct kiln_ctx *ctx, const struct kiln_table *table, uint64_t offset, const char *name)
{
    const uint8_t *bytes = (const uint8_t *)table;
    const struct kiln_table_header *header = kiln_table_get_header(table);
    for (uint32_t slot = 0; slot <= header->count; slot++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(table, slot);
        int64_t start = (const uint8_t *)entry - bytes + (int64_t)entry->name;
        /* The first record begins where the buckets end; the others have the flags, a byte of name
         * and the NUL of the one before them. */
        int64_t least = (int64_t)offset + (slot == 0 ? 0 : 3);
        if (start < least || start > (int64_t)header->size || (slot == 0 && start != least) ||
            (slot > 0 && bytes[start - 1] != '\0'))
        {
            return fail(ctx, name, "a name is out of its place");
        }
        offset = (uint64_t)start;
    }
    return offset == header->size ? 0 : fail(ctx, name, "bytes follow the last name");
}

static int
check_buckets(struct kiln_ctx *ctx, const struct kiln_table *table, const char *name)
{
    const struct kiln_table_header *header = kiln_table_get_header(table);
    const uint32_t *words = (const void *)kiln_table_get_entry(table, (size_t)header->count + 1);
    for (uint32_t i = 0; i < header->bucket_count; i++) {
        if ((words[i] & KILN_TABLE_DIRECT) != 0 && (words[i] & ~KILN_TABLE_DIRECT) >= header->count)
        {
            return fail(ctx, name, "a bucket leads to no entry");
        }
    }
    return 0;
}

int
kiln_table_check_bytes(struct kiln_ctx *ctx, const struct kiln_table **table,
                       struct kiln_span bytes, const char *name)
{
    struct kiln_table_header header;
    uint64_t names_offset = 0;
    if (!kiln_span_read(bytes, 0, &header, sizeof header)) {
        return fail(ctx, name, "it is shorter than its header");
    }
    int result = check_header(ctx, &header, bytes, name, &names_offset);
    if (result < 0) {
        return result;
    }
    const void *aligned = bytes.ptr;
    if ((uintptr_t)aligned % _Alignof(struct kiln_table_header) != 0) {
        void *copy = kiln_arena_alloc(&ctx->arena, header.size);
        aligned = memcpy(copy, bytes.ptr, header.size);
    }
    result = check_names(ctx, aligned, names_offset, name);
    if (result == 0) {
        result = check_buckets(ctx, aligned, name);
    }
    if (result == 0) {
        *table = aligned;
    }
    return result;
}
