/* Kiln: the table, or, with KILN_BENCH_SYMBOLS, the dynamic symbols of the program. */
#include "side.h"

#include <kiln/kiln.h>

int
side_prepare(void)
{
#ifdef KILN_BENCH_SYMBOLS
    return Kiln_LookupSymbols("kiln_init_", 0);
#else
    return Kiln_Install(&kiln_table);
#endif
}

int
side_install(void)
{
    return 0;
}
