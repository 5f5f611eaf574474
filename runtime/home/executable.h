/* Starting as another python, and sys.executable; see executable.c. */
#ifndef KILN_RUNTIME_EXECUTABLE_H
#define KILN_RUNTIME_EXECUTABLE_H

#include "core/pycompat.h"

/* Makes CONFIG start as kiln_python, and fills the paths in kiln_process. CONFIG has its argv. */
PyStatus kiln_executable_choose(PyConfig *config, const char *argv0);

/* Called in each interpreter before `site` runs: sets sys.executable, unless `site` needs
 * CPython's. Returns 0, or -1 with an exception. */
int kiln_executable_set_early(void);
/* Called when `site` is done with the paths: sets sys.executable if that is still to be done.
 * Returns 0, or -1 with an exception. */
int kiln_executable_set_late(void);

#endif
