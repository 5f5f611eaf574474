/* The gate: kiln_elf_init(), which checks an ELF file before anything in it is used.
 *
 * Each check stands for an access that the accessors (read.c) make without one. Linkers write shared
 * objects and executables, and other programs rewrite them, so for these the gate requires only what
 * reading names, symbols and contents takes; kiln_elf_count_relocations() finds no relocations in
 * them. A relocatable object is going to be edited: every index in it must be valid. */
#include "elf/elf.h"

/* -- The file -- */

/* Returns why Kiln cannot link files with HEADER, or NULL. */
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
        return kiln_fail(ctx, KILN_ERR_FORMAT, "%s: not an ELF file; rebuild it", elf->name);
    }
    if (elf->bytes.len > EI_DATA && elf->bytes.ptr[EI_DATA] == ELFDATA2MSB) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: made for a big-endian machine; Kiln knows little-endian ones only",
                         elf->name);
    }
    /* e_machine is at the same offset in both classes, so the message can name the machine. */
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
                         "%s: damaged: the file ends inside its ELF header; rebuild it", elf->name);
    }
    if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_ident[EI_VERSION] != EV_CURRENT ||
        header->e_version != EV_CURRENT || header->e_ehsize != sizeof *header ||
        header->e_type == ET_NONE || header->e_type > ET_CORE)
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its ELF header contradicts itself; rebuild it", elf->name);
    }
    elf->machine = kiln_machine_find(header->e_machine);
    return 0;
}

/* Finds the section headers and the section names. */
static int
read_table(struct kiln_ctx *ctx, struct kiln_elf *elf)
{
    const Elf64_Ehdr *header = &elf->header;
    if (header->e_shoff == 0) {
        return 0;
    }
    /* gABI, "Section Header Table": numbers that do not fit the ELF header are in section 0. */
    Elf64_Shdr first;
    if (header->e_shentsize != sizeof first ||
        !kiln_span_read(elf->bytes, header->e_shoff, &first, sizeof first) ||
        first.sh_type != SHT_NULL || first.sh_name != 0)
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged or cut short: no section headers at offset %llu; rebuild it",
                         elf->name, (unsigned long long)header->e_shoff);
    }
    uint64_t count = header->e_shnum != 0 ? header->e_shnum : first.sh_size;
    uint64_t names = header->e_shstrndx != SHN_XINDEX ? header->e_shstrndx : first.sh_link;
    if (count > elf->bytes.len / sizeof first ||
        !kiln_span_slice(elf->bytes, header->e_shoff, count * sizeof first, &elf->table))
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged or cut short: %llu section headers at offset %llu are not in "
                         "the file; rebuild it",
                         elf->name, (unsigned long long)count, (unsigned long long)header->e_shoff);
    }
    elf->section_count = (size_t)count;
    if (names >= count && names != 0) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its section names are in section %llu of %llu; "
                         "rebuild it",
                         elf->name, (unsigned long long)names, (unsigned long long)count);
    }
    if (names != 0) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, (size_t)names, &shdr);
        if (shdr.sh_type != SHT_STRTAB ||
            !kiln_span_slice(elf->bytes, shdr.sh_offset, shdr.sh_size, &elf->names) ||
            elf->names.len == 0 || elf->names.ptr[elf->names.len - 1] != 0)
        {
            return kiln_fail(
                ctx, KILN_ERR_FORMAT,
                "%s: damaged: section %llu is not a table of section names; rebuild it", elf->name,
                (unsigned long long)names);
        }
    }
    return 0;
}

/* -- Its sections -- */

/* The section that is checked. */
struct check {
    struct kiln_ctx *ctx;
    struct kiln_elf *elf;
    size_t index;
    Elf64_Shdr shdr;
};

static int
fail(const struct check *check, const char *problem)
{
    const char *name = "";
    if (check->shdr.sh_name < check->elf->names.len) {
        name = (const char *)check->elf->names.ptr + check->shdr.sh_name;
    }
    return kiln_fail(check->ctx, KILN_ERR_FORMAT, "%s: damaged: section %zu (%s): %s; rebuild it",
                     check->elf->name, check->index, name, problem);
}

