/* Shared libraries that come with an extension, inside its own package (found by $ORIGIN).
 *
 * Files of extensions have a scope each: two of them may bring libraries that define the same
 * names. An executable has one scope for all, in which the first library wins. So a name that a
 * module needs from its own library must not be another's, too. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/elf.h"
#include "link/bake.h"

/* A name that a library exports. */
struct export
{
    const char *name;
    const char *library;
};

struct exports {
    struct kiln_arena arena;
    struct export *items;
    size_t count, capacity;
};

const char *
kiln_baked_expand_origin(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *rpath)
{
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(rpath, names[i], len) == 0) {
            const char *path = kiln_file_absolute(ctx, module->found->path);
            return kiln_arena_printf(&ctx->arena, "%s%s", kiln_file_dirname(ctx, path),
                                     rpath + len);
        }
    }
    return NULL;
}

/* The file NAME in the directories that MODULE says $ORIGIN of. */
static const char *
find_file(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name)
{
    for (size_t i = 0; i < module->fat.rpaths.count; i++) {
        const char *dir = kiln_baked_expand_origin(ctx, module, module->fat.rpaths.items[i]);
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

/* Whether NEEDED is what became of a library linked as NAME: "libfoo.so" may have the DT_SONAME
 * "libfoo.so.1", and `auditwheel repair` makes that "libfoo-0123abcd.so.1". */
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
    return strncmp(needed, ".so", 3) == 0 && (needed[3] == '\0' || needed[3] == '.');
}

const char *
kiln_baked_find_helper(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *name)
{
    const char *path = find_file(ctx, module, name);
    for (size_t i = 0; path == NULL && i < module->needed.count; i++) {
        if (is_renamed(module->needed.items[i], name)) {
            path = find_file(ctx, module, module->needed.items[i]);
        }
    }
    return path;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct export *)a)->name, ((const struct export *)b)->name);
}

static int
add_exports(struct kiln_ctx *ctx, const char *library, struct exports *out)
{
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(ctx, library, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, library, &elf);
    }
    size_t table = result < 0 ? 0 : kiln_elf_find_type(&elf, SHT_DYNSYM);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(&elf, table, i, &symbol);
        if (kiln_elf_is_defined(&symbol) && GELF_ST_BIND(symbol.sym.st_info) != STB_LOCAL) {
            *KILN_ARENA_PUSH(&out->arena, out) =
                (struct export){kiln_arena_strdup(&out->arena, symbol.name), library};
        }
    }
    kiln_file_release(&file);
    return result;
}

struct kiln_strings
kiln_baked_list_helpers(struct kiln_ctx *ctx, const struct kiln_baked *module,
                        struct kiln_strings *all)
{
    struct kiln_strings helpers = {0};
    for (size_t i = 0; module->fat.rpaths.count > 0 && i < module->fat.shared.count; i++) {
        const char *path =
            kiln_baked_find_helper(ctx, module, kiln_file_basename(module->fat.shared.items[i]));
        if (path != NULL) {
            kiln_strings_add(&ctx->arena, all, path);
            kiln_strings_add(&ctx->arena, &helpers, path);
        }
    }
    return helpers;
}

/* Look at the exports called SYMBOL, which MODULE needs. */
static int
check_symbol(struct kiln_ctx *ctx, const struct kiln_baked *module,
             const struct kiln_strings *helpers, const struct exports *exports, const char *symbol)
{
    struct export key = {.name = symbol};
    const struct export *found = bsearch(&key, exports->items, exports->count, sizeof key, compare);
    const struct export *end = exports->items + exports->count;
    const char *own = NULL, *other = NULL;
    while (found != NULL && found > exports->items && strcmp(found[-1].name, symbol) == 0) {
        found--;
    }
    for (; found != NULL && found < end && strcmp(found->name, symbol) == 0; found++) {
        if (kiln_strings_contain(helpers, found->library)) {
            own = found->library;
        }
        else {
            other = found->library;
        }
    }
    if (own == NULL || other == NULL) {
        return 0;
    }
    return kiln_fail(ctx, KILN_ERR_INPUT,
                     "%s: %s needs %s of its library %s, but another package's library, %s, has "
                     "that name, too, and in one program one of them would be used by both; leave "
                     "one of the packages out, as files they work together",
                     module->found->path, module->found->name, symbol, own, other);
}

static int
check_module(struct kiln_ctx *ctx, const struct kiln_baked *module,
             const struct kiln_strings *helpers, const struct exports *exports)
{
    const struct kiln_strings *undefined = &module->isolated.undefined;
    int result = 0;
    /* One name says it. */
    for (size_t i = 0; result == 0 && helpers->count > 0 && i < undefined->count; i++) {
        result = check_symbol(ctx, module, helpers, exports, undefined->items[i]);
    }
    return result;
}

int
kiln_bake_check_helpers(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    size_t count = bake->modules.count;
    struct kiln_strings all = {0};
    struct kiln_strings *helpers = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *helpers);
    struct exports exports = {0};
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        helpers[i] = kiln_baked_list_helpers(ctx, &bake->modules.items[i], &all);
    }
    for (size_t i = 0; result == 0 && all.count > 1 && i < all.count; i++) {
        result = add_exports(ctx, all.items[i], &exports);
    }
    if (exports.count > 0) {
        qsort(exports.items, exports.count, sizeof *exports.items, compare);
    }
    for (size_t i = 0; exports.count > 0 && i < count; i++) {
        int failed = check_module(ctx, &bake->modules.items[i], &helpers[i], &exports);
        result = failed < 0 ? failed : result;
    }
    kiln_arena_release(&exports.arena);
    return result;
}
