/* The survey: what later passes and the user want to know about an object. */
#include "isolate/survey.h"

#include <stdlib.h>

#include "base/text.h"
#include "names/combined.h"

static int
count_functions(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out)
{
    if (!kiln_combined_count(plan->elf, KILN_CTORS_START, KILN_CTORS_END, &out->constructors) ||
        !kiln_combined_count(plan->elf, KILN_DTORS_START, KILN_DTORS_END, &out->destructors))
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: the object was not made by Kiln's combining step, or is damaged: its "
                         "constructors cannot be found; rebuild it",
                         plan->elf->name);
    }
    return 0;
}

/* Returns whether linkers define NAME themselves. */
static bool
is_from_linker(const char *name)
{
    return strcmp(name, "_GLOBAL_OFFSET_TABLE_") == 0 || kiln_starts_with(name, "__start_") ||
           kiln_starts_with(name, "__stop_");
}

static void
note_defined(struct kiln_ctx *ctx, const struct kiln_plan *plan, size_t index,
             const struct kiln_elf_symbol *symbol, struct kiln_isolated *out)
{
    if (index == plan->exported) {
        return;
    }
    if (kiln_plan_is_export(plan, symbol)) {
        kiln_strings_push(&ctx->arena, &out->exported,
                          kiln_arena_strdup(&ctx->arena, symbol->name));
        return;
    }
    out->hidden++;
}

static void
list_symbols(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out)
{
    struct kiln_arena scratch = {0};
    struct kiln_strings names = {0};
    for (size_t i = 1; i < plan->symbol_count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(plan->elf, plan->symtab, i, &symbol);
        const char *new_name = plan->symbol_names[i];
        if (!kiln_plan_is_global(&symbol)) {
            continue;
        }
        if (kiln_elf_is_defined(&symbol)) {
            note_defined(ctx, plan, i, &symbol, out);
            continue;
        }
        const char *name = new_name == NULL ? symbol.name : new_name;
        bool is_own = (new_name != NULL && kiln_ends_with(name, plan->suffix)) ||
                      kiln_plan_find_bound(plan, symbol.name) != NULL;
        if (ELF64_ST_BIND(symbol.sym.st_info) == STB_GLOBAL && !is_own && !is_from_linker(name)) {
            kiln_strings_push(&scratch, &names, name);
        }
    }
    kiln_strings_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        if (i == 0 || strcmp(names.items[i], names.items[i - 1]) != 0) {
            kiln_strings_push(&ctx->arena, &out->undefined,
                              kiln_arena_strdup(&ctx->arena, names.items[i]));
        }
    }
    kiln_arena_release(&scratch);
}

static bool
is_no_pie(const struct kiln_machine *machine, uint64_t type)
{
    return machine->is_absolute(type);
}

static bool
is_address(const struct kiln_machine *machine, uint64_t type)
{
    return type == machine->address;
}

/* Returns the first relocation of TABLE whose type IS_WANTED, as text, or NULL. */
static const char *
find_relocation(struct kiln_ctx *ctx, const struct kiln_plan *plan, size_t table, size_t section,
                bool (*is_wanted)(const struct kiln_machine *machine, uint64_t type))
{
    const struct kiln_elf *elf = plan->elf;
    size_t count = kiln_elf_count_relocations(elf, table);
    for (size_t i = 0; i < count; i++) {
        Elf64_Rela rela;
        kiln_elf_get_relocation(elf, table, i, &rela);
        if (!is_wanted(elf->machine, ELF64_R_TYPE(rela.r_info))) {
            continue;
        }
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, plan->symtab, (size_t)ELF64_R_SYM(rela.r_info), &symbol);
        if (symbol.sym.st_shndx != SHN_ABS) {
            bool is_section = ELF64_ST_TYPE(symbol.sym.st_info) == STT_SECTION;
            return kiln_arena_printf(
                &ctx->arena, "section %s, symbol %s", kiln_elf_get_section_name(elf, section),
                is_section ? kiln_elf_get_section_name(elf, symbol.section) : symbol.name);
        }
    }
    return NULL;
}

int
kiln_survey_fill(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out)
{
    const struct kiln_elf *elf = plan->elf;
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr, target;
        kiln_elf_get_section(elf, i, &shdr);
        if ((shdr.sh_flags & SHF_ALLOC) != 0) {
            out->size += shdr.sh_size;
        }
        if (shdr.sh_type == SHT_RELA && shdr.sh_link == plan->symtab) {
            kiln_elf_get_section(elf, shdr.sh_info, &target);
            if ((target.sh_flags & SHF_ALLOC) != 0 && out->not_pic == NULL) {
                out->not_pic = find_relocation(ctx, plan, i, shdr.sh_info, is_no_pie);
            }
            if ((target.sh_flags & (SHF_ALLOC | SHF_WRITE)) == SHF_ALLOC &&
                out->read_only_address == NULL) {
                out->read_only_address = find_relocation(ctx, plan, i, shdr.sh_info, is_address);
            }
        }
    }
    list_symbols(ctx, plan, out);
    return count_functions(ctx, plan, out);
}
