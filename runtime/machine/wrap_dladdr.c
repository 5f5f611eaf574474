/* For programs linked with -Wl,--wrap=dladdr, see wrap_create.c. */
#include "machine/dladdr.h"

int __wrap_dladdr(const void *address, Dl_info *info);

int
__wrap_dladdr(const void *address, Dl_info *info)
{
    return kiln_dladdr(address, info);
}
