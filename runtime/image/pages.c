/* The protection of an image's pages. All are R-X at first, and none becomes executable again (R-X to
 * RW to R): that works where the kernel refuses to make pages executable. */
#include "image/image.h"

#include <sys/mman.h>

/* Pages next to each other, for one system call. */
struct run {
    uint32_t offset, size;
};

struct protection {
    uint32_t offset, size, kind;
};

static struct protection
get_protection(uint32_t image, uint32_t index)
{
    const uint32_t *words = kiln_image_words + kiln_image_records[image].protections.first;
    return (struct protection){words[3 * index], words[3 * index + 1], words[3 * index + 2]};
}

static int
fail(uint32_t image, const struct kiln_image_error *error)
{
    return kiln_image_fail(error, "%s: cannot change memory protections",
                           kiln_image_get_path(image));
}

static bool
protect(uint32_t image, struct run run, int rights)
{
    return run.size == 0 ||
           mprotect(kiln_image_get_start(image) + run.offset, run.size, rights) == 0;
}

static bool
map_zeros(uint32_t image, struct protection zeros)
{
    return mmap(kiln_image_get_start(image) + zeros.offset, zeros.size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static bool
extend(struct run *run, struct protection protection)
{
    if (run->offset + run->size != protection.offset) {
        return false;
    }
    run->size += protection.size;
    return true;
}

int
kiln_image_open_pages(uint32_t image, const struct kiln_image_error *error)
{
    struct run run = {0, 0};
    for (uint32_t i = 0; i < kiln_image_records[image].protections.count; i++) {
        struct protection protection = get_protection(image, i);
        if (protection.kind == KILN_IMAGE_ZEROS) {
            if (!map_zeros(image, protection)) {
                return fail(image, error);
            }
        }
        else if (protection.kind != KILN_IMAGE_CONSTANT && !extend(&run, protection)) {
            if (!protect(image, run, PROT_READ | PROT_WRITE)) {
                return fail(image, error);
            }
            run = (struct run){protection.offset, protection.size};
        }
    }
    return protect(image, run, PROT_READ | PROT_WRITE) ? 0 : fail(image, error);
}

int
kiln_image_close_pages(uint32_t image, const struct kiln_image_error *error)
{
    for (uint32_t i = 0; i < kiln_image_records[image].protections.count; i++) {
        struct protection protection = get_protection(image, i);
        if ((protection.kind == KILN_IMAGE_RELRO || protection.kind == KILN_IMAGE_CONSTANT) &&
            !protect(image, (struct run){protection.offset, protection.size}, PROT_READ))
        {
            return fail(image, error);
        }
    }
    return 0;
}
