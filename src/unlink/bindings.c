/* What every reference of every image was bound to, for comparing with the dynamic loader (ld.so(8),
 * LD_DEBUG=bindings): a line each, fields separated by tabs:
 *
 *     image   symbol   version or "-"   "call" or "address"   kind   target
 *
 * The target is the path of an object, the name of a function of the runtime, or "-". */
#include "unlink/set.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const KINDS[] = {
    [KILN_TARGET_NONE] = "none",       [KILN_TARGET_ABSOLUTE] = "absolute",
    [KILN_TARGET_IMAGE] = "image",     [KILN_TARGET_IFUNC] = "ifunc",
    [KILN_TARGET_PROGRAM] = "program", [KILN_TARGET_RUNTIME] = "runtime",
    [KILN_TARGET_LIBRARY] = "library", [KILN_TARGET_UNIQUE] = "unique",
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
        return target->object->path;
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
                fprintf(stream, "%s\t%s\t%s\t%s\t%s\t%s\n", image->path, symbol.name,
                        symbol.version == NULL ? "-" : symbol.version->name,
                        is_call ? "call" : "address",
                        KINDS[target->is_shared ? KILN_TARGET_UNIQUE : target->kind],
                        get_target(target));
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
