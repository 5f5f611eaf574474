/* Writes an ar archive: many objects as one file, for links with --whole-archive.
 *
 * This is the common format with GNU's table of long names, without a symbol index, which such links
 * do not use. Times and owners are zero, as `ar D` writes them. Each member is padded with zeros, which
 * belong to no section of it, so that the next one is aligned as an object's structures must be. */
#include "elf/ar.h"

#include <stdio.h>

#include "base/file.h"

enum { HEADER_SIZE = 60, ALIGNMENT = 8, SHORT_NAME = 15 };

static const uint8_t zeros[ALIGNMENT];

/* Returns the padding of LEN bytes that start at a multiple of ALIGNMENT, with which the contents of the
 * next member, after its header, do so, too. */
static size_t
fill_up(size_t len)
{
    return (ALIGNMENT - (len + HEADER_SIZE) % ALIGNMENT) % ALIGNMENT;
}

static struct kiln_span
make_header(struct kiln_ctx *ctx, const char *name, size_t size)
{
    return kiln_span_of(
        kiln_arena_printf(&ctx->arena, "%-16s%-12d%-6d%-6d%-8d%-10zu`\n", name, 0, 0, 0, 644, size),
        HEADER_SIZE);
}

/* Makes the table of the names that are too long for a header, and fills OFFSETS. */
static struct kiln_span
make_names(struct kiln_ctx *ctx, const struct kiln_ar_member *members, size_t count,
           size_t *offsets)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = size;
        size += strlen(members[i].name) > SHORT_NAME ? strlen(members[i].name) + 2 : 0;
    }
    char *text = kiln_arena_alloc(&ctx->arena, size + ALIGNMENT + 1);
    for (size_t i = 0; i < count; i++) {
        if (strlen(members[i].name) > SHORT_NAME) {
            sprintf(text + offsets[i], "%s/\n", members[i].name);
        }
    }
    /* Before it are the magic number, 8 bytes, and its header. */
    size_t padded = size + fill_up(size + HEADER_SIZE);
    memset(text + size, '\n', padded - size);
    return kiln_span_of(text, padded);
}

int
kiln_ar_write(struct kiln_ctx *ctx, const char *path, const struct kiln_ar_member *members,
              size_t count)
{
    size_t *offsets = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *offsets);
    struct kiln_span *parts = kiln_arena_alloc(&ctx->arena, (3 + 3 * count) * sizeof *parts);
    struct kiln_span names = make_names(ctx, members, count, offsets);
    size_t n = 0;
    parts[n++] = kiln_span_of_string("!<arch>\n");
    parts[n++] = make_header(ctx, "//", names.len);
    parts[n++] = names;
    for (size_t i = 0; i < count; i++) {
        size_t fill = fill_up(members[i].contents.len);
        bool is_long = strlen(members[i].name) > SHORT_NAME;
        const char *name = is_long ? kiln_arena_printf(&ctx->arena, "/%zu", offsets[i])
                                   : kiln_arena_printf(&ctx->arena, "%s/", members[i].name);
        parts[n++] = make_header(ctx, name, members[i].contents.len + fill);
        parts[n++] = members[i].contents;
        parts[n++] = kiln_span_of(zeros, fill);
    }
    return kiln_file_write_all(ctx, path, parts, n);
}
