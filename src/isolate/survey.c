/* The survey: what the passes after isolating, and the user, want to know of an object. */
#include <stdlib.h>

#include "isolate/plan.h"

/* Bytes of a function pointer. */
enum { WORD = 8 };

/* The value of the symbol NAME, which combining has put into the section of constructors. */
static bool
find_bound(const struct kiln_plan *plan, const char *name, uint64_t *out)
{
    for (size_t i = 1; i < plan->symbol_count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(plan->elf, plan->symtab, i, &symbol);
        if (kiln_plan_is_global(&symbol) && symbol.section != 0 && strcmp(symbol.name, name) == 0) {
            Elf64_Shdr shdr;
            kiln_elf_get_section(plan->elf, symbol.section, &shdr);
            *out = symbol.sym.st_value;
            return *out <= shdr.sh_size && *out % WORD == 0 &&
                   strcmp(kiln_elf_get_section_name(plan->elf, symbol.section),
                          KILN_CTORS_SECTION) == 0;
        }
    }
    return false;
}

static int
count_functions(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out)
{
    uint64_t ctors, ctors_end, dtors, dtors_end;
    if (!find_bound(plan, "kiln_ctors_start", &ctors) ||
        !find_bound(plan, "kiln_ctors_end", &ctors_end) ||
        !find_bound(plan, "kiln_dtors_start", &dtors) ||
        !find_bound(plan, "kiln_dtors_end", &dtors_end) || ctors_end < ctors || dtors_end < dtors)
    {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: the object was not made by Kiln's combining step, or is damaged: its "
                         "constructors cannot be found; make it anew",
                         plan->elf->name);
    }
    out->constructors = (size_t)(ctors_end - ctors) / WORD;
    out->destructors = (size_t)(dtors_end - dtors) / WORD;
    return 0;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether NAME is defined by every linker by itself. */
static bool
is_from_linker(const char *name)
{
    return strcmp(name, "_GLOBAL_OFFSET_TABLE_") == 0 || strncmp(name, "__start_", 8) == 0 ||
           strncmp(name, "__stop_", 7) == 0;
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
    if (kiln_plan_is_common(plan, symbol)) {
        kiln_strings_push(&ctx->arena, &out->shared,
                          kiln_arena_printf(&ctx->arena, "%llu %s",
                                            (unsigned long long)symbol->sym.st_size, symbol->name));
    }
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
        out->asks_dladdr |= new_name != NULL && strcmp(new_name, "kiln_dladdr") == 0;
        const char *name = new_name == NULL ? symbol.name : new_name;
        size_t len = strlen(name), suffix = strlen(plan->suffix);
        bool is_own =
            new_name != NULL && len > suffix && strcmp(name + len - suffix, plan->suffix) == 0;
        is_own = is_own || kiln_plan_find_bound(plan, symbol.name) != NULL;
        if (ELF64_ST_BIND(symbol.sym.st_info) == STB_GLOBAL && !is_own && !is_from_linker(name)) {
            kiln_strings_push(&scratch, &names, name);
        }
    }
    if (names.count > 0) {
        qsort(names.items, names.count, sizeof *names.items, compare);
    }
    for (size_t i = 0; i < names.count; i++) {
        if (i == 0 || strcmp(names.items[i], names.items[i - 1]) != 0) {
            kiln_strings_push(&ctx->arena, &out->undefined,
                              kiln_arena_strdup(&ctx->arena, names.items[i]));
        }
    }
    kiln_arena_release(&scratch);
}

/* The first relocation of TABLE that no PIE can have, as text; NULL if there is none. */
static const char *
find_absolute(struct kiln_ctx *ctx, const struct kiln_plan *plan, size_t table, size_t section)
{
    const struct kiln_elf *elf = plan->elf;
    size_t count = kiln_elf_count_relocations(elf, table);
    for (size_t i = 0; i < count; i++) {
        Elf64_Rela rela;
        kiln_elf_get_relocation(elf, table, i, &rela);
        if (!elf->machine->is_absolute(ELF64_R_TYPE(rela.r_info))) {
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
kiln_plan_survey(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out)
{
    const struct kiln_elf *elf = plan->elf;
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr, target;
        kiln_elf_get_section(elf, i, &shdr);
        if ((shdr.sh_flags & SHF_ALLOC) != 0) {
            out->size += shdr.sh_size;
        }
        if (shdr.sh_type == SHT_RELA && shdr.sh_link == plan->symtab && out->not_pic == NULL) {
            kiln_elf_get_section(elf, shdr.sh_info, &target);
            if ((target.sh_flags & SHF_ALLOC) != 0) {
                out->not_pic = find_absolute(ctx, plan, i, shdr.sh_info);
            }
        }
    }
    list_symbols(ctx, plan, out);
    return count_functions(ctx, plan, out);
}
