/* Checks of what an init function returns, with the exceptions that CPython's loader of shared
 * libraries raises.
 *
 * Finding a fault and raising it are separate: from 3.13 on CPython calls init functions in the
 * main interpreter, also for an interpreter with a GIL of its own. An exception that is made there
 * and passed on belongs to two interpreters, which crashes 3.13.0. So the fault is only noted
 * there. */
#include "core/python.h"
#include "create/parts.h"

static enum kiln_fault
find_fault(PyObject *result)
{
    if (result == NULL) {
        return KILN_FAULT_SILENT;
    }
    if (Py_TYPE(result) == NULL) {
        return KILN_FAULT_UNINITIALIZED; /* a PyModuleDef without PyModuleDef_Init() */
    }
    if (PyObject_TypeCheck(result, &PyModuleDef_Type)) {
        return KILN_FAULT_NONE;
    }
    if (!PyModule_Check(result)) {
        return KILN_FAULT_NO_MODULE;
    }
    return PyModule_GetDef(result) == NULL ? KILN_FAULT_NO_DEFINITION : KILN_FAULT_NONE;
}

PyObject *
kiln_check_result(PyObject *result, const char *hook_name, enum kiln_fault *fault)
{
    if (PyErr_Occurred()) {
        if (result != NULL) {
            kiln_fail_with_cause("initialization of %s raised unreported exception", hook_name);
        }
        return NULL;
    }
    *fault = find_fault(result);
    if (*fault == KILN_FAULT_NONE) {
        return result;
    }
    if (*fault == KILN_FAULT_NO_MODULE || *fault == KILN_FAULT_NO_DEFINITION) {
        Py_DECREF(result);
    }
    return NULL;
}

static void
raise_nameless(const char *name)
{
    PyObject *object = PyUnicode_FromString(name);
    if (object != NULL) {
        kiln_fail_import(
            object, NULL,
            "module %U does not get its whole name, as its calls of PyModule_Create() do not reach "
            "Kiln: link the program with -Wl,--wrap=PyModule_Create2, or prepare the module's "
            "objects by `kiln isolate`");
        Py_DECREF(object);
    }
}

void
kiln_raise_fault(enum kiln_fault fault, const char *name, const char *hook_name)
{
    if (fault == KILN_FAULT_NONE) {
        return;
    }
    PyErr_Clear();
    switch (fault) {
    case KILN_FAULT_NONE:
        break;
    case KILN_FAULT_SILENT:
        PyErr_Format(PyExc_SystemError, "initialization of %s failed without raising an exception",
                     hook_name);
        break;
    case KILN_FAULT_UNINITIALIZED:
        PyErr_Format(PyExc_SystemError, "init function of %s returned uninitialized object",
                     hook_name);
        break;
    case KILN_FAULT_NO_MODULE:
        PyErr_Format(PyExc_SystemError, "initialization of %s did not return an extension module",
                     hook_name);
        break;
    case KILN_FAULT_NO_DEFINITION:
        PyErr_Format(PyExc_SystemError, "initialization of %s did not return %s extension module",
                     hook_name, KILN_WORD_VALID);
        break;
    case KILN_FAULT_NAMELESS:
        raise_nameless(name);
        break;
    }
}
