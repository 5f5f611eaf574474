/* Bundled shared libraries: where they are, and under which name. */
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "link/bake.h"
#include "link/find/bundled.h"

/* What follows $ORIGIN in RPATH; NULL if it does not begin with that. */
static const char *
skip_origin(const char *rpath)
{
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kiln_starts_with(rpath, names[i])) {
            return rpath + strlen(names[i]);
        }
    }
    return NULL;
}

const char *
kiln_bundled_expand_origin(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *rpath)
{
    const char *rest = skip_origin(rpath);
    const char *path = kiln_file_absolute(ctx, module->found->path);
    return rest == NULL
               ? NULL
               : kiln_arena_printf(&ctx->arena, "%s%s", kiln_file_dirname(ctx, path), rest);
}

/* Returns the path of NAME in the search path of MODULE, as far as that begins with $ORIGIN. */
static const char *
find_file(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name)
{
    for (size_t i = 0; i < module->fat.rpaths.count; i++) {
        const char *dir = kiln_bundled_expand_origin(ctx, module, module->fat.rpaths.items[i]);
        const char *path = dir == NULL ? NULL : kiln_arena_printf(&ctx->arena, "%s/%s", dir, name);
        if (path != NULL && access(path, R_OK) == 0) {
            char *real = realpath(path, NULL);
            path = real == NULL ? path : kiln_arena_strdup(&ctx->arena, real);
            free(real);
            return path;
        }
    }
    return NULL;
}

/* Whether NEEDED may be the library that was linked as NAME: "libfoo.so" may have the DT_SONAME
 * "libfoo.so.1", which `auditwheel repair` renames to "libfoo-0123abcd.so.1". */
static bool
is_renamed(const char *needed, const char *name)
{
    const char *end = strstr(name, ".so");
    size_t len = end == NULL ? strlen(name) : (size_t)(end - name);
    if (strncmp(needed, name, len) != 0) {
        return false;
    }
    needed += len;
    if (*needed == '-') {
        size_t digits = strspn(needed + 1, "0123456789abcdef");
        needed += digits == 8 ? 9 : 0;
    }
    return kiln_starts_with(needed, ".so") && (needed[3] == '\0' || needed[3] == '.');
}

const char *
kiln_bundled_find(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name)
{
    const char *path = find_file(ctx, module, name);
    for (size_t i = 0; path == NULL && i < module->needed.count; i++) {
        if (is_renamed(module->needed.items[i], name)) {
            path = find_file(ctx, module, module->needed.items[i]);
        }
    }
    return path;
}

struct kiln_strings
kiln_bundled_list(struct kiln_ctx *ctx, const struct kiln_baked *module, struct kiln_strings *all)
{
    struct kiln_strings helpers = {0};
    for (size_t i = 0; module->fat.rpaths.count > 0 && i < module->fat.dsos.count; i++) {
        const char *path =
            kiln_bundled_find(ctx, module, kiln_file_basename(module->fat.dsos.items[i]));
        if (path != NULL) {
            kiln_strings_add(&ctx->arena, all, path);
            kiln_strings_add(&ctx->arena, &helpers, path);
        }
    }
    return helpers;
}

const char *
kiln_bundled_find_needed(struct kiln_ctx *ctx, const char *library, const char *rpath,
                         const char *name)
{
    const char *dir = kiln_file_dirname(ctx, library);
    const char *rest = skip_origin(rpath);
    const char *path = rest != NULL    ? kiln_arena_printf(&ctx->arena, "%s%s/%s", dir, rest, name)
                       : *rpath == '/' ? kiln_arena_printf(&ctx->arena, "%s/%s", rpath, name)
                                       : NULL;
    char *real = path == NULL ? NULL : realpath(path, NULL);
    path = real == NULL ? NULL : kiln_arena_strdup(&ctx->arena, real);
    free(real);
    return path;
}
