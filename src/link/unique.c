/* STB_GNU_UNIQUE symbols are shared per distribution, not per process. g++ marks so the inline
 * variables, static members of templates and static variables of inline functions. Extensions of one
 * distribution were built together and share them; those of others have their own, as they may have
 * another version of the same header.
 *
 * If two extensions of a distribution disagree about the size of one, they were not built together:
 * each keeps its own, with the guard variable that tells whether it has been initialized, and the
 * user is warned. */
#include <stdlib.h>

#include "base/text.h"
#include "link/bake.h"

struct use {
    const char *distribution, *name;
    uint64_t size;
    struct kiln_baked *extension;
};

struct uses {
    struct kiln_arena arena;
    struct use *items;
    size_t count, capacity;
};

static int
compare_uses(const void *a, const void *b)
{
    const struct use *one = a, *other = b;
    int order = strcmp(one->distribution, other->distribution);
    order = order != 0 ? order : strcmp(one->name, other->name);
    return order != 0 ? order
                      : (one->extension > other->extension) - (one->extension < other->extension);
}

static void
list_uses(struct kiln_ctx *ctx, struct kiln_bake *bake, struct uses *out)
{
    for (size_t i = 0; i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        const struct kiln_strings *shared = &extension->isolated.unique;
        const char *distribution =
            shared->count == 0 ? NULL : kiln_baked_get_distribution(ctx, extension);
        for (size_t k = 0; distribution != NULL && k < shared->count; k++) {
            char *name;
            uint64_t size = strtoull(shared->items[k], &name, 10);
            *KILN_ARENA_PUSH(&out->arena, out) =
                (struct use){distribution, name + 1, size, extension};
        }
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof *out->items, compare_uses);
    }
}

/* The guard variable of NAME in the Itanium C++ ABI: 5.1.4.4 for what has a mangled name; the name
 * of a variable in the global namespace is not mangled. */
static const char *
get_guard(struct kiln_ctx *ctx, const char *name)
{
    return kiln_starts_with(name, "_Z")
               ? kiln_arena_printf(&ctx->arena, "_ZGV%s", name + 2)
               : kiln_arena_printf(&ctx->arena, "_ZGV%zu%s", strlen(name), name);
}

/* Let the extensions of FIRST .. END-1, which are uses of one symbol, have their own of it. */
static void
part(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct use *first, const struct use *end)
{
    struct kiln_conflict *conflict = KILN_ARENA_PUSH(&ctx->arena, &bake->conflicts);
    conflict->distribution = kiln_arena_strdup(&ctx->arena, first->distribution);
    conflict->symbol = kiln_arena_strdup(&ctx->arena, first->name);
    for (const struct use *use = first; use < end; use++) {
        struct kiln_strings *own = &use->extension->own;
        kiln_strings_add(&ctx->arena, own, conflict->symbol);
        kiln_strings_add(&ctx->arena, own, get_guard(ctx, conflict->symbol));
        kiln_strings_push(&ctx->arena, &conflict->modules, use->extension->found->name);
    }
    kiln_say(ctx, KILN_WARNING,
             "%s: its extensions disagree about the size of %s, so each has its own; build them "
             "again, together",
             conflict->distribution, conflict->symbol);
}

bool
kiln_bake_find_conflicts(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct uses uses = {0};
    bool found = false;
    list_uses(ctx, bake, &uses);
    for (size_t i = 0, end; i < uses.count; i = end) {
        const struct use *first = &uses.items[i];
        bool agree = true;
        for (end = i; end < uses.count && strcmp(uses.items[end].name, first->name) == 0 &&
                      strcmp(uses.items[end].distribution, first->distribution) == 0;
             end++)
        {
            agree = agree && uses.items[end].size == first->size;
        }
        if (!agree) {
            part(ctx, bake, first, uses.items + end);
            found = true;
        }
    }
    kiln_arena_release(&uses.arena);
    return found;
}
