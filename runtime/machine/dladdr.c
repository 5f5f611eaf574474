/* kiln_dladdr(): which module an address is in.
 *
 * Some extensions ask dladdr() whether their caller is Python, themselves, or somebody else, and
 * trust the answer with their data. As a shared library, each has an address range and a file name;
 * in one executable they would all be the executable. `kiln link` writes down where each module's
 * code is (settings.h) if any of them asks. */
#include "machine/dladdr.h"

#include <stddef.h>

#include "kiln/internal/settings.h"

/* With -Wl,--wrap=dladdr, glibc's own is here. */
int __real_dladdr(const void *address, Dl_info *info) __attribute__((weak));

static uintptr_t
resolve(const int32_t *field)
{
    return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

static const struct kiln_text *
find_text(uintptr_t address)
{
    if (&kiln_texts == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < kiln_texts.count; i++) {
        const struct kiln_text *text = &kiln_texts.items[i];
        if (resolve(&text->start) <= address && address < resolve(&text->end)) {
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
        .dli_fname = (const char *)resolve(&text->name),
        .dli_fbase = (void *)resolve(&text->start),
    };
    return 1;
}
