/* Names of bundled shared libraries, as the dynamic loader knows them: by DT_SONAME.
 *
 * A process has one library of a name. The loader takes the first one that it meets and says nothing;
 * another module that brings a different library of that name gets that one. This is so for files of
 * extensions, too, where the one that is imported first decides; but the libraries that an executable
 * starts with are known now. Those that they need in turn are checked as well. Equal files may stand
 * for each other. */
#include <unistd.h>

#include "link/check/check.h"
#include "link/find/bundled.h"

struct library {
    const struct kiln_dso *dso;
    const char *soname; /* or the name of the file, if it has none */
    const char *module; /* the first one that brings it */
    bool is_bundled;    /* else it is the system's */
};

struct libraries {
    struct library *items;
    size_t count, capacity;
    struct kiln_strings known; /* their paths */
};

/* Add the library at PATH, unless it is known or cannot be read. */
static void
add(struct kiln_ctx *ctx, struct kiln_bake *bake, struct libraries *libraries, const char *path,
    const char *module, bool is_bundled)
{
    if (kiln_strings_contain(&libraries->known, path) || access(path, R_OK) < 0) {
        return;
    }
    kiln_strings_push(&ctx->arena, &libraries->known, path);
    const struct kiln_dso *dso = kiln_dso_get(ctx, &bake->dsos, path);
    if (dso->is_shared) {
        *KILN_ARENA_PUSH(&ctx->arena, libraries) = (struct library){
            .dso = dso,
            .soname = dso->soname != NULL ? dso->soname : kiln_file_basename(path),
            .module = module,
            .is_bundled = is_bundled,
        };
    }
}

/* Returns the library NAME as DSO would find it by $ORIGIN, or NULL if it is elsewhere. */
static const char *
find_needed(struct kiln_ctx *ctx, const struct kiln_dso *dso, const char *name)
{
    const char *path = NULL;
    for (size_t i = 0; path == NULL && i < dso->rpaths.count; i++) {
        if (dso->rpaths.items[i][0] != '/') {
            path = kiln_bundled_find_needed(ctx, dso->path, dso->rpaths.items[i], name);
        }
    }
    return path;
}

static void
list_libraries(struct kiln_ctx *ctx, struct kiln_bake *bake, struct libraries *out)
{
    struct kiln_strings all = {0};
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        struct kiln_strings bundled = kiln_bundled_list(ctx, module, &all);
        for (size_t k = 0; k < bundled.count; k++) {
            add(ctx, bake, out, bundled.items[k], module->found->name, true);
        }
    }
    for (size_t i = 0; i < out->count; i++) { /* the list grows */
        const struct kiln_dso *dso = out->items[i].dso;
        for (size_t k = 0; k < dso->needed.count; k++) {
            const char *path = find_needed(ctx, dso, dso->needed.items[k]);
            if (path != NULL) {
                add(ctx, bake, out, path, out->items[i].module, true);
            }
        }
    }
    /* The system's own matter only beside bundled ones. */
    for (size_t i = 0; out->count > 0 && i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t k = 0; k < module->fat.dsos.count; k++) {
            const char *path = module->fat.dsos.items[k];
            if (kiln_bundled_find(ctx, module, kiln_file_basename(path)) == NULL) {
                add(ctx, bake, out, path, module->found->name, false);
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
    if (strcmp(one->soname, other->soname) != 0 || (!one->is_bundled && !other->is_bundled) ||
        are_equal(one->dso->path, other->dso->path))
    {
        return 0;
    }
    if (one->is_bundled && other->is_bundled) {
        return kiln_fail(
            ctx, KILN_ERR_INPUT,
            "%s: %s brings this library, and %s brings another one of the same name (%s), %s; a "
            "process can have only one of that name, even if the extensions are files: give one of "
            "them a name of its own (`auditwheel repair` does), or leave one of the packages out",
            one->dso->path, one->module, other->module, one->soname, other->dso->path);
    }
    kiln_say(ctx, KILN_WARNING,
             "%s: %s brings this library, and %s uses another one of the same name (%s), %s; the "
             "dynamic loader will take one of them for both",
             one->dso->path, one->module, other->module, one->soname, other->dso->path);
    return 0;
}

int
kiln_bake_check_sonames(struct kiln_ctx *ctx, struct kiln_bake *bake)
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
