/* Symbols that Kiln makes of a dotted name.
 *
 * The code can be read back, so that no two names have one symbol: "_" is the escape character, and
 * a "_" of the name is escaped itself. After it an id has only "_", "d" or "x"; other letters there
 * ("_l" for libraries, "_u", "_s") therefore mark names that belong to no module. */
#include "names/module_symbol.h"

#include "base/text.h"

static bool
is_letter_or_digit(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *
kiln_module_symbol_make_id(struct kiln_ctx *ctx, const char *name)
{
    static const char hex[] = "0123456789abcdef";
    /* A byte becomes four characters at most; the arena's zeros end the text. */
    char *id = kiln_arena_alloc(&ctx->arena, 4 * strlen(name) + 1), *out = id;
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (is_letter_or_digit(c)) {
            *out++ = *p;
            continue;
        }
        *out++ = '_';
        if (c == '_' || c == '.') {
            *out++ = c == '_' ? '_' : 'd';
        }
        else {
            *out++ = 'x';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        }
    }
    return id;
}

const char *
kiln_module_symbol_make_library_id(struct kiln_ctx *ctx, const char *name, size_t number)
{
    const char *id = kiln_module_symbol_make_id(ctx, name);
    return number <= 1 ? kiln_arena_printf(&ctx->arena, "%s_l", id)
                       : kiln_arena_printf(&ctx->arena, "%s_l%zu", id, number);
}

const char *
kiln_module_symbol_make(struct kiln_ctx *ctx, const char *init, const char *dotted_name)
{
    return kiln_arena_printf(&ctx->arena, "%s%s",
                             kiln_module_symbol_is_export(init) ? KILN_EXPORT_PREFIX
                                                                : KILN_INIT_PREFIX,
                             kiln_module_symbol_make_id(ctx, dotted_name));
}

bool
kiln_module_symbol_is_export(const char *symbol)
{
    return kiln_starts_with(symbol, KILN_EXPORT_PREFIX) ||
           kiln_starts_with(symbol, "PyModExport_") || kiln_starts_with(symbol, "PyModExportU_");
}
