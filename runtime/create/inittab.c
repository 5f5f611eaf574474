/* CPython's inittab, and the copy of it that has the trampoline. */
#include "create/inittab.h"

#include <stdlib.h>
#include <string.h>

#include "create/trampoline.h"

static struct _inittab *own_inittab; /* the copy, while it is the inittab */

bool
kiln_inittab_is_installed(void)
{
    for (const struct _inittab *entry = PyImport_Inittab; entry->name != NULL; entry++) {
        if (entry->initfunc == kiln_trampoline_init) {
            return true;
        }
    }
    return false;
}

size_t
kiln_inittab_count(const struct _inittab *entries)
{
    size_t count = 0;
    while (entries[count].name != NULL) {
        count++;
    }
    return count;
}

struct _inittab
kiln_inittab_make_entry(void)
{
    return (struct _inittab){.name = kiln_trampoline_name, .initfunc = kiln_trampoline_init};
}

void
kiln_inittab_replace(struct _inittab *entries)
{
    PyImport_Inittab = entries;
    free(own_inittab); /* CPython has forgotten it when it was finalised, or copied it */
    own_inittab = NULL;
}

int
kiln_inittab_install(Kiln_InitFunction first, Kiln_InitFunction *replaced)
{
    size_t count = kiln_inittab_count(PyImport_Inittab);
    struct _inittab *entries = calloc(count + 2, sizeof *entries);
    if (entries == NULL) {
        return KILN_INSTALL_MEMORY;
    }
    /* The trampoline is where its name hides all others. */
    struct _inittab *copy = entries + (KILN_INITTAB_LAST_WINS ? 0 : 1);
    memcpy(copy, PyImport_Inittab, count * sizeof *copy);
    entries[KILN_INITTAB_LAST_WINS ? count : 0] = kiln_inittab_make_entry();
    for (size_t i = 0; i < count; i++) {
        if (strcmp(copy[i].name, KILN_FIRST_MODULE) == 0) {
            *replaced = copy[i].initfunc;
            copy[i].initfunc = first;
        }
    }
    kiln_inittab_replace(entries);
    own_inittab = entries;
    return KILN_INSTALL_OK;
}
