/* What the importer has to know of the distributions, in the form of kiln/distributions.h: the
 * shortest prefixes of names that tell where a module came from, and a record for each
 * distribution. Part of the pass that emits the data. */
#include "kiln/internal/distributions.h"

#include "link/bake.h"
#include "link/find/distributions.h"
#include "table/table.h"

struct range {
    const struct kiln_named_origin *first, *end;
};

static bool
have_one_origin(struct range range)
{
    for (const struct kiln_named_origin *module = range.first; module < range.end; module++) {
        if (module->origin != range.first->origin) {
            return false;
        }
    }
    return true;
}

/* The modules from FIRST on that have its name's first LEN bytes, as whole components. Names are
 * sorted, and the dot is the least of their characters. */
static struct range
get_group(const struct kiln_named_origin *first, const struct kiln_named_origin *end, size_t len)
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
add_prefix(struct kiln_ctx *ctx, struct kiln_prefix_list *out, const struct kiln_named_origin *of,
           size_t len, bool exact)
{
    if (of->origin != NULL) {
        *KILN_ARENA_PUSH(&ctx->arena, out) = (struct kiln_prefix){
            .text = kiln_arena_strndup(&ctx->arena, of->name, len),
            .origin = of->origin,
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
        if (have_one_origin(group)) {
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
kiln_prefixes_find(struct kiln_ctx *ctx, const struct kiln_named_origin *modules, size_t count,
                   struct kiln_prefix_list *out)
{
    find_in(ctx, (struct range){.first = modules, .end = modules + count}, 0, out);
}

/* As numbers: what an installer wrote may be in no encoding at all. */
static void
emit_string(FILE *stream, const char *label, size_t number, const char *text)
{
    fprintf(stream, ".L%s%zu:\n\t.byte ", label, number);
    for (const char *c = text; *c != '\0'; c++) {
        fprintf(stream, "%u,", (unsigned)(unsigned char)*c);
    }
    fputs("0\n", stream);
}

static void
emit_records(FILE *stream, const struct kiln_installed *const *origins, size_t count)
{
    fputs("\t.section .data.kiln_distributions,\"aw\",%progbits\n\t.balign " KILN_DISTRIBUTION_ALIGN
          "\n",
          stream);
    for (size_t i = 0; i < count; i++) {
        if (origins[i] == NULL) {
            continue; /* all of its extensions stay files */
        }
        fprintf(stream, "kiln_distribution_%zu:\n" KILN_DISTRIBUTION_ASSEMBLY, i, i, i, i);
    }
    fputs("\t.section .rodata.kiln_distributions,\"a\",%progbits\n", stream);
    for (size_t i = 0; i < count; i++) {
        if (origins[i] == NULL) {
            continue;
        }
        emit_string(stream, "directory", i, origins[i]->directory);
        emit_string(stream, "name", i, origins[i]->name);
        emit_string(stream, "version", i, origins[i]->version);
    }
}

int
kiln_distributions_emit(struct kiln_ctx *ctx, const struct kiln_bake *bake, FILE *stream)
{
    if (bake->origins == 0) {
        return 0;
    }
    size_t count = bake->modules.count;
    struct kiln_named_origin *modules = kiln_arena_alloc(&ctx->arena, count * sizeof *modules);
    const struct kiln_installed **origins =
        kiln_arena_alloc(&ctx->arena, bake->origins * sizeof *origins);
    for (size_t i = 0; i < count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        modules[i] = (struct kiln_named_origin){module->found->name, module->origin};
        if (module->origin != NULL) {
            origins[module->origin->number] = module->origin;
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
                                        prefixes.items[i].origin->number),
            .flags = prefixes.items[i].exact ? KILN_PREFIX_EXACT : 0,
        };
    }
    emit_records(stream, origins, bake->origins);
    return kiln_table_emit_as(ctx, names, prefixes.count, "kiln_distributions",
                              KILN_DISTRIBUTIONS_SECTION, stream);
}
