/* Settings that `kiln link` writes into an executable (src/link/emit/data.c) and the runtime reads.
 * All are weak: in a program linked by hand their addresses are NULL. Needs no Python.h. */
#ifndef KILN_INTERNAL_SETTINGS_H
#define KILN_INTERNAL_SETTINGS_H

#include <assert.h>
#include <stddef.h>

#include "kiln/internal/distance.h"

/* The absolute path of the python that the executable was linked for and starts as. */
extern const char kiln_python[] __attribute__((weak));

/* The file that a module was baked from, when it was: an absolute directory, and a name in it. */
struct kiln_module_file {
    int32_t directory, base; /* distances; texts that end in NUL */
    uint64_t
        python_files; /* of a module in a package: kiln_fingerprint_directory(); 0: not known */
};
/* Of every module of the table, by slot. */
extern const struct kiln_module_file kiln_module_files[] __attribute__((weak));

/* The same in assembly, a format for printf() with the numbers of the texts. A change of one must change the
 * other. */
#define KILN_MODULE_FILE_ASSEMBLY                                                                  \
    "\t.long .Lfile_directory%zu - .\n"                                                            \
    "\t.long .Lfile_base%zu - .\n"                                                                 \
    "\t.8byte %llu\n"
static_assert(offsetof(struct kiln_module_file, directory) == 0 &&
                  offsetof(struct kiln_module_file, base) == 4 &&
                  offsetof(struct kiln_module_file, python_files) == 8 &&
                  sizeof(struct kiln_module_file) == 16,
              "KILN_MODULE_FILE_ASSEMBLY has another layout");

#endif
