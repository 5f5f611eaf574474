/* The module kiln: which modules are baked into the program. Unlike _kiln, the importer, which
 * every interpreter has, it exists only once it is imported, and it is found last: a program can
 * have a package of that name. */
#include <string.h>

#include "core/process.h"
#include "core/python.h"
#include "find/lookup.h"

#include "kiln/internal/distributions.h"
#include "kiln/version.h"
#include "skew/skew.h"
#include "start/start.h"

/* Returns the string of FIELD, a field of a distribution's record; None if it is NULL. Metadata
 * need not be UTF-8. */
static PyObject *
make_string(const int32_t *field)
{
    if (field == NULL) {
        Py_RETURN_NONE;
    }
    const char *text = kiln_distance_get_string(field);
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *
describe(PyObject *name, unsigned flags)
{
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &len);
    if (utf8 == NULL) {
        return NULL;
    }
    const struct kiln_distribution *distribution = kiln_distribution_find(utf8, (size_t)len);
    return Py_BuildValue("{sOsNsNsN}", "name", name, "package",
                         PyBool_FromLong((flags & KILN_MODULE_PACKAGE) != 0), "distribution",
                         make_string(distribution == NULL ? NULL : &distribution->name), "version",
                         make_string(distribution == NULL ? NULL : &distribution->version));
}

static PyObject *
find(PyObject *Py_UNUSED(self), PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        return PyErr_Format(PyExc_TypeError, "a module name must be str, not %.200s",
                            Py_TYPE(name)->tp_name);
    }
    struct kiln_target target;
    if (!kiln_find_in_table(name, &target)) {
        Py_RETURN_NONE;
    }
    return describe(name, target.flags);
}

static PyObject *
modules(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args))
{
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names != NULL && i < kiln_count_modules(); i++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(kiln_process.table, i);
        PyObject *name = PyUnicode_FromStringAndSize(kiln_table_get_name(entry),
                                                     (Py_ssize_t)kiln_table_get_name_len(entry));
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(name);
    }
    if (names != NULL && PyList_Sort(names) < 0) {
        Py_CLEAR(names);
    }
    return names;
}

static int
module_exec(PyObject *module)
{
    return PyModule_AddStringConstant(module, "version", KILN_VERSION);
}

static PyMethodDef methods[] = {
    {"find", find, METH_O,
     PyDoc_STR(
         "find($module, name, /)\n--\n\n"
         "What is known of the baked module of this dotted name, as a dict: 'name'; 'package',\n"
         "whether the extension is the __init__ of a package; 'distribution' and 'version',\n"
         "what it came from, None if that is not known. None if no such module is baked.\n"
         "Nothing is imported.")},
    {"modules", modules, METH_NOARGS,
     PyDoc_STR("modules($module, /)\n--\n\nThe dotted names of all baked modules, sorted.")},
    {0},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, KILN_SLOT_FUNCTION(module_exec)},
    KILN_SLOT_INTERPRETERS KILN_SLOT_GIL{0, NULL},
};

struct PyModuleDef kiln_public_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = KILN_PUBLIC_MODULE_NAME,
    .m_doc = PyDoc_STR("What is baked: the extension modules that are linked into this program.\n\n"
                       "version is that of Kiln."),
    .m_methods = methods,
    .m_slots = slots,
};
