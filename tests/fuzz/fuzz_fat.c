/* The `.kiln` section of an untrusted file. The input is taken as an ELF file, as a
 * section, and as a section whose checksum is right, so that what stands behind it is reached. */
#include <stdint.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "fat/format.h"
#include "combine/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parts as they come out of the section. */
static void
read_parts(struct kiln_ctx *ctx, const struct kiln_fat *fat, struct kiln_span object)
{
    struct kiln_span bytes;
    struct kiln_part_list parts = {0};
    if (kiln_fat_decompress_parts(ctx, fat, "input", object, &ctx->arena, &bytes) == 0) {
        kiln_parts_parse(ctx, bytes, fat->archives.count, &parts);
    }
}

static void
read_section(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct kiln_fat_section section;
    struct kiln_fat fat;
    struct kiln_span object;
    if (kiln_fat_parse_section(ctx, bytes, "input", &section) == 0 &&
        kiln_fat_parse_record(ctx, &section, &fat) == 0 &&
        kiln_fat_decompress(ctx, &fat, "input", &ctx->arena, &object) == 0)
    {
        if (object.len != fat.object_size) {
            abort();
        }
        read_parts(ctx, &fat, object);
    }
}

static void
read_file(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct kiln_fat fat;
    struct kiln_span object;
    bool found;
    if (kiln_fat_read(ctx, bytes, "input", &fat, &found) == 0 && found) {
        if (kiln_fat_decompress(ctx, &fat, "input", &ctx->arena, &object) == 0) {
            read_parts(ctx, &fat, object);
        }
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
