/* CPython's inittab: the copy that has the trampoline (inittab.c), and, for Kiln_HashInittab(), a
 * hash table of its entries (builtin_table.c). */
#ifndef KILN_RUNTIME_INITTAB_H
#define KILN_RUNTIME_INITTAB_H

#include "core/pycompat.h"

#include <stdbool.h>
#include <stddef.h>

#include "kiln/kiln.h"

/* --- inittab.c -----------------------------------------------------------------------------------
 */

/* Returns whether the inittab has the trampoline. */
bool kiln_inittab_is_installed(void);
/* Replaces the inittab by a copy that has the trampoline, and FIRST as the init function of
 * KILN_FIRST_MODULE. Sets *REPLACED to CPython's own. An enum Kiln_InstallResult. */
int kiln_inittab_install(Kiln_InitFunction first, Kiln_InitFunction *replaced);
/* Makes ENTRIES the inittab. The caller owns them, and keeps them for the life of the process or
 * until it gives others. */
void kiln_inittab_replace(struct _inittab *entries);
/* Returns the number of ENTRIES before the one without a name. */
size_t kiln_inittab_count(const struct _inittab *entries);
/* Returns the entry of the trampoline. */
struct _inittab kiln_inittab_make_entry(void);

/* --- builtin_table.c -----------------------------------------------------------------------------
 */

struct kiln_builtin {
    const char *name;
    Kiln_InitFunction initfunc;
    bool stays;   /* it is CPython's to create, and stays in front in the inittab */
    bool visible; /* it is in CPython's inittab, behind the trampoline */
};
/* Cuts the inittab, which has the trampoline, down to what CPython must see, and fills the hash
 * table with the rest. An enum Kiln_InstallResult. */
int kiln_builtins_hash(void);
/* Call when an interpreter starts. In the main interpreter, brings the hash table up to date.
 * Returns whether it is in use in this run of Python; -1 with an exception. */
int kiln_builtins_refresh(void);
/* Returns whether the built-in module NAME (LEN bytes) is in the hash table; then fills *FOUND. */
bool kiln_builtins_find(const char *name, size_t len, struct kiln_builtin *found);
/* Returns all entries of the hash table, in the order of the inittab. */
const struct kiln_builtin *kiln_builtins_get(size_t *count);

#endif
