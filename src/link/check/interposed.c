/* Symbols by which an extension interposes on its shared libraries: functions that they leave undefined,
 * or define for extensions to replace (an error handler, operator new), and inline and static variables
 * of C++ that both define and must have one copy of.
 *
 * As a file, an extension exports such a symbol, and its libraries find it. Isolated, the symbol has
 * another name and is hidden; so it stays visible, as if --export had named it. A program has one
 * symbol of a name: if several extensions define a function, the libraries of all get the first
 * one's. As files, they would get that of the extension that is imported first. Variables of C++,
 * which are weak, become one for the library and all extensions that are linked against it. A name of
 * the C library is found there first, by files too. */
#include "base/parallel.h"
#include "base/text.h"
#include "elf/elf.h"
#include "link/check/check.h"
#include "link/find/bundled.h"
#include "link/find/toolchain.h"

struct libraries {
    const struct kiln_dso **items;
    size_t count, capacity;
};

/* One extension's part. */
struct candidate {
    struct libraries libraries;      /* its shared libraries */
    struct kiln_strings names, weak; /* the symbols of it that they look up */
};

struct looking {
    struct kiln_bake *bake;
    struct kiln_arena arena;
    const struct kiln_dso *c;     /* the C library; NULL if there is none */
    struct candidate *candidates; /* one for each extension */
    bool any;                     /* some extension has a library */
};

static void
add_library(struct kiln_ctx *ctx, struct looking *looking, size_t extension, const char *path)
{
    struct libraries *libraries = &looking->candidates[extension].libraries;
    const struct kiln_dso *dso = kiln_dso_get(ctx, &looking->bake->dsos, path);
    looking->any = true;
    for (size_t i = 0; i < libraries->count; i++) {
        if (libraries->items[i] == dso) {
            return;
        }
    }
    *KILN_ARENA_PUSH(&looking->arena, libraries) = dso;
}

static void
list_libraries(struct kiln_ctx *ctx, struct looking *looking)
{
    struct kiln_bake *bake = looking->bake;
    const char *driver = kiln_toolchain_get_driver(ctx, bake, true), *cplusplus = NULL;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL) {
            continue;
        }
        for (size_t k = 0; k < extension->fat.dsos.count; k++) {
            const char *path = extension->fat.dsos.items[k];
            const char *bundled = kiln_bundled_find(ctx, extension, kiln_file_basename(path));
            add_library(ctx, looking, i, bundled != NULL ? bundled : path);
        }
        if (kiln_toolchain_is_cplusplus(extension->fat.driver)) {
            if (cplusplus == NULL) {
                cplusplus = kiln_toolchain_find_library(ctx, driver, "libstdc++.so.6");
                cplusplus = cplusplus == NULL ? "" : cplusplus;
            }
            add_library(ctx, looking, i, cplusplus);
        }
    }
    const char *c = looking->any ? kiln_toolchain_find_library(ctx, driver, "libc.so.6") : NULL;
    looking->c = c == NULL ? NULL : kiln_dso_get(ctx, &bake->dsos, c);
}

/* Whether LIBRARY is C++'s own. */
static bool
is_cplusplus(const struct kiln_dso *library)
{
    return kiln_starts_with(kiln_file_basename(library->path), "libstdc++.so");
}

/* Whether one of LIBRARIES looks NAME up, and would find it in the extension. */
static bool
is_looked_up(const struct looking *looking, const struct libraries *libraries, const char *name,
             bool is_weak)
{
    for (size_t i = 0; i < libraries->count; i++) {
        /* C++'s own library is loaded before most extensions are, and has found its own. */
        if (is_weak && is_cplusplus(libraries->items[i])) {
            continue;
        }
        if (kiln_dso_looks_up(libraries->items[i], name)) {
            return looking->c == NULL || !kiln_dso_defines(looking->c, name);
        }
    }
    return false;
}

/* Whether it matters who finds SYMBOL, which an extension exports. Inline functions of C++, which are
 * weak, are in any number of objects and alike; variables are not. */
