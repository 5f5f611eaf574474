/* From the section to an object file: decompress the relocatable of each module and isolate it
 * under the module's dotted name. */
#include "base/file.h"
#include "link/bake.h"

static int
isolate_one(struct kiln_ctx *ctx, const struct kiln_python *python, const char *tmpdir,
            size_t number, struct kiln_baked *module)
{
    const char *path = module->found->path;
    module->object = kiln_arena_printf(&ctx->arena, "%s/m%zu.o", tmpdir, number);

    /* The object is larger than all else in the arena; it is not needed once written. */
    struct kiln_ctx inner = {.say = ctx->say, .quiet = ctx->quiet, .verbose = ctx->verbose};
    struct kiln_file file;
    struct kiln_span object;
    int result = kiln_file_map(&inner, path, &file);
    if (result == 0) {
        result = kiln_fat_read_object(&inner, file.bytes, path, &object);
    }
    if (result == 0) {
        result = kiln_file_write(&inner, module->object, object);
    }
    kiln_file_release(&file);
    ctx->errors += inner.errors;
    kiln_ctx_release(&inner);

    if (result == 0) {
        result =
            kiln_isolate(ctx, module->object, module->found->name, python->init, &module->isolated);
        if (result < 0) {
            kiln_fail(ctx, result, "%s: %s cannot be isolated; rebuild it, or leave it out", path,
                      module->found->name);
        }
        else {
            const struct kiln_isolated *isolated = &module->isolated;
            kiln_say(ctx, KILN_DETAIL, "%s: %s, %llu bytes, %zu constructors deferred, from %s",
                     module->found->name, isolated->init, (unsigned long long)isolated->size,
                     isolated->constructors, path);
        }
    }
    return result;
}

int
kiln_bake_isolate(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    int result = 0;
    for (size_t i = 0; i < bake->modules.count; i++) {
        struct kiln_baked *module = &bake->modules.items[i];
        kiln_progress(ctx, "isolate", i, bake->modules.count, module->found->name);
        int failed = isolate_one(ctx, &bake->python, tmpdir, i, module);
        result = failed < 0 ? failed : result;
    }
    kiln_progress(ctx, "isolate", bake->modules.count, bake->modules.count, NULL);
    return result;
}
