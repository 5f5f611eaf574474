/* kiln_libc_get(): the dl functions of the C library.
 *
 * An executable may export functions of these names that answer for images (dl.c). References of
 * this code to them would end there, too, so it asks for what comes after the executable. Nothing is
 * looked up before the first use. */
#include "image/image.h"

#ifdef __x86_64__
#define BASE_VERSION "GLIBC_2.2.5"
#else
#define BASE_VERSION "GLIBC_2.17"
#endif

static void *
find(const char *name, const char *version)
{
    void *function = dlvsym(RTLD_NEXT, name, version);
    return function != NULL ? function : dlvsym(RTLD_NEXT, name, BASE_VERSION);
}

/* ISO C has no conversion from an object's address to a function's. */
#define FIND(name, version) ((__typeof__(libc.name))(uintptr_t)find(#name, version))

const struct kiln_libc *
kiln_libc_get(void)
{
    static struct kiln_libc libc;
    static bool is_known;
    if (__atomic_load_n(&is_known, __ATOMIC_ACQUIRE)) {
        return &libc;
    }
    /* Threads that do this at the same time store the same values. */
    struct kiln_libc found = {
        .dlopen = FIND(dlopen, BASE_VERSION),
        .dlsym = FIND(dlsym, BASE_VERSION),
        .dlvsym = FIND(dlvsym, BASE_VERSION),
        .dlclose = FIND(dlclose, BASE_VERSION),
        .dlerror = FIND(dlerror, BASE_VERSION),
        .dlinfo = FIND(dlinfo, "GLIBC_2.3.3"),
        .dladdr = FIND(dladdr, BASE_VERSION),
        .dladdr1 = FIND(dladdr1, "GLIBC_2.3.3"),
        .dl_iterate_phdr = FIND(dl_iterate_phdr, BASE_VERSION),
    };
    libc = found;
    __atomic_store_n(&is_known, true, __ATOMIC_RELEASE);
    return &libc;
}
