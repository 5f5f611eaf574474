/* The input is taken for two things: a list of names, of which a table is made if it can be, and a
 * table that somebody damaged. What is promised: a table that was made passes its own check and has
 * its names; a table that passes the check can be asked anything without a read outside of it. */
#include <stdlib.h>

#include "table/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
use_table(const struct kiln_table *table, const uint8_t *data, size_t size)
{
    for (size_t len = 0; len <= size && len <= 64; len++) {
        kiln_table_find(table, (const char *)data, len);
    }
    for (size_t i = 0; i < kiln_table_get_count(table); i++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(table, i);
        require(strlen(kiln_table_get_name(entry)) <= kiln_table_get_name_len(entry));
        kiln_table_find(table, kiln_table_get_name(entry), kiln_table_get_name_len(entry));
        kiln_table_get_flags(entry);
        kiln_table_get_function(entry);
    }
}

static void
check_built(struct kiln_ctx *ctx, const struct kiln_table_names *names, struct kiln_span bytes)
{
    const struct kiln_table *table;
    require(kiln_table_check_bytes(ctx, &table, bytes, "built") == 0);
    for (size_t i = 0; i < names->count; i++) {
        const struct kiln_table_entry *entry =
            kiln_table_find(table, names->items[i].name, strlen(names->items[i].name));
        require(entry != NULL && strcmp(kiln_table_get_name(entry), names->items[i].name) == 0);
        require(kiln_table_get_flags(entry) == names->items[i].flags);
    }
}

static void
fuzz_names(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_table_names names = {0};
    struct kiln_table_image image;
    int result = kiln_table_read(&ctx, &names, kiln_span_of(data, size), "fuzz");
    require((result < 0) == (ctx.errors > 0));
    size_t errors = ctx.errors;
    result = kiln_table_sort(&ctx, names.items, names.count);
    require((result < 0) == (ctx.errors > errors));
    if (result == 0) {
        require(kiln_table_build(&ctx, &image, names.items, names.count) == 0);
        check_built(&ctx, &names, image.bytes);
    }
    kiln_ctx_release(&ctx);
}

static void
fuzz_bytes(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    const struct kiln_table *table;
    /* Memory of its own, so that a byte too far is seen. */
    uint8_t *copy = malloc(size + (size == 0));
    require(copy != NULL);
    memcpy(copy, data, size);
    int result = kiln_table_check_bytes(&ctx, &table, kiln_span_of(copy, size), "fuzz");
    require((result < 0) == (ctx.errors > 0));
    if (result == 0) {
        use_table(table, data, size);
    }
    free(copy);
    kiln_ctx_release(&ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_names(data, size);
    fuzz_bytes(data, size);
    return 0;
}
