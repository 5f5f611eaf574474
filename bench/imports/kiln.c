/* Kiln: the table, or, with KILN_BENCH_SYMBOLS, the dynamic symbols of the program. KILN_BENCH_SLOW in
 * the environment turns the fast path off. (KILN_FAST is not for isolated configurations.) */
#include "side.h"

#include <stdlib.h>

#include <kiln/kiln.h>

int
side_prepare(void)
{
    Kiln_SetFastPath(getenv("KILN_BENCH_SLOW") == NULL);
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
