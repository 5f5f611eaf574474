/* RECORD and METADATA of an installed distribution, as `kiln link` reads them. What is promised:
 * every path and value lies inside the input, and no line is read twice. */
#include <stdlib.h>

#include "link/find/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_span rest = kiln_span_of(data, size), path;
    const uint8_t *last = data;
    while (kiln_metadata_next_path(&rest, &path)) {
        if (path.ptr < last || path.ptr + path.len > data + size) {
            abort();
        }
        last = path.ptr + path.len;
    }
    static const char *const keys[] = {"Name", "Version"};
    for (size_t i = 0; i < 2; i++) {
        struct kiln_span value = kiln_metadata_get(kiln_span_of(data, size), keys[i]);
        if (value.len > 0 && (value.ptr < data || value.ptr + value.len > data + size)) {
            abort();
        }
    }
    return 0;
}
