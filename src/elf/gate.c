/* The gate: what must hold of an ELF file's sections before anything in them is used.
 *
 * Each check stands for an access that is made later without one. A shared object or executable was
 * made by a linker and perhaps rewritten by others since; of it only what is needed to read names
 * and contents is demanded. A relocatable object is going to be edited, and must be right in every
 * index. */
#include "elf/gate.h"

/* The section under examination. */
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
    return kiln_fail(check->ctx, KILN_ERR_FORMAT, "%s: damaged: section %zu (%s): %s; make it anew",
                     check->elf->name, check->index, name, problem);
}

static bool
is_relocatable(const struct kiln_elf *elf)
{
    return elf->header.e_type == ET_REL;
}

/* What holds for sections of every type. */
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
        return fail(check, "it is said to lie outside the file (is the file cut short?)");
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

/* Whether the section SHDR links to is of TYPE. */
static bool
is_linked_to(const struct check *check, uint32_t type)
{
    Elf64_Shdr linked;
    kiln_elf_get_section(check->elf, check->shdr.sh_link, &linked);
    return linked.sh_type == type;
}

/* The number of symbols in the table SHDR links to, from its header alone: it may not have been
 * examined yet. */
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
        return fail(check, "it is linked to a section that is no string table");
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
        uint32_t given = symbol.sym.st_shndx;
        if (is_relocatable(elf) && symbol.section == 0 && given != SHN_UNDEF &&
            (given < SHN_LORESERVE || given == SHN_XINDEX))
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

/* What holds for the sections of one type. */
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

/* Sections that share their bytes could make the work grow with the square of the file. */
static int
check_sizes(const struct check *check)
{
    uint64_t total = 0;
    for (size_t i = 1; i < check->elf->section_count; i++) {
        total += kiln_elf_get_contents(check->elf, i).len;
    }
    if (is_relocatable(check->elf) && total > check->elf->bytes.len) {
        return kiln_fail(check->ctx, KILN_ERR_FORMAT,
                         "%s: damaged: its sections are larger than the file; make it anew",
                         check->elf->name);
    }
    return 0;
}

int
kiln_elf_check_sections(struct kiln_ctx *ctx, struct kiln_elf *elf)
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
    /* Symbols are looked at through the extended indexes, so these come first. */
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