static bool
is_relocatable(const struct kiln_elf *elf)
{
    return elf->header.e_type == ET_REL;
}

/* Checks what sections of all types have in common. */
static int
check_header(const struct check *check)
{
    const struct kiln_elf *elf = check->elf;
    const Elf64_Shdr *shdr = &check->shdr;
    struct kiln_span contents;
    if (elf->names.len > 0 && shdr->sh_name >= elf->names.len) {
        return fail(check, "its name is outside the section names");
    }
    if (shdr->sh_type == SHT_NULL) {
        return 0;
    }
    if (shdr->sh_type != SHT_NOBITS &&
        !kiln_span_slice(elf->bytes, shdr->sh_offset, shdr->sh_size, &contents))
    {
        return fail(check, "it lies outside the file (is the file cut short?)");
    }
    if (shdr->sh_link >= elf->section_count) {
        return fail(check, "it is linked to a section that does not exist");
    }
    if ((shdr->sh_addralign & (shdr->sh_addralign - 1)) != 0) {
        return fail(check, "its alignment is not a power of two");
    }
    return 0;
}

static int
check_entries(const struct check *check, uint64_t size)
{
    if (check->shdr.sh_entsize != size || check->shdr.sh_size % size != 0) {
        return fail(check, "the size of its entries is wrong");
    }
    return 0;
}

/* Returns whether the section is linked to one of TYPE. */
static bool
is_linked_to(const struct check *check, uint32_t type)
{
    Elf64_Shdr linked;
    kiln_elf_get_section(check->elf, check->shdr.sh_link, &linked);
    return linked.sh_type == type;
}

/* Returns the number of symbols in the table to which the section is linked, which may not have been
 * checked yet. */
static uint64_t
count_linked_symbols(const struct check *check)
{
    Elf64_Shdr linked;
    kiln_elf_get_section(check->elf, check->shdr.sh_link, &linked);
    return linked.sh_size / sizeof(Elf64_Sym);
}

static int
check_symbols(const struct check *check)
{
    const struct kiln_elf *elf = check->elf;
    struct kiln_span names;
    Elf64_Shdr strings;
    kiln_elf_get_section(elf, check->shdr.sh_link, &strings);
    if (strings.sh_type != SHT_STRTAB ||
        !kiln_span_slice(elf->bytes, strings.sh_offset, strings.sh_size, &names) ||
        (names.len > 0 && names.ptr[names.len - 1] != 0))
    {
        return fail(check, "it is linked to a section that is not a string table");
    }
    if (check->shdr.sh_type == SHT_SYMTAB) {
        check->elf->symtab = check->index;
        check->elf->symbols = kiln_elf_get_contents(elf, check->index);
        check->elf->strings = names;
    }
    size_t count = kiln_elf_count_symbols(elf, check->index);
    for (size_t i = 0; i < count; i++) {
        struct kiln_elf_symbol symbol;
        memcpy(&symbol.sym, elf->bytes.ptr + check->shdr.sh_offset + i * sizeof symbol.sym,
               sizeof symbol.sym);
        if (symbol.sym.st_name >= names.len) {
            return fail(check, kiln_arena_printf(&check->ctx->arena,
                                                 "symbol %zu has a name outside the file", i));
        }
        kiln_elf_get_symbol(elf, check->index, i, &symbol);
        uint32_t index = symbol.sym.st_shndx;
        if (is_relocatable(elf) && symbol.section == 0 && index != SHN_UNDEF &&
            (index < SHN_LORESERVE || index == SHN_XINDEX))
        {
            return fail(check, kiln_arena_printf(&check->ctx->arena,
                                                 "symbol %zu (%s) is in a section that does not "
                                                 "exist",
                                                 i, symbol.name));
        }
    }
    return 0;
}

static int
check_symbol_table(const struct check *check)
{
    int result = check_entries(check, sizeof(Elf64_Sym));
    /* gABI, "Sections": "Currently, an object file may have only one section of each type". */
    if (result == 0 && kiln_elf_find_type(check->elf, check->shdr.sh_type) != check->index) {
        result = fail(check, "a second symbol table");
    }
    return result == 0 ? check_symbols(check) : result;
}

