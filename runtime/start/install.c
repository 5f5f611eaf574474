/* Kiln_Install(): what happens before the first interpreter starts, so that each has the importer.
 *
 * CPython's inittab is replaced by a copy with two changes. The slot is in it, see create.c. And
 * `posix` has another init function: importlib imports `posix` when it is set up itself, in every
 * interpreter, before it knows the file system and long before `site`, so what is done there is
 * done first. It is a multi-phase module, and its definition gets one more exec slot. On 3.8 `_io`
 * takes its place: it is imported as early, and as a single-phase module with a state its init
 * function is called once an interpreter. */
#include "core/runtime.h"

#include "kiln/internal/distributions.h"

#include <stdlib.h>
#include <string.h>

struct kiln_process kiln_process;

static struct _inittab *own_inittab; /* the copy, when one is in use */
static Kiln_InitFunction first_initfunc;

/* What each interpreter does when it imports KILN_FIRST_MODULE. */
static int
start_interpreter(PyObject *Py_UNUSED(module))
{
    return kiln_module_ensure() < 0 || kiln_builtins_start() < 0 ? -1 : kiln_executable_set_early();
}

/* Append our exec slot to those of DEF, once for the process. */
static int
extend_slots(PyModuleDef *def)
{
    size_t count = 0;
    while (def->m_slots != NULL && def->m_slots[count].slot != 0) {
        if (def->m_slots[count].value == KILN_SLOT_FUNCTION(start_interpreter)) {
            return 0;
        }
        count++;
    }
    PyModuleDef_Slot *slots = calloc(count + 2, sizeof *slots);
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (count > 0) {
        memcpy(slots, def->m_slots, count * sizeof *slots);
    }
    slots[count].slot = Py_mod_exec;
    slots[count].value = KILN_SLOT_FUNCTION(start_interpreter);
    def->m_slots = slots;
    return 0;
}

static PyObject *
init_first_module(void)
{
    PyObject *result = first_initfunc();
    if (result == NULL) {
        return NULL;
    }
    if (PyObject_TypeCheck(result, &PyModuleDef_Type)) {
        return extend_slots((PyModuleDef *)result) < 0 ? NULL : result;
    }
    if (start_interpreter(result) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

size_t
kiln_count_inittab(const struct _inittab *entries)
{
    size_t count = 0;
    while (entries[count].name != NULL) {
        count++;
    }
    return count;
}

static bool
is_installed(const struct _inittab *entries)
{
    for (size_t i = 0; entries[i].name != NULL; i++) {
        if (entries[i].initfunc == kiln_slot_init) {
            return true;
        }
    }
    return false;
}

/* The slot stands where its name hides all others. */
static void
fill_inittab(struct _inittab *to, const struct _inittab *from, size_t count)
{
    size_t first = KILN_INITTAB_LAST_WINS ? 0 : 1;
    memcpy(to + first, from, count * sizeof *to);
    to[KILN_INITTAB_LAST_WINS ? count : 0] =
        (struct _inittab){.name = kiln_slot_name, .initfunc = kiln_slot_init};
    for (size_t i = first; i < first + count; i++) {
        if (strcmp(to[i].name, KILN_FIRST_MODULE) == 0) {
            first_initfunc = to[i].initfunc;
            to[i].initfunc = init_first_module;
        }
    }
}

void
kiln_install_inittab(struct _inittab *entries)
{
    PyImport_Inittab = entries;
    free(own_inittab); /* CPython has forgotten it at its end, or copied it */
    own_inittab = NULL;
}

int
kiln_install_importer(void)
{
    static bool survives_fork;
    if (is_installed(PyImport_Inittab)) {
        return KILN_INSTALL_OK;
    }
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    if (!survives_fork && kiln_slot_survive_fork() != 0) {
        return KILN_INSTALL_MEMORY;
    }
    survives_fork = true;
    size_t count = kiln_count_inittab(PyImport_Inittab);
    struct _inittab *inittab = calloc(count + 2, sizeof *inittab);
    if (inittab == NULL) {
        return KILN_INSTALL_MEMORY;
    }
    fill_inittab(inittab, PyImport_Inittab, count);
    kiln_install_inittab(inittab);
    own_inittab = inittab;
    kiln_process.installed = true;
    return KILN_INSTALL_OK;
}

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
        kiln_forget_created();
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
    default:
        return "out of memory";
    }
}
