/* The parts of a fat extension, from an untrusted file: any bytes as parts, each of which is checked
 * and identified as an object, as `kiln link --share` does. */
#include <stdint.h>

#include "combine/parts.h"
#include "elf/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARCHIVES = 3 }; /* that the seeds name */

static volatile uint64_t seen; /* so that all is read */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_part_list parts = {0};
    struct kiln_elf elf;
    uint64_t sum = 0;
    bool parsed = kiln_parts_parse(&ctx, kiln_span_of(data, size), ARCHIVES, &parts);
    for (size_t i = 0; parsed && i < parts.count; i++) {
        const struct kiln_part *part = &parts.items[i];
        if (kiln_elf_init(&ctx, part->bytes, part->name, &elf) == 0) {
            sum += kiln_part_identify(&elf);
        }
    }
    seen = sum;
    kiln_ctx_release(&ctx);
    return 0;
}
