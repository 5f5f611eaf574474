/* Reading ELF files: the header, and the accessors that hold once the gate has let a file through.
 *
 * The structures are copied out of the bytes, never pointed at, so the bytes need no alignment. The
 * host is little-endian as the files are, and on such a host the file's structures are those of
 * <elf.h>. Rules are cited from the System V gABI, chapter "Object Files". */
#include "elf/elf.h"

#include "elf/gate.h"

/* Why HEADER is not that of a file for this Kiln; NULL if it is. */
static const char *
find_header_problem(struct kiln_ctx *ctx, const Elf64_Ehdr *header)
{
    const char *name = kiln_machine_get_name(ctx, header->e_machine);
    if (kiln_machine_find(header->e_machine) == NULL) {
        return kiln_arena_printf(
            &ctx->arena,
            "made for the machine %s; Kiln links for x86-64 and arm64: compile it for one of those",
            name);
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64) {
        return kiln_arena_printf(
            &ctx->arena,
            "a 32-bit file for %s; Kiln links 64-bit code: compile it for that "
            "(without -m32 or -mx32)",
            name);
    }
    return NULL;
}

static int
read_header(struct kiln_ctx *ctx, struct kiln_elf *elf)
{
    Elf64_Ehdr *header = &elf->header;
    if (!kiln_span_starts_with(elf->bytes, ELFMAG, SELFMAG)) {
        return kiln_fail(ctx, KILN_ERR_FORMAT, "%s: not an ELF file; make it anew", elf->name);
    }
    if (elf->bytes.len > EI_DATA && elf->bytes.ptr[EI_DATA] == ELFDATA2MSB) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: made for a big-endian machine; Kiln knows little-endian ones only",
                         elf->name);
    }
    /* e_machine lies at one place in both classes, so a 32-bit file can be told what it is. */
    if (elf->bytes.len >= sizeof(Elf32_Ehdr)) {
        size_t len = elf->bytes.len < sizeof *header ? elf->bytes.len : sizeof *header;
        memcpy(header, elf->bytes.ptr, len);
        const char *problem = find_header_problem(ctx, header);
        if (problem != NULL) {
            return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s", elf->name, problem);
        }
    }
    if (!kiln_span_read(elf->bytes, 0, header, sizeof *header)) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: the file ends inside its ELF header; make it anew",
                         elf->name);
    }
    if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_ident[EI_VERSION] != EV_CURRENT ||
        header->e_version != EV_CURRENT || header->e_ehsize != sizeof *header)
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its ELF header contradicts itself; make it anew", elf->name);
    }
    elf->machine = kiln_machine_find(header->e_machine);
    return 0;
}

/* Find the section headers and the section names. */
static int
read_table(struct kiln_ctx *ctx, struct kiln_elf *elf)
{
    const Elf64_Ehdr *header = &elf->header;
    if (header->e_shoff == 0) {
        return 0;
    }
    /* gABI, "Section Header Table": numbers that do not fit the header are in section 0. */
    Elf64_Shdr first;
    if (header->e_shentsize != sizeof first ||
        !kiln_span_read(elf->bytes, header->e_shoff, &first, sizeof first) ||
        first.sh_type != SHT_NULL || first.sh_name != 0)
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged or cut short: no section headers at offset %llu; make it "
                         "anew",
                         elf->name, (unsigned long long)header->e_shoff);
    }
    uint64_t count = header->e_shnum != 0 ? header->e_shnum : first.sh_size;
    uint64_t names = header->e_shstrndx != SHN_XINDEX ? header->e_shstrndx : first.sh_link;
    if (count > elf->bytes.len / sizeof first ||
        !kiln_span_slice(elf->bytes, header->e_shoff, count * sizeof first, &elf->table))
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged or cut short: %llu section headers at offset %llu are not in "
                         "the file; make it anew",
                         elf->name, (unsigned long long)count, (unsigned long long)header->e_shoff);
    }
    elf->section_count = (size_t)count;
    if (names >= count && names != 0) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its section names are said to be in section %llu of %llu; "
                         "make it anew",
                         elf->name, (unsigned long long)names, (unsigned long long)count);
    }
    if (names != 0) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, (size_t)names, &shdr);
        if (shdr.sh_type != SHT_STRTAB ||
            !kiln_span_slice(elf->bytes, shdr.sh_offset, shdr.sh_size, &elf->names) ||
            elf->names.len == 0 || elf->names.ptr[elf->names.len - 1] != 0)
        {
            return kiln_fail(ctx, KILN_ERR_FORMAT,
                             "%s: damaged: section %llu is no table of section names; make it "
                             "anew",
                             elf->name, (unsigned long long)names);
        }
    }
    return 0;
}

int
kiln_elf_init(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name, struct kiln_elf *out)
{
    *out = (struct kiln_elf){.bytes = bytes, .name = name};
    int result = read_header(ctx, out);
    if (result == 0) {
        result = read_table(ctx, out);
    }
    if (result == 0) {
        result = kiln_elf_check_sections(ctx, out);
    }
    return result;
}

/* All is borrowed or in the context's arena; what is left to do is to forget it. */
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

/* The entry of the extended section indexes for symbol INDEX of TABLE; 0 if there is none. */
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

/* The contents of the section of strings that TABLE is linked to. */
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
    return kiln_elf_get_contents(elf, table).len / sizeof(Elf64_Rela);
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
