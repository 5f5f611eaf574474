/* Decodes the bytes of a `.kiln` section, which are untrusted: see format.h. */
#include "fat/format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include "base/text.h"

static int
fail(struct kiln_ctx *ctx, const char *name, const char *problem)
{
    return kiln_fail(ctx, KILN_ERR_FORMAT,
                     "%s: damaged " KILN_FAT_SECTION " section: %s; build the extension again",
                     name, problem);
}

bool
kiln_fat_is_plausible(uint64_t object_size, uint64_t frame_size)
{
    /* Machine code shrinks to between a third and a tenth, large tables of zeros to less. */
    static const uint64_t always = 64 << 20, ratio = 1024;
    return object_size <= always || object_size / ratio <= frame_size;
}

/* Parses the second frame and its fields in the header. */
static bool
parse_parts(struct kiln_span bytes, struct kiln_fat_section *out)
{
    uint64_t frame_size;
    return kiln_span_get_u64(bytes, 40, &out->parts_size) &&
           kiln_span_get_u64(bytes, 48, &frame_size) &&
           kiln_span_get_u64(bytes, 56, &out->parts_checksum) && frame_size <= bytes.len &&
           kiln_span_slice(bytes, bytes.len - frame_size, frame_size, &out->parts_frame);
}

int
kiln_fat_parse_section(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                       struct kiln_fat_section *out)
{
    uint32_t version, record_size;
    uint64_t object_size, frame_size, checksum;
    struct kiln_span body;
    if (!kiln_span_starts_with(bytes, KILN_FAT_MAGIC, sizeof KILN_FAT_MAGIC)) {
        return fail(ctx, name, "no magic number at its start");
    }
    if (!kiln_span_get_u32(bytes, 8, &version)) {
        return fail(ctx, name, "cut short");
    }
    if (version > KILN_FAT_VERSION) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: built by a newer kiln (format %u, this one reads up to %u): upgrade "
                         "kiln",
                         name, (unsigned)version, (unsigned)KILN_FAT_VERSION);
    }
    if (version == 0) {
        return fail(ctx, name, "there is no format 0");
    }
    if (!kiln_span_get_u32(bytes, 12, &record_size) ||
        !kiln_span_get_u64(bytes, 16, &object_size) || !kiln_span_get_u64(bytes, 24, &frame_size) ||
        !kiln_span_get_u64(bytes, 32, &checksum) || bytes.len < KILN_FAT_HEADER_SIZE)
    {
        return fail(ctx, name, "cut short");
    }
    *out = (struct kiln_fat_section){.name = name, .object_size = object_size};
    uint64_t more = version == 1 ? 0 : KILN_FAT_PARTS_HEADER_SIZE - KILN_FAT_HEADER_SIZE;
    if (version > 1 && !parse_parts(bytes, out)) {
        return fail(ctx, name, "cut short");
    }
    if (!kiln_span_slice(bytes, KILN_FAT_HEADER_SIZE,
                         bytes.len - KILN_FAT_HEADER_SIZE - out->parts_frame.len, &body) ||
        !kiln_span_slice(body, more, record_size, &out->record) ||
        !kiln_span_slice(body, more + record_size, frame_size, &out->frame) ||
        more + out->record.len + out->frame.len != body.len)
    {
        return fail(ctx, name, "the sizes in its header are not those of its parts");
    }
    if (XXH3_64bits(body.ptr, body.len) != checksum) {
        return fail(ctx, name, "wrong checksum");
    }
    return 0;
}

/* Whether TEXT is one of the flags that kiln-cc records: combining again hands them to ld. */
static bool
is_combine_flag(const char *text)
{
    static const char *const flags[] = {"--strip-debug", "--allow-multiple-definition"};
    static const char *const prefixes[] = {
        "--undefined=", "--require-defined=", "--wrap=", "--defsym="};
    bool known = false;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        known = known || strcmp(text, flags[i]) == 0;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        known = known || kiln_starts_with(text, prefixes[i]);
    }
    return known;
}

/* Finds the field that TAG fills: a text, a list, or neither for a tag of a later or an older Kiln. */
static void
find_field(struct kiln_fat *fat, uint32_t tag, const char ***text, struct kiln_strings **list)
{
    *text = NULL;
    *list = NULL;
    switch (tag) {
    case KILN_FAT_DRIVER:
        *text = &fat->driver;
        break;
    case KILN_FAT_OUTPUT:
        *text = &fat->output;
        break;
    case KILN_FAT_FAILURE:
        *text = &fat->failure;
        break;
    case KILN_FAT_CONTENTS:
        *text = &fat->contents;
        break;
    case KILN_FAT_INIT:
        *list = &fat->inits;
        break;
    case KILN_FAT_ARCHIVE:
        *list = &fat->archives;
        break;
    case KILN_FAT_COMBINE:
        *list = &fat->combine;
        break;
    }
}

