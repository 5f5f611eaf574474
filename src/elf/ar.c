/* Reads ar archives: the common format, the table of long names of GNU and SVR4, and the names of BSD,
 * which precede the contents.
 *
 * The symbol index is not used: callers look into every member. */
#include "elf/ar.h"

enum { HEADER_SIZE = 60 }; /* <ar.h>: name[16] date[12] uid[6] gid[6] mode[8] size[10] fmag[2] */

struct archive {
    struct kiln_ctx *ctx;
    const char *name;
    struct kiln_span bytes;
    struct kiln_span names; /* contents of the member "//" */
    bool is_thin;           /* its members are separate files */
};

struct member {
    uint64_t offset; /* of the header */
    const char *name;
    struct kiln_span contents;
    bool is_index; /* a table of the archive, not a member */
};

static int
fail(const struct archive *archive, uint64_t offset, const char *problem)
{
    return kiln_fail(archive->ctx, KILN_ERR_FORMAT,
                     "%s: damaged archive: %s at offset %llu; rebuild it", archive->name, problem,
                     (unsigned long long)offset);
}

/* Parses FIELD: a decimal number, followed by spaces only. */
static bool
parse_number(struct kiln_span field, uint64_t *out)
{
    size_t i = 0;
    uint64_t value = 0;
    for (; i < field.len && field.ptr[i] >= '0' && field.ptr[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(field.ptr[i] - '0'); /* at most 16 digits: no overflow */
    }
    *out = value;
    bool digits = i > 0;
    while (i < field.len && field.ptr[i] == ' ') {
        i++;
    }
    return digits && i == field.len;
}

static const char *
dup_until(const struct archive *archive, struct kiln_span text, const char *stops)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '\0' && strchr(stops, text.ptr[len]) == NULL) {
        len++;
    }
    return kiln_arena_strndup(&archive->ctx->arena, (const char *)text.ptr, len);
}

/* Long names end in "/\n"; a "/" alone can be part of one. */
static bool
read_long_name(const struct archive *archive, uint64_t at, struct member *member)
{
    struct kiln_span rest;
    if (at >= archive->names.len ||
        !kiln_span_slice(archive->names, at, archive->names.len - at, &rest))
    {
        return false;
    }
    char *name = kiln_arena_strdup(&archive->ctx->arena, dup_until(archive, rest, "\n"));
    size_t len = strlen(name);
    if (len > 0 && name[len - 1] == '/') {
        name[len - 1] = '\0';
    }
    member->name = name;
    return true;
}

/* Returns whether a member whose header has the name FIELD is a table of the archive. */
static bool
is_table(struct kiln_span field)
{
    return kiln_span_starts_with(field, "/ ", 2) || kiln_span_starts_with(field, "// ", 3) ||
           kiln_span_starts_with(field, "/SYM64/ ", 8);
}

static bool
read_name(const struct archive *archive, struct kiln_span field, struct member *member)
{
    uint64_t number;
    struct kiln_span digits;
    if (kiln_span_starts_with(field, "#1/", 3) && kiln_span_slice(field, 3, 13, &digits)) {
        struct kiln_span name;
        if (!parse_number(digits, &number) ||
            !kiln_span_slice(member->contents, 0, number, &name) ||
            !kiln_span_slice(member->contents, number, member->contents.len - number,
                             &member->contents))
        {
            return false;
        }
        member->name = dup_until(archive, name, "");
    }
    else if (kiln_span_slice(field, 1, 15, &digits) && field.ptr[0] == '/' &&
             parse_number(digits, &number))
    {
        return read_long_name(archive, number, member);
    }
    else if (is_table(field)) {
        member->name = "";
        member->is_index = true;
    }
    else {
        char *name = kiln_arena_strdup(&archive->ctx->arena, dup_until(archive, field, "/"));
        for (size_t len = strlen(name); len > 0 && name[len - 1] == ' '; len--) {
            name[len - 1] = '\0';
        }
        member->name = name;
    }
    if (kiln_span_starts_with(kiln_span_of_string(member->name), "__.SYMDEF", 9)) {
        member->is_index = true;
    }
    return true;
}

/* Reads the member at *OFFSET, and moves that to the next one. */
static int
read_member(struct archive *archive, uint64_t *offset, struct member *out)
{
    struct kiln_span header, name, size;
    uint64_t len;
    if (!kiln_span_slice(archive->bytes, *offset, HEADER_SIZE, &header)) {
        return fail(archive, *offset, "the file ends inside a header");
    }
    kiln_span_slice(header, 0, 16, &name);
    kiln_span_slice(header, 48, 10, &size);
    if (header.ptr[58] != '`' || header.ptr[59] != '\n' || !parse_number(size, &len)) {
        return fail(archive, *offset, "no header of a member");
    }
    len = archive->is_thin && !is_table(name) ? 0 : len;
    *out = (struct member){.offset = *offset};
    if (!kiln_span_slice(archive->bytes, *offset + HEADER_SIZE, len, &out->contents)) {
        return fail(archive, *offset, "the file ends inside a member");
    }
    struct kiln_span contents = out->contents;
    if (!read_name(archive, name, out)) {
        return fail(archive, *offset, "a member's name lies outside the archive");
    }
    if (kiln_span_starts_with(name, "// ", 3)) {
        archive->names = contents;
    }
    *offset += HEADER_SIZE + len + (len & 1);
    return 0;
}

static int
visit_members(struct archive *archive,
              int (*visit)(void *arg, const char *member, struct kiln_span contents), void *arg)
{
    int result = 0;
    for (uint64_t offset = 8; result == 0 && offset < archive->bytes.len;) {
        struct member member = {0};
        result = read_member(archive, &offset, &member);
        if (result == 0 && !member.is_index) {
            result = visit(arg, member.name, member.contents);
        }
    }
    return result;
}

int
kiln_ar_visit(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
              int (*visit)(void *arg, const char *member, struct kiln_span contents), void *arg)
{
    struct archive archive = {.ctx = ctx, .name = name, .bytes = bytes};
    if (kiln_ar_is_thin(bytes)) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: a thin archive; give the files it lists, or make it without T", name);
    }
    if (!kiln_span_starts_with(bytes, "!<arch>\n", 8)) {
        return kiln_fail(ctx, KILN_ERR_FORMAT, "%s: not an archive", name);
    }
    return visit_members(&archive, visit, arg);
}

bool
kiln_ar_is_thin(struct kiln_span bytes)
{
    return kiln_span_starts_with(bytes, "!<thin>\n", 8);
}

struct listing {
    struct kiln_ctx *ctx;
    struct kiln_strings *names;
};

static int
list_name(void *arg, const char *member, struct kiln_span contents)
{
    struct listing *listing = arg;
    (void)contents;
    kiln_strings_push(&listing->ctx->arena, listing->names, member);
    return 0;
}

int
kiln_ar_list_thin(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                  struct kiln_strings *names)
{
    struct archive archive = {.ctx = ctx, .name = name, .bytes = bytes, .is_thin = true};
    struct listing listing = {ctx, names};
    return kiln_ar_is_thin(bytes) ? visit_members(&archive, list_name, &listing)
                                  : kiln_fail(ctx, KILN_ERR_FORMAT, "%s: not a thin archive", name);
}
