/* dladdr() for extensions in one executable. */
#ifndef KILN_RUNTIME_DLADDR_H
#define KILN_RUNTIME_DLADDR_H

#include <dlfcn.h>

/* As dladdr(3), except that an address in the machine code of a linked-in module is said to be in
 * an object of its own: dli_fbase is where the module's code starts, dli_fname its dotted name; it
 * has no symbols. `kiln isolate` makes the extensions' calls of dladdr() calls of this. */
int kiln_dladdr(const void *address, Dl_info *info);

#endif
