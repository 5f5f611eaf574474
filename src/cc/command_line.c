/* Parses the command line of a compiler driver: whether it links a shared object, and if so, how to
 * repeat the link for its trace, and what of it `ld -r` must be told.
 *
 * The arguments become two interleaved streams, the driver's own and those that -Wl, and -Xlinker pass
 * to the linker: an option takes its value from its own stream (`-Wl,-rpath -Wl,/x`). The traced link
 * gets both in their order, without the options that write files or print. */
#include "cc/cc.h"

#include "base/file.h"
#include "base/text.h"

struct token {
    const char *text;
    bool is_linker;
};

struct tokens {
    struct token *items;
    size_t count, capacity;
};

struct parser {
    struct kiln_ctx *ctx;
    struct kiln_command_line *line;
    struct tokens tokens;
    bool no_link;
    bool has_inputs;
    bool has_language; /* under -x */
    bool is_lazy;      /* between --start-lib and --end-lib */
    struct kiln_strings stems;
};

static void
push_token(struct parser *parser, const char *text, bool is_linker)
{
    struct token *token = KILN_ARENA_PUSH(&parser->ctx->arena, &parser->tokens);
    *token = (struct token){text, is_linker};
}

/* Pushes an argument of the linker, which expands response files itself. */
static void
push_linker_token(struct parser *parser, const char *text)
{
    struct kiln_ctx *ctx = parser->ctx;
    struct kiln_strings one = {0}, expanded = {0};
    kiln_strings_push(&ctx->arena, &one, text);
    if (text[0] == '@' && kiln_response_expand(ctx, &one, &expanded)) {
        for (size_t i = 0; i < expanded.count; i++) {
            push_token(parser, expanded.items[i], true);
        }
        parser->line->has_response = true;
        return;
    }
    push_token(parser, text, true);
}

static void
split_args(struct parser *parser, const struct kiln_strings *args)
{
    struct kiln_arena *arena = &parser->ctx->arena;
    for (size_t i = 0; i < args->count; i++) {
        const char *arg = args->items[i];
        bool is_next = strcmp(arg, "-Xlinker") == 0 || strcmp(arg, "--for-linker") == 0;
        if (is_next && i + 1 < args->count) {
            push_linker_token(parser, args->items[++i]);
        }
        else if (kiln_starts_with(arg, "--for-linker=")) {
            push_linker_token(parser, arg + 13);
        }
        else if (kiln_starts_with(arg, "-Wl,")) {
            for (arg += 4; *arg != '\0'; arg += *arg == ',') {
                size_t len = strcspn(arg, ",");
                push_linker_token(parser, kiln_arena_strndup(arena, arg, len));
                arg += len;
            }
        }
        else {
            push_token(parser, arg, false);
        }
    }
}

static void
keep(struct parser *parser, const char *text, bool is_linker)
{
    if (is_linker) {
        kiln_strings_push(&parser->ctx->arena, &parser->line->trace, "-Xlinker");
    }
    kiln_strings_push(&parser->ctx->arena, &parser->line->trace, text);
}

