/* Symbols with versions. `.symver` makes symbols called "f@V" (an old version) and "f@@V" (the one
 * that a plain "f" means). When it links a shared object, the linker binds references to them and
 * writes a table of versions. An executable has no such table, and linkers interpret the "@". So the
 * versions become part of plain names, and references inside the module follow. */
#include "isolate/versions.h"

#include <stdlib.h>

/* A name that a reference can have, and the new name of what it refers to. */
struct version {
    const char *name, *target;
};

struct versions {
    struct version *items;
    size_t count, capacity;
};

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct version *)a)->name, ((const struct version *)b)->name);
}

static const struct version *
find(const struct versions *versions, const char *name)
{
    struct version key = {.name = name};
    return versions->count == 0
               ? NULL
               : bsearch(&key, versions->items, versions->count, sizeof key, compare);
}

static void
add(struct kiln_plan *plan, struct versions *versions, const char *name, const char *target)
{
    *KILN_ARENA_PUSH(&plan->arena, versions) = (struct version){.name = name, .target = target};
}

/* Finds the next symbol after *INDEX that is defined and not local. */
static bool
next_defined(const struct kiln_plan *plan, size_t *index, struct kiln_elf_symbol *symbol)
{
    while (++*index < plan->symbol_count) {
        kiln_elf_get_symbol(plan->elf, plan->symtab, *index, symbol);
        if (kiln_plan_is_global(symbol) && kiln_elf_is_defined(symbol)) {
            return true;
        }
    }
    return false;
}

/* Returns every plain name that has a default version. Its target is set if the plain name is defined
 * as well, as by old assemblers. */
static struct versions
find_defaults(struct kiln_plan *plan)
{
    struct versions defaults = {0};
    struct kiln_elf_symbol symbol;
    for (size_t i = 0; next_defined(plan, &i, &symbol);) {
        const char *at = strchr(symbol.name, '@');
        if (at != NULL && at[1] == '@') {
            add(plan, &defaults,
                kiln_arena_strndup(&plan->arena, symbol.name, (size_t)(at - symbol.name)), NULL);
        }
    }
    if (defaults.count > 0) {
        qsort(defaults.items, defaults.count, sizeof *defaults.items, compare);
        for (size_t i = 0; next_defined(plan, &i, &symbol);) {
            struct version *plain = (struct version *)(uintptr_t)find(&defaults, symbol.name);
            if (plain != NULL) {
                plain->target = plain->name;
            }
        }
    }
    return defaults;
}

static void
name_version(struct kiln_plan *plan, size_t index, const char *name, const char *at,
             const struct versions *defaults, struct versions *out)
{
    struct kiln_arena *arena = &plan->arena;
    const char *base = kiln_arena_strndup(arena, name, (size_t)(at - name));
    const char *version = at + strspn(at, "@");
    const struct version *plain = find(defaults, base);
    bool is_plain = at[1] == '@' && plain != NULL && plain->target == NULL;
    const char *target = is_plain
                             ? kiln_arena_printf(arena, "%s%s", base, plan->suffix)
                             : kiln_arena_printf(arena, "%s..%s%s", base, version, plan->suffix);
    if (plan->symbol_names[index] == NULL) {
        plan->symbol_names[index] = target;
    }
    add(plan, out, kiln_arena_printf(arena, "%s@%s", base, version), target);
    if (is_plain) {
        add(plan, out, base, target);
    }
}

void
kiln_versions_name(struct kiln_plan *plan)
{
    struct versions defaults = find_defaults(plan), versions = {0};
    struct kiln_elf_symbol symbol;
    for (size_t i = 0; next_defined(plan, &i, &symbol);) {
        const char *at = strchr(symbol.name, '@');
        if (at != NULL) {
            name_version(plan, i, symbol.name, at, &defaults, &versions);
        }
    }
    if (versions.count == 0) {
        return;
    }
    qsort(versions.items, versions.count, sizeof *versions.items, compare);
    for (size_t i = 1; i < plan->symbol_count; i++) {
        kiln_elf_get_symbol(plan->elf, plan->symtab, i, &symbol);
        const struct version *version = find(&versions, symbol.name);
        if (version != NULL && kiln_plan_is_global(&symbol) && !kiln_elf_is_defined(&symbol)) {
            plan->symbol_names[i] = version->target;
        }
    }
}
