/* Functions of kiln/kiln.h that prepare a program's imports, before Python is initialised. */
#include "core/process.h"
#include "create/inittab.h"
#include "find/lookup.h"
#include "kiln/internal/distributions.h"
#include "kiln/kiln.h"
#include "start/start.h"

int
Kiln_Install(const struct kiln_table *table)
{
    if (table == NULL || !kiln_table_check(table) ||
        (&kiln_distributions != NULL && !kiln_table_check(&kiln_distributions)))
    {
        return KILN_INSTALL_TABLE;
    }
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    int result = kiln_install_importer();
    if (result == KILN_INSTALL_OK) {
        kiln_process.table = table;
    }
    return result;
}

const char *
Kiln_GetInstallError(int result)
{
    switch (result) {
    case KILN_INSTALL_OK:
        return "no error";
    case KILN_INSTALL_TABLE:
        return "the table of baked modules is damaged or made by another version of Kiln; make it "
               "and link the program with one version";
    case KILN_INSTALL_LATE:
        return "Kiln has to be installed before Python is initialized";
    case KILN_INSTALL_PREFIX:
        return "a prefix of symbols is made of letters, digits and underscores, ends in an "
               "underscore, and is short";
    case KILN_INSTALL_PYTHON:
        return "libkiln.a was compiled for Python " KILN_PYTHON
               ", and the program runs another; compile it with the headers of that one";
    default:
        return "out of memory";
    }
}

int
Kiln_SetLookup(Kiln_LookupFunction callback, void *arg)
{
    int result = callback == NULL ? KILN_INSTALL_OK : kiln_install_importer();
    return result < 0 ? result : kiln_callback_set(callback, arg);
}

int
Kiln_LookupSymbols(const char *prefix, unsigned flags)
{
    bool doubled = (flags & KILN_SYMBOLS_DOUBLED) != 0;
    if (prefix == NULL) {
        prefix = doubled ? "PackagePyInit_" : "kiln_init_";
    }
    if ((flags & ~KILN_SYMBOLS_DOUBLED) != 0 || !kiln_symbols_is_prefix(prefix)) {
        return KILN_INSTALL_PREFIX;
    }
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    int result = kiln_install_importer();
    if (result == KILN_INSTALL_OK) {
        kiln_symbols_set(prefix, doubled);
    }
    return result;
}

int
Kiln_HashInittab(void)
{
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    int result = kiln_install_importer();
    return result < 0 ? result : kiln_builtins_hash();
}
