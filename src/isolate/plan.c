/* The plan: which symbols of an object get which names.
 *
 * Every symbol that is defined and not local gets the module's suffix and will be hidden. Each keeps
 * its place in the symbol table, so no relocation changes, weak, common and thread-local symbols mean
 * the same inside the module, and the debug information stays true. STB_GNU_UNIQUE symbols are shared
 * per distribution, not per process: they get the distribution's suffix and become weak, so that its
 * modules, which were built together, share them. One symbol is exported: the init function, or the
 * function that runs the constructors before it. References to a few functions of CPython are
 * redirected to the runtime, which knows the module's whole name, and who imports it. */
#include "isolate/plan.h"

#include <stdlib.h>

#include "base/text.h"
#include "names/combined.h"
#include "names/init_symbol.h"
#include "names/module_symbol.h"

/* Functions of CPython that the runtime has as well, with this before their names. */
#define RUNTIME "kiln_"
static const char *const ANSWERED[] = {
    "PyModule_Create2",
    "PyErr_WarnEx",
    "PyErr_WarnFormat",
    "PyErr_ResourceWarning",
};

static bool
is_answered(const char *name)
{
    for (size_t i = 0; i < sizeof ANSWERED / sizeof ANSWERED[0]; i++) {
        if (strcmp(name, ANSWERED[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Returns the new name of the undefined symbol NAME, or NULL if it keeps its own. */
static const char *
name_undefined(struct kiln_plan *plan, const char *name)
{
    const struct kiln_isolation *as = plan->as;
    size_t len = strcspn(name, "@"); /* a reference may ask for a version */
    const char *plain = kiln_arena_strndup(&plan->arena, name, len);
    if (is_answered(plain)) {
        return kiln_arena_printf(&plan->arena, RUNTIME "%s", plain);
    }
    if (as->absent == NULL) {
        return NULL;
    }
    return kiln_strings_find(as->absent, plain)
               ? kiln_arena_printf(&plan->arena, "%s%s", plain, plan->suffix)
           : name[len] == '@' ? plain /* mold does not find it otherwise */
                              : NULL;
}

/* Returns whether SYMBOL, which is defined, is shared in the distribution (STB_GNU_UNIQUE). */
static bool
is_unique(const struct kiln_plan *plan, const struct kiln_elf_symbol *symbol)
{
    return plan->unique_suffix != NULL && ELF64_ST_BIND(symbol->sym.st_info) == STB_GNU_UNIQUE;
}

bool
kiln_plan_is_common(const struct kiln_elf_symbol *symbol)
{
    return strcmp(symbol->name, "_.stapsdt.base") == 0 &&
           ELF64_ST_BIND(symbol->sym.st_info) == STB_WEAK;
}

bool
kiln_plan_is_export(const struct kiln_plan *plan, const struct kiln_elf_symbol *symbol)
{
    return plan->as->exports != NULL && kiln_plan_is_global(symbol) &&
           kiln_strings_contain(plan->as->exports, symbol->name);
}

static int
compare_bindings(const void *a, const void *b)
{
    return strcmp(((const struct kiln_binding *)a)->name, ((const struct kiln_binding *)b)->name);
}

const char *
kiln_plan_find_bound(const struct kiln_plan *plan, const char *name)
{
    const struct kiln_bindings *bound = plan->as->bound;
    const struct kiln_binding key = {.name = name};
    const struct kiln_binding *found =
        bound == NULL || bound->count == 0
            ? NULL
            : bsearch(&key, bound->items, bound->count, sizeof key, compare_bindings);
    return found == NULL ? NULL : found->target;
}

static const char *
name_defined(struct kiln_plan *plan, const struct kiln_elf_symbol *symbol)
{
    if (kiln_plan_is_export(plan, symbol) || kiln_plan_is_common(symbol)) {
        return symbol->name;
    }
    return kiln_arena_printf(&plan->arena, "%s%s", symbol->name,
                             is_unique(plan, symbol) ? plan->unique_suffix : plan->suffix);
}

void
kiln_plan_name_symbols(struct kiln_plan *plan)
{
    for (size_t i = 1; i < plan->symbol_count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(plan->elf, plan->symtab, i, &symbol);
        if (plan->symbol_names[i] != NULL || !kiln_plan_is_global(&symbol)) {
            continue;
        }
        plan->symbol_names[i] = kiln_plan_find_bound(plan, symbol.name);
        if (plan->symbol_names[i] == NULL) {
            plan->symbol_names[i] = kiln_elf_is_defined(&symbol)
                                        ? name_defined(plan, &symbol)
                                        : name_undefined(plan, symbol.name);
        }
    }
}

/* Returns the symbol NAME if it is defined and not local, else 0. */
static size_t
find_symbol(const struct kiln_plan *plan, const char *name)
{
    for (size_t i = 1; i < plan->symbol_count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(plan->elf, plan->symtab, i, &symbol);
        if (kiln_elf_is_exported(&symbol) && strcmp(symbol.name, name) == 0) {
            return i;
        }
    }
    return 0;
}

static struct kiln_strings
find_inits(struct kiln_plan *plan)
{
    struct kiln_strings inits = {0};
    const char *name;
    for (size_t i = 0; (name = kiln_init_symbol_next(plan->elf, SHT_SYMTAB, &i)) != NULL;) {
        kiln_strings_push(&plan->arena, &inits, name);
    }
    return inits;
}

static int
fail_without_init(struct kiln_ctx *ctx, const char *dotted_name, const char *wanted,
                  const struct kiln_strings *inits)
{
    if (inits->count == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: the object has no init function (PyInit_...); was it made from the "
                         "objects of an extension?",
                         dotted_name);
    }
    const char *others = "";
    for (size_t i = 0; i < inits->count && i < 20; i++) {
        others = kiln_arena_printf(&ctx->arena, "%s %s", others, inits->items[i]);
    }
    return kiln_fail(ctx, KILN_ERR_INPUT, "%s: the object has no init function %s; it has:%s",
                     dotted_name, wanted, others);
}

/* Chooses the init symbol for DOTTED_NAME from those that are defined. */
static int
choose_init(struct kiln_ctx *ctx, struct kiln_plan *plan, const char *dotted_name, const char *init,
            const char **out)
{
    struct kiln_strings inits = find_inits(plan);
    bool export_first = init == kiln_init_export_first;
    if (export_first || init == NULL) {
        const char *usual = kiln_init_symbol_make(ctx, "PyInit", dotted_name);
        const char *export = kiln_init_symbol_make(ctx, "PyModExport", dotted_name);
        const char *first = export_first ? export : usual, *second = export_first ? usual : export;
        init = kiln_strings_contain(&inits, first)    ? first
               : kiln_strings_contain(&inits, second) ? second
               : inits.count == 1                     ? inits.items[0]
                                                      : usual;
    }
    if (!kiln_strings_contain(&inits, init)) {
        return fail_without_init(ctx, dotted_name, init, &inits);
    }
    *out = kiln_arena_strdup(&ctx->arena, init);
    return 0;
}

int
kiln_plan_init(struct kiln_ctx *ctx, struct kiln_plan *plan, const struct kiln_elf *elf,
               const struct kiln_isolation *as, struct kiln_isolated *out)
{
    const char *dotted_name = as->name;
    *plan = (struct kiln_plan){.elf = elf, .as = as, .symtab = kiln_elf_find_type(elf, SHT_SYMTAB)};
    if (elf->header.e_type != ET_REL) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: the file is not a relocatable object (ld -r makes one)", dotted_name);
    }
    if (plan->symtab != 0) {
        plan->symbol_count = kiln_elf_count_symbols(elf, plan->symtab);
    }
    int result = choose_init(ctx, plan, dotted_name, as->init, &out->init);
    if (result < 0) {
        return result;
    }
    out->symbol = kiln_module_symbol_make(ctx, out->init, dotted_name);
    plan->id = kiln_module_symbol_make_id(ctx, dotted_name);
    if (as->library != NULL) {
        plan->id = as->library;
        out->symbol = kiln_arena_printf(&ctx->arena, KILN_INIT_PREFIX "%s", as->library);
    }
    out->bound_suffix = as->bound == NULL ? NULL : as->bound->suffix;
    plan->suffix = out->suffix = kiln_arena_printf(&ctx->arena, ".%s", plan->id);
    if (as->distribution != NULL) {
        /* No id holds "_u", so that this is no module's suffix. */
        plan->unique_suffix = out->unique_suffix = kiln_arena_printf(
            &ctx->arena, ".%s_u", kiln_module_symbol_make_id(ctx, as->distribution));
    }
    plan->symbol_names =
        kiln_arena_alloc(&plan->arena, plan->symbol_count * sizeof *plan->symbol_names);
    plan->section_names =
        kiln_arena_alloc(&plan->arena, elf->section_count * sizeof *plan->section_names);

    plan->exported =
        find_symbol(plan, kiln_arena_printf(&plan->arena, KILN_START_PREFIX "%s", out->init));
    if (plan->exported == 0) {
        plan->exported = find_symbol(plan, out->init);
    }
    plan->symbol_names[plan->exported] = out->symbol;
    return 0;
}

void
kiln_plan_release(struct kiln_plan *plan)
{
    kiln_arena_release(&plan->arena);
}
