/* Reads and checks the names for a table: the first step of `kiln table`.
 *
 * A line is a dotted name and a symbol, then optionally the word `package`; `#` where a word would
 * begin makes the rest of the line a comment. Every problem is reported with its line before the pass
 * stops. */
#include "table/table.h"

#include <stdlib.h>

#include "names/dotted_name.h"
#include "names/module_symbol.h"

static int
fail_at(struct kiln_ctx *ctx, const struct kiln_table_name *name, const char *text)
{
    if (name->file == NULL) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "%s", text);
    }
    return kiln_fail(ctx, KILN_ERR_INPUT, "%s:%zu: %s", name->file, name->line, text);
}

/* Takes the next word off *LINE. Returns an empty span at its end. */
static struct kiln_span
take_word(struct kiln_span *line)
{
    size_t start = 0, end;
    while (start < line->len && strchr(" \t\r\f\v", line->ptr[start]) != NULL &&
           line->ptr[start] != '\0')
    {
        start++;
    }
    if (start < line->len && line->ptr[start] == '#') {
        start = line->len;
    }
    end = start;
    while (end < line->len &&
           (line->ptr[end] == '\0' || strchr(" \t\r\f\v", line->ptr[end]) == NULL)) {
        end++;
    }
    struct kiln_span word = kiln_span_of(line->ptr + start, end - start);
    *line = kiln_span_of(line->ptr + end, line->len - end);
    return word;
}

static bool
is_word(struct kiln_span word, const char *text)
{
    return kiln_span_equal(word, kiln_span_of_string(text));
}

static const char *
dup_word(struct kiln_ctx *ctx, struct kiln_span word)
{
    return kiln_arena_strndup(&ctx->arena, (const char *)word.ptr, word.len);
}

/* LINE is not empty. */
static int
read_line(struct kiln_ctx *ctx, struct kiln_table_names *names, struct kiln_span line,
          const struct kiln_table_name *at)
{
    struct kiln_span whole = line;
    struct kiln_span name = take_word(&line), symbol = take_word(&line), word;
    if (memchr(whole.ptr, '\0', whole.len) != NULL) {
        return fail_at(ctx, at, "a NUL byte; this is not a list of names");
    }
    if (name.len == 0) {
        return 0;
    }
    if (symbol.len == 0) {
        return fail_at(ctx, at,
                       kiln_arena_printf(&ctx->arena,
                                         "the symbol is missing after \"%s\"; a line is "
                                         "`dotted.name symbol [package]`",
                                         dup_word(ctx, name)));
    }
    const char *function = dup_word(ctx, symbol);
    unsigned flags = kiln_module_symbol_is_export(function) ? KILN_MODULE_EXPORT : 0;
    while ((word = take_word(&line)).len > 0) {
        if (!is_word(word, "package")) {
            return fail_at(ctx, at,
                           kiln_arena_printf(&ctx->arena,
                                             "\"%s\" is not known; after the symbol there may be "
                                             "the word `package`",
                                             dup_word(ctx, word)));
        }
        flags |= KILN_MODULE_PACKAGE;
    }
    *KILN_ARENA_PUSH(&ctx->arena, names) = (struct kiln_table_name){
        .name = dup_word(ctx, name),
        .symbol = function,
        .flags = flags,
        .file = at->file,
        .line = at->line,
    };
    return 0;
}

int
kiln_table_read(struct kiln_ctx *ctx, struct kiln_table_names *names, struct kiln_span text,
                const char *file)
{
    int result = 0;
    struct kiln_table_name at = {.file = file};
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline == NULL ? text.len : (size_t)(newline - text.ptr);
        at.line++;
        int line = len == 0 ? 0 : read_line(ctx, names, kiln_span_of(text.ptr, len), &at);
        if (line < 0) {
            result = line;
        }
        len += newline != NULL;
        text = kiln_span_of(text.ptr + len, text.len - len);
    }
    return result;
}

/* Returns whether TEXT is a symbol such as C compilers make. Assemblers accept others in quotes, but
 * linker scripts and the tools that people use on the result do not. */
static bool
is_symbol(const char *text)
{
    static const char start[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    return *text != '\0' && strchr(start, *text) != NULL &&
           text[strspn(
               text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.$")] == '\0';
}

static int
check_name(struct kiln_ctx *ctx, const struct kiln_table_name *name)
{
    int result = 0;
    const char *problem = kiln_dotted_name_find_problem(kiln_span_of_string(name->name));
    if (problem != NULL) {
        result = fail_at(ctx, name,
                         kiln_arena_printf(&ctx->arena, "\"%s\" is not the name of a module: %s",
                                           name->name, problem));
    }
    if (!is_symbol(name->symbol)) {
        result = fail_at(ctx, name,
                         kiln_arena_printf(&ctx->arena,
                                           "\"%s\" is not a symbol (module %s): letters, digits, "
                                           "\"_\", \".\" and \"$\", the first a letter or \"_\"",
                                           name->symbol, name->name));
    }
    else if (strcmp(name->symbol, "kiln_table") == 0) {
        result = fail_at(ctx, name,
                         kiln_arena_printf(&ctx->arena,
                                           "the symbol kiln_table (module %s) is the table itself",
                                           name->name));
    }
    return result;
}

static int
check_duplicate(struct kiln_ctx *ctx, const struct kiln_table_name *first,
                const struct kiln_table_name *name)
{
    const char *where =
        first->file == NULL
            ? ""
            : kiln_arena_printf(&ctx->arena, "; the first is at %s:%zu", first->file, first->line);
    return fail_at(ctx, name,
                   kiln_arena_printf(&ctx->arena,
                                     "the module %s is listed twice, with the symbols %s and %s%s",
                                     name->name, first->symbol, name->symbol, where));
}

static int
compare_names(const void *a, const void *b)
{
    const struct kiln_table_name *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    /* Equal names are an error, and its message goes by files and lines. */
    if (order == 0 && left->file != NULL && right->file != NULL) {
        order = strcmp(left->file, right->file);
    }
    return order != 0 ? order : (left->line > right->line) - (left->line < right->line);
}

int
kiln_table_sort(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        int checked = check_name(ctx, &names[i]);
        result = checked < 0 ? checked : result;
    }
    if (count > 0) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 1, first = 0; i < count; i++) {
        if (strcmp(names[first].name, names[i].name) != 0) {
            first = i;
        }
        else {
            result = check_duplicate(ctx, &names[first], &names[i]);
        }
    }
    return result;
}
