/* Reading shared libraries. One that cannot be read has no symbols: the linker, or the dynamic loader,
 * will report it. */
#include "link/find/dso.h"

#include <stdlib.h>

#include "base/file.h"
#include "elf/elf.h"

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct kiln_dso_symbol *)a)->name,
                  ((const struct kiln_dso_symbol *)b)->name);
}

static void
read_symbols(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_dso *out)
{
    struct kiln_arena scratch = {0};
    size_t table = kiln_elf_find_type(elf, SHT_DYNSYM);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    bool *named = kiln_arena_alloc(&scratch, count + 1);
    kiln_elf_mark_named(elf, table, named, count);
    out->symbols = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *out->symbols);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        if (ELF64_ST_BIND(symbol.sym.st_info) != STB_LOCAL) {
            out->symbols[out->symbol_count++] = (struct kiln_dso_symbol){
                .name = kiln_arena_strdup(&ctx->arena, symbol.name),
                .is_defined = kiln_elf_is_defined(&symbol),
                .is_exported = kiln_elf_is_exported(&symbol),
                .is_weak = ELF64_ST_BIND(symbol.sym.st_info) != STB_GLOBAL,
                .is_named = named[i],
            };
        }
    }
    qsort(out->symbols, out->symbol_count, sizeof *out->symbols, compare);
    kiln_arena_release(&scratch);
}

static void
read_dso(struct kiln_ctx *ctx, struct kiln_dso *out)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct kiln_elf elf;
    struct kiln_elf_dynamic dynamic;
    if (kiln_file_map(&silent, out->path, &file) == 0 &&
        kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED &&
        kiln_elf_init(&silent, file.bytes, out->path, &elf) == 0)
    {
        kiln_elf_read_dynamic(ctx, &elf, &dynamic);
        out->is_shared = true;
        out->soname = dynamic.soname;
        out->needed = dynamic.needed;
        out->rpaths = dynamic.rpaths;
        out->has_versions = kiln_elf_find_type(&elf, SHT_GNU_verdef) != 0;
        read_symbols(ctx, &elf, out);
    }
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
}

const struct kiln_dso *
kiln_dso_get(struct kiln_ctx *ctx, struct kiln_dso_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i]->path, path) == 0) {
            return list->items[i];
        }
    }
    struct kiln_dso *dso = kiln_arena_alloc(&ctx->arena, sizeof *dso);
    *dso = (struct kiln_dso){.path = kiln_arena_strdup(&ctx->arena, path)};
    read_dso(ctx, dso);
    *KILN_ARENA_PUSH(&ctx->arena, list) = dso;
    return dso;
}

const struct kiln_dso_symbol *
kiln_dso_find(const struct kiln_dso *dso, const char *name, size_t *count)
{
    size_t low = 0, high = dso->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(dso->symbols[middle].name, name) < 0) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    size_t end = low;
    while (end < dso->symbol_count && strcmp(dso->symbols[end].name, name) == 0) {
        end++;
    }
    *count = end - low;
    return dso->symbols + low;
}

bool
kiln_dso_defines(const struct kiln_dso *dso, const char *name)
{
    size_t count;
    const struct kiln_dso_symbol *symbols = kiln_dso_find(dso, name, &count);
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].is_defined) {
            return true;
        }
    }
    return false;
}

bool
kiln_dso_looks_up(const struct kiln_dso *dso, const char *name)
{
    size_t count;
    const struct kiln_dso_symbol *symbols = kiln_dso_find(dso, name, &count);
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].is_named) {
            return true;
        }
    }
    return false;
}
