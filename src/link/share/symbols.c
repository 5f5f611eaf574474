/* Whether the symbols of the modules allow a library to be shared, and which of them are to be bound.
 *
 * In its file, a module was linked with a library of its own; each name must mean the same with one
 * library for all. So no module may define a name that the library uses or defines (a callback, a
 * function in place of the library's): the other modules would get it. Weak definitions in both
 * (inline functions, templates) become one for all. And a name that the library needs must come from
 * the same place for all modules: from the library, from their inline functions, or from elsewhere. */
#include <stdlib.h>

#include "elf/elf.h"
#include "link/share/share.h"
#include "names/init_symbol.h"

enum kind { REFERENCE, WEAK, STRONG };

/* A global symbol of a part. */
struct symbol {
    const char *name;
    const struct kiln_share_part *part;
    enum kind kind;
};

/* Where a name of the library is defined in one module. */
enum state { EXTERNAL, INLINE, LIBRARY };
struct outcome {
    const char *name;
    enum state state;
    const struct kiln_share_part *part; /* of the library, that defines or needs it */
};

struct binding_run {
    struct kiln_ctx *ctx;
    struct kiln_share_group *group;
    const struct kiln_strings *exports;
    struct kiln_arena arena; /* of these: */
    struct {
        struct symbol *items;
        size_t count, capacity;
    } symbols;
    struct {
        struct outcome *items;
        size_t count, capacity;
    } outcomes;
};

static int
compare(const void *a, const void *b)
{
    const struct symbol *one = a, *other = b;
    int order = strcmp(one->name, other->name);
    if (order != 0 || one->part->user != other->part->user) {
        return order != 0 ? order : one->part->user < other->part->user ? -1 : 1;
    }
    return (one->part->order > other->part->order) - (one->part->order < other->part->order);
}

static int
list_symbols(struct binding_run *run, const struct kiln_share_part *part)
{
    struct kiln_elf elf;
    int result = kiln_elf_init(run->ctx, part->bytes, part->name, &elf);
    size_t table = result < 0 ? 0 : kiln_elf_find_type(&elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(&elf, table, i, &symbol);
        unsigned bind = ELF64_ST_BIND(symbol.sym.st_info);
        if (bind == STB_LOCAL || *symbol.name == '\0') {
            continue;
        }
        *KILN_ARENA_PUSH(&run->arena, &run->symbols) = (struct symbol){
            .name = kiln_arena_strdup(&run->arena, symbol.name),
            .part = part,
            .kind = !kiln_elf_is_defined(&symbol)                ? REFERENCE
                    : bind == STB_WEAK || bind == STB_GNU_UNIQUE ? WEAK
                                                                 : STRONG,
        };
    }
    return result;
}

/* Report that the module of PART cannot share the library of PART. */
static int
fail(struct binding_run *run, const struct kiln_share_part *part, const char *problem)
{
    const struct kiln_found *found = run->group->users[part->user].extension->found;
    return kiln_fail(run->ctx, KILN_ERR_INPUT, "%s: %s cannot share %s: %s", found->path,
                     found->name, part->library, problem);
}

/* SYMBOL is defined by the library. */
static int
check_defined(struct binding_run *run, const struct symbol *symbol)
{
    if (kiln_init_symbol_is_valid(symbol->name)) {
        return fail(
            run, symbol->part,
            kiln_arena_printf(&run->ctx->arena, "it has the init function %s", symbol->name));
    }
    if (strchr(symbol->name, '@') != NULL) {
        return fail(
            run, symbol->part,
            kiln_arena_printf(&run->ctx->arena, "its symbol %s has a version", symbol->name));
    }
    if (kiln_strings_contain(run->exports, symbol->name)) {
        return fail(
            run, symbol->part,
            kiln_arena_printf(&run->ctx->arena, "its symbol %s is to be exported", symbol->name));
    }
    return 0;
}

/* Report that a module defines OWN, which PART, of a library, uses or defines as well. */
static int
fail_own(struct binding_run *run, const struct symbol *own, const struct kiln_share_part *part)
{
    const char *where =
        own->part->archive != NULL
            ? kiln_arena_printf(&run->ctx->arena, "%s, of %s, which would have to be shared, too",
                                own->part->name, own->part->archive)
            : own->part->name;
    return fail(run, part,
                kiln_arena_printf(&run->ctx->arena,
                                  "its member %s uses or defines %s, which the extension defines "
                                  "itself (%s), and others would get that",
                                  part->name, own->name, where));
}

