/* The one scope of an executable: which shared library a name comes from.
 *
 * The file of an extension has a scope of its own: it finds a name in its own libraries first, and so
 * do these. An executable has one scope for all, in which the first library wins. Where that would be
 * another library than in the file, for what a module needs or for what a library takes from itself,
 * the two packages cannot be in one executable. Looked at are the libraries that the links of the
 * modules named, and those that these find by a search path of their own. */
#include <stdlib.h>

#include "base/file.h"
#include "elf/elf.h"
#include "link/bake.h"

struct library {
    const char *path; /* links resolved */
    const char
        *soname; /* what the dynamic loader knows it by: of those of one name, it takes one */
    const char *module; /* the first one that is linked against it */
    bool has_versions;
    struct kiln_strings needed, rpaths;
};

/* A name that a library exports. */
struct export
{
    const char *name;
    size_t library;
    bool is_weak;
    bool is_own_use; /* the library itself reaches it by its name */
};

struct scope {
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
    } * uses; /* of each module: its libraries, in the order of its own link */
};

/* A libpython among the libraries is the executable's own. */
static bool
is_libpython(const char *path)
{
    return strncmp(kiln_file_basename(path), "libpython", 9) == 0;
}

static size_t
add_library(struct scope *scope, const char *path, const char *module)
{
    struct libraries *libraries = &scope->libraries;
    for (size_t i = 0; i < libraries->count; i++) {
        if (strcmp(libraries->items[i].path, path) == 0) {
            return i;
        }
    }
    *KILN_ARENA_PUSH(&scope->arena, libraries) =
        (struct library){.path = kiln_arena_strdup(&scope->arena, path), .module = module};
    return libraries->count - 1;
}

static void
list_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct scope *scope)
{
    scope->uses = kiln_arena_alloc(&scope->arena, (bake->modules.count + 1) * sizeof *scope->uses);
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t k = 0; k < module->fat.dsos.count; k++) {
            const char *given = module->fat.dsos.items[k];
            const char *helper = kiln_baked_find_helper(ctx, module, kiln_file_basename(given));
            char *real =
                is_libpython(given) ? NULL : realpath(helper == NULL ? given : helper, NULL);
            if (real != NULL) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->uses[i]) =
                    add_library(scope, real, module->found->name);
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

/* Whoever uses LIBRARY uses what it needs. */
static void
add_needed(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct scope *scope, size_t library)
{
    const struct library at = scope->libraries.items[library]; /* the list may move */
    for (size_t i = 0; i < at.needed.count; i++) {
        const char *path = NULL;
        for (size_t k = 0; path == NULL && k < at.rpaths.count; k++) {
            path = kiln_library_find_needed(ctx, at.path, at.rpaths.items[k], at.needed.items[i]);
        }
        if (path == NULL || is_libpython(path)) {
            continue;
        }
        size_t needed = add_library(scope, path, at.module);
        for (size_t k = 0; k < bake->modules.count; k++) {
            if (has(&scope->uses[k], library) && !has(&scope->uses[k], needed)) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->uses[k]) = needed;
            }
        }
    }
}

static int
add_exports(struct kiln_ctx *ctx, struct scope *scope, size_t library)
{
    struct library *at = &scope->libraries.items[library];
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(ctx, at->path, &file);
    if (result == 0 && kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED) {
        result = kiln_elf_init(ctx, file.bytes, at->path, &elf);
        size_t table = result < 0 ? 0 : kiln_elf_find_type(&elf, SHT_DYNSYM);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        bool *named = kiln_arena_alloc(&scope->arena, count + 1);
        if (count > 0) {
            struct kiln_elf_dynamic dynamic;
            kiln_elf_read_dynamic(ctx, &elf, &dynamic);
            at->soname = dynamic.soname;
            at->needed = dynamic.needed;
            at->rpaths = dynamic.rpaths;
            kiln_elf_mark_named(&elf, table, named, count);
            at->has_versions = kiln_elf_find_type(&elf, SHT_GNU_verdef) != 0;
        }
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            if (kiln_elf_is_exported(&symbol)) {
                *KILN_ARENA_PUSH(&scope->arena, &scope->exports) = (struct export){
                    .name = kiln_arena_strdup(&scope->arena, symbol.name),
                    .library = library,
                    .is_weak = ELF64_ST_BIND(symbol.sym.st_info) != STB_GLOBAL,
                    .is_own_use = named[i],
                };
            }
        }
    }
    kiln_file_release(&file);
    return result;
}

