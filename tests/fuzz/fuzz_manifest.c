/* The manifest in a baked executable, as `kiln ls` reads it. */
#include <stdlib.h>

#include "link/emit/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_span contents = kiln_span_of(data, size);
    bool is_manifest;
    if (kiln_manifest_check(&ctx, contents, "input", &is_manifest) == 0 && is_manifest) {
        uint64_t offset = 0;
        const char *key, *value;
        while ((key = kiln_manifest_next(contents, &offset, &value)) != NULL) {
            const char *begin = (const char *)data;
            if (key < begin || value <= key || value + strlen(value) >= begin + size) {
                abort();
            }
        }
    }
    kiln_ctx_release(&ctx);
    return 0;
}
