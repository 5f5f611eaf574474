/* The one scope of an executable: which shared library a name comes from.
 *
 * The file of an extension has a scope of its own: the extension finds a name in its own libraries
 * first, and so do these. An executable has one scope for all modules, in which the first library
 * wins. If that is another library than in the file, for a name that a module needs or that a library
 * takes from itself, the two packages cannot be in one executable. The libraries are those that the
 * links of the modules named, and those that these find by a search path of their own. */
#include <stdlib.h>

#include "base/text.h"
#include "link/check/check.h"
#include "link/find/bundled.h"

struct library {
    const struct kiln_dso *dso; /* its path has links resolved */
    const char *module;         /* the first one that is linked against it */
};

/* A name that a library exports. */
struct export
{
    const struct kiln_dso_symbol *symbol;
    size_t library;
};

struct scope {
    struct kiln_bake *bake;
    struct kiln_arena arena;
    struct libraries {
        struct library *items;
        size_t count, capacity;
    } libraries; /* in the order of the link, which is that of the dynamic loader */
    struct exports {
        struct export *items;
        size_t count, capacity;
    } exports; /* sorted by name, then by library */
    struct uses {
        size_t *items;
        size_t count, capacity;
    } * uses; /* for each module: its libraries, in the order of its own link */
};

/* A libpython among the libraries is that of the executable. */
static bool
is_libpython(const char *path)
{
    return kiln_starts_with(kiln_file_basename(path), "libpython");
}

static size_t
add_library(struct kiln_ctx *ctx, struct scope *scope, const char *path, const char *module)
{
    struct libraries *libraries = &scope->libraries;
    const struct kiln_dso *dso = kiln_dso_get(ctx, &scope->bake->dsos, path);
    for (size_t i = 0; i < libraries->count; i++) {
        if (libraries->items[i].dso == dso) {
            return i;
        }
    }
    *KILN_ARENA_PUSH(&scope->arena, libraries) = (struct library){.dso = dso, .module = module};
    return libraries->count - 1;
}

static void
list_libraries(struct kiln_ctx *ctx, struct scope *scope)
{
    const struct kiln_bake *bake = scope->bake;
    scope->uses = kiln_arena_alloc(&scope->arena, (bake->modules.count + 1) * sizeof *scope->uses);
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t k = 0; k < module->fat.dsos.count; k++) {
            const char *linked = module->fat.dsos.items[k];
            const char *bundled = kiln_bundled_find(ctx, module, kiln_file_basename(linked));
            char *real =
                is_libpython(linked) ? NULL : realpath(bundled == NULL ? linked : bundled, NULL);
            if (real != NULL) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->uses[i]) =
                    add_library(ctx, scope, real, module->found->name);
            }
            free(real);
        }
    }
}

static bool
has(const struct uses *uses, size_t library)
{
    for (size_t i = 0; i < uses->count; i++) {
        if (uses->items[i] == library) {
            return true;
        }
    }
    return false;
}

/* The modules that use LIBRARY use the libraries that it needs. */
static void
add_needed(struct kiln_ctx *ctx, struct scope *scope, size_t library)
{
    const struct kiln_bake *bake = scope->bake;
    const struct library at = scope->libraries.items[library]; /* a copy: the list may move */
    const struct kiln_dso *dso = at.dso;
    for (size_t i = 0; i < dso->needed.count; i++) {
        const char *path = NULL;
        for (size_t k = 0; path == NULL && k < dso->rpaths.count; k++) {
            path = kiln_bundled_find_needed(ctx, dso->path, dso->rpaths.items[k],
                                            dso->needed.items[i]);
        }
        if (path == NULL || is_libpython(path)) {
            continue;
        }
        size_t needed = add_library(ctx, scope, path, at.module);
        for (size_t k = 0; k < bake->modules.count; k++) {
            if (has(&scope->uses[k], library) && !has(&scope->uses[k], needed)) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->uses[k]) = needed;
            }
        }
    }
}

static int
compare(const void *a, const void *b)
{
    const struct export *one = a, *other = b;
    int order = strcmp(one->symbol->name, other->symbol->name);
    return order != 0 ? order : (one->library > other->library) - (one->library < other->library);
}

static void
list_exports(struct kiln_ctx *ctx, struct scope *scope)
{
    for (size_t i = 0; i < scope->libraries.count; i++) { /* the list grows */
        const struct kiln_dso *dso = scope->libraries.items[i].dso;
        for (size_t k = 0; k < dso->symbol_count; k++) {
            if (dso->symbols[k].is_exported) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->exports) =
                    (struct export){.symbol = &dso->symbols[k], .library = i};
            }
        }
        add_needed(ctx, scope, i);
    }
    if (scope->exports.count > 0) {
        qsort(scope->exports.items, scope->exports.count, sizeof *scope->exports.items, compare);
    }
}

