/* Writes the table as assembly: the last step of `kiln table`.
 *
 * Only the functions' addresses are not known here. Offsets to names are plain numbers, and each
 * function is its symbol's distance from the word that holds it, a relocation that the linker resolves
 * (R_X86_64_PC32, R_AARCH64_PREL32). `.4byte` and `%progbits` mean the same to every assembler on
 * every machine; `.long` and `@progbits` do not. */
#include "table/table.h"

#include "base/text.h"

/* The text below writes what kiln/table.h declares: a change there is a change here. */
_Static_assert(offsetof(struct kiln_table_header, magic) == 0 &&
                   sizeof(((struct kiln_table_header *)0)->magic) == 8 &&
                   offsetof(struct kiln_table_header, version) == 8 &&
                   offsetof(struct kiln_table_header, size) == 12 &&
                   offsetof(struct kiln_table_header, count) == 16 &&
                   offsetof(struct kiln_table_header, bucket_count) == 20 &&
                   offsetof(struct kiln_table_header, seed) == 24 &&
                   sizeof(struct kiln_table_header) == 32 && KILN_TABLE_VERSION == 1,
               "write_header()");
_Static_assert(offsetof(struct kiln_table_entry, name) == 0 &&
                   offsetof(struct kiln_table_entry, function) == 4 &&
                   sizeof(struct kiln_table_entry) == 8,
               "write_entries()");

static void
write_string(FILE *stream, const void *bytes, size_t len)
{
    fputs("\t.ascii \"", stream);
    kiln_asm_write_string(stream, kiln_span_of(bytes, len));
    fputs("\"\n", stream);
}

static void
write_header(FILE *stream, const struct kiln_table_header *header, const char *symbol,
             const char *section)
{
    fprintf(stream,
            "\t.section %s,\"a\",%%progbits\n"
            "\t.balign 64\n"
            "\t.globl %s\n"
            "\t.hidden %s\n"
            "\t.type %s, %%object\n"
            "%s:\n",
            section, symbol, symbol, symbol, symbol);
    write_string(stream, header->magic, sizeof header->magic);
    fprintf(stream, "\t.4byte %u\n\t.4byte %u\n\t.4byte %u\n\t.4byte %u\n\t.8byte %llu\n",
            header->version, header->size, header->count, header->bucket_count,
            (unsigned long long)header->seed);
}

/* The symbols are quoted: a preprocessor would replace `unix`, and some assemblers take `x0` for a
 * register. Each has a line of its own, since "." is the address at the start of the statement. */
static void
write_entries(FILE *stream, const struct kiln_table *table, const struct kiln_table_name *names,
              const uint32_t *order)
{
    size_t count = kiln_table_get_count(table);
    for (size_t slot = 0; slot < count; slot++) {
        fprintf(stream, "\t.4byte %d\n\t.4byte \"%s\"-.\n", kiln_table_get_entry(table, slot)->name,
                names[order[slot]].symbol);
    }
    fprintf(stream, "\t.4byte %d\n\t.4byte 0\n", kiln_table_get_entry(table, count)->name);
}

static void
write_buckets(FILE *stream, const struct kiln_table *table)
{
    const uint32_t *words =
        (const void *)kiln_table_get_entry(table, kiln_table_get_count(table) + 1);
    for (uint32_t i = 0; i < kiln_table_get_header(table)->bucket_count; i++) {
        fprintf(stream, "\t.4byte %u\n", words[i]);
    }
}

static void
write_names(FILE *stream, const struct kiln_table *table)
{
    for (size_t slot = 0; slot < kiln_table_get_count(table); slot++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(table, slot);
        write_string(stream, (const uint8_t *)entry + entry->name,
                     kiln_table_get_name_len(entry) + 2);
    }
}

int
kiln_table_emit_as(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count,
                   const char *symbol, const char *section, FILE *stream, const uint32_t **order)
{
    struct kiln_table_image image;
    int result = kiln_table_sort(ctx, names, count);
    if (result == 0) {
        result = kiln_table_build(ctx, &image, names, count);
    }
    if (result < 0) {
        return result;
    }
    if (order != NULL) {
        *order = image.order;
    }
    const struct kiln_table *table = (const void *)image.bytes.ptr;
    write_header(stream, kiln_table_get_header(table), symbol, section);
    write_entries(stream, table, names, image.order);
    write_buckets(stream, table);
    write_names(stream, table);
    fprintf(stream, "\t.size %s, . - %s\n", symbol, symbol);
    return ferror(stream) ? kiln_fail_errno(ctx, "cannot write the table") : 0;
}

int
kiln_table_emit(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count, FILE *stream,
                const uint32_t **order)
{
    return kiln_table_emit_as(ctx, names, count, "kiln_table", KILN_TABLE_SECTION, stream, order);
}
