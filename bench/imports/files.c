/* Shared libraries on sys.path, found and opened by CPython itself: there is nothing to do. */
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