int
kiln_fat_parse_record(struct kiln_ctx *ctx, const struct kiln_fat_section *section,
                      struct kiln_fat *fat)
{
    *fat = (struct kiln_fat){
        .object_size = section->object_size,
        .frame = section->frame,
        .parts_size = section->parts_size,
        .parts_frame = section->parts_frame,
        .parts_checksum = section->parts_checksum,
    };
    uint32_t tag, len;
    for (uint64_t at = 0; at < section->record.len; at += 8 + (uint64_t)len) {
        struct kiln_span text;
        if (!kiln_span_get_u32(section->record, at, &tag) ||
            !kiln_span_get_u32(section->record, at + 4, &len) ||
            !kiln_span_slice(section->record, at + 8, len, &text))
        {
            return fail(ctx, section->name, "an entry of its record is cut short");
        }
        if (memchr(text.ptr, '\0', text.len) != NULL) {
            return fail(ctx, section->name, "a NUL in a text of its record");
        }
        const char **field;
        struct kiln_strings *list;
        find_field(fat, tag, &field, &list);
        if (field == NULL && list == NULL) {
            continue;
        }
        const char *copy = kiln_arena_strndup(&ctx->arena, (const char *)text.ptr, text.len);
        if (tag == KILN_FAT_COMBINE && !is_combine_flag(copy)) {
            return fail(ctx, section->name, "its record has an option that kiln-cc never records");
        }
        if (list != NULL) {
            kiln_strings_push(&ctx->arena, list, copy);
        }
        else {
            *field = copy;
        }
    }
    if (fat->driver == NULL || fat->output == NULL || fat->inits.count == 0) {
        return fail(ctx, section->name, "its record is incomplete");
    }
    if ((fat->failure == NULL) != (section->object_size > 0 && section->frame.len > 0)) {
        return fail(ctx, section->name, "it has neither an object nor a reason, or both");
    }
    return 0;
}

int
kiln_fat_decompress(struct kiln_ctx *ctx, const struct kiln_fat *fat, const char *name,
                    struct kiln_arena *arena, struct kiln_span *object)
{
    *object = kiln_span_of(NULL, 0);
    uint64_t size = fat->object_size;
    if (size == 0 && fat->frame.len == 0) {
        return 0;
    }
    if (ZSTD_getFrameContentSize(fat->frame.ptr, fat->frame.len) != size ||
        !kiln_fat_is_plausible(size, fat->frame.len) || size == 0)
    {
        return fail(ctx, name, "the size of its object is wrong");
    }
    uint8_t *bytes = kiln_arena_alloc(arena, size);
    size_t got = ZSTD_decompress(bytes, size, fat->frame.ptr, fat->frame.len);
    if (ZSTD_isError(got) || got != size) {
        return fail(ctx, name,
                    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "its object is cut short");
    }
    *object = kiln_span_of(bytes, size);
    return 0;
}

int
kiln_fat_decompress_parts(struct kiln_ctx *ctx, const struct kiln_fat *fat, const char *name,
                          struct kiln_span object, struct kiln_arena *arena,
                          struct kiln_span *parts)
{
    *parts = kiln_span_of(NULL, 0);
    struct kiln_span frame = fat->parts_frame;
    uint64_t size = fat->parts_size;
    if (frame.len == 0) {
        return 0;
    }
    if (XXH3_64bits(frame.ptr, frame.len) != fat->parts_checksum) {
        return fail(ctx, name, "wrong checksum of its parts");
    }
    /* With the object as the prefix, what is in both takes little room. */
    if (ZSTD_getFrameContentSize(frame.ptr, frame.len) != size || size == 0 ||
        !kiln_fat_is_plausible(size, frame.len + object.len))
    {
        return fail(ctx, name, "the size of its parts is wrong");
    }
    uint8_t *bytes = kiln_arena_alloc(arena, size);
    ZSTD_DCtx *stream = ZSTD_createDCtx();
    size_t got = stream == NULL ? 0 : ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 31);
    if (stream != NULL && !ZSTD_isError(got)) {
        got = ZSTD_DCtx_refPrefix(stream, object.ptr, object.len);
    }
    if (stream != NULL && !ZSTD_isError(got)) {
        got = ZSTD_decompressDCtx(stream, bytes, size, frame.ptr, frame.len);
    }
    ZSTD_freeDCtx(stream);
    if (ZSTD_isError(got) || got != size) {
        return fail(ctx, name,
                    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "its parts are cut short");
    }
    *parts = kiln_span_of(bytes, size);
    return 0;
}