static void
bind(struct binding_run *run, struct kiln_bindings *bound, const char *name)
{
    struct kiln_arena *arena = &run->ctx->arena;
    *KILN_ARENA_PUSH(arena, bound) = (struct kiln_binding){
        .name = kiln_arena_strdup(arena, name),
        .target = kiln_arena_printf(arena, "%s%s", name, bound->suffix),
    };
}

/* FIRST .. END-1 are the symbols of one name in one module. */
static int
look_at_name(struct binding_run *run, const struct symbol *first, const struct symbol *end)
{
    const struct kiln_share_part *library = NULL;
    const struct symbol *own = NULL;
    bool has_library = false, has_inline = false, is_used = false;
    for (const struct symbol *symbol = first; symbol < end; symbol++) {
        if (symbol->part->library != NULL) {
            library = symbol->part;
            has_library = has_library || symbol->kind != REFERENCE;
            int result = symbol->kind == REFERENCE ? 0 : check_defined(run, symbol);
            if (result < 0) {
                return result;
            }
            continue;
        }
        is_used = true;
        has_inline = has_inline || symbol->kind == WEAK;
        own = symbol->kind == STRONG ? symbol : own;
    }
    if (library == NULL) {
        return 0;
    }
    if (own != NULL) {
        return fail_own(run, own, library);
    }
    enum state state = has_library ? LIBRARY : has_inline ? INLINE : EXTERNAL;
    *KILN_ARENA_PUSH(&run->arena, &run->outcomes) =
        (struct outcome){.name = first->name, .state = state, .part = library};
    if (state != EXTERNAL && is_used) {
        bind(run, &run->group->users[library->user].sharing->bound, first->name);
    }
    return 0;
}

/* FIRST .. END-1 are the outcomes for one name of the library in all modules. */
static int
compare_outcomes(struct binding_run *run, const struct outcome *first, const struct outcome *end)
{
    const struct outcome *external = NULL, *other = NULL;
    bool is_library = false;
    for (const struct outcome *outcome = first; outcome < end; outcome++) {
        external = outcome->state == EXTERNAL ? outcome : external;
        other = outcome->state != EXTERNAL ? outcome : other;
        is_library = is_library || outcome->state == LIBRARY;
    }
    if (external != NULL && other != NULL) {
        return fail(run, external->part,
                    kiln_arena_printf(
                        &run->ctx->arena,
                        "its member %s uses %s, which %s has in the library or in its own code, "
                        "while %s has it from elsewhere or not at all",
                        external->part->name, first->name,
                        run->group->users[other->part->user].extension->found->name,
                        run->group->users[external->part->user].extension->found->name));
    }
    if (other != NULL && !is_library) {
        bind(run, &run->group->common->bound, first->name);
    }
    return 0;
}

static int
look_at_names(struct binding_run *run)
{
    const struct symbol *symbols = run->symbols.items;
    int result = 0;
    for (size_t i = 0, end; result == 0 && i < run->symbols.count; i = end) {
        for (end = i + 1;
             end < run->symbols.count && symbols[end].part->user == symbols[i].part->user &&
             strcmp(symbols[end].name, symbols[i].name) == 0;
             end++)
        {
        }
        result = look_at_name(run, symbols + i, symbols + end);
    }
    const struct outcome *outcomes = run->outcomes.items;
    for (size_t i = 0, end; result == 0 && i < run->outcomes.count; i = end) {
        for (end = i + 1;
             end < run->outcomes.count && strcmp(outcomes[end].name, outcomes[i].name) == 0; end++)
        {
        }
        result = compare_outcomes(run, outcomes + i, outcomes + end);
    }
    return result;
}

int
kiln_share_bind(struct kiln_ctx *ctx, const struct kiln_strings *exports,
                struct kiln_share_group *group)
{
    struct binding_run run = {.ctx = ctx, .group = group, .exports = exports};
    int result = 0;
    for (size_t i = 0; result == 0 && i < group->user_count; i++) {
        const struct kiln_share_parts *parts = &group->users[i].parts;
        for (size_t k = 0; result == 0 && k < parts->count; k++) {
            result = list_symbols(&run, &parts->items[k]);
        }
    }
    if (result == 0 && run.symbols.count > 0) {
        qsort(run.symbols.items, run.symbols.count, sizeof *run.symbols.items, compare);
    }
    result = result == 0 ? look_at_names(&run) : result;
    kiln_arena_release(&run.arena);
    return result;
}
