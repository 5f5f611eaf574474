/* What shared libraries look for in the extension that is linked against them: functions that they
 * leave undefined, or define for extensions to replace (an error handler, operator new), and C++'s
 * inline and static variables that both define and are to have one of.
 *
 * In a file of its own an extension exports such a symbol, and its libraries find it. Isolated, it has
 * another name and is hidden; so it stays visible, as if --export had named it. A program has one of a
 * name: if several extensions define a function, their libraries get that of the first. As files, they
 * would get that of the one that is imported first. Variables of C++, which are weak, become one for
 * the library and all extensions that are linked against it. What the C library defines is found there
 * first, by files too. */
#include <stdlib.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/process.h"
#include "elf/elf.h"
#include "link/bake.h"

/* A library, the names that it looks for, and those that it defines; both sorted. */
struct library {
    const char *path;
    struct kiln_strings names, defined;
};

struct looking {
    struct kiln_bake *bake;
    struct kiln_arena arena;
    struct libraries {
        struct library *items;
        size_t count, capacity;
    } libraries;
    const char *cplusplus; /* the path of C++'s own library; NULL: not known */
    struct library c;      /* the C library */
    struct found {
        struct kiln_strings libraries;   /* the extension's libraries */
        struct kiln_strings names, weak; /* what they look for in it */
    } * found;                           /* one for each extension */
};

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
has_name(const struct kiln_strings *names, const char *name)
{
    return names->count > 0 &&
           bsearch(&name, names->items, names->count, sizeof name, compare) != NULL;
}

static void
sort(struct kiln_strings *names)
{
    if (names->count > 0) {
        qsort(names->items, names->count, sizeof *names->items, compare);
    }
}

/* Read the names of LIBRARY. One that cannot be read has none: the linker will say it. */
static void
read_names(struct looking *looking, struct library *library)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct kiln_elf elf;
    if (kiln_file_map(&silent, library->path, &file) == 0 &&
        kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED &&
        kiln_elf_init(&silent, file.bytes, library->path, &elf) == 0)
    {
        size_t table = kiln_elf_find_type(&elf, SHT_DYNSYM);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        bool *named = kiln_arena_alloc(&looking->arena, count + 1);
        kiln_elf_mark_named(&elf, table, named, count);
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            if (ELF64_ST_BIND(symbol.sym.st_info) == STB_LOCAL) {
                continue;
            }
            const char *name = kiln_arena_strdup(&looking->arena, symbol.name);
            if (named[i]) {
                kiln_strings_push(&looking->arena, &library->names, name);
            }
            if (kiln_elf_is_defined(&symbol)) {
                kiln_strings_push(&looking->arena, &library->defined, name);
            }
        }
    }
    sort(&library->names);
    sort(&library->defined);
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
}

static const struct library *
find_library(const struct looking *looking, const char *path)
{
    for (size_t i = 0; i < looking->libraries.count; i++) {
        if (strcmp(looking->libraries.items[i].path, path) == 0) {
            return &looking->libraries.items[i];
        }
    }
    return NULL;
}

static void
add_library(struct looking *looking, size_t extension, const char *path)
{
    kiln_strings_add(&looking->arena, &looking->found[extension].libraries, path);
    if (find_library(looking, path) == NULL) {
        struct library *library = KILN_ARENA_PUSH(&looking->arena, &looking->libraries);
        *library = (struct library){.path = path};
        read_names(looking, library);
    }
}

static void
list_libraries(struct kiln_ctx *ctx, struct looking *looking)
{
    const struct kiln_bake *bake = looking->bake;
    const char *driver = kiln_bake_get_driver(ctx, bake, true);
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL) {
            continue;
        }
        for (size_t k = 0; k < extension->fat.dsos.count; k++) {
            const char *path = extension->fat.dsos.items[k];
            const char *helper = kiln_baked_find_helper(ctx, extension, kiln_file_basename(path));
            add_library(looking, i, helper != NULL ? helper : path);
        }
        if (kiln_bake_is_cplusplus(extension->fat.driver)) {
            if (looking->cplusplus == NULL) {
                looking->cplusplus = kiln_bake_ask_driver(ctx, driver, "libstdc++.so.6");
                looking->cplusplus = looking->cplusplus == NULL ? "" : looking->cplusplus;
            }
            add_library(looking, i, looking->cplusplus);
        }
    }
    looking->c.path =
        looking->libraries.count == 0 ? NULL : kiln_bake_ask_driver(ctx, driver, "libc.so.6");
    if (looking->c.path != NULL) {
        read_names(looking, &looking->c);
    }
}

/* Whether PATH is C++'s own library. */
static bool
is_cplusplus(const char *path)
{
    return strncmp(kiln_file_basename(path), "libstdc++.so", 12) == 0;
}

static bool
is_looked_for(const struct looking *looking, const struct found *found, const char *name,
              bool is_weak)
{
    for (size_t i = 0; i < found->libraries.count; i++) {
        /* C++'s own library is there before most extensions are, and has found its own. */
        const char *path = found->libraries.items[i];
        if (is_weak && is_cplusplus(path)) {
            continue;
        }
        if (has_name(&find_library(looking, path)->names, name)) {
            return !has_name(&looking->c.defined, name);
        }
    }
    return false;
}

/* Whether SYMBOL, which an extension exports, makes a difference to who finds it. Inline functions of
 * C++, which are weak, are in any number of objects and alike; variables are not. */
