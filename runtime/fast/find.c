/* The finders in front of ours in sys.meta_path, asked about a module of the table as importlib
 * asks them: in the same order, and with the import lock held. */
#include "fast/state.h"

static PyObject *
get_path(const struct kiln_import *import)
{
    return import->path == NULL ? Py_None : import->path;
}

static PyObject *
call_find_spec(struct kiln_fast *fast, PyObject *finder, const struct kiln_import *import)
{
    PyObject *find_spec = PyObject_GetAttr(finder, fast->names[KILN_NAME_FIND_SPEC]);
    if (find_spec != NULL) {
        PyObject *args[] = {import->name, get_path(import), Py_None};
        PyObject *spec = KILN_VECTORCALL(find_spec, args, sizeof args / sizeof args[0], NULL);
        Py_DECREF(find_spec);
        return spec;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return NULL;
    }
    PyErr_Clear();
    /* Up to 3.11 a finder may have find_module() only. */
    if (!PyObject_HasAttrString(fast->bootstrap, "_find_spec_legacy")) {
        Py_RETURN_NONE;
    }
    return PyObject_CallMethod(fast->bootstrap, "_find_spec_legacy", "OOO", finder, import->name,
                               get_path(import));
}

static PyObject *
ask_finder(struct kiln_fast *fast, PyObject *finder, const struct kiln_import *import)
{
    PyObject *result = KILN_VECTORCALL(fast->acquire_lock, NULL, 0, NULL);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    PyObject *spec = call_find_spec(fast, finder, import);
    struct kiln_error error;
    kiln_error_save(&error);
    result = KILN_VECTORCALL(fast->release_lock, NULL, 0, NULL);
    if (result == NULL) {
        kiln_error_drop(&error);
        Py_CLEAR(spec);
        return NULL;
    }
    Py_DECREF(result);
    kiln_error_restore(&error);
    return spec;
}

/* An iteration over the finders. If the list is sys.meta_path itself, a finder that removes itself
 * makes the next one miss its turn. Without Kiln, the next one is that for built-in modules, which
 * is not missed for an extension; so ours has its turn in any case. */
struct turns {
    PyObject *finders;
    Py_ssize_t next;
};

static bool
is_ours_behind(struct kiln_fast *fast, const struct turns *turns)
{
    Py_ssize_t i = 0;
    while (i < turns->next && i < PyList_GET_SIZE(turns->finders)) {
        if (PyList_GET_ITEM(turns->finders, i++) == fast->finder) {
            return true;
        }
    }
    return false;
}

/* Returns the finder whose turn it is, a new reference; NULL without an exception at the end. */
static PyObject *
take_turn(struct kiln_fast *fast, struct turns *turns)
{
    PyObject *finder = NULL;
    if (is_ours_behind(fast, turns)) {
        finder = fast->finder;
    }
    else if (turns->next < PyList_GET_SIZE(turns->finders)) {
        finder = PyList_GET_ITEM(turns->finders, turns->next++);
    }
    Py_XINCREF(finder);
    return finder;
}

/* Returns the spec of the first finder that has one; None if none has; NULL with an exception, or
 * with *OURS if it is our finder's turn, which is not asked. */
static PyObject *
ask_finders(struct kiln_fast *fast, const struct kiln_import *import, bool *ours)
{
    struct turns turns = {.finders = import->finders};
    PyObject *finder;
    while ((finder = take_turn(fast, &turns)) != NULL) {
        if (finder == fast->finder) {
            *ours = true;
            Py_DECREF(finder);
            return NULL;
        }
        PyObject *spec = ask_finder(fast, finder, import);
        Py_DECREF(finder);
        if (spec != Py_None) {
            return spec;
        }
        Py_DECREF(spec);
    }
    Py_RETURN_NONE;
}

/* Returns SPEC, which is stolen; or the module's own, if NAME has been imported while finders were
 * asked. */
static PyObject *
prefer_present_spec(struct kiln_fast *fast, PyObject *name, PyObject *spec)
{
    PyObject *modules = kiln_fast_get_modules(fast);
    int is_present = modules == NULL ? -1 : PySequence_Contains(modules, name);
    PyObject *module = is_present <= 0 ? NULL : PyObject_GetItem(modules, name);
    Py_XDECREF(modules);
    if (module == NULL) {
        if (is_present != 0) {
            Py_CLEAR(spec);
        }
        return spec;
    }
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

static PyObject *
fail_not_found(PyObject *name)
{
    PyObject *message = PyUnicode_FromFormat("No module named %R", name);
    if (message != NULL) {
        PyErr_SetImportErrorSubclass(PyExc_ModuleNotFoundError, message, name, NULL);
        Py_DECREF(message);
    }
    return NULL;
}

int
kiln_fast_ask_others(struct kiln_fast *fast, struct kiln_import *import)
{
    bool ours = false;
    PyObject *spec = ask_finders(fast, import, &ours);
    if (ours) {
        int present = kiln_fast_follow_modules(fast, import) < 0
                          ? -1
                          : PySequence_Contains(import->modules, import->name);
        if (present <= 0) {
            return present;
        }
        spec = PyObject_CallMethodObjArgs(fast->finder, fast->names[KILN_NAME_FIND_SPEC],
                                          import->name, get_path(import), NULL);
    }
    else if (spec == Py_None) {
        Py_DECREF(spec);
        spec = fail_not_found(import->name);
    }
    import->spec = spec == NULL ? NULL : prefer_present_spec(fast, import->name, spec);
    return import->spec == NULL ? -1 : 1;
}
