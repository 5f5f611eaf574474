/* Response files, `@file` on a command line: read them as gcc does, and write one.
 *
 * The rules are libiberty's expandargv() and buildargv(); clang's differ only where a file ends
 * inside a quotation. */
#include "base/response.h"

#include <ctype.h>
#include <unistd.h>

#include "base/file.h"

/* The limit of libiberty. */
enum { MAX_FILES = 2000 };

void
kiln_response_parse(struct kiln_ctx *ctx, struct kiln_span bytes, struct kiln_strings *out)
{
    /* To libiberty the file is a C string. */
    const char *text = (const char *)bytes.ptr;
    size_t len = bytes.len == 0 ? 0 : strnlen(text, bytes.len);
    char *word = kiln_arena_alloc(&ctx->arena, len + 1);

    for (size_t i = 0; i < len;) {
        if (isspace((unsigned char)text[i])) {
            i++;
            continue;
        }
        size_t word_len = 0;
        char quote = '\0';
        for (; i < len && (quote != '\0' || !isspace((unsigned char)text[i])); i++) {
            char c = text[i];
            if (c == '\\') {
                if (i + 1 < len) {
                    word[word_len++] = text[++i];
                }
            }
            else if (quote != '\0' && c == quote) {
                quote = '\0';
            }
            else if (quote == '\0' && (c == '\'' || c == '"')) {
                quote = c;
            }
            else {
                word[word_len++] = c;
            }
        }
        kiln_strings_push(&ctx->arena, out, kiln_arena_strndup(&ctx->arena, word, word_len));
    }
}

struct kiln_span
kiln_response_format(struct kiln_ctx *ctx, const struct kiln_strings *args)
{
    size_t size = 1;
    for (size_t i = 0; i < args->count; i++) {
        size += 2 * strlen(args->items[i]) + 3;
    }
    char *text = kiln_arena_alloc(&ctx->arena, size), *end = text;
    for (size_t i = 0; i < args->count; i++) {
        const char *arg = args->items[i];
        if (*arg == '\0') {
            *end++ = '"';
            *end++ = '"';
        }
        for (; *arg != '\0'; arg++) {
            if (isspace((unsigned char)*arg) || strchr("\\'\"", *arg) != NULL) {
                *end++ = '\\';
            }
            *end++ = *arg;
        }
        *end++ = '\n';
    }
    return kiln_span_of(text, (size_t)(end - text));
}

int
kiln_response_write(struct kiln_ctx *ctx, const char *path, const struct kiln_strings *args)
{
    return kiln_file_write(ctx, path, kiln_response_format(ctx, args));
}

static bool
expand(struct kiln_ctx *ctx, const struct kiln_strings *args, struct kiln_strings *out,
       unsigned *files, unsigned depth)
{
    /* A file that names itself is caught before the stack is full. */
    enum { MAX_DEPTH = 100 };
    for (size_t i = 0; i < args->count; i++) {
        const char *arg = args->items[i];
        if (arg[0] != '@' || access(arg + 1, R_OK) < 0 || kiln_file_is_special(arg + 1)) {
            kiln_strings_push(&ctx->arena, out, arg);
            continue;
        }
        if (++*files > MAX_FILES || depth == MAX_DEPTH) {
            return false;
        }
        struct kiln_file file;
        struct kiln_strings inner = {0};
        if (kiln_file_map(ctx, arg + 1, &file) < 0) {
            return false;
        }
        kiln_response_parse(ctx, file.bytes, &inner);
        kiln_file_release(&file);
        if (!expand(ctx, &inner, out, files, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool
kiln_response_expand(struct kiln_ctx *ctx, const struct kiln_strings *args,
                     struct kiln_strings *out)
{
    unsigned files = 0;
    return expand(ctx, args, out, &files, 0);
}
