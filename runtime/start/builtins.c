/* importlib's questions about built-in modules, answered by the hash table of builtin_table.c.
 *
 * BuiltinImporter calls _imp.is_builtin() and _imp.create_builtin(), which it looks up in the
 * module _imp each time, and tests whether the name is in sys.builtin_module_names. In each
 * interpreter both functions are replaced by ours, each with the one that it replaces as its
 * `self`, and the tuple by one of a type with a fast `in`. CPython's own functions are called for
 * all that the hash table does not decide. */
#include "core/python.h"
#include "create/create.h"
#include "create/inittab.h"
#include "start/start.h"

static bool
find(PyObject *name, struct kiln_builtin *found)
{
    size_t len = 0;
    const char *utf8 = PyUnicode_Check(name) ? kiln_get_utf8(name, &len) : NULL;
    return utf8 != NULL && kiln_builtins_find(utf8, len, found);
}

static PyObject *
is_builtin(PyObject *original, PyObject *name)
{
    struct kiln_builtin builtin;
    bool found = find(name, &builtin);
    if (found && !builtin.stays && builtin.initfunc != NULL) {
        return PyLong_FromLong(1);
    }
    if (!found && KILN_COPIES_INITTAB && PyUnicode_Check(name) &&
        PyUnicode_CompareWithASCIIString(name, KILN_MODULE_NAME) != 0)
    {
        return PyLong_FromLong(0); /* the inittab has not changed since Python started */
    }
    return PyObject_CallFunctionObjArgs(original, name, NULL);
}

static PyObject *
create_builtin(PyObject *original, PyObject *spec)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name == NULL) {
        return NULL;
    }
    struct kiln_builtin builtin;
    bool found = find(name, &builtin);
    Py_DECREF(name);
    return found && !builtin.stays && builtin.initfunc != NULL
               ? kiln_create_builtin(original, spec, &builtin)
               : PyObject_CallFunctionObjArgs(original, spec, NULL);
}

static PyMethodDef is_builtin_def = {"is_builtin", is_builtin, METH_O, NULL};
static PyMethodDef create_builtin_def = {"create_builtin", create_builtin, METH_O, NULL};

/* Replaces the function of _imp that has DEF's name. Returns 0, or -1 with an exception. */
static int
replace(PyObject *bootstrap, PyObject *imp, PyMethodDef *def)
{
    PyObject *original = kiln_get_imp_function(bootstrap, def->ml_name);
    PyObject *replacement = original == NULL ? NULL : PyCFunction_New(def, original);
    int result = replacement == NULL ? -1 : PyObject_SetAttrString(imp, def->ml_name, replacement);
    Py_XDECREF(replacement);
    Py_XDECREF(original);
    return result;
}

/* --- sys.builtin_module_names ----------------------------------------------------------------- */

static int
names_contain(PyObject *names, PyObject *name)
{
    struct kiln_builtin builtin;
    if (PyUnicode_CheckExact(name)) {
        return find(name, &builtin) ||
               PyUnicode_CompareWithASCIIString(name, KILN_MODULE_NAME) == 0;
    }
    return PyTuple_Type.tp_as_sequence->sq_contains(names, name);
}

/* Pickles and copies are plain tuples, as the type cannot be imported. */
static PyObject *
reduce_names(PyObject *names, PyObject *Py_UNUSED(args))
{
    return Py_BuildValue("O(N)", (PyObject *)&PyTuple_Type, PySequence_List(names));
}

static PyMethodDef names_methods[] = {{"__reduce__", reduce_names, METH_NOARGS, NULL}, {0}};

static PyType_Slot names_slots[] = {
    {Py_tp_methods, names_methods},
    {Py_sq_contains, KILN_SLOT_FUNCTION(names_contain)},
    {Py_tp_doc, "A tuple of the names of built-in modules, with a fast `in`."},
    {0, NULL},
};

static PyType_Spec names_spec = {
    .name = "_kiln.BuiltinNames",
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = names_slots,
};

/* Returns a sorted list, in the order of CPython's tuple. */
static PyObject *
list_names(void)
{
    size_t count;
    const struct kiln_builtin *builtins = kiln_builtins_get(&count);
    PyObject *list = Py_BuildValue("[s]", KILN_MODULE_NAME);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(builtins[i].name);
        if (name == NULL || PyList_Append(list, name) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(name);
    }
    if (list != NULL && PyList_Sort(list) < 0) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
make_names(void)
{
    PyObject *list = list_names();
    PyObject *bases = list == NULL ? NULL : PyTuple_Pack(1, (PyObject *)&PyTuple_Type);
    PyObject *type = bases == NULL ? NULL : PyType_FromSpecWithBases(&names_spec, bases);
    PyObject *names = type == NULL ? NULL : PyObject_CallFunctionObjArgs(type, list, NULL);
    Py_XDECREF(type);
    Py_XDECREF(bases);
    Py_XDECREF(list);
    return names;
}

int
kiln_builtins_start(void)
{
    int result = kiln_builtins_refresh();
    if (result <= 0) {
        return result;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *imp = bootstrap == NULL ? NULL : PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *names = imp == NULL ? NULL : make_names();
    result = names == NULL || replace(bootstrap, imp, &is_builtin_def) < 0 ||
                     replace(bootstrap, imp, &create_builtin_def) < 0 ||
                     PySys_SetObject("builtin_module_names", names) < 0
                 ? -1
                 : 0;
    Py_XDECREF(names);
    Py_XDECREF(imp);
    Py_XDECREF(bootstrap);
    return result;
}