static bool
matters(const struct kiln_elf_symbol *symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->sym.st_info);
    return kiln_elf_is_defined(symbol) && (ELF64_ST_BIND(symbol->sym.st_info) == STB_GLOBAL ||
                                           (ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL &&
                                            (type == STT_OBJECT || type == STT_TLS)));
}

/* What the libraries of one extension look for in it. */
static int
look_into(struct kiln_ctx *ctx, size_t index, void *arg)
{
    struct looking *looking = arg;
    struct found *found = &looking->found[index];
    const char *path = looking->bake->extensions.items[index].found->path;
    struct kiln_file file = {0};
    struct kiln_elf elf;
    int result = found->libraries.count == 0 ? 0 : kiln_file_map(ctx, path, &file);
    if (result == 0 && found->libraries.count > 0) {
        result = kiln_elf_init(ctx, file.bytes, path, &elf);
        size_t table = result < 0 ? 0 : kiln_elf_find_type(&elf, SHT_DYNSYM);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            bool is_weak = ELF64_ST_BIND(symbol.sym.st_info) != STB_GLOBAL;
            if (matters(&symbol) && is_looked_for(looking, found, symbol.name, is_weak)) {
                kiln_strings_push(&ctx->arena, is_weak ? &found->weak : &found->names,
                                  kiln_arena_strdup(&ctx->arena, symbol.name));
            }
        }
    }
    kiln_file_release(&file);
    return result;
}

static void
keep(struct kiln_ctx *ctx, struct kiln_baked *extension, const char *name)
{
    kiln_strings_push(&ctx->arena, &extension->looked_for, name);
    kiln_say(ctx, KILN_DETAIL, "%s: %s stays visible, a shared library looks for it",
             extension->found->name, name);
}

/* A name may be one that EXTENSION has together with others. */
static int
check_sharing(struct kiln_ctx *ctx, const struct kiln_baked *extension, const char *name)
{
    const struct kiln_sharing *sharing = extension->sharing;
    for (size_t i = 0; sharing != NULL && i < sharing->bound.count; i++) {
        if (strcmp(sharing->bound.items[i].name, name) == 0) {
            return kiln_fail(ctx, KILN_ERR_INPUT,
                             "%s cannot share %s: a shared library looks for its %s; leave it "
                             "private",
                             extension->found->name, sharing->libraries.items[0], name);
        }
    }
    return 0;
}

/* The first extension but OWNER that takes NAME from a library of its own: with NAME visible it would
 * get the owner's. (Not so C++'s own functions: they are replaced for all.) */
static const struct kiln_baked *
find_other_user(const struct looking *looking, size_t owner, const char *name)
{
    const struct kiln_baked_list *extensions = &looking->bake->extensions;
    for (size_t i = 0; i < extensions->count; i++) {
        const struct kiln_strings *libraries = &looking->found[i].libraries;
        for (size_t k = 0; i != owner && k < libraries->count; k++) {
            if (!is_cplusplus(libraries->items[k]) &&
                kiln_strings_contain(&extensions->items[i].isolated.undefined, name) &&
                has_name(&find_library(looking, libraries->items[k])->defined, name))
            {
                return &extensions->items[i];
            }
        }
    }
    return NULL;
}

/* Let each function be one extension's. */
static int
settle(struct kiln_ctx *ctx, struct looking *looking, bool *any)
{
    struct kiln_bake *bake = looking->bake;
    struct kiln_strings taken = {0}, by = {0};
    int result = 0;
    for (size_t i = 0; result == 0 && i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        const struct found *found = &looking->found[i];
        for (size_t k = 0; k < found->weak.count; k++) {
            keep(ctx, extension, found->weak.items[k]);
        }
        for (size_t k = 0; result == 0 && k < found->names.count; k++) {
            const char *name = found->names.items[k];
            size_t at = 0;
            while (at < taken.count && strcmp(taken.items[at], name) != 0) {
                at++;
            }
            const struct kiln_baked *other = find_other_user(looking, i, name);
            if (other != NULL) {
                kiln_say(ctx, KILN_WARNING,
                         "%s defines %s, which shared libraries of it look for, but %s takes that "
                         "from a library: so will they; if that is not as good, leave one of the "
                         "two out",
                         extension->found->name, name, other->found->name);
                continue;
            }
            result = check_sharing(ctx, extension, name);
            if (at == taken.count) {
                kiln_strings_push(&ctx->arena, &taken, name);
                kiln_strings_push(&ctx->arena, &by, extension->found->name);
                keep(ctx, extension, name);
                continue;
            }
            kiln_say(ctx, KILN_WARNING,
                     "%s and %s both define %s, which shared libraries of theirs look for: these "
                     "will use that of %s; if that is not as good, leave one of the two out",
                     by.items[at], extension->found->name, name, by.items[at]);
        }
        *any = *any || extension->looked_for.count > 0;
    }
    return result;
}

int
kiln_bake_find_looked_for(struct kiln_ctx *ctx, struct kiln_bake *bake, bool *found)
{
    struct looking looking = {.bake = bake};
    looking.found =
        kiln_arena_alloc(&looking.arena, (bake->extensions.count + 1) * sizeof *looking.found);
    list_libraries(ctx, &looking);
    int result = 0;
    *found = false;
    if (looking.libraries.count > 0) {
        result = kiln_parallel_run(ctx, "look", bake->extensions.count, look_into, &looking);
        result = result < 0 ? result : settle(ctx, &looking, found);
    }
    kiln_arena_release(&looking.arena);
    return result;
}
