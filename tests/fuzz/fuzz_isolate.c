/* Isolating: the edit of an object that is not what combining makes ends in an error, or in a file
 * that reads as a sound object. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/elf.h"
#include "isolate/isolate.h"
#include "isolate/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_result(struct kiln_ctx *ctx, const char *path, const struct kiln_isolated *isolated)
{
    struct kiln_file file;
    struct kiln_elf elf;
    if (isolated->symbol == NULL || kiln_file_map(ctx, path, &file) < 0 ||
        kiln_elf_init(ctx, file.bytes, path, &elf) < 0)
    {
        abort();
    }
    kiln_file_release(&file);
}

/* The reading half by itself: from memory of the input's exact size, where the sanitizer sees what
 * a mapped file, whose last page is longer, would hide. */
static void
plan_only(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    struct kiln_plan plan = {0};
    struct kiln_isolated isolated = {0};
    if (kiln_elf_init(&ctx, kiln_span_of(data, size), "fuzz.o", &elf) == 0 &&
        kiln_plan_init(&ctx, &plan, &elf, "pkg.m", NULL, &isolated) == 0 &&
        kiln_plan_survey(&ctx, &plan, &isolated) == 0)
    {
        kiln_verify(&ctx, &elf, &isolated);
    }
    kiln_plan_release(&plan);
    kiln_ctx_release(&ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plan_only(data, size);

    struct kiln_ctx ctx = {0};
    struct kiln_isolated isolated;
    char path[40];
    int fd = memfd_create("fuzz.o", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    if (kiln_isolate(&ctx, path, "pkg.m", NULL, &isolated) == 0) {
        check_result(&ctx, path, &isolated);
    }
    else if (ctx.errors == 0) {
        abort(); /* a failure that says nothing */
    }
    close(fd);
    kiln_ctx_release(&ctx);
    return 0;
}
