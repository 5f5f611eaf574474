/* Sorts the extensions into modules, which have an object, files, which have a reason, and those to
 * unlink. The reason is an error only if the extension was named on the command line. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "link/bake.h"

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
    kiln_say(ctx, KILN_NOTE, "%s stays a file: %s (%s)", found->name, extension->reason,
             found->path);
    return 0;
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
