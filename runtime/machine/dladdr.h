/* dladdr() for extensions in one executable. */
#ifndef KILN_RUNTIME_DLADDR_H
#define KILN_RUNTIME_DLADDR_H

#include <dlfcn.h>

/* As dladdr(3), except that each linked-in module is an object of its own: dli_fbase is the start
 * of its machine code, dli_fname its dotted name; it has no symbols. `kiln isolate` turns the
 * extensions' calls of dladdr() into calls of this. */
int kiln_dladdr(const void *address, Dl_info *info);

#endif
