/* kiln_dladdr(): which module an address is in.
 *
 * Some extensions use dladdr() to tell whether their caller is Python, themselves or another
 * library, and trust the result with their data. Each shared library has an address range and a
 * file name; in one executable all of them would be the executable. If any module calls dladdr(),
 * `kiln link` writes a list of the modules' address ranges (kiln/internal/settings.h). */
#include "machine/dladdr.h"

#include <stddef.h>

#include "kiln/internal/settings.h"

/* With -Wl,--wrap=dladdr this is glibc's own function. Otherwise it is NULL. */
int __real_dladdr(const void *address, Dl_info *info) __attribute__((weak));

static const struct kiln_text *
find_text(uintptr_t address)
{
    if (&kiln_texts == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < kiln_texts.count; i++) {
        const struct kiln_text *text = &kiln_texts.items[i];
        if (kiln_distance_resolve(&text->start) <= address &&
            address < kiln_distance_resolve(&text->end)) {
            return text;
        }
    }
    return NULL;
}

int
kiln_dladdr(const void *address, Dl_info *info)
{
    const struct kiln_text *text = find_text((uintptr_t)address);
    if (text == NULL) {
        return __real_dladdr != NULL ? __real_dladdr(address, info) : dladdr(address, info);
    }
    *info = (Dl_info){
        .dli_fname = (const char *)kiln_distance_resolve(&text->name),
        .dli_fbase = (void *)kiln_distance_resolve(&text->start),
    };
    return 1;
}

/* For programs linked with -Wl,--wrap=dladdr, because their objects did not go through `kiln
 * isolate`. */
int __wrap_dladdr(const void *address, Dl_info *info);

int
__wrap_dladdr(const void *address, Dl_info *info)
{
    return kiln_dladdr(address, info);
}