/* The libraries of the C library define some names twice, but alike. */
static bool
is_of_libc(const char *path)
{
    static const char *const names[] = {"libc.so",  "libm.so",  "libpthread.so",
                                        "libdl.so", "librt.so", "libutil.so"};
    const char *name = kiln_file_basename(path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (kiln_starts_with(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Whether either of two definitions of one name may be taken: inline functions and templates of C++
 * are in any number of libraries, and weak in all. */
static bool
are_alike(const struct scope *scope, const struct export *one, const struct export *other)
{
    const struct kiln_dso *of_one = scope->libraries.items[one->library].dso;
    const struct kiln_dso *of_other = scope->libraries.items[other->library].dso;
    return of_one == of_other || (one->symbol->is_weak && other->symbol->is_weak) ||
           (of_one->soname != NULL && of_other->soname != NULL &&
            strcmp(of_one->soname, of_other->soname) == 0) ||
           (is_of_libc(of_one->path) && is_of_libc(of_other->path));
}

/* The exports of NAME: *count of them, the first of which an executable takes. */
static const struct export *
find_exports(const struct scope *scope, const char *name, size_t *count)
{
    const struct exports *exports = &scope->exports;
    size_t low = 0, high = exports->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(exports->items[middle].symbol->name, name) < 0) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    *count = 0;
    while (low + *count < exports->count &&
           strcmp(exports->items[low + *count].symbol->name, name) == 0)
    {
        (*count)++;
    }
    return exports->items + low;
}

/* Which of COUNT exports a file with these libraries takes; NULL: none. */
static const struct export *
choose_own(const struct uses *uses, const struct export *exports, size_t count)
{
    for (size_t i = 0; i < uses->count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (exports[k].library == uses->items[i]) {
                return &exports[k];
            }
        }
    }
    return NULL;
}

static int
check_module(struct kiln_ctx *ctx, const struct kiln_baked *module, const struct uses *uses,
             const struct scope *scope)
{
    const struct kiln_strings *undefined = &module->isolated.undefined;
    for (size_t i = 0; uses->count > 0 && i < undefined->count; i++) {
        size_t count;
        const struct export *exports = find_exports(scope, undefined->items[i], &count);
        const struct export *own = choose_own(uses, exports, count);
        if (own != NULL && !are_alike(scope, own, &exports[0])) {
            /* The first name is enough. */
            return kiln_fail(
                ctx, KILN_ERR_INPUT,
                "%s: %s needs %s of its library %s, but another library, %s, which %s "
                "is linked against, has that name, too, and in one program would be used by "
                "both; exclude one of the two: as separate files they work",
                module->found->path, module->found->name, undefined->items[i],
                scope->libraries.items[own->library].dso->path,
                scope->libraries.items[exports[0].library].dso->path,
                scope->libraries.items[exports[0].library].module);
        }
    }
    return 0;
}

/* Whether some module is linked against both libraries, so that they are in one scope anyway. */
static bool
are_together(const struct kiln_bake *bake, const struct scope *scope, size_t one, size_t other)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (has(&scope->uses[i], one) && has(&scope->uses[i], other)) {
            return true;
        }
    }
    return false;
}

/* What a library defines and looks up must still be its own. */
static int
check_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake, const struct scope *scope)
{
    const struct exports *exports = &scope->exports;
    for (size_t i = 0, first = 0; i < exports->count; i++) {
        const struct export *own = &exports->items[i], *taken = &exports->items[first];
        if (strcmp(own->symbol->name, taken->symbol->name) != 0) {
            first = i;
            continue;
        }
        const struct library *library = &scope->libraries.items[own->library];
        const struct library *other = &scope->libraries.items[taken->library];
        if (own->symbol->is_named && !own->symbol->is_weak && !are_alike(scope, own, taken) &&
            !(library->dso->has_versions && other->dso->has_versions) &&
            !are_together(bake, scope, own->library, taken->library))
        {
            /* The first name is enough. */
            return kiln_fail(
                ctx, KILN_ERR_INPUT,
                "%s: this library, which %s is linked against, uses its %s by that "
                "name, but %s, which %s is linked against, has the name, too, and in one program "
                "would be used by both; exclude one of the two: as separate files they work",
                library->dso->path, library->module, own->symbol->name, other->dso->path,
                other->module);
        }
    }
    return 0;
}

int
kiln_bake_check_scope(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct scope scope = {.bake = bake};
    int result = 0;
    list_libraries(ctx, &scope);
    if (scope.libraries.count > 1) {
        list_exports(ctx, &scope);
    }
    if (scope.exports.count > 0) {
        for (size_t i = 0; i < bake->modules.count; i++) {
            int failed = check_module(ctx, &bake->modules.items[i], &scope.uses[i], &scope);
            result = failed < 0 ? failed : result;
        }
        result = result < 0 ? result : check_libraries(ctx, bake, &scope);
    }
    kiln_arena_release(&scope.arena);
    return result;
}
