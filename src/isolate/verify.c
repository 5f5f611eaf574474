/* Verifies an isolated object: what Kiln promises of it, checked on the bytes themselves.
 *
 * What combining made and isolating edited passes. A failure means that the input did not come from
 * combining, or held something unknown to both; the message names it. */
#include "isolate/verify.h"

#include "base/text.h"
#include "names/combined.h"

/* LLVM's "Extensions": what lld reads in an object besides code. */
#define SHT_LLVM_LINKER_OPTIONS      0x6fff4c01
#define SHT_LLVM_DEPENDENT_LIBRARIES 0x6fff4c04

static int
fail_section(struct kiln_ctx *ctx, const struct kiln_elf *elf, size_t index, const char *problem)
{
    return kiln_fail(ctx, KILN_ERR_INPUT, "%s: not isolated: section %s %s", elf->name,
                     kiln_elf_get_section_name(elf, index), problem);
}

static int
fail_symbol(struct kiln_ctx *ctx, const struct kiln_elf *elf, const char *name, const char *problem)
{
    return kiln_fail(ctx, KILN_ERR_INPUT, "%s: not isolated: symbol %s %s", elf->name, name,
                     problem);
}

/* Whether linkers, or Kiln, write a section of the NAME: what a module has there would become the executable's. */
static bool
is_of_executable(const char *name, uint64_t flags)
{
    static const char *const names[] = {".interp", ".dynamic", ".eh_frame_hdr", ".gnu_debuglink",
                                        ".kiln"};
    bool result = strcmp(name, ".comment") == 0 && (flags & SHF_ALLOC) != 0;
    for (size_t i = 0; !result && i < sizeof names / sizeof names[0]; i++) {
        result = strcmp(name, names[i]) == 0;
    }
    return result;
}

static const char *
find_section_problem(const struct kiln_elf *elf, size_t index, const Elf64_Shdr *shdr)
{
    static const char *const start_up[] = {".preinit_array", ".init_array", ".fini_array", ".ctors",
                                           ".dtors"};
    static const char *const bytecode[] = {".gnu.lto_", ".gnu.debuglto_", ".llvmbc", ".llvm.lto"};
    const char *name = kiln_elf_get_section_name(elf, index);
    uint32_t flags;
    if (shdr->sh_type == SHT_GROUP &&
        kiln_span_get_u32(kiln_elf_get_contents(elf, index), 0, &flags) &&
        (flags & GRP_COMDAT) != 0)
    {
        return "is a COMDAT group";
    }
    if (strcmp(name, ".note.GNU-stack") == 0 && (shdr->sh_flags & SHF_EXECINSTR) != 0) {
        return "asks for an executable stack";
    }
    if (is_of_executable(name, shdr->sh_flags)) {
        return "has the name of one that the executable has of its own";
    }
    if (shdr->sh_type == SHT_LLVM_LINKER_OPTIONS || shdr->sh_type == SHT_LLVM_DEPENDENT_LIBRARIES) {
        return "names libraries to the linker; combine the objects by Kiln";
    }
    if (kiln_starts_with(name, ".gnu.linkonce.")) {
        return "is kept once for all modules";
    }
    for (size_t i = 0; i < sizeof bytecode / sizeof bytecode[0]; i++) {
        if (kiln_starts_with(name, bytecode[i])) {
            return "holds bytecode with the old names; combine the objects by Kiln";
        }
    }
    if (strcmp(name, KILN_CTORS_SECTION) == 0 && shdr->sh_type != SHT_PROGBITS) {
        return "is not a list of constructors; rebuild the object";
    }
    if ((shdr->sh_flags & SHF_ALLOC) == 0 || shdr->sh_size == 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof start_up / sizeof start_up[0]; i++) {
        if (kiln_starts_with(name, start_up[i])) {
            return "would run at the start of the program; combine the objects by Kiln";
        }
    }
    if (shdr->sh_type == SHT_INIT_ARRAY || shdr->sh_type == SHT_FINI_ARRAY ||
        shdr->sh_type == SHT_PREINIT_ARRAY || strcmp(name, ".init") == 0 ||
        strcmp(name, ".fini") == 0)
    {
        return "would run at the start or end of the program; combine the objects by Kiln";
    }
    return NULL;
}

/* Returns why SYMBOL, which is defined and global, must not be, or NULL. */
static const char *
find_symbol_problem(const struct kiln_elf_symbol *symbol, const struct kiln_isolated *isolated)
{
    if (strchr(symbol->name, '@') != NULL) {
        return "has a version";
    }
    if (kiln_strings_contain(&isolated->exported, symbol->name)) {
        return NULL;
    }
    if (ELF64_ST_VISIBILITY(symbol->sym.st_other) != STV_HIDDEN) {
        return "is visible";
    }
    if (ELF64_ST_BIND(symbol->sym.st_info) == STB_GNU_UNIQUE) {
        return "is shared by the whole process";
    }
    bool is_weak = ELF64_ST_BIND(symbol->sym.st_info) == STB_WEAK;
    bool is_unique = is_weak && isolated->unique_suffix != NULL &&
                     kiln_ends_with(symbol->name, isolated->unique_suffix);
    bool is_bound = is_weak && isolated->bound_suffix != NULL &&
                    kiln_ends_with(symbol->name, isolated->bound_suffix);
    if (strcmp(symbol->name, isolated->symbol) != 0 &&
        !kiln_ends_with(symbol->name, isolated->suffix) && !is_unique && !is_bound &&
        !kiln_plan_is_common(symbol))
    {
        return "can conflict with one of another module";
    }
    return NULL;
}

static int
verify_symbols(struct kiln_ctx *ctx, const struct kiln_elf *elf,
               const struct kiln_isolated *isolated)
{
    size_t exported = 0;
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        if (!kiln_plan_is_global(&symbol) || !kiln_elf_is_defined(&symbol)) {
            continue;
        }
        const char *problem = find_symbol_problem(&symbol, isolated);
        if (problem != NULL) {
            return fail_symbol(ctx, elf, symbol.name, problem);
        }
        exported += strcmp(symbol.name, isolated->symbol) == 0;
    }
    return exported == 1 ? 0
                         : fail_symbol(ctx, elf, isolated->symbol, "is not defined exactly once");
}

int
kiln_verify(struct kiln_ctx *ctx, const struct kiln_elf *elf, const struct kiln_isolated *isolated)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        const char *problem = find_section_problem(elf, i, &shdr);
        if (problem != NULL) {
            return fail_section(ctx, elf, i, problem);
        }
    }
    return verify_symbols(ctx, elf, isolated);
}
