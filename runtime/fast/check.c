/* Decides whether an import may take the fast path. Anything unusual falls back to importlib, and
 * up to that point nothing has been done that importlib cannot safely repeat.
 *
 * The functions here return 1 if the import may take the fast path, 0 if it is for importlib, and
 * -1 with an exception. */
#include "fast/state.h"

#include "skew/skew.h"

/* Returns the first COUNT of FINDERS, which is sys.meta_path, as importlib iterates over them: with
 * or without the changes that are made meanwhile. New reference, or NULL with an exception. */
static PyObject *
hold_finders(struct kiln_fast *fast, PyObject *finders, Py_ssize_t count)
{
    if (fast->copies_finders) {
        return PyList_GetSlice(finders, 0, count);
    }
    Py_INCREF(finders);
    return finders;
}

static int
check_sys(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *modules = PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_MODULES]);
    PyObject *finders = PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_META_PATH]);
    if (modules == NULL || !PyDict_CheckExact(modules) || modules != PyImport_GetModuleDict() ||
        finders == NULL || !PyList_CheckExact(finders))
    {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_ssize_t i = 0;
    while (i < PyList_GET_SIZE(finders) && PyList_GET_ITEM(finders, i) != fast->finder) {
        i++;
    }
    if (i == PyList_GET_SIZE(finders)) {
        return 0;
    }
    Py_INCREF(modules);
    import->modules = modules;
    if (i > 0) {
        import->finders = hold_finders(fast, finders, i + 1);
    }
    int present = i > 0 && import->finders == NULL ? -1 : PyDict_Contains(modules, import->name);
    return present < 0 ? -1 : !present;
}

/* Returns 1 if the module NAME with that SPEC is being imported by another thread, or SPEC does not
 * tell; 0 if not; -1 with an exception. */
static int
is_waited_for(struct kiln_fast *fast, PyObject *spec, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(spec, fast->names[KILN_NAME_SPEC_INITIALIZING]);
    if (value == NULL) {
        PyErr_Clear();
        return 1;
    }
    int initializing = PyObject_IsTrue(value);
    Py_DECREF(value);
    if (initializing <= 0) {
        return initializing;
    }
    int mine = kiln_module_lock_is_mine(fast, name);
    return mine < 0 ? -1 : !mine;
}

/* From 3.15 on, importlib waits for all parents. */
static int
check_ancestors(struct kiln_fast *fast, struct kiln_import *import)
{
    Py_ssize_t len = PyUnicode_GET_LENGTH(import->parent_name);
    Py_ssize_t dot = -1;
    int result = 1;
    while (result > 0 && (dot = PyUnicode_FindChar(import->parent_name, '.', dot + 1, len, 1)) >= 0)
    {
        PyObject *name = PyUnicode_Substring(import->parent_name, 0, dot);
        PyObject *module = name == NULL ? NULL : PyDict_GetItemWithError(import->modules, name);
        if (module == NULL) {
            result = PyErr_Occurred() ? -1 : 1;
        }
        else if (!PyModule_CheckExact(module)) {
            result = 0;
        }
        else {
            PyObject *spec =
                PyDict_GetItemWithError(PyModule_GetDict(module), fast->names[KILN_NAME_SPEC]);
            Py_XINCREF(spec);
            int waited_for = spec == NULL ? 0 : is_waited_for(fast, spec, name);
            Py_XDECREF(spec);
            result = waited_for < 0 || PyErr_Occurred() ? -1 : !waited_for;
        }
        Py_XDECREF(name);
    }
    return dot == -2 ? -1 : result;
}

/* From 3.11 on, a spec lists its children that are being imported. */
static int
check_parent_spec(struct kiln_fast *fast, struct kiln_import *import, PyObject *spec)
{
    if (spec == Py_None || !fast->tracks_children) {
        return 1;
    }
    if (Py_TYPE(spec) != (PyTypeObject *)fast->spec_type) {
        return 0;
    }
    int waited_for = is_waited_for(fast, spec, import->parent_name);
    if (waited_for != 0) {
        return waited_for < 0 ? -1 : 0;
    }
    import->siblings = PyObject_GetAttr(spec, fast->names[KILN_NAME_SPEC_CHILDREN]);
    if (import->siblings == NULL) {
        PyErr_Clear();
        return 0;
    }
    return PyList_CheckExact(import->siblings);
}