static int
compare(const void *a, const void *b)
{
    const struct export *one = a, *other = b;
    int order = strcmp(one->name, other->name);
    return order != 0 ? order : (one->library > other->library) - (one->library < other->library);
}

static int
read_exports(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct scope *scope)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < scope->libraries.count; i++) { /* it grows */
        result = add_exports(ctx, scope, i);
        add_needed(ctx, bake, scope, i);
    }
    if (scope->exports.count > 0) {
        qsort(scope->exports.items, scope->exports.count, sizeof *scope->exports.items, compare);
    }
    return result;
}

/* The libraries of the C library define some names twice, in the same way. */
static bool
is_of_libc(const char *path)
{
    static const char *const names[] = {"libc.so",  "libm.so",  "libpthread.so",
                                        "libdl.so", "librt.so", "libutil.so"};
    const char *name = kiln_file_basename(path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(name, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether it makes no difference which of two definitions of one name is taken: inline functions and
 * templates of C++ are in any number of libraries, and weak in all. */
static bool
are_alike(const struct scope *scope, const struct export *one, const struct export *other)
{
    const struct library *of_one = &scope->libraries.items[one->library];
    const struct library *of_other = &scope->libraries.items[other->library];
    return of_one == of_other || (one->is_weak && other->is_weak) ||
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
        if (strcmp(exports->items[middle].name, name) < 0) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    *count = 0;
    while (low + *count < exports->count && strcmp(exports->items[low + *count].name, name) == 0) {
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
            /* One name says it. */
            return kiln_fail(
                ctx, KILN_ERR_INPUT,
                "%s: %s needs %s of its library %s, but another library, %s, which %s "
                "is linked against, has that name, too, and in one program would be used by "
                "both; leave one of the two out, as files they work together",
                module->found->path, module->found->name, undefined->items[i],
                scope->libraries.items[own->library].path,
                scope->libraries.items[exports[0].library].path,
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

/* What a library defines and reaches by name must be its own still. */
static int
check_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake, const struct scope *scope)
{
    const struct exports *exports = &scope->exports;
    for (size_t i = 0, first = 0; i < exports->count; i++) {
        const struct export *own = &exports->items[i], *taken = &exports->items[first];
        if (strcmp(own->name, taken->name) != 0) {
            first = i;
            continue;
        }
        const struct library *library = &scope->libraries.items[own->library];
        const struct library *other = &scope->libraries.items[taken->library];
        if (own->is_own_use && !own->is_weak && !are_alike(scope, own, taken) &&
            !(library->has_versions && other->has_versions) &&
            !are_together(bake, scope, own->library, taken->library))
        {
            /* One name says it. */
            return kiln_fail(
                ctx, KILN_ERR_INPUT,
                "%s: this library, which %s is linked against, uses its %s by that "
                "name, but %s, which %s is linked against, has the name, too, and in one program "
                "would be used by both; leave one of the two out, as files they work together",
                library->path, library->module, own->name, other->path, other->module);
        }
    }
    return 0;
}

int
kiln_bake_check_scope(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    struct scope scope = {0};
    list_libraries(ctx, bake, &scope);
    int result = scope.libraries.count < 2 ? 0 : read_exports(ctx, bake, &scope);
    if (result == 0 && scope.exports.count > 0) {
        for (size_t i = 0; i < bake->modules.count; i++) {
            int failed = check_module(ctx, &bake->modules.items[i], &scope.uses[i], &scope);
            result = failed < 0 ? failed : result;
        }
        result = result < 0 ? result : check_libraries(ctx, bake, &scope);
    }
    kiln_arena_release(&scope.arena);
    return result;
}
