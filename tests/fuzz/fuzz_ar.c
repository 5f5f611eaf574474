/* Archives: every member that is visited lies in the archive. */
#include <stdlib.h>

#include "elf/ar.h"
#include "elf/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
read_member(void *arg, const char *member, struct kiln_span contents)
{
    volatile size_t *sum = arg;
    *sum += strlen(member);
    for (size_t i = 0; i < contents.len; i++) {
        *sum += contents.ptr[i];
    }
    *sum += (size_t)kiln_elf_classify(contents);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    volatile size_t sum = 0;
    kiln_ar_visit(&ctx, kiln_span_of(data, size), "fuzz.a", read_member, (void *)(uintptr_t)&sum);
    struct kiln_strings names = {0};
    kiln_ar_list_thin(&ctx, kiln_span_of(data, size), "fuzz.a", &names);
    for (size_t i = 0; i < names.count; i++) {
        sum += strlen(names.items[i]);
    }
    kiln_ctx_release(&ctx);
    return 0;
}
