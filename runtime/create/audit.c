/* The audit event `import` that CPython raises before it loads a shared library.
 *
 * It has to be raised in the interpreter that imports the module, and so before
 * _imp.create_builtin() is called: from 3.13 on that calls init functions in the main interpreter,
 * whose hooks must not get objects of another interpreter. */
#include "create/parts.h"

int
kiln_audit_load_from(PyObject *name, PyObject *origin)
{
    return origin == Py_None
               ? 0
               : PySys_Audit("import", "OOOOO", name, origin, Py_None, Py_None, Py_None);
}

int
kiln_audit_load(PyObject *spec)
{
    PyObject *origin = PyObject_GetAttrString(spec, "origin");
    PyObject *name = origin == NULL ? NULL : PyObject_GetAttrString(spec, "name");
    int result = 0;
    if (name == NULL) {
        PyErr_Clear(); /* a spec needs nothing but a name */
    }
    else {
        result = kiln_audit_load_from(name, origin);
    }
    Py_XDECREF(name);
    Py_XDECREF(origin);
    return result;
}