/* Returns NAME up to DOT: often the same object as last time. */
static PyObject *
make_parent_name(struct kiln_fast *fast, PyObject *name, Py_ssize_t dot)
{
    PyObject *last = fast->parent_name;
    if (last != NULL && PyUnicode_GET_LENGTH(last) == dot &&
        PyUnicode_Tailmatch(name, last, 0, dot, -1) == 1)
    {
        Py_INCREF(last);
        return last;
    }
    return PyUnicode_Substring(name, 0, dot);
}

/* Replaces the name of the parent by the equal object that is its __name__, which is also the key
 * in sys.modules, and keeps it for the next import. */
static void
keep_parent_name(struct kiln_fast *fast, struct kiln_import *import, PyObject *parent_dict)
{
    if (import->parent_name == fast->parent_name) {
        return;
    }
    PyObject *own = PyDict_GetItemWithError(parent_dict, fast->names[KILN_NAME_NAME]);
    if (own != NULL && PyUnicode_CheckExact(own) &&
        PyUnicode_Compare(own, import->parent_name) == 0) {
        Py_INCREF(own);
        Py_SETREF(import->parent_name, own);
    }
    Py_INCREF(import->parent_name);
    Py_XSETREF(fast->parent_name, import->parent_name);
}

static int
check_parent(struct kiln_fast *fast, struct kiln_import *import)
{
    Py_ssize_t len = PyUnicode_GET_LENGTH(import->name);
    Py_ssize_t dot = PyUnicode_FindChar(import->name, '.', 0, len, -1);
    if (dot < 0) {
        return dot == -1 ? 1 : -1;
    }
    import->parent_name = make_parent_name(fast, import->name, dot);
    import->child = PyUnicode_Substring(import->name, dot + 1, len);
    if (import->parent_name == NULL || import->child == NULL) {
        return -1;
    }
    PyObject *parent = PyDict_GetItemWithError(import->modules, import->parent_name);
    if (parent == NULL || !PyModule_CheckExact(parent)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *dict = PyModule_GetDict(parent);
    PyObject *path = PyDict_GetItemWithError(dict, fast->names[KILN_NAME_PATH]);
    PyObject *spec =
        path == NULL ? NULL : PyDict_GetItemWithError(dict, fast->names[KILN_NAME_SPEC]);
    if (spec == NULL || path == Py_None) {
        return PyErr_Occurred() ? -1 : 0;
    }
    keep_parent_name(fast, import, dict);
    Py_INCREF(path);
    import->path = path;
    Py_INCREF(spec);
    int result = check_parent_spec(fast, import, spec);
    Py_DECREF(spec);
    return result > 0 && KILN_IMPORTLIB_WAITS_FOR_PARENTS ? check_ancestors(fast, import) : result;
}

static PyObject *
get_from_sys(struct kiln_fast *fast, const char *name)
{
    PyObject *value = PyDict_GetItemString(fast->sys_dict, name);
    return value == NULL ? Py_None : value;
}

/* From 3.15 on, importlib raises this event, and not its caller. */
static int
audit(struct kiln_fast *fast, struct kiln_import *import)
{
    /* If importlib is to do the import, it will raise the event. */
    int is_free = kiln_module_lock_is_free(fast, import->name);
    if (is_free <= 0) {
        return is_free;
    }
    if (PySys_Audit("import", "OOOOO", import->name, Py_None, get_from_sys(fast, "path"),
                    get_from_sys(fast, "meta_path"), get_from_sys(fast, "path_hooks")) < 0)
    {
        return -1;
    }
    int present = PyDict_Contains(import->modules, import->name);
    return present < 0 ? -1 : !present;
}

/* The version of the module's distribution that is installed has to be the one that was baked. */
static int
check_version(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *path = import->path == NULL ? Py_None : import->path;
    PyObject *get_flags = PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_GET_FLAGS]);
    PyObject *other = NULL;
    if (get_flags == NULL && PyErr_Occurred()) {
        return -1;
    }
    int result =
        kiln_skew_check(fast->finder, get_flags, import->name, &import->target, path, &other);
    Py_XDECREF(other);
    if (result != KILN_SKEW_LOOKED) {
        return result;
    }
    int present = PyDict_Contains(import->modules, import->name);
    return present < 0 ? -1 : !present;
}

int
kiln_fast_prepare(struct kiln_fast *fast, struct kiln_import *import)
{
    int result = check_sys(fast, import);
    if (result > 0) {
        result = check_parent(fast, import);
    }
    if (result > 0) {
        result = check_version(fast, import);
    }
    if (result > 0 && KILN_IMPORTLIB_AUDITS) {
        result = audit(fast, import);
    }
    return result > 0 ? kiln_module_lock_take(fast, import) : result;
}
