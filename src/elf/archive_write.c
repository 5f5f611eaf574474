/* Writing an ar archive: many objects as one file, for linkers that are told to take it whole.
 *
 * The common format with GNU's table of long names, and no index of symbols, which whoever takes an
 * archive whole has no use for. Times, owners and modes are zero, as `ar D` writes them. Members
 * are filled up with zeros, which are part of them but of no section, so that each starts where an
 * object's structures are aligned. */
#include <stdio.h>

#include "base/file.h"
#include "elf/elf.h"

enum { HEADER_SIZE = 60, ALIGNMENT = 8, SHORT_NAME = 15 };

static const uint8_t zeros[ALIGNMENT];

/* The zeros after LEN bytes that start at the multiple of ALIGNMENT, so that the next member, after
 * its header, does so too. */
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

/* The member that holds the names which are too long for a header; *offsets says where. */
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
    /* The magic number, 8 bytes, and this member's header come before. */
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
