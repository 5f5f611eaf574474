/* The table of distributions in the form of kiln/internal/distributions.h: the shortest prefixes of
 * names that tell the distribution of a module, and a record for each distribution. Part of the
 * object that data.c writes. */
#include "kiln/internal/distributions.h"

#include "base/text.h"
#include "link/emit/distributions.h"
#include "table/table.h"

struct range {
    const struct kiln_named_distribution *first, *end;
};

static bool
have_one_distribution(struct range range)
{
    for (const struct kiln_named_distribution *module = range.first; module < range.end; module++) {
        if (module->distribution != range.first->distribution) {
            return false;
        }
    }
    return true;
}

/* The modules from FIRST on that have its name's first LEN bytes, as whole components. Names are
 * sorted, and the dot is the least of their characters. */
static struct range
get_group(const struct kiln_named_distribution *first, const struct kiln_named_distribution *end,
          size_t len)
{
    struct range group = {.first = first, .end = first + 1};
    while (group.end < end && strncmp(group.end->name, first->name, len) == 0 &&
           (group.end->name[len] == '.' || group.end->name[len] == '\0'))
    {
        group.end++;
    }
    return group;
}

static void
add_prefix(struct kiln_ctx *ctx, struct kiln_prefix_list *out,
           const struct kiln_named_distribution *of, size_t len, bool exact)
{
    if (of->distribution != NULL) {
        *KILN_ARENA_PUSH(&ctx->arena, out) = (struct kiln_prefix){
            .text = kiln_arena_strndup(&ctx->arena, of->name, len),
            .distribution = of->distribution,
            .exact = exact,
        };
    }
}

/* The modules of RANGE have the first LEN bytes in common, up to and with a dot. */
static void
find_in(struct kiln_ctx *ctx, struct range range, size_t len, struct kiln_prefix_list *out)
{
    while (range.first < range.end) {
        size_t end = len + strcspn(range.first->name + len, ".");
        struct range group = get_group(range.first, range.end, end);
        range.first = group.end;
        if (have_one_distribution(group)) {
            add_prefix(ctx, out, group.first, end, false);
            continue;
        }
        if (group.first->name[end] == '\0') {
            add_prefix(ctx, out, group.first++, end, true);
        }
        find_in(ctx, group, end + 1, out);
    }
}

void
kiln_prefixes_find(struct kiln_ctx *ctx, const struct kiln_named_distribution *modules,
                   size_t count, struct kiln_prefix_list *out)
{
    find_in(ctx, (struct range){.first = modules, .end = modules + count}, 0, out);
}

static void
emit_string(FILE *stream, const char *label, size_t number, const char *text)
{
    fprintf(stream, ".L%s%zu:\n\t.asciz \"", label, number);
    kiln_asm_write_string(stream, kiln_span_of_string(text));
    fputs("\"\n", stream);
}

static void
emit_records(FILE *stream, const struct kiln_installed *const *distributions, size_t count)
{
    fputs("\t.section .data.kiln_distributions,\"aw\",%progbits\n\t.balign " KILN_DISTRIBUTION_ALIGN
          "\n",
          stream);
    for (size_t i = 0; i < count; i++) {
        if (distributions[i] == NULL) {
            continue; /* all of its extensions stay files */
        }
        fprintf(stream, "kiln_distribution_%zu:\n" KILN_DISTRIBUTION_ASSEMBLY, i, i, i, i);
    }
    fputs("\t.section .rodata.kiln_distributions,\"a\",%progbits\n", stream);
    for (size_t i = 0; i < count; i++) {
        if (distributions[i] == NULL) {
            continue;
        }
        emit_string(stream, "directory", i, distributions[i]->directory);
        emit_string(stream, "name", i, distributions[i]->name);
        emit_string(stream, "version", i, distributions[i]->version);
    }
}

int
kiln_distributions_emit(struct kiln_ctx *ctx, const struct kiln_bake *bake, FILE *stream)
{
    if (bake->distribution_count == 0) {
        return 0;
    }
    size_t count = bake->modules.count;
    struct kiln_named_distribution *modules =
        kiln_arena_alloc(&ctx->arena, count * sizeof *modules);
    const struct kiln_installed **distributions =
        kiln_arena_alloc(&ctx->arena, bake->distribution_count * sizeof *distributions);
    for (size_t i = 0; i < count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        modules[i] = (struct kiln_named_distribution){module->found->name, module->distribution};
        if (module->distribution != NULL) {
            distributions[module->distribution->number] = module->distribution;
        }
    }
    struct kiln_prefix_list prefixes = {0};
    kiln_prefixes_find(ctx, modules, count, &prefixes);
    if (prefixes.count == 0) {
        return 0;
    }
    struct kiln_table_name *names = kiln_arena_alloc(&ctx->arena, prefixes.count * sizeof *names);
    for (size_t i = 0; i < prefixes.count; i++) {
        names[i] = (struct kiln_table_name){
            .name = prefixes.items[i].text,
            .symbol = kiln_arena_printf(&ctx->arena, "kiln_distribution_%zu",
                                        prefixes.items[i].distribution->number),
            .flags = prefixes.items[i].exact ? KILN_PREFIX_EXACT : 0,
        };
    }
    emit_records(stream, distributions, bake->distribution_count);
    return kiln_table_emit_as(ctx, names, prefixes.count, "kiln_distributions",
                              KILN_DISTRIBUTIONS_SECTION, stream, NULL);
}
