/* What importlib asks about built-in modules, answered by the hash table of inittab.c.
 *
 * BuiltinImporter asks _imp.is_builtin() and _imp.create_builtin(), which it looks up in the module
 * _imp at each call, and whether the name is in sys.builtin_module_names. In each interpreter, the
 * two functions are replaced in _imp by ours, each with the one it replaces as its `self`, and the
 * tuple by one of a type with a quick `in`. Whatever the hash table does not settle goes to CPython's
 * own functions. */
#include "core/runtime.h"

#include <string.h>

static bool
find(PyObject *name, struct kiln_builtin *found)
{
    Py_ssize_t len;
    const char *utf8 = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &len) : NULL;
    if (utf8 == NULL) {
        PyErr_Clear(); /* a lone surrogate */
        return false;
    }
    return kiln_find_builtin(utf8, (size_t)len, found);
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
        return PyLong_FromLong(0); /* what was not there when Python started never will be */
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

/* IMP's own function in the place of which FUNCTION may be. */
static PyObject *
get_original(PyObject *imp, const char *name, PyCFunction function)
{
    PyObject *found = PyObject_GetAttrString(imp, name);
    if (found != NULL && PyCFunction_Check(found) && PyCFunction_GetFunction(found) == function) {
        PyObject *original = PyCFunction_GetSelf(found);
        Py_XINCREF(original);
        Py_DECREF(found);
        return original;
    }
    return found;
}

PyObject *
kiln_get_create_builtin(PyObject *bootstrap)
{
    PyObject *imp = PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *original = imp == NULL ? NULL : get_original(imp, "create_builtin", create_builtin);
    Py_XDECREF(imp);
    return original;
}

static int
replace(PyObject *imp, PyMethodDef *def)
{
    PyObject *original = get_original(imp, def->ml_name, def->ml_meth);
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

/* Pickles and copies are plain tuples: the type is nowhere to be imported from. */
static PyObject *
reduce_names(PyObject *names, PyObject *Py_UNUSED(args))
{
    return Py_BuildValue("O(N)", (PyObject *)&PyTuple_Type, PySequence_List(names));
}

static PyMethodDef names_methods[] = {{"__reduce__", reduce_names, METH_NOARGS, NULL}, {0}};

static PyType_Slot names_slots[] = {
    {Py_tp_methods, names_methods},
    {Py_sq_contains, KILN_SLOT_FUNCTION(names_contain)},
    {Py_tp_doc, "A tuple of the names of built-in modules, in which they are quickly found."},
    {0, NULL},
};

static PyType_Spec names_spec = {
    .name = "_kiln.BuiltinNames",
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = names_slots,
};

/* A sorted list, as CPython has it. */
static PyObject *
list_names(void)
{
    size_t count;
    const struct kiln_builtin *builtins = kiln_get_builtins(&count);
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
    int result = kiln_inittab_refresh();
    if (result <= 0) {
        return result;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *imp = bootstrap == NULL ? NULL : PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *names = imp == NULL ? NULL : make_names();
    result = names == NULL || replace(imp, &is_builtin_def) < 0 ||
                     replace(imp, &create_builtin_def) < 0 ||
                     PySys_SetObject("builtin_module_names", names) < 0
                 ? -1
                 : 0;
    Py_XDECREF(names);
    Py_XDECREF(imp);
    Py_XDECREF(bootstrap);
    return result;
}
