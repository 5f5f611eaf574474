/* The input is a list of names. If a table can be made of it, the table passes its own check and has
 * its names. */
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
check_built(const struct kiln_table_names *names, struct kiln_span bytes)
{
    const struct kiln_table *table = (const void *)bytes.ptr;
    require(kiln_table_check(table) && kiln_table_get_header(table)->size == bytes.len);
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
        check_built(&names, image.bytes);
    }
    kiln_ctx_release(&ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_names(data, size);
    return 0;
}
