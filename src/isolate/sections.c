/* Sections that linkers join with those of other modules.
 *
 * If a section's name is a C identifier, linkers gather all sections of that name and define
 * `__start_NAME` and `__stop_NAME` around them. A module that uses these symbols means its own
 * section, so the section and both symbols get new names. Of the `.gnu.linkonce` sections of one
 * name, where combining has left any, linkers would keep only one for all modules. */
#include "isolate/sections.h"

#include <stdlib.h>

#include "base/text.h"

struct bounded {
    const char *name, *new_name;
    bool exists; /* there is such a section */
};

struct bounds {
    struct bounded *items;
    size_t count, capacity;
};

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct bounded *)a)->name, ((const struct bounded *)b)->name);
}

static struct bounded *
find(struct bounds *bounds, const char *name)
{
    struct bounded key = {.name = name};
    return bounds->count == 0 ? NULL
                              : bsearch(&key, bounds->items, bounds->count, sizeof key, compare);
}

/* Returns the name of the section of which NAME is a bound, or NULL. */
static const char *
get_bounded(const char *name)
{
    static const char *const prefixes[] = {"__start_", "__stop_"};
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], len) == 0 && name[len] != '\0') {
            return name + len;
        }
    }
    return NULL;
}

/* Finds the next symbol after *INDEX that is a bound for the linker to define. Returns its section. */
static const char *
next_bound(const struct kiln_plan *plan, size_t *index, struct kiln_elf_symbol *symbol)
{
    while (++*index < plan->symbol_count) {
        kiln_elf_get_symbol(plan->elf, plan->symtab, *index, symbol);
        const char *section = get_bounded(symbol->name);
        if (section != NULL && kiln_plan_is_global(symbol) && !kiln_elf_is_defined(symbol)) {
            return section;
        }
    }
    return NULL;
}

/* Returns every section name that has a bound, sorted, once. No id holds "_s", so that the new name
 * is no other's. */
static struct bounds
find_bounds(struct kiln_plan *plan)
{
    struct bounds all = {0}, unique = {0};
    struct kiln_elf_symbol symbol;
    const char *name;
    for (size_t i = 0; (name = next_bound(plan, &i, &symbol)) != NULL;) {
        KILN_ARENA_PUSH(&plan->arena, &all)->name = name;
    }
    if (all.count > 0) {
        qsort(all.items, all.count, sizeof *all.items, compare);
    }
    for (size_t i = 0; i < all.count; i++) {
        if (i == 0 || strcmp(all.items[i].name, all.items[i - 1].name) != 0) {
            struct bounded *bounded = KILN_ARENA_PUSH(&plan->arena, &unique);
            bounded->name = all.items[i].name;
            bounded->new_name =
                kiln_arena_printf(&plan->arena, "kiln_%s_s_%s", plan->id, bounded->name);
        }
    }
    return unique;
}

/* A relocation section is named after the section to which it applies. */
static void
name_relocations(struct kiln_plan *plan)
{
    const struct kiln_elf *elf = plan->elf;
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        if (shdr.sh_type == SHT_RELA && shdr.sh_info < elf->section_count &&
            plan->section_names[shdr.sh_info] != NULL)
        {
            plan->section_names[i] =
                kiln_arena_printf(&plan->arena, ".rela%s", plan->section_names[shdr.sh_info]);
        }
    }
}

void
kiln_sections_name(struct kiln_plan *plan)
{
    static const char linkonce[] = ".gnu.linkonce.";
    const struct kiln_elf *elf = plan->elf;
    struct bounds bounds = find_bounds(plan);
    bool named = false;
    for (size_t i = 1; i < elf->section_count; i++) {
        const char *name = kiln_elf_get_section_name(elf, i);
        struct bounded *bounded = find(&bounds, name);
        if (bounded != NULL) {
            bounded->exists = named = true;
            plan->section_names[i] = bounded->new_name;
        }
        else if (kiln_starts_with(name, linkonce)) {
            named = true;
            plan->section_names[i] =
                kiln_arena_printf(&plan->arena, ".linkonce.%s", name + sizeof linkonce - 1);
        }
    }
    if (named) {
        name_relocations(plan);
    }
    struct kiln_elf_symbol symbol;
    const char *name;
    for (size_t i = 0; (name = next_bound(plan, &i, &symbol)) != NULL;) {
        /* A weak bound of no section is 0, and must not become a bound of another module's. */
        const struct bounded *bounded = find(&bounds, name);
        if (bounded->exists || ELF64_ST_BIND(symbol.sym.st_info) == STB_WEAK) {
            plan->symbol_names[i] = kiln_arena_printf(
                &plan->arena, "%.*s%s", (int)(name - symbol.name), symbol.name, bounded->new_name);
        }
    }
}
