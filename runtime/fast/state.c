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
 * lock is in module_lock.c, other finders in fast_find.c, the module's spec in fast_python.c,
 * creating and executing it in fast_load.c; and all that there is once an interpreter in
 * fast_install.c. */
#include "fast/fast.h"

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
        kiln_find_listed(args[0], &target) && kiln_fast_is_on() &&
        import_target(fast, args[0], &target, &module) != 0)
    {
        return module;
    }
    return KILN_VECTORCALL(fast->original, args, (size_t)nargs, keywords);
}
