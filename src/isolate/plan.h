/* What isolating changes in an object: the plan, which plan.c begins, versions.c and sections.c add to,
 * and edit.c carries out. */
#ifndef KILN_ISOLATE_PLAN_H
#define KILN_ISOLATE_PLAN_H

#include "elf/elf.h"
#include "isolate/isolate.h"

struct kiln_plan {
    struct kiln_arena arena; /* of everything in the plan, but not of the object */
    const struct kiln_elf *elf;
    const struct kiln_isolation *as;
    const char *id;            /* see kiln_module_symbol_make_id() */
    const char *suffix;        /* "." and the id */
    const char *unique_suffix; /* of the distribution's UNIQUE symbols; NULL: there are none */
    size_t symtab, symbol_count;
    const char **symbol_names;  /* the new name of each symbol; NULL: it keeps its own. A defined
                                 * symbol that gets a name is hidden, too. */
    const char **section_names; /* the new name of each section; NULL: it keeps its own */
    size_t exported;            /* the symbol that becomes the init function */
};

/* Begins the plan to make ELF the module AS: chooses the init function and the suffixes. Of *OUT, fills
 * symbol, init and the suffixes. Caller must release PLAN even after a failure. */
int kiln_plan_init(struct kiln_ctx *ctx, struct kiln_plan *plan, const struct kiln_elf *elf,
                   const struct kiln_isolation *as, struct kiln_isolated *out);
/* Names the remaining symbols. Requires what versions.h and sections.h name to have its names. */
void kiln_plan_name_symbols(struct kiln_plan *plan);
void kiln_plan_release(struct kiln_plan *plan);

/* Returns the new name of NAME if a shared library has it, or NULL. */
const char *kiln_plan_find_bound(const struct kiln_plan *plan, const char *name);
/* Returns whether SYMBOL, which is defined, is one for the program, whoever has it: `_.stapsdt.base`, from which
 * the notes of user-space probes (systemtap, bpftrace) are measured. It is a byte that nobody reads. */
bool kiln_plan_is_common(const struct kiln_elf_symbol *symbol);
/* Returns whether SYMBOL, which is defined, stays visible under its own name. */
bool kiln_plan_is_export(const struct kiln_plan *plan, const struct kiln_elf_symbol *symbol);

static inline bool
kiln_plan_is_global(const struct kiln_elf_symbol *symbol)
{
    return ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL;
}

#endif