static bool
matters(const struct kiln_elf_symbol *symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->sym.st_info);
    return kiln_elf_is_defined(symbol) && (ELF64_ST_BIND(symbol->sym.st_info) == STB_GLOBAL ||
                                           (ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL &&
                                            (type == STT_OBJECT || type == STT_TLS)));
}

/* Find the symbols that the libraries of one extension look up in it. */
static int
look_into(struct kiln_ctx *ctx, size_t index, void *arg)
{
    struct looking *looking = arg;
    struct candidate *candidate = &looking->candidates[index];
    const struct kiln_baked *extension = &looking->bake->extensions.items[index];
    struct kiln_elf elf;
    if (candidate->libraries.count == 0) {
        return 0;
    }
    int result = kiln_elf_init(ctx, extension->file.bytes, extension->found->path, &elf);
    size_t table = result < 0 ? 0 : kiln_elf_find_type(&elf, SHT_DYNSYM);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(&elf, table, i, &symbol);
        bool is_weak = ELF64_ST_BIND(symbol.sym.st_info) != STB_GLOBAL;
        if (matters(&symbol) && is_looked_up(looking, &candidate->libraries, symbol.name, is_weak))
        {
            kiln_strings_push(&ctx->arena, is_weak ? &candidate->weak : &candidate->names,
                              symbol.name);
        }
    }
    return result;
}

static void
keep(struct kiln_ctx *ctx, struct kiln_baked *extension, const char *name)
{
    kiln_strings_push(&ctx->arena, &extension->interposing, name);
    kiln_say(ctx, KILN_DETAIL, "%s: %s stays visible, a shared library looks for it",
             extension->found->name, name);
}

/* NAME must not be a symbol that EXTENSION shares with others. */
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

/* The first extension other than OWNER that takes NAME from a library of its own: with NAME visible it
 * would get OWNER's. C++'s own functions do not count: they are replaced for all. */
static const struct kiln_baked *
find_other_user(const struct looking *looking, size_t owner, const char *name)
{
    const struct kiln_baked_list *extensions = &looking->bake->extensions;
    for (size_t i = 0; i < extensions->count; i++) {
        const struct libraries *libraries = &looking->candidates[i].libraries;
        for (size_t k = 0; i != owner && k < libraries->count; k++) {
            if (!is_cplusplus(libraries->items[k]) &&
                kiln_strings_contain(&extensions->items[i].isolated.undefined, name) &&
                kiln_dso_defines(libraries->items[k], name))
            {
                return &extensions->items[i];
            }
        }
    }
    return NULL;
}

/* Give each function to one extension. */
static int
settle(struct kiln_ctx *ctx, struct looking *looking, bool *any)
{
    struct kiln_bake *bake = looking->bake;
    struct kiln_strings taken = {0}, by = {0};
    int result = 0;
    for (size_t i = 0; result == 0 && i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        const struct candidate *candidate = &looking->candidates[i];
        for (size_t k = 0; k < candidate->weak.count; k++) {
            keep(ctx, extension, candidate->weak.items[k]);
        }
        for (size_t k = 0; result == 0 && k < candidate->names.count; k++) {
            const char *name = candidate->names.items[k];
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
        *any = *any || extension->interposing.count > 0;
    }
    return result;
}

int
kiln_bake_find_interposing(struct kiln_ctx *ctx, struct kiln_bake *bake, bool *found)
{
    struct looking looking = {.bake = bake};
    looking.candidates =
        kiln_arena_alloc(&looking.arena, (bake->extensions.count + 1) * sizeof *looking.candidates);
    list_libraries(ctx, &looking);
    int result = 0;
    *found = false;
    if (looking.any) {
        result = kiln_parallel_run(ctx, "look", bake->extensions.count, look_into, &looking);
        result = result < 0 ? result : settle(ctx, &looking, found);
    }
    kiln_arena_release(&looking.arena);
    return result;
}
