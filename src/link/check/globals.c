/* Names of the program's own, and what they mean for an extension.
 *
 * In a shared object that was linked without -Bsymbolic, a symbol that is exported is looked for in
 * the program first, even by the object that defines it. Isolated, the object has its own. That is
 * what its author meant as a rule, but it is a difference, so it can be asked for. */
#include "link/check/globals.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "elf/ar.h"
#include "elf/elf.h"

static bool
is_global(const struct kiln_elf_symbol *symbol)
{
    unsigned visibility = ELF64_ST_VISIBILITY(symbol->sym.st_other);
    return kiln_elf_is_defined(symbol) && ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED) && *symbol->name != '\0';
}

struct adding {
    struct kiln_ctx *ctx;
    struct kiln_globals *out;
    const char *owner;
};

/* Add the names in the symbol table of TYPE of an object. */
static void
add_names(const struct adding *adding, struct kiln_span bytes, uint32_t type)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    if (kiln_elf_init(&silent, bytes, adding->owner, &elf) == 0) {
        size_t table = kiln_elf_find_type(&elf, type);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            if (is_global(&symbol)) {
                *KILN_ARENA_PUSH(&adding->ctx->arena, adding->out) = (struct kiln_global){
                    kiln_arena_strndup(&adding->ctx->arena, symbol.name, strcspn(symbol.name, "@")),
                    adding->owner};
            }
        }
    }
    kiln_ctx_release(&silent);
}

static int
add_member(void *arg, const char *member, struct kiln_span contents)
{
    (void)member;
    add_names(arg, contents, SHT_SYMTAB);
    return 0;
}

static int
add_library(const struct adding *adding, const char *path)
{
    struct kiln_file file;
    int result = kiln_file_map(adding->ctx, path, &file);
    if (result == 0 && kiln_elf_classify(file.bytes) == KILN_OBJECT_ARCHIVE) {
        result =
            kiln_ar_visit(adding->ctx, file.bytes, path, add_member, (void *)(uintptr_t)adding);
    }
    else if (result == 0) {
        add_names(adding, file.bytes, SHT_DYNSYM);
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
kiln_globals_read(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_globals *out)
{
    *out = (struct kiln_globals){0};
    const char *libpython =
        bake->shared_libpython ? bake->python.shared_library : bake->python.static_library;
    struct adding python = {ctx, out, "libpython"}, c = {ctx, out, "libc"};
    int result = libpython == NULL ? 0 : add_library(&python, libpython);
    const char *libc = kiln_bake_ask_driver(ctx, bake->driver, "libc.so.6");
    if (result == 0 && libc != NULL) {
        result = add_library(&c, libc);
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
