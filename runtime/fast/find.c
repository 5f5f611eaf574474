/* Asking the finders of sys.meta_path: those before ours for a module of the table, and all of them
 * for any other name.
 *
 * The first is part of the fast path. The second is there because our finder is asked about every
 * import of the program. Its own answer is one lookup; but importlib's _find_spec() takes the import
 * lock for each finder by a context manager that is written in Python, which costs twenty times as
 * much. A C function in its place asks them all in the same order and with the same lock, and gives
 * back what one finder more takes. Anything unusual goes to the function that was there before. */
#include "fast/fast.h"

/* What the finders are asked about. PATH and TARGET may be None. */
struct question {
    PyObject *name, *path, *target;
};

static PyObject *
call_find_spec(struct kiln_fast *fast, PyObject *finder, const struct question *question)
{
    PyObject *find_spec = PyObject_GetAttr(finder, fast->names[KILN_NAME_FIND_SPEC]);
    if (find_spec != NULL) {
        PyObject *args[] = {question->name, question->path, question->target};
        PyObject *spec = KILN_VECTORCALL(find_spec, args, sizeof args / sizeof args[0], NULL);
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
    return PyObject_CallMethod(fast->bootstrap, "_find_spec_legacy", "OOO", finder, question->name,
                               question->path);
}

static PyObject *
ask_finder(struct kiln_fast *fast, PyObject *finder, const struct question *question)
{
    PyObject *result = KILN_VECTORCALL(fast->acquire_lock, NULL, 0, NULL);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    PyObject *spec = call_find_spec(fast, finder, question);
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

PyObject *
kiln_fast_hold_finders(struct kiln_fast *fast, PyObject *finders, Py_ssize_t count)
{
    if (fast->copies_finders) {
        return PyList_GetSlice(finders, 0, count);
    }
    Py_INCREF(finders);
    return finders;
}

/* Giving the finders of a list their turns. If it is sys.meta_path itself, whoever removes himself
 * from it makes the next one miss its turn. Where our finder stands there is one for built-in modules
 * without Kiln, which nobody misses for an extension; so ours has its turn in any case. */
struct turns {
    PyObject *finders;
    Py_ssize_t next;
    bool ours_is_over;
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

/* The finder whose turn it is, a new reference; NULL without an exception: all have had theirs. */
static PyObject *
take_turn(struct kiln_fast *fast, struct turns *turns)
{
    PyObject *finder = NULL;
    if (!turns->ours_is_over && is_ours_behind(fast, turns)) {
        finder = fast->finder;
    }
    else if (turns->next < PyList_GET_SIZE(turns->finders)) {
        finder = PyList_GET_ITEM(turns->finders, turns->next++);
    }
    turns->ours_is_over = turns->ours_is_over || finder == fast->finder;
    Py_XINCREF(finder);
    return finder;
}

/* The spec of the first of FINDERS that has one; None if none has. OURS, if it is not NULL, is
 * whether it is our finder's turn before there is one, which is not asked, then: NULL without an
 * exception. */
static PyObject *
ask_finders(struct kiln_fast *fast, PyObject *finders, const struct question *question, bool *ours)
{
    struct turns turns = {.finders = finders};
    PyObject *finder;
    while ((finder = take_turn(fast, &turns)) != NULL) {
        if (ours != NULL && finder == fast->finder) {
            *ours = true;
            Py_DECREF(finder);
            return NULL;
        }
        PyObject *spec = ask_finder(fast, finder, question);
        Py_DECREF(finder);
        if (spec != Py_None) {
            return spec;
        }
        Py_DECREF(spec);
    }
    Py_RETURN_NONE;
}

/* SPEC, which is taken, unless the module NAME has been imported while finders were asked. */
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
    const struct question question = {import->name, import->path == NULL ? Py_None : import->path,
                                      Py_None};
    bool ours = false;
    PyObject *spec = ask_finders(fast, import->finders, &question, &ours);
    if (ours) {
        int present = kiln_fast_follow_modules(fast, import) < 0
                          ? -1
                          : PySequence_Contains(import->modules, import->name);
        if (present <= 0) {
            return present;
        }
        spec = PyObject_CallMethodObjArgs(fast->finder, fast->names[KILN_NAME_FIND_SPEC],
                                          question.name, question.path, NULL);
    }
    else if (spec == Py_None) {
        Py_DECREF(spec);
        spec = fail_not_found(import->name);
    }
    import->spec = spec == NULL ? NULL : prefer_present_spec(fast, import->name, spec);
    return import->spec == NULL ? -1 : 1;
}

/* The spec that the finders have for QUESTION: importlib's _find_spec(). */
static PyObject *
find_spec(struct kiln_fast *fast, PyObject *modules, PyObject *meta_path,
          const struct question *question)
{
    PyObject *finders = kiln_fast_hold_finders(fast, meta_path, PyList_GET_SIZE(meta_path));
    int is_reload = finders == NULL ? -1 : PyDict_Contains(modules, question->name);
    PyObject *spec = is_reload < 0 ? NULL : ask_finders(fast, finders, question, NULL);
    Py_XDECREF(finders);
    if (spec == NULL || spec == Py_None || is_reload != 0) {
        return spec;
    }
    return prefer_present_spec(fast, question->name, spec);
}

PyObject *
kiln_fast_find_spec(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    struct kiln_fast *fast = (struct kiln_fast *)object;
    if (fast->original_find_spec == NULL) {
        PyErr_SetString(PyExc_ImportError, "Python is shutting down");
        return NULL;
    }
    PyObject *modules = PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_MODULES]);
    PyObject *meta_path =
        modules == NULL ? NULL
                        : PyDict_GetItemWithError(fast->sys_dict, fast->names[KILN_NAME_META_PATH]);
    if (meta_path == NULL || !PyDict_CheckExact(modules) || !PyList_CheckExact(meta_path) ||
        PyList_GET_SIZE(meta_path) == 0 || nargs < 2 || nargs > 3 || keywords != NULL ||
        !PyUnicode_Check(args[0]) || !kiln_fast_is_on())
    {
        return PyErr_Occurred()
                   ? NULL
                   : KILN_VECTORCALL(fast->original_find_spec, args, (size_t)nargs, keywords);
    }
    const struct question question = {args[0], args[1], nargs == 3 ? args[2] : Py_None};
    return find_spec(fast, modules, meta_path, &question);
}
