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

/* The files of extensions, sorted by their last component. */
struct files {
    const struct kiln_found **items;
    size_t count;
};

static int
compare_files(const void *a, const void *b)
{
    return strcmp(kiln_file_basename((*(const struct kiln_found *const *)a)->path),
                  kiln_file_basename((*(const struct kiln_found *const *)b)->path));
}

static struct files
sort_files(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    struct files files = {0};
    files.items = kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *files.items);
    for (size_t i = 0; i < bake->extensions.count; i++) {
        if (!bake->extensions.items[i].is_library) {
            files.items[files.count++] = bake->extensions.items[i].found;
        }
    }
    if (files.count > 0) {
        qsort(files.items, files.count, sizeof *files.items, compare_files);
    }
    return files;
}

/* Returns the extension whose file is LIBRARY, a shared object in the link of a module, or NULL if there
 * is none. That was a file of the build tree, so only its name can be compared. */
static const struct kiln_found *
find_extension(const struct files *files, const char *library)
{
    const struct kiln_found wanted = {.path = library};
    const struct kiln_found *key = &wanted;
    const struct kiln_found **found =
        files->count == 0 ? NULL
                          : bsearch(&key, files->items, files->count, sizeof key, compare_files);
    return found == NULL ? NULL : *found;
}

/* An extension that is linked against the file of another would load that file beside the one that is
 * baked, each with a state of its own. */
static int
check_libraries(struct kiln_ctx *ctx, const struct files *files, const struct kiln_baked *module)
{
    int result = 0;
    for (size_t i = 0; i < module->fat.dsos.count; i++) {
        const char *library = module->fat.dsos.items[i];
        const struct kiln_found *other = find_extension(files, library);
        if (other != NULL) {
            result =
                kiln_fail(ctx, KILN_ERR_INPUT,
                          "%s: %s is linked against %s, which is the file of the extension %s; "
                          "exclude both from the link: as separate files they work",
                          module->found->path, module->found->name, library, other->name);
        }
    }
    return result;
}

int
kiln_bake_check_any(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    bool is_any = false;
    for (size_t i = 0; i < bake->found.count; i++) {
        is_any = is_any || !bake->found.items[i].is_addition;
    }
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (!bake->modules.items[i].found->is_addition) {
            return 0;
        }
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
    struct files files = sort_files(ctx, bake);
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->is_plain) {
            plain += !extension->found->is_addition;
        }
        else if (extension->reason != NULL) {
            int failed = kiln_bake_keep(ctx, bake, extension);
            result = failed < 0 ? failed : result;
        }
        else {
            int failed = check_libraries(ctx, &files, extension);
            result = failed < 0 ? failed : result;
            *KILN_ARENA_PUSH(&ctx->arena, &bake->modules) = *extension;
        }
    }
    return result == 0 && plain == 0 ? kiln_bake_check_any(ctx, bake) : result;
}
