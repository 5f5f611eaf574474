/* What `kiln link` tells the runtime by data linked into the executable (src/link/data.c writes
 * it). All of it is weak: without it, as in a program linked by hand, the addresses are NULL. */
#ifndef KILN_RUNTIME_SETTINGS_H
#define KILN_RUNTIME_SETTINGS_H

#include <stdint.h>

/* The absolute path of the python that the executable was linked for and starts as. */
extern const char kiln_python[] __attribute__((weak));

/* Where the machine code of one module is; each field is the distance from itself. */
struct kiln_text {
    int32_t start;
    int32_t end;
    int32_t name; /* the dotted name, NUL at the end */
};

/* For kiln_dladdr(). Absent if no module asks. */
struct kiln_texts {
    uint32_t count;
    struct kiln_text items[];
};
extern const struct kiln_texts kiln_texts __attribute__((weak));

#endif
