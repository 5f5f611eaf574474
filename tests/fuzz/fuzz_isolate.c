/* Isolating: the edit of an object that is not what combining makes ends in an error, or in a file
 * that reads as a sound object and differs from the input in what isolating changes and in nothing
 * else. */
#include <stdlib.h>

#include "elf/elf.h"
#include "isolate/isolate.h"
#include "names/init_symbol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool
are_equal(struct kiln_span a, struct kiln_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The types of sections that isolating edits. */
static bool
is_edited(uint32_t type)
{
    return type == SHT_SYMTAB || type == SHT_STRTAB || type == SHT_GROUP;
}

static void
compare_sections(const struct kiln_elf *before, const struct kiln_elf *after)
{
    require(before->section_count == after->section_count);
    for (size_t i = 1; i < before->section_count; i++) {
        Elf64_Shdr old, new;
        kiln_elf_get_section(before, i, &old);
        kiln_elf_get_section(after, i, &new);
        require(old.sh_flags == new.sh_flags &&old.sh_link == new.sh_link &&old.sh_info ==
                new.sh_info);
        if (!is_edited(old.sh_type)) {
            require(old.sh_size == new.sh_size &&old.sh_addralign == new.sh_addralign);
            require(are_equal(kiln_elf_get_contents(before, i), kiln_elf_get_contents(after, i)));
        }
        if (old.sh_type == SHT_SYMTAB || old.sh_type == SHT_GROUP) {
            require(old.sh_size == new.sh_size);
        }
    }
}

/* What a symbol stands for stays; what is local keeps its name, too, unless it is a version's. */
static void
compare_symbols(const struct kiln_elf *before, const struct kiln_elf *after)
{
    size_t table = kiln_elf_find_type(before, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(before, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol old, new;
        kiln_elf_get_symbol(before, table, i, &old);
        kiln_elf_get_symbol(after, table, i, &new);
        require(old.section == new.section &&old.sym.st_shndx ==
                new.sym.st_shndx &&old.sym.st_value == new.sym.st_value &&old.sym.st_size ==
                new.sym.st_size &&ELF64_ST_TYPE(old.sym.st_info) == ELF64_ST_TYPE(new.sym.st_info));
        if (ELF64_ST_BIND(old.sym.st_info) == STB_LOCAL) {
            require(ELF64_ST_BIND(new.sym.st_info) == STB_LOCAL);
            require(strchr(old.name, '@') != NULL || strcmp(old.name, new.name) == 0);
        }
    }
}

static void
isolate(struct kiln_span object, const struct kiln_isolation *as)
{
    struct kiln_ctx ctx = {0};
    struct kiln_arena arena = {0};
    struct kiln_isolated isolated, again;
    struct kiln_span bytes, same;
    struct kiln_elf before, after;
    if (kiln_isolate(&ctx, object, as, &isolated, &arena, &bytes) == 0) {
        require(isolated.symbol != NULL);
        require(kiln_elf_init(&ctx, object, "input", &before) == 0);
        require(kiln_elf_init(&ctx, bytes, "result", &after) == 0);
        compare_sections(&before, &after);
        compare_symbols(&before, &after);
        require(kiln_isolate(&ctx, object, as, &again, &arena, &same) == 0);
        require(are_equal(bytes, same));
    }
    else {
        require(ctx.errors > 0); /* a failure that says nothing */
    }
    kiln_arena_release(&arena);
    kiln_ctx_release(&ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_arena arena = {0};
    struct kiln_strings exports = {0};
    kiln_strings_push(&arena, &exports, "exported");
    const struct kiln_isolation plain = {.name = "pkg.m"};
    const struct kiln_isolation full = {
        .name = "pkg.m",
        .init = kiln_init_export_first,
        .distribution = "pkg",
        .exports = &exports,
    };
    isolate(kiln_span_of(data, size), &plain);
    isolate(kiln_span_of(data, size), &full);
    kiln_arena_release(&arena);
    return 0;
}
