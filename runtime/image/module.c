/* Which file a module was unlinked from. */
#include "image/image.h"

static uintptr_t
get_function(const struct kiln_image_module *module)
{
    return (uintptr_t)&module->function + (uintptr_t)(intptr_t)module->function;
}

const char *
kiln_image_find_file(void (*function)(void))
{
    if (&kiln_images == NULL) {
        return NULL;
    }
    uint32_t first = 0, end = kiln_images.module_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        uintptr_t found = get_function(&kiln_image_modules[middle]);
        if (found == (uintptr_t)function) {
            return kiln_image_get_path(kiln_image_modules[middle].image);
        }
        if (found < (uintptr_t)function) {
            first = middle + 1;
        }
        else {
            end = middle;
        }
    }
    return NULL;
}
