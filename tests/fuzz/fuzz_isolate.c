/* Isolating: the edit of an object that is not what combining makes ends in an error, or in a file
 * that reads as a sound object. */
#include <stdlib.h>

#include "elf/elf.h"
#include "isolate/isolate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kiln_isolation as = {.name = "pkg.m"};
    struct kiln_ctx ctx = {0};
    struct kiln_arena arena = {0};
    struct kiln_isolated isolated;
    struct kiln_span bytes;
    struct kiln_elf elf;
    if (kiln_isolate(&ctx, kiln_span_of(data, size), &as, &isolated, &arena, &bytes) == 0) {
        if (isolated.symbol == NULL || kiln_elf_init(&ctx, bytes, "result", &elf) < 0) {
            abort();
        }
    }
    else if (ctx.errors == 0) {
        abort(); /* a failure that says nothing */
    }
    kiln_arena_release(&arena);
    kiln_ctx_release(&ctx);
    return 0;
}
