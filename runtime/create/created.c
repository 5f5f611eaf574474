/* Which single-phase modules of the table have been created: those are CPython's from then on, which
 * knows whether their init functions may be called again, and so they go through the slot. */
#include "core/runtime.h"

#include <stdlib.h>
#include <string.h>

static unsigned char *created; /* by the index of the entry; NULL: none */

bool
kiln_is_created(size_t index)
{
    const unsigned char *flags = __atomic_load_n(&created, __ATOMIC_ACQUIRE);
    return flags != NULL && __atomic_load_n(&flags[index], __ATOMIC_RELAXED) != 0;
}

static unsigned char *
get_flags(void)
{
    unsigned char *flags = __atomic_load_n(&created, __ATOMIC_ACQUIRE);
    if (flags == NULL) {
        unsigned char *made = calloc(kiln_table_get_count(kiln_process.table), 1);
        bool is_first =
            made != NULL && __atomic_compare_exchange_n(&created, &flags, made, false,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        if (is_first || made == NULL) {
            return made;
        }
        free(made);
    }
    return flags;
}

int
kiln_remember_created(const char *name, Kiln_InitFunction initfunc)
{
    const struct kiln_table_entry *entry =
        kiln_process.table == NULL ? NULL : kiln_table_find(kiln_process.table, name, strlen(name));
    if (entry == NULL || kiln_table_get_function(entry) != (kiln_table_function)initfunc) {
        return 0;
    }
    unsigned char *flags = get_flags();
    if (flags == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t index = (size_t)(entry - kiln_table_get_entry(kiln_process.table, 0));
    __atomic_store_n(&flags[index], 1, __ATOMIC_RELAXED);
    return 0;
}

void
kiln_forget_created(void)
{
    free(created);
    created = NULL;
}
