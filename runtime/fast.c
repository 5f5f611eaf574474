/* The fast path: importing a baked module without running importlib's Python code.
 *
 * For every import that is not answered by sys.modules, CPython calls the attribute _find_and_load
 * of importlib._bootstrap, and so do importlib's own functions. Here a C function stands there. It
 * does what importlib would have done for the modules of the table, and hands every other call to
 * the function that was there before; so it does whenever anything is not as importlib leaves it,
 * as well as for what is rare, such as a module whose package has yet to be imported. What an
 * import leaves behind, and what it lets others see on the way, is the same: compare
 * _find_and_load(), _find_and_load_unlocked(), _find_spec() and _load_unlocked() in
 * Lib/importlib/_bootstrap.py.
 *
 * Here is the import from outside. Who may take this path is decided in fast_check.c; the module's
 * lock is in module_lock.c, its spec in fast_python.c, creating and executing it in fast_load.c; and
 * all that there is once an interpreter in fast_install.c. */
#include "fast.h"

/* --- Finders before ours -------------------------------------------------------------------------
 */

static PyObject *
call_find_spec(struct kiln_fast *fast, struct kiln_import *import, PyObject *finder)
{
    PyObject *path = import->path == NULL ? Py_None : import->path;
    PyObject *find_spec = PyObject_GetAttr(finder, fast->names[KILN_NAME_FIND_SPEC]);
    if (find_spec != NULL) {
        PyObject *spec = PyObject_CallFunctionObjArgs(find_spec, import->name, path, Py_None, NULL);
        Py_DECREF(find_spec);
        return spec;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return NULL;
    }
    PyErr_Clear();
    /* Up to 3.11. */
    if (!PyObject_HasAttrString(fast->bootstrap, "_find_spec_legacy")) {
        Py_RETURN_NONE;
    }
    return PyObject_CallMethod(fast->bootstrap, "_find_spec_legacy", "OOO", finder, import->name,
                               path);
}

static PyObject *
ask_finder(struct kiln_fast *fast, struct kiln_import *import, PyObject *finder)
{
    PyObject *result = PyObject_CallFunctionObjArgs(fast->acquire_lock, NULL);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    PyObject *spec = call_find_spec(fast, import, finder);
    struct kiln_error error;
    kiln_error_save(&error);
    result = PyObject_CallFunctionObjArgs(fast->release_lock, NULL);
    if (result == NULL) {
        kiln_error_drop(&error);
        Py_CLEAR(spec);
        return NULL;
    }
    Py_DECREF(result);
    kiln_error_restore(&error);
    return spec;
}

/* The spec of the first of IMPORT->finders that has one; None if none has. */
static PyObject *
ask_finders(struct kiln_fast *fast, struct kiln_import *import)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(import->finders); i++) {
        PyObject *spec = ask_finder(fast, import, PyList_GET_ITEM(import->finders, i));
        if (spec != Py_None) {
            return spec;
        }
        Py_DECREF(spec);
    }
    Py_RETURN_NONE;
}

/* SPEC, which is taken, unless the module has been imported while finders were asked. */
static PyObject *
prefer_present_spec(struct kiln_fast *fast, struct kiln_import *import, PyObject *spec)
{
    PyObject *module = PyDict_GetItemWithError(import->modules, import->name);
    if (module == NULL) {
        if (PyErr_Occurred()) {
            Py_CLEAR(spec);
        }
        return spec;
    }
    Py_INCREF(module);
    PyObject *present = PyObject_GetAttr(module, fast->names[KILN_NAME_SPEC]);
    Py_DECREF(module);
    if (present == NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        Py_CLEAR(spec);
        return NULL;
    }
    PyErr_Clear();
    if (present == NULL || present == Py_None) {
        Py_XDECREF(present);
        return spec;
    }
    Py_DECREF(spec);
    return present;
}

/* Ask the finders before ours: 1 with the spec that importlib's code is to load; 0 if the module is
 * ours; -1 with an exception. */
