/* What every reference of every image was bound to, for comparing with the dynamic loader (ld.so(8),
 * LD_DEBUG=bindings): a line each, fields separated by tabs:
 *
 *     image   symbol   version or "-"   "call" or "address"   kind   target
 *
 * The target is the path of an object, the name of a function of the runtime, or "-": the executable, or none. A "choice" has a line for
 * each target that it may be. */
#include "unlink/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = {
    [KILN_TARGET_NONE] = "none",       [KILN_TARGET_ABSOLUTE] = "absolute",
    [KILN_TARGET_IMAGE] = "image",     [KILN_TARGET_IFUNC] = "ifunc",
    [KILN_TARGET_PROGRAM] = "program", [KILN_TARGET_RUNTIME] = "runtime",
    [KILN_TARGET_LIBRARY] = "library", [KILN_TARGET_UNIQUE] = "unique",
    [KILN_TARGET_CHOICE] = "choice",
};

static const char *
get_target(const struct kiln_target *target)
{
    switch (target->kind) {
    case KILN_TARGET_NONE:
        return "-";
    case KILN_TARGET_RUNTIME:
        return target->name;
    default:
        return target->object->origin == KILN_ORIGIN_PROGRAM ? "-" : target->object->path;
    }
}

static void
write_line(FILE *stream, const struct kiln_object *image, const struct kiln_dynobj_symbol *symbol,
           bool is_call, const char *kind, const struct kiln_target *target)
{
    fprintf(stream, "%s\t%s\t%s\t%s\t%s\t%s\n", image->path, symbol->name,
            symbol->version == NULL ? "-" : symbol->version->name, is_call ? "call" : "address",
            kind, get_target(target));
}

/* The choice at INDEX; the last is the usual one. */
static const struct kiln_target *
get_choice(const struct kiln_choices *choices, size_t index)
{
    return index < choices->count ? &choices->items[index].target : &choices->usual;
}

static bool
is_first_of_choices(const struct kiln_choices *choices, size_t index)
{
    const char *target = get_target(get_choice(choices, index));
    bool is_first = true;
    for (size_t i = 0; is_first && i < index; i++) {
        is_first = strcmp(get_target(get_choice(choices, i)), target) != 0;
    }
    return is_first;
}

static void
write_target(FILE *stream, const struct kiln_object *image, const struct kiln_dynobj_symbol *symbol,
             bool is_call, const struct kiln_target *target)
{
    const char *kind = KINDS[target->is_shared ? KILN_TARGET_UNIQUE : target->kind];
    const struct kiln_choices *choices = target->choices;
    if (target->kind != KILN_TARGET_CHOICE) {
        write_line(stream, image, symbol, is_call, kind, target);
        return;
    }
    for (size_t i = 0; i <= choices->count; i++) {
        if (is_first_of_choices(choices, i)) {
            write_line(stream, image, symbol, is_call, kind, get_choice(choices, i));
        }
    }
}

static void
write_image(FILE *stream, const struct kiln_object *image)
{
    size_t count = image->dso.symbols.len / sizeof(Elf64_Sym);
    for (int is_call = 0; is_call < 2; is_call++) {
        for (size_t i = 1; image->bound[is_call] != NULL && i < count; i++) {
            const struct kiln_target *target = image->bound[is_call][i];
            struct kiln_dynobj_symbol symbol;
            if (target != NULL && kiln_dynobj_get_symbol(&image->dso, i, &symbol) &&
                kiln_dynobj_get_bind(&symbol) != STB_LOCAL)
            {
                write_target(stream, image, &symbol, is_call != 0, target);
            }
        }
    }
}

int
kiln_bindings_write(struct kiln_set *set, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(set->ctx, "%s: cannot write", path);
    }
    for (size_t i = 0; i < set->images.count; i++) {
        write_image(stream, set->images.items[i]);
    }
    int result = fclose(stream) == EOF ? kiln_fail_errno(set->ctx, "%s: cannot write", path)
                                       : kiln_file_write(set->ctx, path, kiln_span_of(text, len));
    free(text);
    return result;
}
