/* Names of libpython and of the C library, and what they mean for an extension.
 *
 * A symbol that a shared object exports is looked up in the program first, even by the object that
 * defines it, unless it was linked with -Bsymbolic. An isolated object uses its own. That is what its
 * author meant as a rule, but it is a difference, so the report tells of it. */
#include "link/check/globals.h"

#include <stdlib.h>

#include "elf/ar.h"
#include "elf/elf.h"
#include "link/find/toolchain.h"

static bool
is_global(const struct kiln_elf_symbol *symbol)
{
    unsigned visibility = ELF64_ST_VISIBILITY(symbol->sym.st_other);
    return kiln_elf_is_defined(symbol) && ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED) && *symbol->name != '\0';
}

static void
add(struct kiln_ctx *ctx, struct kiln_globals *out, const char *name, const char *owner)
{
    *KILN_ARENA_PUSH(&ctx->arena, out) = (struct kiln_global){name, owner};
}

/* Add the names that the shared library at PATH exports. */
static void
add_dso(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *path, const char *owner,
        struct kiln_globals *out)
{
    const struct kiln_dso *dso = kiln_dso_get(ctx, &bake->dsos, path);
    for (size_t i = 0; i < dso->symbol_count; i++) {
        if (dso->symbols[i].is_exported) {
            add(ctx, out, dso->symbols[i].name, owner);
        }
    }
}

struct adding {
    struct kiln_ctx *ctx;
    struct kiln_globals *out;
};

/* Add the names that a member of the static libpython exports. */
static int
add_member(void *arg, const char *member, struct kiln_span contents)
{
    const struct adding *adding = arg;
    struct kiln_arena *arena = &adding->ctx->arena;
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    if (kiln_elf_init(&silent, contents, member, &elf) == 0) {
        size_t table = kiln_elf_find_type(&elf, SHT_SYMTAB);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            if (is_global(&symbol)) {
                add(adding->ctx, adding->out,
                    kiln_arena_strndup(arena, symbol.name, strcspn(symbol.name, "@")), "libpython");
            }
        }
    }
    kiln_ctx_release(&silent);
    return 0;
}

static int
add_archive(struct kiln_ctx *ctx, const char *path, struct kiln_globals *out)
{
    struct adding adding = {ctx, out};
    struct kiln_file file;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_ar_visit(ctx, file.bytes, path, add_member, &adding);
    }
    kiln_file_release(&file);
    return result;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct kiln_global *)a)->name, ((const struct kiln_global *)b)->name);
}

int
kiln_globals_read(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_globals *out)
{
    *out = (struct kiln_globals){0};
    int result = 0;
    if (!bake->shared_libpython) {
        result = add_archive(ctx, bake->python.static_library, out);
    }
    else if (bake->python.shared_library != NULL) {
        add_dso(ctx, bake, bake->python.shared_library, "libpython", out);
    }
    const char *libc = kiln_toolchain_find_library(ctx, bake->driver, "libc.so.6");
    if (libc != NULL) {
        add_dso(ctx, bake, libc, "libc", out);
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof *out->items, compare);
    }
    return result;
}

const char *
kiln_globals_find(const struct kiln_globals *globals, const char *name)
{
    struct kiln_global key = {.name = name};
    const struct kiln_global *found =
        globals->count == 0 ? NULL
                            : bsearch(&key, globals->items, globals->count, sizeof key, compare);
    return found == NULL ? NULL : found->owner;
}

int
kiln_globals_find_interposed(struct kiln_ctx *ctx, const struct kiln_globals *globals,
                             struct kiln_span bytes, const char *path, struct kiln_strings *out)
{
    struct kiln_elf elf;
    struct kiln_arena scratch = {0};
    int result = kiln_elf_init(ctx, bytes, path, &elf);
    if (result < 0) {
        return result;
    }
    size_t table = kiln_elf_find_type(&elf, SHT_DYNSYM);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
    bool *named = kiln_arena_alloc(&scratch, count);
    kiln_elf_mark_named(&elf, table, named, count);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(&elf, table, i, &symbol);
        if (named[i] && is_global(&symbol) &&
            ELF64_ST_VISIBILITY(symbol.sym.st_other) == STV_DEFAULT &&
            kiln_globals_find(globals, symbol.name) != NULL)
        {
            kiln_strings_add(&ctx->arena, out, kiln_arena_strdup(&ctx->arena, symbol.name));
        }
    }
    kiln_arena_release(&scratch);
    return 0;
}