static int
ask_others(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *spec = ask_finders(fast, import);
    if (spec == Py_None) {
        Py_CLEAR(spec);
        int present = PyDict_Contains(import->modules, import->name);
        if (present <= 0) {
            return present;
        }
        PyObject *path = import->path == NULL ? Py_None : import->path;
        spec = PyObject_CallMethodObjArgs(fast->finder, fast->names[KILN_NAME_FIND_SPEC],
                                          import->name, path, NULL);
    }
    import->spec = spec == NULL ? NULL : prefer_present_spec(fast, import, spec);
    return import->spec == NULL ? -1 : 1;
}

/* --- The import ----------------------------------------------------------------------------------
 */

static PyObject *
load(struct kiln_fast *fast, struct kiln_import *import, bool by_importlib)
{
    if (by_importlib) {
        return PyObject_CallMethod(fast->bootstrap, "_load_unlocked", "O", import->spec);
    }
    return kiln_fast_load_from_python(fast, import);
}

/* Load it while its parent's spec says so. */
static PyObject *
load_as_child(struct kiln_fast *fast, struct kiln_import *import, bool by_importlib)
{
    if (import->siblings == NULL) {
        return load(fast, import, by_importlib);
    }
    if (PyList_Append(import->siblings, import->child) < 0) {
        return NULL;
    }
    PyObject *module = load(fast, import, by_importlib);
    struct kiln_error error;
    kiln_error_save(&error);
    Py_ssize_t size = PyList_GET_SIZE(import->siblings);
    if (size > 0 && PyList_SetSlice(import->siblings, size - 1, size, NULL) < 0) {
        PyErr_Clear();
    }
    kiln_error_restore(&error);
    return module;
}

/* With the lock of the module. */
static PyObject *
run_locked(struct kiln_fast *fast, struct kiln_import *import)
{
    int by_importlib = import->finders == NULL ? 0 : ask_others(fast, import);
    if (by_importlib < 0) {
        return NULL;
    }
    PyObject *module = load_as_child(fast, import, by_importlib == 1);
    if (module != NULL && kiln_fast_bind(fast, import, module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

PyObject *
kiln_fast_continue(PyObject *object, PyObject *arg)
{
    struct kiln_fast *fast = (struct kiln_fast *)object;
    struct kiln_module_lock *lock = (struct kiln_module_lock *)arg;
    if (Py_TYPE(arg) != fast->lock_type || lock->import == NULL || lock->import->spec == NULL ||
        lock->owner != PyThread_get_thread_ident())
    {
        PyErr_SetString(PyExc_TypeError, "no import is under way");
        return NULL;
    }
    return kiln_fast_load(fast, lock->import);
}

/* --- From outside --------------------------------------------------------------------------------
 */

static void
release(struct kiln_import *import)
{
    Py_XDECREF(import->modules);
    Py_XDECREF(import->finders);
    Py_XDECREF(import->parent_name);
    Py_XDECREF(import->child);
    Py_XDECREF(import->path);
    Py_XDECREF(import->siblings);
    Py_XDECREF(import->spec);
    Py_XDECREF(import->origin);
}

/* Import the module NAME to *MODULE (NULL with an exception), or return 0 for importlib to do it. */
static int
import_target(struct kiln_fast *fast, PyObject *name, const struct kiln_target *target,
              PyObject **module)
{
    struct kiln_import import = {.name = name, .target = *target};
    int result = kiln_fast_prepare(fast, &import);
    *module = NULL;
    if (result > 0) {
        *module = run_locked(fast, &import);
        kiln_module_lock_give(&import);
    }
    release(&import);
    return result;
}

PyObject *
kiln_fast_find_and_load(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *keywords)
{
    struct kiln_fast *fast = (struct kiln_fast *)object;
    if (fast->original == NULL) {
        PyErr_SetString(PyExc_ImportError, "Python is shutting down");
        return NULL;
    }
    fast->calls++;
    struct kiln_target target;
    PyObject *module;
    if (nargs == 2 && keywords == NULL && PyUnicode_CheckExact(args[0]) &&
        kiln_find_listed(args[0], &target) && kiln_fast_is_on() &&
        import_target(fast, args[0], &target, &module) != 0)
    {
        return module;
    }
    return KILN_VECTORCALL(fast->original, args, (size_t)nargs, keywords);
}
