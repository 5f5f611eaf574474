/* What shared libraries look for in the extension that is linked against them: functions that they
 * leave undefined, or define for extensions to replace (an error handler, operator new).
 *
 * In a file of its own an extension exports such a function, and its libraries find it. Isolated, it
 * has another name and is hidden; so it stays visible, as if --export had named it. A program has one
 * function of a name: if several extensions define it, their libraries get that of the first. As files,
 * they would get that of the one that is imported first. What the C library defines is found there
 * first, by files too. */
#include <stdlib.h>

#include "base/file.h"
#include "base/parallel.h"
#include "base/process.h"
#include "elf/elf.h"
#include "link/bake.h"

/* A library, and the names that it looks for. */
struct library {
    const char *path;
    struct kiln_strings names; /* sorted */
};

struct looking {
    struct kiln_bake *bake;
    struct kiln_arena arena;
    struct libraries {
        struct library *items;
        size_t count, capacity;
    } libraries;
    const char *cplusplus; /* the path of C++'s own library; NULL: not known */
    struct library c;      /* what the C library defines */
    struct found {
        struct kiln_strings libraries,
            names; /* the extension's libraries; what they look for in it */
    } * found;     /* one for each extension */
};

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
has_name(const struct library *library, const char *name)
{
    return library->names.count > 0 &&
           bsearch(&name, library->names.items, library->names.count, sizeof name, compare) != NULL;
}

/* Read the names that LIBRARY looks for, or, for the C library, those that it defines. A library
 * that cannot be read has none: the linker will say it. */
static void
read_names(struct looking *looking, struct library *library, bool defined)
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
            if (GELF_ST_BIND(symbol.sym.st_info) != STB_LOCAL &&
                (defined ? kiln_elf_is_defined(&symbol) : named[i]))
            {
                kiln_strings_push(&looking->arena, &library->names,
                                  kiln_arena_strdup(&looking->arena, symbol.name));
            }
        }
    }
    if (library->names.count > 0) {
        qsort(library->names.items, library->names.count, sizeof *library->names.items, compare);
    }
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
}

/* The path of the library NAME of the compiler's; NULL if it does not say. */
static const char *
ask_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *name)
{
    struct kiln_process driver = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_DROP};
    kiln_strings_push(&ctx->arena, &driver.argv, kiln_bake_get_driver(ctx, bake, true));
    kiln_strings_push(&ctx->arena, &driver.argv,
                      kiln_arena_printf(&ctx->arena, "-print-file-name=%s", name));
    struct kiln_ctx silent = {.quiet = true};
    int result = kiln_process_run(&silent, &driver);
    const char *path = NULL;
    if (result == 0 && driver.status == 0 && driver.out.len > 0 && driver.out.ptr[0] == '/') {
        const char *text = (const char *)driver.out.ptr;
        path = kiln_arena_strndup(&ctx->arena, text, strcspn(text, "\n"));
    }
    kiln_ctx_release(&silent);
    return path;
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
        read_names(looking, library, false);
    }
}

static void
list_libraries(struct kiln_ctx *ctx, struct looking *looking)
{
    const struct kiln_bake *bake = looking->bake;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL) {
            continue;
        }
        for (size_t k = 0; k < extension->fat.shared.count; k++) {
            const char *path = extension->fat.shared.items[k];
            const char *helper = kiln_baked_find_helper(ctx, extension, kiln_file_basename(path));
            add_library(looking, i, helper != NULL ? helper : path);
        }
        if (kiln_bake_is_cplusplus(extension->fat.driver)) {
            if (looking->cplusplus == NULL) {
                looking->cplusplus = ask_driver(ctx, bake, "libstdc++.so.6");
                looking->cplusplus = looking->cplusplus == NULL ? "" : looking->cplusplus;
            }
            add_library(looking, i, looking->cplusplus);
        }
    }
    looking->c.path = looking->libraries.count == 0 ? NULL : ask_driver(ctx, bake, "libc.so.6");
    if (looking->c.path != NULL) {
        read_names(looking, &looking->c, true);
    }
}

static bool
is_looked_for(const struct looking *looking, const struct found *found, const char *name)
{
    for (size_t i = 0; i < found->libraries.count; i++) {
        if (has_name(find_library(looking, found->libraries.items[i]), name)) {
            return !has_name(&looking->c, name);
        }
    }
    return false;
}

/* What the libraries of one extension look for in it. Inline functions and templates of C++, which
 * are weak, are in any number of objects and alike. */
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
            if (kiln_elf_is_defined(&symbol) && GELF_ST_BIND(symbol.sym.st_info) == STB_GLOBAL &&
                is_looked_for(looking, found, symbol.name))
            {
                kiln_strings_push(&ctx->arena, &found->names,
                                  kiln_arena_strdup(&ctx->arena, symbol.name));
            }
        }
    }
    kiln_file_release(&file);
    return result;
}

/* Let each name be one extension's. */
static bool
settle(struct kiln_ctx *ctx, struct looking *looking)
{
    struct kiln_bake *bake = looking->bake;
    struct kiln_strings taken = {0}, by = {0};
    for (size_t i = 0; i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        for (size_t k = 0; k < looking->found[i].names.count; k++) {
            const char *name = looking->found[i].names.items[k];
            size_t at = 0;
            while (at < taken.count && strcmp(taken.items[at], name) != 0) {
                at++;
            }
            if (at < taken.count) {
                kiln_say(ctx, KILN_WARNING,
                         "%s and %s both define %s, which shared libraries of theirs look for: "
                         "these will use that of %s; if that is not as good, leave one of the two "
                         "out",
                         by.items[at], extension->found->name, name, by.items[at]);
                continue;
            }
            kiln_strings_push(&ctx->arena, &taken, name);
            kiln_strings_push(&ctx->arena, &by, extension->found->name);
            kiln_strings_push(&ctx->arena, &extension->looked_for, name);
            kiln_say(ctx, KILN_DETAIL, "%s: %s stays visible, a shared library looks for it",
                     extension->found->name, name);
        }
    }
    return taken.count > 0;
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
        *found = result == 0 && settle(ctx, &looking);
    }
    kiln_arena_release(&looking.arena);
    return result;
}
