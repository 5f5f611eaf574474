/* Kiln_ImportByInitFunc(): an import of a module that is known by nothing but its init function.
 *
 * It is an import like any other: for as long as it lasts, this thread's lookups find INITFUNC
 * under the name, and CPython does the rest. So locks, parents, sys.modules, the traces of a
 * failure, audit events and -X importtime are what they are for the statement `import`. */
#include "core/runtime.h"

#include <string.h>

static bool
has_empty_component(const char *name)
{
    size_t len = strlen(name);
    return len == 0 || name[0] == '.' || name[len - 1] == '.' || strstr(name, "..") != NULL;
}

PyObject *
Kiln_ImportByInitFunc(const char *fullname, Kiln_InitFunction initfunc)
{
    if (fullname == NULL || initfunc == NULL) {
        PyErr_BadInternalCall();
        return NULL;
    }
    if (has_empty_component(fullname)) {
        PyErr_Format(PyExc_ValueError, "\"%.200s\" is not the name of a module", fullname);
        return NULL;
    }
    if (kiln_module_ensure() < 0) {
        return NULL;
    }
    PyObject *name = PyUnicode_FromString(fullname);
    /* A list that is not empty asks for the module itself and not for its topmost package. */
    PyObject *wanted = name == NULL ? NULL : Py_BuildValue("[s]", "__name__");
    PyObject *module = NULL;
    if (wanted != NULL) {
        struct kiln_given given = {.name = fullname};
        given.target.function = (kiln_table_function)initfunc;
        kiln_given_begin(&given);
        module = PyImport_ImportModuleLevelObject(name, NULL, NULL, wanted, 0);
        kiln_given_end(&given);
    }
    Py_XDECREF(wanted);
    Py_XDECREF(name);
    return module;
}
