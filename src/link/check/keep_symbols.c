/* `--export SYMBOL`: a symbol of a module that stays visible under its own name, for code that looks
 * itself up by dlsym(). A program has one symbol of a name, so one module must define it, and neither
 * libpython nor the C library may. */
#include "link/check/check.h"
#include "link/check/globals.h"

/* The modules that define SYMBOL. */
static struct kiln_strings
find_modules(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *symbol)
{
    struct kiln_strings found = {0};
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (kiln_strings_contain(&bake->modules.items[i].isolated.exported, symbol)) {
            kiln_strings_push(&ctx->arena, &found, bake->modules.items[i].found->name);
        }
    }
    return found;
}

int
kiln_bake_check_keep_symbols(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const struct kiln_strings *exports = &bake->options->exports;
    struct kiln_globals globals = {0};
    int result = exports->count == 0 ? 0 : kiln_globals_read(ctx, bake, &globals);
    for (size_t i = 0; result == 0 && i < exports->count; i++) {
        const char *symbol = exports->items[i];
        struct kiln_strings modules = find_modules(ctx, bake, symbol);
        const char *owner = kiln_globals_find(&globals, symbol);
        if (modules.count == 0) {
            result = kiln_fail(ctx, KILN_ERR_INPUT, "--export %s: no extension defines this symbol",
                               symbol);
        }
        else if (modules.count > 1) {
            result = kiln_fail(ctx, KILN_ERR_INPUT,
                               "--export %s: %s and %s both define it, and a program can have one "
                               "symbol of a name: leave one of them out, it stays a file",
                               symbol, modules.items[0], modules.items[1]);
        }
        else if (owner != NULL) {
            result = kiln_fail(ctx, KILN_ERR_INPUT,
                               "--export %s: %s defines it, but so does %s, and a program can have "
                               "one symbol of a name",
                               symbol, modules.items[0], owner);
        }
    }
    return result;
}