static int
check_group(const struct check *check)
{
    int result = check_entries(check, 4);
    struct kiln_span words = kiln_elf_get_contents(check->elf, check->index);
    if (result == 0 && (words.len == 0 || !is_linked_to(check, SHT_SYMTAB) ||
                        check->shdr.sh_info >= count_linked_symbols(check)))
    {
        result = fail(check, "a section group without a signature");
    }
    uint32_t member;
    for (uint64_t at = 4; result == 0 && kiln_span_get_u32(words, at, &member); at += 4) {
        if (member >= check->elf->section_count) {
            result = fail(check, "a section group with a member that does not exist");
        }
    }
    return result;
}

static int
check_relocations(const struct check *check)
{
    size_t size = check->shdr.sh_type == SHT_RELA ? sizeof(Elf64_Rela) : sizeof(Elf64_Rel);
    int result = check_entries(check, size);
    struct kiln_span entries = kiln_elf_get_contents(check->elf, check->index);
    if (result == 0 && (check->shdr.sh_info >= check->elf->section_count ||
                        (entries.len > 0 && !is_linked_to(check, SHT_SYMTAB))))
    {
        result = fail(check, "relocations without symbols or without a section");
    }
    uint64_t count = count_linked_symbols(check), info;
    for (uint64_t at = 0; result == 0 && at < entries.len; at += size) {
        if (!kiln_span_get_u64(entries, at + 8, &info) || ELF64_R_SYM(info) >= count) {
            result =
                fail(check, kiln_arena_printf(&check->ctx->arena,
                                              "relocation %llu is to a symbol that does not exist",
                                              (unsigned long long)(at / size)));
        }
    }
    return result;
}

static int
check_extended_indexes(const struct check *check)
{
    int result = check_entries(check, 4);
    if (result == 0 &&
        (!is_linked_to(check, SHT_SYMTAB) || check->shdr.sh_size / 4 < count_linked_symbols(check)))
    {
        result = fail(check, "section indexes for more symbols than it has");
    }
    return result;
}

/* Checks what is particular to the type of the section. */
static int
check_section(const struct check *check)
{
    switch (check->shdr.sh_type) {
    case SHT_SYMTAB:
    case SHT_DYNSYM:
        return check_symbol_table(check);
    case SHT_SYMTAB_SHNDX:
        return check_extended_indexes(check);
    case SHT_GROUP:
        return is_relocatable(check->elf) ? check_group(check) : 0;
    case SHT_RELA:
    case SHT_REL:
        return is_relocatable(check->elf) ? check_relocations(check) : 0;
    default:
        return 0;
    }
}

/* If sections overlapped, work on them could take time quadratic in the size of the file. */
static int
check_sizes(const struct check *check)
{
    uint64_t total = 0;
    for (size_t i = 1; i < check->elf->section_count; i++) {
        total += kiln_elf_get_contents(check->elf, i).len;
    }
    if (is_relocatable(check->elf) && total > check->elf->bytes.len) {
        return kiln_fail(check->ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its sections are larger than the file; rebuild it",
                         check->elf->name);
    }
    return 0;
}

static int
check_sections(struct kiln_ctx *ctx, struct kiln_elf *elf)
{
    struct check check = {.ctx = ctx, .elf = elf};
    for (check.index = 1; check.index < elf->section_count; check.index++) {
        kiln_elf_get_section(elf, check.index, &check.shdr);
        int result = check_header(&check);
        if (result < 0) {
            return result;
        }
    }
    int result = check_sizes(&check);
    if (result < 0) {
        return result;
    }
    /* Reading symbols uses the extended indexes, so these are checked first. */
    check.index = kiln_elf_find_type(elf, SHT_SYMTAB_SHNDX);
    if (check.index != 0) {
        kiln_elf_get_section(elf, check.index, &check.shdr);
        result = check_section(&check);
        if (result < 0) {
            return result;
        }
        elf->xindex = check.index;
    }
    for (check.index = 1; check.index < elf->section_count; check.index++) {
        kiln_elf_get_section(elf, check.index, &check.shdr);
        result = check_section(&check);
        if (result < 0) {
            return result;
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
        result = check_sections(ctx, out);
    }
    return result;
}
