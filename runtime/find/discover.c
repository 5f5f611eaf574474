/* The finder's discover(): the specs of the modules that it could find in a package. CPython 3.15
 * calls it to suggest a name when a module is not found. */
#include "find/finder.h"

#include <string.h>

#include "core/process.h"

/* Returns whether ENTRY is a module of the package PARENT (LEN bytes); with LEN 0, of none. */
static bool
is_child(const struct kiln_table_entry *entry, const char *parent, size_t len)
{
    const char *name = kiln_table_get_name(entry);
    size_t name_len = kiln_table_get_name_len(entry);
    const char *dot = memrchr(name, '.', name_len);
    size_t parent_len = dot == NULL ? 0 : (size_t)(dot - name);
    return parent_len == len && memcmp(name, parent, len) == 0;
}

static int
append_spec(PyObject *specs, PyObject *finder, const struct kiln_table_entry *entry, PyObject *path)
{
    PyObject *spec =
        PyObject_CallMethod(finder, "find_spec", "sO", kiln_table_get_name(entry), path);
    int result = spec == NULL ? -1 : spec == Py_None ? 0 : PyList_Append(specs, spec);
    Py_XDECREF(spec);
    return result;
}

/* Returns a list of the specs of the modules in the package NAME; None is the top level. */
static PyObject *
list_specs(PyObject *finder, PyObject *name, PyObject *path)
{
    Py_ssize_t len = 0;
    const char *parent = name == Py_None ? "" : PyUnicode_AsUTF8AndSize(name, &len);
    PyObject *specs = parent == NULL ? NULL : PyList_New(0);
    for (size_t i = 0; specs != NULL && i < kiln_count_modules(); i++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(kiln_process.table, i);
        if (is_child(entry, parent, (size_t)len) && append_spec(specs, finder, entry, path) < 0) {
            Py_CLEAR(specs);
        }
    }
    return specs;
}

PyObject *
kiln_finder_discover(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"parent", NULL};
    PyObject *parent = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:discover", names, &parent)) {
        return NULL;
    }
    if (parent == Py_None) {
        return list_specs(self, Py_None, Py_None);
    }
    PyObject *name = PyObject_GetAttrString(parent, "name");
    PyObject *path =
        name == NULL ? NULL : PyObject_GetAttrString(parent, "submodule_search_locations");
    PyObject *specs = NULL;
    if (path == Py_None) {
        PyErr_Format(PyExc_ValueError, "%S is not a package module", parent);
    }
    else if (path != NULL) {
        specs = list_specs(self, name, path);
    }
    Py_XDECREF(path);
    Py_XDECREF(name);
    return specs;
}