/* Returns whether the driver passes PATH to the linker as it is. If in doubt, it is a source. */
static bool
is_object_name(const char *path)
{
    static const char *const suffixes[] = {".o", ".a", ".so", ".lo", ".obj", ".rlib", ".lib"};
    const char *name = kiln_file_basename(path), *dot = strrchr(name, '.');
    if (dot == NULL || strstr(name, ".so.") != NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (strcmp(dot, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void
set_obstacle(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Only the first obstacle is reported. */
static void
set_obstacle(struct parser *parser, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (parser->line->obstacle == NULL) {
        parser->line->obstacle = kiln_arena_vprintf(&parser->ctx->arena, format, args);
    }
    va_end(args);
}

/* An object has its source's name, so that two sources of one name cannot be told apart. */
static void
note_source(struct parser *parser, const char *path)
{
    struct kiln_arena *arena = &parser->ctx->arena;
    parser->line->has_sources = true;
    const char *name = kiln_file_basename(path), *dot = strrchr(name, '.');
    size_t len = dot == NULL ? strlen(name) : (size_t)(dot - name);
    const char *stem = kiln_arena_strndup(arena, name, len);
    size_t before = parser->stems.count;
    kiln_strings_add(arena, &parser->stems, stem);
    if (parser->stems.count == before) {
        set_obstacle(parser,
                     "two source files of the link command are called %s: compile them to object "
                     "files first, with -c",
                     name);
    }
}

static void
read_input(struct parser *parser, const char *text, bool is_linker)
{
    parser->has_inputs = true;
    if (!is_linker && strcmp(text, "-") == 0) {
        set_obstacle(parser,
                     "the link command compiled its standard input (%s): compile it to an "
                     "object file first, with -c",
                     text);
    }
    else if (!is_linker && (parser->has_language || !is_object_name(text))) {
        note_source(parser, text);
    }
    else if (!parser->is_lazy && kiln_ends_with(text, ".o")) {
        kiln_strings_push(&parser->ctx->arena, &parser->line->objects, text);
    }
    keep(parser, text, is_linker);
}

/* Drops the dependency options from -Wp,a,b: they name files to write. */
static void
read_preprocessor(struct parser *parser, const char *text)
{
    const char *dependencies = strstr(text, ",-M");
    size_t len = dependencies == NULL ? strlen(text) : (size_t)(dependencies - text);
    if (len > strlen("-Wp,")) {
        keep(parser, kiln_arena_strndup(&parser->ctx->arena, text, len), false);
    }
}

/* Acts on OPTION, spelt TEXT, with VALUE (NULL: none). Returns whether the traced link gets it, too. */
static bool
read_option(struct parser *parser, const struct kiln_option *option, const char *text,
            const char *value)
{
    struct kiln_command_line *line = parser->line;
    struct kiln_arena *arena = &parser->ctx->arena;
    const char *argument = value == NULL ? "" : value;

    switch (option->meaning) {
    case KILN_MEANS_NOTHING:
        return true;
    case KILN_MEANS_DROP:
        return false;
    case KILN_MEANS_OUTPUT:
        line->output = argument;
        return false;
    case KILN_MEANS_SHARED:
        line->makes_shared = true;
        return true;
    case KILN_MEANS_NO_LINK:
        parser->no_link = true;
        return true;
    case KILN_MEANS_LANGUAGE:
        parser->has_language = strcmp(argument, "none") != 0;
        return true;
    case KILN_MEANS_COVERAGE:
        keep(parser, "-fprofile-arcs", false);
        return false;
    case KILN_MEANS_PREPROCESSOR:
        read_preprocessor(parser, text);
        return false;
    case KILN_MEANS_PATH_MAP:
        kiln_strings_push(arena, &line->maps, argument);
        return true;
    case KILN_MEANS_LIBRARY:
        parser->has_inputs = true;
        return true;
    case KILN_MEANS_COMBINE:
        kiln_strings_push(arena, &line->combine,
                          kiln_arena_printf(arena, "%s=%s", option->alias, argument));
        return true;
    case KILN_MEANS_COMBINE_FLAG:
        kiln_strings_add(arena, &line->combine, option->alias);
        return true;
    case KILN_MEANS_KEYWORD:
        if (strcmp(argument, "muldefs") == 0) {
            kiln_strings_add(arena, &line->combine, "--allow-multiple-definition");
        }
        else if (strcmp(argument, "execstack") == 0) {
            set_obstacle(parser,
                         "the link asks for an executable stack (-z execstack), which would "
                         "make that of the whole program one: link without it");
        }
        return true;
    case KILN_MEANS_STRIP:
        kiln_strings_add(arena, &line->combine, "--strip-debug");
        return true;
    case KILN_MEANS_START_LIB:
    case KILN_MEANS_END_LIB:
        parser->is_lazy = option->meaning == KILN_MEANS_START_LIB;
        return true;
    case KILN_MEANS_SCRIPT:
        set_obstacle(
            parser,
            "the link has a layout of its own (%s %s), which cannot be kept in a link with "
            "other extensions: link without it",
            option->name, argument);
        return true;
    case KILN_MEANS_ENTRY_POINT:
        set_obstacle(parser,
                     "the link names a function to run at load time (%s %s): make it "
                     "__attribute__((constructor)) instead",
                     option->name, argument);
        return true;
    case KILN_MEANS_BINARY:
        set_obstacle(parser,
                     "the link embeds files of another format (%s %s): make object files of them "
                     "first, with `ld -r -b binary`",
                     option->name, argument);
        return true;
    }
    return true;
}

/* Returns the index of the token after INDEX in its stream, or 0. A value for the driver must follow its
 * option immediately. */
static size_t
find_value(const struct tokens *tokens, size_t index)
{
    bool is_linker = tokens->items[index].is_linker;
    for (size_t i = index + 1; i < tokens->count; i++) {
        if (tokens->items[i].is_linker == is_linker) {
            return i;
        }
        if (!is_linker) {
            return 0;
        }
    }
    return 0;
}

static void
read_token(struct parser *parser, size_t index)
{
    struct token token = parser->tokens.items[index];
    if (token.text == NULL) {
        return; /* the value of an option */
    }
    if (token.text[0] != '-' || token.text[1] == '\0') {
        read_input(parser, token.text, token.is_linker);
        return;
    }
    const char *value = NULL, *separate = NULL;
    const struct kiln_option *option = token.is_linker
                                           ? kiln_option_find_linker(token.text, &value)
                                           : kiln_option_find_driver(token.text, &value);
    if (option == NULL) {
        keep(parser, token.text, token.is_linker);
        return;
    }
    if (value == NULL && option->form != KILN_OPTION_EXACT) {
        size_t next = find_value(&parser->tokens, index);
        if (next != 0) {
            value = separate = parser->tokens.items[next].text;
            parser->tokens.items[next].text = NULL;
        }
    }
    if (read_option(parser, option, token.text, value)) {
        keep(parser, token.text, token.is_linker);
        if (separate != NULL) {
            keep(parser, separate, token.is_linker);
        }
    }
}

void
kiln_command_line_parse(struct kiln_ctx *ctx, const struct kiln_strings *args,
                        struct kiln_command_line *out)
{
    *out = (struct kiln_command_line){.output = "a.out"};
    struct parser parser = {.ctx = ctx, .line = out};
    struct kiln_strings expanded = {0};
    for (size_t i = 0; i < args->count && !out->has_response; i++) {
        out->has_response = args->items[i][0] == '@';
    }
    if (out->has_response) {
        if (!kiln_response_expand(ctx, args, &expanded)) {
            return;
        }
        args = &expanded;
    }
    split_args(&parser, args);
    for (size_t i = 0; i < parser.tokens.count; i++) {
        read_token(&parser, i);
    }
    out->makes_shared = out->makes_shared && !parser.no_link && parser.has_inputs;
}
