/* What the process knows of its table and of its executable: set before the first interpreter
 * starts, and only read afterwards. */
#ifndef KILN_RUNTIME_PROCESS_H
#define KILN_RUNTIME_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

#include "kiln/table.h"

struct kiln_process {
    bool installed;                 /* the importer is in the inittab */
    const struct kiln_table *table; /* NULL until Kiln_Install() */
    /* The values for sys.executable and sys._base_executable; NULL leaves them to CPython. */
    wchar_t *executable, *base_executable;
    wchar_t *python; /* what CPython sets sys.executable to in that case */
    wchar_t *prefix; /* the value for sys.prefix; NULL leaves it to CPython and `site` */
    bool site_first; /* `site` must see CPython's sys.executable before it is replaced */
};
extern struct kiln_process kiln_process;

/* Returns the number of modules in the table; 0 without a table. */
static inline size_t
kiln_count_modules(void)
{
    return kiln_process.table == NULL ? 0 : kiln_table_get_count(kiln_process.table);
}

#endif
