/* Extensions that are not baked from objects become images in the executable (src/unlink), and modules like
 * the others. What cannot be unlinked stays a file, with its reason. */
#include <stdlib.h>

#include "base/file.h"
#include "link/bake.h"
#include "link/emit/emit.h"
#include "names/init_symbol.h"
#include "names/module_symbol.h"
#include "unlink/unlink.h"

static void
add_candidate(struct kiln_ctx *ctx, const struct kiln_bake *bake,
              const struct kiln_baked *extension, struct kiln_unlink_module *out)
{
    const char *name = extension->found->name;
    const char *kinds[] = {"PyInit", "PyModExport"};
    bool export_first = bake->python.init == kiln_init_export_first;
    *out = (struct kiln_unlink_module){.name = name, .path = extension->found->path};
    for (int i = 0; i < 2; i++) {
        const char *init = kiln_init_symbol_make(ctx, kinds[export_first ? 1 - i : i], name);
        out->inits[i] = (struct kiln_unlink_init){
            .name = init, .symbol = kiln_module_symbol_make(ctx, init, name)};
    }
}

static int
compare_modules(const void *a, const void *b)
{
    const struct kiln_baked *x = a, *y = b;
    return strcmp(x->found->name, y->found->name);
}

static int
take(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_baked *extension,
     const struct kiln_unlink_module *module)
{
    bool has_objects = extension->fault == NULL && extension->fat.object_size > 0;
    extension->reason = module->reason;
    if (module->reason != NULL && has_objects) {
        extension->reason = kiln_arena_printf(&ctx->arena, "%s; and from its objects: %s",
                                              module->reason, extension->not_objects);
    }
    if (module->reason != NULL) {
        return kiln_bake_keep(ctx, bake, extension);
    }
    if (extension->fault != NULL) {
        kiln_say(ctx, KILN_NOTE, "%s is unlinked: %s (%s)", extension->found->name,
                 extension->fault, extension->found->path);
    }
    extension->is_image = true;
    extension->images = module->images;
    extension->opened = module->libraries;
    extension->isolated.constructors = module->constructors;
    extension->isolated.destructors = module->destructors;
    extension->fat = (struct kiln_fat){.driver = "", .machine = bake->python.machine};
    extension->isolated.init = module->init->name;
    extension->isolated.symbol = module->init->symbol;
    extension->isolated.size = module->size;
    *KILN_ARENA_PUSH(&ctx->arena, &bake->modules) = *extension;
    return 0;
}

/* Whether EXTENSION stays a file for a reason that is known already: its libraries do, too. */
static bool
is_kept(const struct kiln_baked *extension)
{
    return extension->reason != NULL && !extension->is_plain && !extension->is_library &&
           kiln_file_is_regular(extension->found->path);
}

/* Files of a wheel are not to be called by the temporary directory that it was unpacked into. */
static void
add_place(struct kiln_unlink *unlink, const struct kiln_found *found)
{
    for (size_t i = 0; i < unlink->place_count; i++) {
        if (strcmp(unlink->places[i].directory, found->root) == 0) {
            return;
        }
    }
    if (found->place != found->root) {
        unlink->places[unlink->place_count++] =
            (struct kiln_unlink_place){.directory = found->root, .place = found->place};
    }
}

int
kiln_bake_unlink(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct kiln_unlink unlink = {.machine = bake->python.machine,
                                 .pie = bake->pie,
                                 .separate_code = bake->options->separate_code,
                                 .bindings = bake->bindings,
                                 .program = bake->program,
                                 .libraries = bake->libraries};
    struct kiln_baked **candidates =
        kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *candidates);
    unlink.modules =
        kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *unlink.modules);
    unlink.places =
        kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *unlink.places);
    bool any = false;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        bool is_candidate = extension->is_plain && !extension->is_library;
        if (is_candidate || is_kept(extension)) {
            struct kiln_unlink_module *module = &unlink.modules[unlink.module_count];
            candidates[unlink.module_count++] = is_candidate ? extension : NULL;
            add_candidate(ctx, bake, extension, module);
            module->reason = is_candidate ? NULL : extension->reason;
            any = any || is_candidate;
            kiln_strings_add(&ctx->arena, &unlink.roots, extension->found->root);
            add_place(&unlink, extension->found);
        }
    }
    if (!any) {
        return 0;
    }
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    const char *object = kiln_arena_printf(&ctx->arena, "%s/images.o", tmpdir);
    int result = kiln_unlink(ctx, &unlink, object);
    bool works = result == 0;
    for (size_t i = 0; works && i < unlink.module_count; i++) {
        int failed = candidates[i] == NULL ? 0 : take(ctx, bake, candidates[i], &unlink.modules[i]);
        result = failed < 0 ? failed : result;
    }
    result = result < 0 ? result : kiln_bake_check_any(ctx, bake);
    if (result == 0 && unlink.image_count > 0) {
        kiln_strings_push(&ctx->arena, &bake->objects, object);
        bake->images = unlink.images;
        bake->image_count = unlink.image_count;
        qsort(bake->modules.items, bake->modules.count, sizeof *bake->modules.items,
              compare_modules);
    }
    return result;
}
