/* What the files of this floor give to one another. It is the top floor: nothing is above it but
 * kiln/kiln.h. */
#ifndef KILN_RUNTIME_START_H
#define KILN_RUNTIME_START_H

#include "core/pycompat.h"

/* builtins.c: makes importlib in this interpreter use the hash table of built-in modules, if there
 * is one. Returns 0, or -1 with an exception. */
int kiln_builtins_start(void);

/* importer_module.c: the module _kiln. */
extern struct PyModuleDef kiln_importer_module;
/* Makes sure that this interpreter has _kiln, and so a finder. Returns 0, or -1 with an
 * exception. */
int kiln_importer_ensure(void);

/* install.c: puts the importer into every interpreter that is initialised from now on, with or
 * without a table. An enum Kiln_InstallResult. */
int kiln_install_importer(void);

/* public_module.c: the module kiln. */
extern struct PyModuleDef kiln_public_module;

#endif
