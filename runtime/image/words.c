/* The words of an image that have no value before run time: those that move with the executable, and
 * those of imports. All are added to what the image has there. */
#include "image/image.h"

#include <string.h>

/* A packed structure has words at any address. */
static void
add(char *word, uintptr_t value)
{
    uintptr_t sum;
    memcpy(&sum, word, sizeof sum);
    sum += value;
    memcpy(word, &sum, sizeof sum);
}

static void
relocate(char *start, struct kiln_image_list relative)
{
    char *where = start;
    for (uint32_t i = 0; i < relative.count; i++) {
        uint32_t entry = kiln_image_words[relative.first + i];
        if ((entry & 1) == 0) {
            where = start + entry;
            add(where, (uintptr_t)start);
            where += sizeof(uintptr_t);
            continue;
        }
        char *word = where;
        for (uint32_t bits = entry >> 1; bits != 0; bits >>= 1, word += sizeof(uintptr_t)) {
            if ((bits & 1) != 0) {
                add(word, (uintptr_t)start);
            }
        }
        where += 31 * sizeof(uintptr_t);
    }
}

struct patch {
    uint32_t offset, import;
};

static struct patch
get_patch(uint32_t image, uint32_t index)
{
    const uint32_t *words = kiln_image_words + kiln_image_records[image].patches.first;
    return (struct patch){words[2 * index], words[2 * index + 1]};
}

static void
apply(char *start, struct patch patch)
{
    add(start + patch.offset, kiln_image_get_value(patch.import));
}

/* How many of the patches are none that may be of an ifunc. Those come last. */
static uint32_t
count_plain(uint32_t image)
{
    uint32_t count = kiln_image_records[image].patches.count;
    while (count > 0 && kiln_image_may_be_ifunc(get_patch(image, count - 1).import)) {
        count--;
    }
    return count;
}

void
kiln_image_fill(uint32_t image)
{
    char *start = kiln_image_get_start(image);
    relocate(start, kiln_image_records[image].relative);
    for (uint32_t i = 0, count = count_plain(image); i < count; i++) {
        apply(start, get_patch(image, i));
    }
}

void
kiln_image_fill_ifuncs(uint32_t image)
{
    char *start = kiln_image_get_start(image);
    for (uint32_t i = count_plain(image); i < kiln_image_records[image].patches.count; i++) {
        apply(start, get_patch(image, i));
    }
}
