/* The `.kiln` section of a file that nobody vouches for. The input is taken as an ELF file, as a
 * section, and as a section whose checksum is right, so that what stands behind it is reached. */
#include <stdint.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fat/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_section(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct kiln_fat_section section;
    struct kiln_fat fat;
    struct kiln_span object;
    if (kiln_fat_parse_section(ctx, bytes, "input", &section) == 0 &&
        kiln_fat_parse_record(ctx, &section, &fat) == 0 &&
        kiln_fat_decompress(ctx, &fat, "input", &ctx->arena, &object) == 0 &&
        object.len != fat.object_size)
    {
        abort();
    }
}

static void
read_file(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct kiln_fat fat;
    struct kiln_span object;
    bool found;
    if (kiln_fat_read(ctx, bytes, "input", &fat, &found) == 0 && found) {
        kiln_fat_decompress(ctx, &fat, "input", &ctx->arena, &object);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_span bytes = kiln_span_of(data, size);
    read_file(&ctx, bytes);
    read_section(&ctx, bytes);
    if (size >= KILN_FAT_HEADER_SIZE) {
        uint8_t *copy = kiln_arena_alloc(&ctx.arena, size);
        memcpy(copy, data, size);
        uint64_t sum = XXH3_64bits(copy + KILN_FAT_HEADER_SIZE, size - KILN_FAT_HEADER_SIZE);
        memcpy(copy + 32, &sum, sizeof sum);
        read_section(&ctx, kiln_span_of(copy, size));
    }
    kiln_ctx_release(&ctx);
    return 0;
}
