/* Names of shared libraries that come with extensions (found by $ORIGIN), as the dynamic loader knows
 * them: by DT_SONAME.
 *
 * A process has one library of a name. The loader takes whichever it meets first and says nothing;
 * another module that brings a different library of that name gets that one. This is so for files of
 * extensions, too, where the one that is imported first decides; but what an executable starts with
 * is decided here, so it is looked at, the libraries that those libraries need included. Equal files
 * are as good as one. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/elf.h"
#include "link/bake.h"

/* One library that some module brings. */
struct library {
    const char *path, *soname;
    const char *module; /* the first one that brings it */
    bool is_own;        /* inside a package; else the system's */
    struct kiln_strings needed, rpaths;
};

struct libraries {
    struct library *items;
    size_t count, capacity;
    struct kiln_strings known; /* their paths */
};

/* Add the library at PATH, unless it is known or cannot be read. */
static void
add(struct kiln_ctx *ctx, struct libraries *libraries, const char *path, const char *module,
    bool is_own)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file = {0};
    struct kiln_elf elf;
    struct kiln_elf_dynamic dynamic;
    if (kiln_strings_contain(&libraries->known, path) || access(path, R_OK) < 0) {
        return;
    }
    kiln_strings_push(&ctx->arena, &libraries->known, path);
    if (kiln_file_map(&silent, path, &file) == 0 &&
        kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED &&
        kiln_elf_init(&silent, file.bytes, path, &elf) == 0)
    {
        kiln_elf_read_dynamic(ctx, &elf, &dynamic);
        *KILN_ARENA_PUSH(&ctx->arena, libraries) = (struct library){
            .path = path,
            .soname = dynamic.soname != NULL ? dynamic.soname : kiln_file_basename(path),
            .module = module,
            .is_own = is_own,
            .needed = dynamic.needed,
            .rpaths = dynamic.rpaths,
        };
    }
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
}

/* The library NAME as LIBRARY would find it by $ORIGIN; NULL: elsewhere. */
static const char *
find_needed(struct kiln_ctx *ctx, const struct library *library, const char *name)
{
    const char *path = NULL;
    for (size_t i = 0; path == NULL && i < library->rpaths.count; i++) {
        if (library->rpaths.items[i][0] != '/') {
            path = kiln_library_find_needed(ctx, library->path, library->rpaths.items[i], name);
        }
    }
    return path;
}

static void
list_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct libraries *out)
{
    struct kiln_strings all = {0};
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        struct kiln_strings own = kiln_baked_list_helpers(ctx, module, &all);
        for (size_t k = 0; k < own.count; k++) {
            add(ctx, out, own.items[k], module->found->name, true);
        }
    }
    for (size_t i = 0; i < out->count; i++) { /* it grows */
        for (size_t k = 0; k < out->items[i].needed.count; k++) {
            const char *path = find_needed(ctx, &out->items[i], out->items[i].needed.items[k]);
            if (path != NULL) {
                add(ctx, out, path, out->items[i].module, true);
            }
        }
    }
    /* Those of the system can only be in the way if somebody brings some. */
    for (size_t i = 0; out->count > 0 && i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t k = 0; k < module->fat.dsos.count; k++) {
            const char *path = module->fat.dsos.items[k];
            if (kiln_baked_find_helper(ctx, module, kiln_file_basename(path)) == NULL) {
                add(ctx, out, path, module->found->name, false);
            }
        }
    }
}

static bool
are_equal(const char *a, const char *b)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file one = {0}, other = {0};
    bool equal = kiln_file_map(&silent, a, &one) == 0 && kiln_file_map(&silent, b, &other) == 0 &&
                 one.bytes.len == other.bytes.len &&
                 memcmp(one.bytes.ptr, other.bytes.ptr, one.bytes.len) == 0;
    kiln_file_release(&one);
    kiln_file_release(&other);
    kiln_ctx_release(&silent);
    return equal;
}

static int
check_pair(struct kiln_ctx *ctx, const struct library *one, const struct library *other)
{
    if (strcmp(one->soname, other->soname) != 0 || (!one->is_own && !other->is_own) ||
        are_equal(one->path, other->path))
    {
        return 0;
    }
    if (one->is_own && other->is_own) {
        return kiln_fail(
            ctx, KILN_ERR_INPUT,
            "%s: %s brings this library, and %s brings another one of the same name (%s), %s; a "
            "process can have only one of that name, even if the extensions are files: give one of "
            "them a name of its own (`auditwheel repair` does), or leave one of the packages out",
            one->path, one->module, other->module, one->soname, other->path);
    }
    kiln_say(ctx, KILN_WARNING,
             "%s: %s brings this library, and %s uses another one of the same name (%s), %s; the "
             "dynamic loader will take one of them for both",
             one->path, one->module, other->module, one->soname, other->path);
    return 0;
}

int
kiln_bake_check_sonames(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    struct libraries libraries = {0};
    int result = 0;
    list_libraries(ctx, bake, &libraries);
    for (size_t i = 0; i < libraries.count; i++) {
        for (size_t k = i + 1; k < libraries.count; k++) {
            int failed = check_pair(ctx, &libraries.items[i], &libraries.items[k]);
            result = failed < 0 ? failed : result;
        }
    }
    return result;
}
