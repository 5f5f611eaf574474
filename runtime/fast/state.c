/* State that the files of the fast path share: whether it is on, and sys.modules. */
#include "fast/state.h"

#include "kiln/kiln.h"

/* Of the process. */
enum { UNDECIDED, OFF, ON };
static int fast_path;

void
Kiln_SetFastPath(int on)
{
    __atomic_store_n(&fast_path, on ? ON : OFF, __ATOMIC_RELAXED);
}

void
kiln_fast_set_default(bool on)
{
    int undecided = UNDECIDED;
    __atomic_compare_exchange_n(&fast_path, &undecided, on ? ON : OFF, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

bool
kiln_fast_is_on(void)
{
    return __atomic_load_n(&fast_path, __ATOMIC_RELAXED) == ON;
}

PyObject *
kiln_fast_get_modules(struct kiln_fast *fast)
{
    PyObject *key = fast->names[KILN_NAME_MODULES];
    PyObject *modules = PyDict_GetItemWithError(fast->sys_dict, key);
    Py_XINCREF(modules);
    if (modules == NULL && !PyErr_Occurred()) {
        PyObject *sys = PyObject_GetAttrString(fast->bootstrap, "sys");
        modules = sys == NULL ? NULL : PyObject_GetAttr(sys, key);
        Py_XDECREF(sys);
    }
    return modules;
}

int
kiln_fast_follow_modules(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *modules = PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_MODULES]);
    if (modules != import->modules || modules == NULL) {
        modules = kiln_fast_get_modules(fast);
        if (modules == NULL) {
            return -1;
        }
        Py_SETREF(import->modules, modules);
    }
    return 0;
}
