/* Puts the importer into every interpreter, before the first one starts.
 *
 * CPython's inittab is replaced by a copy with two changes. It has the trampoline, through which
 * baked modules are created. And `posix` has another init function: importlib imports `posix` in
 * every interpreter when it is set up itself, before it knows the file system and long before
 * `site`, so what is done there is done first. `posix` is a multi-phase module; its definition gets
 * one more exec slot. On 3.8 `_io` is used instead: it is imported as early, and as a single-phase
 * module with a state its init function is called once per interpreter. */
#include <stdlib.h>
#include <string.h>

#include "core/process.h"
#include "create/inittab.h"
#include "create/trampoline.h"
#include "home/executable.h"
#include "start/start.h"

static Kiln_InitFunction first_initfunc; /* CPython's own, of KILN_FIRST_MODULE */

/* Run in each interpreter when it imports KILN_FIRST_MODULE. */
static int
start_interpreter(PyObject *Py_UNUSED(module))
{
    return kiln_importer_ensure() < 0 || kiln_builtins_start() < 0 ? -1
                                                                   : kiln_executable_set_early();
}

/* Appends our exec slot to those of DEF, once per process. Returns 0, or -1 with an exception. */
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

/* Whether the libpython of this process is of the version whose headers libkiln.a was compiled with: structures and
 * functions of another one differ, which would be found out by a crash. */
static bool
is_for_this_python(void)
{
    const char *version = Py_GetVersion();
    size_t len = strlen(KILN_PYTHON);
    return strncmp(version, KILN_PYTHON, len) == 0 && (version[len] < '0' || version[len] > '9') &&
           (strstr(version, "free-threading") != NULL) == KILN_IS_FREE_THREADED;
}

int
kiln_install_importer(void)
{
    static bool is_prepared;
    if (!is_for_this_python()) {
        return KILN_INSTALL_PYTHON;
    }
    if (kiln_inittab_is_installed()) {
        return KILN_INSTALL_OK;
    }
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    if (!is_prepared && kiln_trampoline_prepare(&kiln_importer_module) != 0) {
        return KILN_INSTALL_MEMORY;
    }
    is_prepared = true;
    int result = kiln_inittab_install(init_first_module, &first_initfunc);
    kiln_process.installed = kiln_process.installed || result == KILN_INSTALL_OK;
    return result;
}
