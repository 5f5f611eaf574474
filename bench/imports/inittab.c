/* CPython's inittab, extended in one call; with KILN_BENCH_HASH hashed by Kiln. */
#include "side.h"

#include <stdlib.h>

#ifdef KILN_BENCH_HASH
#include <kiln/kiln.h>
#endif

int
side_prepare(void)
{
    struct _inittab *entries = calloc(bench_count + 1, sizeof *entries);
    if (entries == NULL) {
        return -1;
    }
    for (size_t i = 0; i < bench_count; i++) {
        entries[i] = (struct _inittab){bench_modules[i].name, bench_modules[i].init};
    }
    if (PyImport_ExtendInittab(entries) < 0) {
        return -1;
    }
#ifdef KILN_BENCH_HASH
    return Kiln_HashInittab();
#else
    return 0;
#endif
}

int
side_install(void)
{
    return 0;
}
