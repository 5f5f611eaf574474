/* The fast path: imports of baked modules that do not run importlib's Python code.
 *
 * For every import that sys.modules does not satisfy, CPython calls
 * importlib._bootstrap._find_and_load, and so do importlib's own functions.
 * kiln_fast_find_and_load() replaces it. For modules of the table it does what importlib would do;
 * all other calls go to the original function, and so does anything unusual or rare, such as a
 * module whose package has not been imported yet. The results, and what other code can see on the
 * way, are the same: compare _find_and_load(), _find_and_load_unlocked(), _find_spec() and
 * _load_unlocked() in Lib/importlib/_bootstrap.py.
 *
 * This file has the import as a whole. Its steps: check.c decides whether it may take this path and
 * takes the module's lock (lock.c), find.c asks other finders, python.c makes the spec, load.c
 * creates and executes the module. */
#include "fast/state.h"

#include "find/lookup.h"

/* --- The import ----------------------------------------------------------------------------------
 */

static PyObject *
load(struct kiln_fast *fast, struct kiln_import *import, bool by_importlib)
{
    if (!by_importlib) {
        return kiln_fast_load_from_python(fast, import);
    }
    PyObject *module = PyObject_CallMethod(fast->bootstrap, "_load_unlocked", "O", import->spec);
    if (module != NULL && kiln_fast_follow_modules(fast, import) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

/* Loads the module while its parent's spec lists it. */
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

/* Caller must hold the lock of the module. */
static PyObject *
run_locked(struct kiln_fast *fast, struct kiln_import *import)
{
    int by_importlib = import->finders == NULL ? 0 : kiln_fast_ask_others(fast, import);
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

/* --- _find_and_load() ----------------------------------------------------------------------------
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
    Py_XDECREF(import->loader);
    Py_XDECREF(import->origin);
}

/* Imports the module NAME to *MODULE (NULL with an exception). Returns 0 if that is for
 * importlib. */
static int
import_target(struct kiln_fast *fast, PyObject *name, const struct kiln_target *target,
              PyObject **module)
{
    struct kiln_import import = {.name = name, .target = *target};
    int result = kiln_fast_prepare(fast, &import);
    *module = NULL;
    if (result > 0) {
        *module = run_locked(fast, &import);
        if (kiln_module_lock_give(&import) < 0) {
            Py_CLEAR(*module);
        }
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
        kiln_find_visible(args[0], &target) && kiln_fast_is_on() &&
        import_target(fast, args[0], &target, &module) != 0)
    {
        return module;
    }
    return KILN_VECTORCALL(fast->original, args, (size_t)nargs, keywords);
}
