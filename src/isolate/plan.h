/* What isolating changes in an object: planned first, then carried out by edit.c, then checked by
 * verify.c. */
#ifndef KILN_ISOLATE_PLAN_H
#define KILN_ISOLATE_PLAN_H

#include "elf/elf.h"
#include "isolate/isolate.h"

/* The section that kiln_combine() puts the constructors and destructors into. */
#define KILN_CTORS_SECTION ".data.rel.ro.kiln_ctors"

struct kiln_plan {
    struct kiln_arena arena; /* of all that the plan points to, the object excepted */
    const struct kiln_elf *elf;
    const struct kiln_isolation *as;
    const char *id;            /* the dotted name as it can stand in a symbol: "a_db" */
    const char *suffix;        /* "." and the id */
    const char *common_suffix; /* of what the distribution has one of; NULL: of nothing */
    size_t symtab, symbol_count;
    const char **symbol_names;  /* the new name of each symbol; NULL: it stays as it is. A symbol
                                 * that is defined and gets a name is hidden, too. */
    const char **section_names; /* the new name of each section; NULL: it stays */
    size_t exported;            /* the symbol that becomes the init function */
};

/* Decide what is to be done to make ELF the module AS; of *OUT, fill symbol, init and suffix. PLAN
 * is to be released even after a failure. */
int kiln_plan_init(struct kiln_ctx *ctx, struct kiln_plan *plan, const struct kiln_elf *elf,
                   const struct kiln_isolation *as, struct kiln_isolated *out);
void kiln_plan_release(struct kiln_plan *plan);

/* Parts of it: name the symbols with versions ("f@V", "f@@V") that are defined, and the references
 * to them; */
void kiln_plan_name_versions(struct kiln_plan *plan);
/* name the sections that would meet those of other modules, and the symbols that mark their bounds
 * (`__start_SECTION`). */
void kiln_plan_name_sections(struct kiln_plan *plan);

/* Fill the rest of *OUT: sizes, counts, what is undefined. */
int kiln_plan_survey(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_isolated *out);

/* Carry PLAN out: the module's bytes, in ARENA. */
int kiln_edit_apply(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_arena *arena,
                    struct kiln_span *out);

/* Check the result: nothing in it can meet another module, and it can do no harm to the program. */
int
kiln_verify(struct kiln_ctx *ctx, const struct kiln_elf *elf, const struct kiln_isolated *isolated);

/* Whether the distribution, not the module, has one of SYMBOL, which is defined. */
bool kiln_plan_is_common(const struct kiln_plan *plan, const struct kiln_elf_symbol *symbol);
/* What NAME becomes if it is a shared library's; NULL: it is none's. */
const char *kiln_plan_find_bound(const struct kiln_plan *plan, const char *name);
/* Whether SYMBOL, which is defined, stays visible under its own name. */
bool kiln_plan_is_export(const struct kiln_plan *plan, const struct kiln_elf_symbol *symbol);

static inline bool
kiln_plan_is_global(const struct kiln_elf_symbol *symbol)
{
    return ELF64_ST_BIND(symbol->sym.st_info) != STB_LOCAL;
}

#endif
