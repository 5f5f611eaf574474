/* Which of the extensions found can be baked: those with a `.kiln` section that holds an object.
 * The others stay files, which is no error, unless one was named on the command line. */
#include <string.h>

#include "base/file.h"
#include "link/bake.h"

static bool
is_reserved(const struct kiln_python *python, const char *name)
{
    size_t len = strcspn(name, ".");
    for (size_t i = 0; i < python->reserved.count; i++) {
        const char *reserved = python->reserved.items[i];
        if (strncmp(reserved, name, len) == 0 && reserved[len] == '\0') {
            return true;
        }
    }
    return false;
}

static int
keep(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct kiln_found *found,
     const char *reason)
{
    if (found->given) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s cannot be baked: %s", found->path,
                         found->name, reason);
    }
    bake->kept++;
    kiln_say(ctx, KILN_NOTE, "%s stays a file: %s (%s)", found->name, reason, found->path);
    return 0;
}

static int
select_one(struct kiln_ctx *ctx, struct kiln_bake *bake, const struct kiln_found *found)
{
    if (found->reason != NULL) {
        return keep(ctx, bake, found, found->reason);
    }
    if (is_reserved(&bake->python, found->name)) {
        return keep(ctx, bake, found,
                    "the standard library has a module of this name, which Python prefers");
    }
    struct kiln_fat fat = {0};
    bool fat_found = false;
    struct kiln_file file;
    int result = kiln_file_map(ctx, found->path, &file);
    if (result == 0) {
        result = kiln_fat_read(ctx, file.bytes, found->path, &fat, &fat_found);
    }
    kiln_file_release(&file);
    if (result < 0) {
        return result;
    }
    if (!fat_found) {
        return keep(ctx, bake, found, "it was built without Kiln (see `kiln help pip`)");
    }
    if (fat.failure != NULL) {
        return keep(ctx, bake, found, fat.failure);
    }
    *KILN_ARENA_PUSH(&ctx->arena, &bake->modules) = (struct kiln_baked){.found = found, .fat = fat};
    return 0;
}

int
kiln_bake_select(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    int result = 0;
    for (size_t i = 0; i < bake->found.count; i++) {
        const struct kiln_found *found = &bake->found.items[i];
        kiln_progress(ctx, "read", i, bake->found.count, found->name);
        int failed = select_one(ctx, bake, found);
        result = failed < 0 ? failed : result;
    }
    kiln_progress(ctx, "read", bake->found.count, bake->found.count, NULL);
    if (result == 0 && bake->modules.count == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "nothing to bake: %s; build packages with `kiln pip install`",
                         bake->found.count == 0 ? "no extension was found"
                                                : "none of the extensions found is fat");
    }
    return result;
}
