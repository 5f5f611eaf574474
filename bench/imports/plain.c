/* CPython alone: for modules that are not linked in, shared libraries or modules of Python. */
#include "side.h"

int
side_prepare(void)
{
    return 0;
}

int
side_install(void)
{
    return 0;
}
