/* Settings that `kiln link` writes into an executable (src/link/emit/data.c) and the runtime reads.
 * All are weak: in a program linked by hand their addresses are NULL. Needs no Python.h. */
#ifndef KILN_INTERNAL_SETTINGS_H
#define KILN_INTERNAL_SETTINGS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "kiln/internal/distance.h"

/* The absolute path of the python that the executable was linked for and starts as. */
extern const char kiln_python[] __attribute__((weak));

/* The range of the machine code of one module or shared library. The fields are distances. */
struct kiln_text {
    int32_t start;
    int32_t end;
    int32_t name; /* a dotted name, or that of the library; ends in NUL */
};

/* For kiln_dladdr(). Absent if no module calls dladdr(). */
struct kiln_texts {
    uint32_t count;
    struct kiln_text items[];
};
extern const struct kiln_texts kiln_texts __attribute__((weak));

/* The same records in assembly, formats for printf(): the head with the count, and an item with the
 * suffix of its symbols twice and its number. A change of one must change the other. */
#define KILN_TEXTS_ALIGN    "4"
#define KILN_TEXTS_ASSEMBLY "\t.long %zu\n"
#define KILN_TEXT_ASSEMBLY                                                                         \
    "\t.long kiln_text_start%s - .\n"                                                              \
    "\t.long kiln_text_end%s - .\n"                                                                \
    "\t.long .Ltext%zu - .\n"
static_assert(offsetof(struct kiln_texts, count) == 0 && offsetof(struct kiln_texts, items) == 4 &&
                  offsetof(struct kiln_text, start) == 0 && offsetof(struct kiln_text, end) == 4 &&
                  offsetof(struct kiln_text, name) == 8 && sizeof(struct kiln_text) == 12,
              "KILN_TEXTS_ASSEMBLY or KILN_TEXT_ASSEMBLY has another layout");

#endif
