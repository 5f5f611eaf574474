/* Settings that `kiln link` writes into an executable (src/link/emit/data.c) and the runtime reads.
 * All are weak: in a program linked by hand their addresses are NULL. Needs no Python.h. */
#ifndef KILN_INTERNAL_SETTINGS_H
#define KILN_INTERNAL_SETTINGS_H

/* The absolute path of the python that the executable was linked for and starts as. */
extern const char kiln_python[] __attribute__((weak));

#endif
