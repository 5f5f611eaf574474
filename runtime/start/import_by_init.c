/* Kiln_ImportByInitFunc(): imports a module by its init function.
 *
 * While the import lasts, this thread's lookups find the init function under the name, and CPython
 * does the rest. So locks, parents, sys.modules, tracebacks, audit events and -X importtime are
 * those of an `import` statement. */
#include <string.h>

#include "find/lookup.h"
#include "start/start.h"

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
    if (kiln_importer_ensure() < 0) {
        return NULL;
    }
    PyObject *name = PyUnicode_FromString(fullname);
    /* With a list that is not empty the result is the module itself, not its topmost package. */
    PyObject *wanted = name == NULL ? NULL : Py_BuildValue("[s]", "__name__");
    PyObject *module = NULL;
    if (wanted != NULL) {
        struct kiln_override override = {.name = fullname};
        override.target.function = (kiln_table_function)initfunc;
        kiln_override_begin(&override);
        module = PyImport_ImportModuleLevelObject(name, NULL, NULL, wanted, 0);
        kiln_override_end(&override);
    }
    Py_XDECREF(wanted);
    Py_XDECREF(name);
    return module;
}
