/* Formats, parses and identifies parts: see parts.h. */
#include "combine/parts.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "elf/elf.h"

enum { HEADER = 16, ALIGNMENT = 8 };

static size_t
pad(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void
put_number(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> 8 * i);
    }
}

struct kiln_span
kiln_parts_format(const struct kiln_part_list *parts, struct kiln_arena *arena)
{
    size_t size = 0;
    for (size_t i = 0; i < parts->count; i++) {
        size += HEADER + pad(strlen(parts->items[i].name)) + pad(parts->items[i].bytes.len);
    }
    uint8_t *bytes = kiln_arena_alloc(arena, size), *at = bytes;
    for (size_t i = 0; i < parts->count; i++) {
        const struct kiln_part *part = &parts->items[i];
        size_t len = strlen(part->name);
        put_number(at, part->archive, 4);
        put_number(at + 4, len, 4);
        put_number(at + 8, part->bytes.len, 8);
        memcpy(at + HEADER, part->name, len);
        if (part->bytes.len > 0) {
            memcpy(at + HEADER + pad(len), part->bytes.ptr, part->bytes.len);
        }
        at += HEADER + pad(len) + pad(part->bytes.len);
    }
    return kiln_span_of(bytes, size);
}

bool
kiln_parts_parse(struct kiln_ctx *ctx, struct kiln_span bytes, size_t archives,
                 struct kiln_part_list *out)
{
    for (uint64_t at = 0; at < bytes.len;) {
        struct kiln_part part;
        uint32_t len;
        uint64_t size;
        struct kiln_span name;
        if (!kiln_span_get_u32(bytes, at, &part.archive) ||
            !kiln_span_get_u32(bytes, at + 4, &len) || !kiln_span_get_u64(bytes, at + 8, &size) ||
            size > bytes.len || !kiln_span_slice(bytes, at + HEADER, len, &name) ||
            !kiln_span_slice(bytes, at + HEADER + pad(len), size, &part.bytes) ||
            part.archive > archives || memchr(name.ptr, '\0', name.len) != NULL)
        {
            return false;
        }
        part.name = kiln_arena_strndup(&ctx->arena, (const char *)name.ptr, name.len);
        *KILN_ARENA_PUSH(&ctx->arena, out) = part;
        at += HEADER + pad(len) + pad((size_t)size);
    }
    return true;
}

/* -- Identity -- */

static void
add_text(XXH3_state_t *state, const char *text)
{
    XXH3_64bits_update(state, text, strlen(text) + 1);
}

static void
add_numbers(XXH3_state_t *state, const uint64_t *numbers, size_t count)
{
    XXH3_64bits_update(state, numbers, count * sizeof *numbers);
}

/* The section identifies a symbol that has no name. */
static void
add_symbol(XXH3_state_t *state, const struct kiln_elf *elf, const struct kiln_elf_symbol *symbol)
{
    const uint64_t numbers[] = {symbol->sym.st_info, symbol->sym.st_other, symbol->sym.st_size,
                                symbol->sym.st_value,
                                symbol->section != 0 ? 1 : symbol->sym.st_shndx};
    add_text(state, symbol->name);
    add_text(state, symbol->section != 0 ? kiln_elf_get_section_name(elf, symbol->section) : "");
    add_numbers(state, numbers, sizeof numbers / sizeof numbers[0]);
}

static void
add_relocations(XXH3_state_t *state, const struct kiln_elf *elf, size_t table, size_t symbols)
{
    for (size_t i = 0; i < kiln_elf_count_relocations(elf, table); i++) {
        Elf64_Rela rela;
        struct kiln_elf_symbol symbol;
        kiln_elf_get_relocation(elf, table, i, &rela);
        const uint64_t numbers[] = {rela.r_offset, ELF64_R_TYPE(rela.r_info),
                                    (uint64_t)rela.r_addend};
        add_numbers(state, numbers, sizeof numbers / sizeof numbers[0]);
        kiln_elf_get_symbol(elf, symbols, (size_t)ELF64_R_SYM(rela.r_info), &symbol);
        add_symbol(state, elf, &symbol);
    }
}

static bool
is_allocated(const struct kiln_elf *elf, size_t index)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, index, &shdr);
    return (shdr.sh_flags & SHF_ALLOC) != 0 && shdr.sh_type != SHT_NOTE;
}

static void
add_section(XXH3_state_t *state, const struct kiln_elf *elf, size_t index)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, index, &shdr);
    if (shdr.sh_type == SHT_RELA && shdr.sh_info < elf->section_count &&
        is_allocated(elf, shdr.sh_info))
    {
        add_text(state, kiln_elf_get_section_name(elf, shdr.sh_info));
        add_relocations(state, elf, index, shdr.sh_link);
    }
    if (is_allocated(elf, index)) {
        const uint64_t numbers[] = {shdr.sh_type, shdr.sh_flags, shdr.sh_size, shdr.sh_addralign};
        struct kiln_span contents = kiln_elf_get_contents(elf, index);
        add_text(state, kiln_elf_get_section_name(elf, index));
        add_numbers(state, numbers, sizeof numbers / sizeof numbers[0]);
        if (contents.len > 0) {
            XXH3_64bits_update(state, contents.ptr, contents.len);
        }
    }
}

uint64_t
kiln_part_identify(const struct kiln_elf *elf)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (size_t i = 1; i < elf->section_count; i++) {
        add_section(&state, elf, i);
    }
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    for (size_t i = 1; table != 0 && i < kiln_elf_count_symbols(elf, table); i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        if (ELF64_ST_BIND(symbol.sym.st_info) != STB_LOCAL) {
            add_symbol(&state, elf, &symbol);
        }
    }
    return XXH3_64bits_digest(&state);
}
