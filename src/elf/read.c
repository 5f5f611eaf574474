/* The accessors of an ELF file that has passed the gate (gate.c).
 *
 * The structures are copied out of the bytes, never pointed at, so the bytes need no alignment. The
 * host is little-endian, as the files are, so the file's structures are those of <elf.h>. Rules are cited from the System V gABI, chapter "Object Files". */
#include "elf/elf.h"

/* Everything is borrowed or in the context's arena. */
void
kiln_elf_release(struct kiln_elf *elf)
{
    *elf = (struct kiln_elf){0};
}

void
kiln_elf_get_section(const struct kiln_elf *elf, size_t index, Elf64_Shdr *out)
{
    memcpy(out, elf->table.ptr + index * sizeof *out, sizeof *out);
}

const char *
kiln_elf_get_section_name(const struct kiln_elf *elf, size_t index)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, index, &shdr);
    return elf->names.len == 0 ? "" : (const char *)elf->names.ptr + shdr.sh_name;
}

struct kiln_span
kiln_elf_get_contents(const struct kiln_elf *elf, size_t index)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, index, &shdr);
    if (shdr.sh_type == SHT_NOBITS || shdr.sh_type == SHT_NULL) {
        return kiln_span_of(NULL, 0);
    }
    return kiln_span_of(elf->bytes.ptr + shdr.sh_offset, (size_t)shdr.sh_size);
}

size_t
kiln_elf_find_section(const struct kiln_elf *elf, const char *name)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        if (strcmp(kiln_elf_get_section_name(elf, i), name) == 0) {
            return i;
        }
    }
    return 0;
}

size_t
kiln_elf_find_type(const struct kiln_elf *elf, uint32_t type)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        if (shdr.sh_type == type) {
            return i;
        }
    }
    return 0;
}

size_t
kiln_elf_count_symbols(const struct kiln_elf *elf, size_t table)
{
    return kiln_elf_get_contents(elf, table).len / sizeof(Elf64_Sym);
}

/* Returns the extended section index of symbol INDEX of TABLE, or 0. */
static uint32_t
get_extended_index(const struct kiln_elf *elf, size_t table, size_t index)
{
    uint32_t section = 0;
    Elf64_Shdr shdr;
    if (elf->xindex != 0) {
        kiln_elf_get_section(elf, elf->xindex, &shdr);
        if (shdr.sh_link == table) {
            kiln_span_get_u32(kiln_elf_get_contents(elf, elf->xindex), (uint64_t)index * 4,
                              &section);
        }
    }
    return section;
}

/* Returns the string table to which TABLE is linked. */
static struct kiln_span
get_strings(const struct kiln_elf *elf, size_t table)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, table, &shdr);
    return kiln_elf_get_contents(elf, shdr.sh_link);
}

void
kiln_elf_get_symbol(const struct kiln_elf *elf, size_t table, size_t index,
                    struct kiln_elf_symbol *out)
{
    bool known = table == elf->symtab && table != 0;
    struct kiln_span symbols = known ? elf->symbols : kiln_elf_get_contents(elf, table);
    struct kiln_span strings = known ? elf->strings : get_strings(elf, table);
    memcpy(&out->sym, symbols.ptr + index * sizeof out->sym, sizeof out->sym);
    out->name = (const char *)strings.ptr + out->sym.st_name;

    uint32_t section = out->sym.st_shndx;
    if (section == SHN_XINDEX) {
        section = get_extended_index(elf, table, index);
    }
    else if (section >= SHN_LORESERVE) {
        section = 0;
    }
    out->section = section < elf->section_count ? section : 0;
}

bool
kiln_elf_is_defined(const struct kiln_elf_symbol *symbol)
{
    return symbol->sym.st_shndx != SHN_UNDEF;
}

size_t
kiln_elf_count_relocations(const struct kiln_elf *elf, size_t table)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, table, &shdr);
    /* The gate has not checked any others. */
    return elf->header.e_type == ET_REL && shdr.sh_type == SHT_RELA
               ? kiln_elf_get_contents(elf, table).len / sizeof(Elf64_Rela)
               : 0;
}

void
kiln_elf_get_relocation(const struct kiln_elf *elf, size_t table, size_t index, Elf64_Rela *out)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, table, &shdr);
    memcpy(out, elf->bytes.ptr + shdr.sh_offset + index * sizeof *out, sizeof *out);
}

bool
kiln_elf_is_exported(const struct kiln_elf_symbol *symbol)
{
    return kiln_elf_is_defined(symbol) && ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL;
}

bool
kiln_elf_defines(const struct kiln_elf *elf, const char *name)
{
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    for (size_t i = 0; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        if (kiln_elf_is_exported(&symbol) && strcmp(symbol.name, name) == 0) {
            return true;
        }
    }
    return false;
}
