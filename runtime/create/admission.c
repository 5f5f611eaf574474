/* Whether an interpreter may load a module, in the cases that _imp.create_builtin() does not check:
 * sub-interpreters that require modules to declare support for them (PEP 489, 684), and
 * free-threaded builds. */
#include "core/python.h"
#include "create/create.h"
#include "create/parts.h"

#if KILN_HAS_STRICT_INTERPRETERS
static PyModuleDef_Slot unfit_slots[] = {
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
    KILN_SLOT_GIL{0, NULL},
};
static PyModuleDef unfit = {PyModuleDef_HEAD_INIT, .m_name = "unfit", .m_slots = unfit_slots};
#endif

int
kiln_admission_prepare(void)
{
#if KILN_HAS_STRICT_INTERPRETERS
    return PyModuleDef_Init(&unfit) == NULL ? -1 : 0;
#else
    return 0;
#endif
}

/* _imp.create_builtin() lacks that check in 3.12. The only other way to ask CPython is to create a
 * module that declares no support. */
PyObject *
kiln_check_admission(PyObject *result, PyObject *spec)
{
#if KILN_HAS_STRICT_INTERPRETERS
    if (result != NULL && !PyObject_TypeCheck(result, &PyModuleDef_Type) &&
        PyInterpreterState_Get() != PyInterpreterState_Main())
    {
        PyObject *probe = PyModule_FromDefAndSpec(&unfit, spec);
        if (probe == NULL) {
            Py_CLEAR(result);
        }
        Py_XDECREF(probe);
    }
#else
    (void)spec;
#endif
    return result;
}

/* Returns whether RESULT, of an init function, declares that it needs no GIL. */
static bool
needs_no_gil(PyObject *result)
{
#ifdef Py_MOD_GIL_NOT_USED
    if (PyObject_TypeCheck(result, &PyModuleDef_Type)) {
        const PyModuleDef_Slot *slot = ((PyModuleDef *)result)->m_slots;
        for (; slot != NULL && slot->slot != 0; slot++) {
            if (slot->slot == Py_mod_gil) {
                return slot->value == Py_MOD_GIL_NOT_USED;
            }
        }
    }
#else
    (void)result;
#endif
    return false;
}

PyObject *
kiln_check_gil(PyObject *result, PyObject *name, bool only_multi_phase)
{
    bool multi_phase = result != NULL && PyObject_TypeCheck(result, &PyModuleDef_Type);
    if (!KILN_GIL_IS_OPTIONAL || result == NULL || needs_no_gil(result) ||
        (!multi_phase && only_multi_phase))
    {
        return result;
    }
    if (!multi_phase) {
        Py_DECREF(result);
    }
    return kiln_fail_import(
        name, NULL,
        "cannot create module %U in a free-threaded Python: it does not declare "
        "that it needs no GIL (Py_mod_gil), and under this name CPython cannot "
        "be asked to turn the GIL on");
}
