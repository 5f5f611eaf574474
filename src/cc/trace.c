/* Parses a linker's trace: which files and archive members it linked, in order.
 *
 * GNU ld prints `m.o`, `lib.a` for an archive that it opened, and `(lib.a)m.o` for each member that it
 * took; before 2.35, `-lfoo (libfoo.so)` for libraries. gold and lld print `lib.a(m.o)`. mold prints
 * `trace: lib.a(m.o)`, for unused members too. Names may contain parentheses, so a line is split
 * only where that yields the name of a file. */
#include "cc/cc.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

static bool
is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void
push(struct kiln_ctx *ctx, struct kiln_trace *trace, const char *path, const char *member)
{
    struct kiln_link_input *item = KILN_ARENA_PUSH(&ctx->arena, trace);
    *item = (struct kiln_link_input){path, member};
}

/* `(lib.a)m.o` */
static bool
read_gnu_member(struct kiln_ctx *ctx, const char *line, struct kiln_trace *out)
{
    const char *close = line[0] == '(' ? line : NULL;
    while (close != NULL && (close = strchr(close + 1, ')')) != NULL) {
        const char *archive = kiln_arena_strndup(&ctx->arena, line + 1, (size_t)(close - line) - 1);
        if (close[1] != '\0' && is_file(archive)) {
            push(ctx, out, archive, close + 1);
            return true;
        }
    }
    return false;
}

/* `lib.a(m.o)`, or `-lfoo (libfoo.so)` */
static bool
read_member(struct kiln_ctx *ctx, const char *line, struct kiln_trace *out)
{
    size_t len = strlen(line);
    if (len < 3 || line[len - 1] != ')') {
        return false;
    }
    for (const char *open = line; (open = strchr(open, '(')) != NULL; open++) {
        const char *inner =
            kiln_arena_strndup(&ctx->arena, open + 1, (size_t)(line + len - open) - 2);
        const char *outer = kiln_arena_strndup(&ctx->arena, line, (size_t)(open - line));
        if (kiln_starts_with(line, "-l") && is_file(inner)) {
            push(ctx, out, inner, NULL);
            return true;
        }
        if (is_file(outer)) {
            push(ctx, out, outer, inner);
            return true;
        }
    }
    return false;
}

/* Returns whether LINE has one of the compilers' names for an intermediate file of LTO. */
static bool
is_lto_output(const char *line)
{
    const char *name = kiln_file_basename(line);
    return strstr(name, ".ltrans") != NULL || strstr(name, ".lto.") != NULL ||
           kiln_starts_with(name, "lto-llvm-");
}

static int
read_line(struct kiln_ctx *ctx, const char *line, struct kiln_trace *out)
{
    static const char mold[] = "trace: ";
    if (kiln_starts_with(line, mold) && !is_file(line)) {
        line += sizeof mold - 1;
        out->is_mold = true;
    }
    if (*line == '\0' || is_lto_output(line)) {
        return 0;
    }
    if (is_file(line)) {
        push(ctx, out, line, NULL);
        return 0;
    }
    if (read_gnu_member(ctx, line, out) || read_member(ctx, line, out)) {
        return 0;
    }
    return kiln_fail(ctx, KILN_ERR_FORMAT, "the linker's trace names no file with \"%s\"", line);
}

int
kiln_trace_parse(struct kiln_ctx *ctx, struct kiln_span text, struct kiln_trace *out)
{
    *out = (struct kiln_trace){0};
    for (size_t start = 0; start < text.len;) {
        const uint8_t *line = text.ptr + start;
        const uint8_t *newline = memchr(line, '\n', text.len - start);
        size_t len = newline == NULL ? text.len - start : (size_t)(newline - line);
        int result = read_line(ctx, kiln_arena_strndup(&ctx->arena, (const char *)line, len), out);
        if (result < 0) {
            return result;
        }
        start += len + 1;
    }
    return 0;
}
