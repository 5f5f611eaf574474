/* Sorts the extensions into modules, which have an object, files, which have a reason, and those to
 * unlink. The reason is an error if the extension was named on the command line, or with --strict. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "link/bake.h"

static void
say_one(struct kiln_ctx *ctx, const struct kiln_baked *extension)
{
    kiln_say(ctx, KILN_NOTE, "%s stays a file: %s (%s)", extension->found->name, extension->reason,
             extension->found->path);
}

int
kiln_bake_keep(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct kiln_baked *extension)
{
    const struct kiln_found *found = extension->found;
    if (found->is_explicit) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s cannot be baked: %s", found->path,
                         found->name, extension->reason);
    }
    if (extension->is_library) {
        return 0;
    }
    bake->kept++;
    if (bake->options->strict && !extension->is_kept) {
        bake->refused++; /* the passes go on, so that all of them are told */
        kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s would stay a file: %s (--strict)", found->path,
                  found->name, extension->reason);
        return 0;
    }
    if (ctx->verbose) {
        say_one(ctx, extension);
    }
    return 0;
}

/* One that stays a file, and what it is a part of: its distribution, its package, or itself. */
struct kept {
    const char *group;
    const struct kiln_baked *extension;
};

static int
compare_kept(const void *left, const void *right)
{
    const struct kept *a = left, *b = right;
    int order = strcmp(a->group, b->group);
    return order != 0 ? order : strcmp(a->extension->found->name, b->extension->found->name);
}

static struct kept *
list_kept(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    struct kept *list = kiln_arena_alloc(&ctx->arena, (bake->kept + 1) * sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < bake->extensions.count && count < bake->kept; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL && !extension->is_library) {
            const char *group = kiln_baked_get_distribution(ctx, extension);
            list[count].group = group == NULL ? extension->found->name : group;
            list[count++].extension = extension;
        }
    }
    qsort(list, count, sizeof *list, compare_kept);
    return list;
}

void
kiln_bake_say_kept(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    if (ctx->verbose || bake->kept == 0) {
        return;
    }
    const struct kept *list = list_kept(ctx, bake);
    for (size_t i = 0, end; i < bake->kept; i = end) {
        for (end = i + 1; end < bake->kept && strcmp(list[i].group, list[end].group) == 0; end++) {
        }
        const struct kiln_baked *first = list[i].extension;
        if (end == i + 1) {
            say_one(ctx, first);
        }
        else {
            kiln_say(ctx, KILN_NOTE,
                     "%s: %zu extensions stay files (--verbose lists them); %s: %s (%s)",
                     list[i].group, end - i, first->found->name, first->reason, first->found->path);
        }
    }
}

int
kiln_bake_check_any(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    bool is_any = false;
    for (size_t i = 0; i < bake->found.count; i++) {
        is_any = is_any || !bake->found.items[i].is_addition;
    }
    if (is_any && bake->modules.count > 0) {
        return 0;
    }
    kiln_bake_say_kept(ctx, bake);
    return kiln_fail(ctx, KILN_ERR_INPUT, "nothing to bake: %s",
                     is_any ? "all extensions that were found stay files"
                            : "no extension was found");
}

int
kiln_bake_select(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    int result = 0;
    size_t plain = 0;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->is_plain) {
            plain++;
        }
        else if (extension->reason != NULL) {
            int failed = kiln_bake_keep(ctx, bake, extension);
            result = failed < 0 ? failed : result;
        }
        else {
            *KILN_ARENA_PUSH(&ctx->arena, &bake->modules) = *extension;
        }
    }
    return result == 0 && plain == 0 ? kiln_bake_check_any(ctx, bake) : result;
}
