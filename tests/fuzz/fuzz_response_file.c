/* The contents of an `@file`: whatever they are, they split into arguments that are written and
 * read back the same. */
#include <stdint.h>
#include <stdlib.h>

#include "cc/cc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_strings args = {0}, again = {0};
    kiln_response_parse(&ctx, kiln_span_of(data, size), &args);
    kiln_response_parse(&ctx, kiln_response_format(&ctx, &args), &again);
    if (args.count != again.count) {
        abort();
    }
    for (size_t i = 0; i < args.count; i++) {
        if (strcmp(args.items[i], again.items[i]) != 0) {
            abort();
        }
    }

    /* And a command line of them can be read. An @file in it would be opened. */
    struct kiln_command_line line;
    struct kiln_strings plain = {0};
    for (size_t i = 0; i < args.count; i++) {
        if (strchr(args.items[i], '@') == NULL) {
            kiln_strings_push(&ctx.arena, &plain, args.items[i]);
        }
    }
    kiln_command_line_parse(&ctx, &plain, &line);
    kiln_ctx_release(&ctx);
    return 0;
}
