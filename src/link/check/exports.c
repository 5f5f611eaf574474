/* `--export SYMBOL`: a symbol of a module that stays visible under its own name, for code that looks for it
 * in the program. A program has one symbol of a name, so one module must define it, and nothing that is in
 * the process anyway may. A module that is unlinked has its symbols as its file has, and needs none of this. */
#include "link/check/check.h"
#include "unlink/set.h"

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

static int
check_symbol(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *symbol)
{
    const struct kiln_strings modules = find_modules(ctx, bake, symbol);
    const struct kiln_dynobj_wanted wanted = {.name = symbol, .is_call = true};
    struct kiln_dynobj_symbol found;
    if (modules.count == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "--export %s: no extension that is baked from its objects defines this "
                         "symbol (--report tells which are)",
                         symbol);
    }
    if (modules.count > 1) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "--export %s: %s and %s both define it, and a program can have one symbol "
                         "of a name: leave one of them out, it stays a file",
                         symbol, modules.items[0], modules.items[1]);
    }
    const struct kiln_object *owner = kiln_objects_find(&bake->process->global, &wanted, &found);
    return owner == NULL
               ? 0
               : kiln_fail(ctx, KILN_ERR_INPUT,
                           "--export %s: %s defines it, but so does %s, and a program can have one "
                           "symbol of a name",
                           symbol, modules.items[0],
                           owner->origin == KILN_ORIGIN_PROGRAM ? "Python" : owner->path);
}

int
kiln_bake_check_exports(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < bake->options->exports.count; i++) {
        result = check_symbol(ctx, bake, bake->options->exports.items[i]);
    }
    return result;
}
