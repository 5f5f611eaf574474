/* From a dotted name to what makes the module. */
#ifndef KILN_RUNTIME_LOOKUP_H
#define KILN_RUNTIME_LOOKUP_H

#include "core/pycompat.h"

#include <stdbool.h>
#include <stddef.h>

#include "create/create.h"
#include "kiln/kiln.h"

/* --- lookup.c ------------------------------------------------------------------------------------
 */

/* Looks for the module NAME, a str. Returns 1 and fills *TARGET; 0 if there is none; -1 with an
 * exception. */
int kiln_find_target(PyObject *name, struct kiln_target *target);
/* The same in the table only: returns whether it has the module. */
bool kiln_find_in_table(PyObject *name, struct kiln_target *target);
/* The same, and only if nothing can hide the table's module: no override in this thread, no
 * callback. Runs no Python code and no callback. */
bool kiln_find_visible(PyObject *name, struct kiln_target *target);

/* What one thread finds under NAME, in preference to all else, from begin to end. They nest. */
struct kiln_override {
    const char *name; /* UTF-8 */
    struct kiln_target target;
    struct kiln_override *outer;
};
void kiln_override_begin(struct kiln_override *override);
void kiln_override_end(struct kiln_override *override);

/* Kiln_SetLookup(), once the importer is installed. An enum Kiln_InstallResult. */
int kiln_callback_set(Kiln_LookupFunction callback, void *arg);

/* --- symbols.c -----------------------------------------------------------------------------------
 */

/* Kiln_LookupSymbols(), once the importer is installed. PREFIX is one that kiln_symbols_is_prefix()
 * accepts. */
bool kiln_symbols_is_prefix(const char *prefix);
void kiln_symbols_set(const char *prefix, bool doubled);
/* As kiln_find_target(); 0 unless kiln_symbols_set() has been called. NAME has LEN bytes, any
 * bytes, and a NUL. */
int kiln_symbols_find(const char *name, size_t len, struct kiln_target *target);

#endif
