/* Version skew: the Python part of a package is read from sys.path, where another version may have
 * been installed since the executable was linked, and its machine code must not run with that. At
 * the first import of a module out of each distribution, the finder asks here.
 *
 * Usually one stat() tells that all is well: the metadata of the version that was baked (the
 * directory NAME-VERSION.dist-info) are in the directory that the parent package was found in, or,
 * for a top-level module, in one on sys.path. Otherwise directories are read, once. The answer
 * holds for the process, whatever path an interpreter has later, so that the modules of one
 * distribution are all baked ones or all from files:
 *
 *     the version that was baked        baked
 *     another version                   files: what the finders behind ours find
 *     no metadata                       as the first module: its file if it has one, else baked
 *     no metadata, a top-level module   not installed, and nothing to mix with: baked
 *
 * The last is forgotten when a module inside of a package asks, as a package has been found then.
 * Two threads may look at the same time; the first to know decides. */
#include "skew/skew.h"

#include <stdlib.h>
#include <string.h>

struct kiln_distribution *
kiln_distribution_find(const char *name, size_t len)
{
    if (&kiln_distributions == NULL) {
        return NULL;
    }
    for (size_t end = 0; end <= len; end++) {
        if (end < len && name[end] != '.') {
            continue;
        }
        const struct kiln_table_entry *entry = kiln_table_find(&kiln_distributions, name, end);
        if (entry != NULL && (end == len || (kiln_table_get_flags(entry) & KILN_PREFIX_EXACT) == 0))
        {
            return (struct kiln_distribution *)((uintptr_t)&entry->function +
                                                (uintptr_t)(intptr_t)entry->function);
        }
    }
    return NULL;
}

/* Whether FRAME is one of importlib's. */
static bool
is_import_frame(PyObject *frame)
{
    PyObject *code = PyObject_GetAttrString(frame, "f_code");
    PyObject *file = code == NULL ? NULL : PyObject_GetAttrString(code, "co_filename");
    const char *text = file == NULL ? NULL : PyUnicode_AsUTF8(file);
    bool result = text != NULL && (strncmp(text, "<frozen importlib", 17) == 0 ||
                                   strstr(text, "/importlib/__init__.py") != NULL);
    Py_XDECREF(file);
    Py_XDECREF(code);
    PyErr_Clear();
    return result;
}

/* For a warning: how far up the stack the import is. */
static Py_ssize_t
get_stack_level(void)
{
    Py_ssize_t level = 1;
    PyObject *frame = (PyObject *)PyEval_GetFrame();
    Py_XINCREF(frame);
    while (frame != NULL && frame != Py_None && is_import_frame(frame)) {
        PyObject *back = PyObject_GetAttrString(frame, "f_back");
        Py_DECREF(frame);
        frame = back;
        level++;
    }
    Py_XDECREF(frame);
    PyErr_Clear();
    return level;
}

/* What is wrong, and then END. ANSWER is NULL if nothing tells the version. */
static PyObject *
describe(const struct kiln_asked *asked, const struct kiln_answer *answer, const char *end)
{
    const char *name = kiln_distribution_get_string(&asked->distribution->name);
    const char *version = kiln_distribution_get_string(&asked->distribution->version);
    if (answer == NULL || *answer->version == '\0') {
        return PyUnicode_FromFormat("%U: %s %s is linked into the program; which version is "
                                    "installed is not known, as there is no .dist-info of it "
                                    "beside the package%s",
                                    asked->name, name, version, end);
    }
    return PyUnicode_FromFormat("%U: %s %s is linked into the program, but version %s is installed "
                                "(%s)%s",
                                asked->name, name, version, answer->version, answer->path, end);
}

static int
warn(const struct kiln_asked *asked, const struct kiln_answer *answer, const char *end)
{
    PyObject *message = describe(asked, answer, end);
    const char *text = message == NULL ? NULL : PyUnicode_AsUTF8(message);
    int result = text == NULL ? -1 : PyErr_WarnEx(PyExc_ImportWarning, text, get_stack_level());
    Py_XDECREF(message);
    return result;
}

static void
fail(const struct kiln_asked *asked, const struct kiln_answer *answer)
{
    bool known = *answer->version != '\0';
    PyObject *path = known ? PyUnicode_DecodeFSDefault(answer->path) : NULL;
    PyObject *message =
        known && path == NULL
            ? NULL
            : describe(asked, answer,
                       known ? ", without a file for this module; link the program again, or "
                               "install the version that is linked into it"
                             : "; other modules of it were loaded from files, and this one has "
                               "none");
    if (message != NULL) {
        PyErr_SetImportError(message, asked->name, path);
    }
    Py_XDECREF(message);
    Py_XDECREF(path);
}

/* The spec of the module's file, with a warning the first time. */
static PyObject *
use_file(const struct kiln_asked *asked, struct kiln_answer *answer)
{
    PyObject *spec = kiln_find_behind(asked->finder, asked->name, asked->path);
    if (spec == NULL) {
        if (!PyErr_Occurred()) {
            fail(asked, answer);
        }
        return NULL;
    }
    if (!__atomic_exchange_n(&answer->warned, 1, __ATOMIC_RELAXED) &&
        warn(asked, answer,
             *answer->version == '\0'
                 ? "; its modules are loaded from files"
                 : "; its modules are loaded from files; link the program again") < 0)
    {
        Py_CLEAR(spec);
    }
    return spec;
}

static bool
is_constant(const struct kiln_answer *answer)
{
    return answer == &kiln_answer_fits || answer == &kiln_answer_absent;
}

/* Make ANSWER that of the process in the place of OLD. False if another thread was faster. */
static bool
set_answer(const struct kiln_asked *asked, struct kiln_answer *old, struct kiln_answer *answer)
{
    void *expected = old;
    bool set = __atomic_compare_exchange_n(&asked->distribution->answer, &expected, answer, false,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (!set && !is_constant(answer)) {
        free(answer);
    }
    return set;
}

/* Nothing tells the version: is there a file? 1, 0, or -1 with an exception. */
static int
has_file(const struct kiln_asked *asked)
{
    PyObject *spec = kiln_find_behind(asked->finder, asked->name, asked->path);
    int result = spec != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(spec);
    return result;
}

/* Find the answer and set it: 0; 1 if there is nothing to compare with; -1 with an exception. */
static int
settle(const struct kiln_asked *asked, struct kiln_answer *old)
{
    if (asked->parent_len > 0 && asked->path == Py_None) {
        return 1; /* no import, but somebody who asks the finder itself */
    }
    struct kiln_answer *answer = kiln_skew_look(asked);
    if (answer == NULL) {
        return -1;
    }
    if (asked->parent_len > 0 && answer == &kiln_answer_absent) {
        return 1;
    }
    if (is_constant(answer) || *answer->version != '\0') {
        set_answer(asked, old, answer);
        return 0;
    }
    int file = has_file(asked);
    if (file > 0) {
        set_answer(asked, old, answer);
        return 0;
    }
    free(answer);
    return file == 0 && set_answer(asked, old, &kiln_answer_fits)
               ? warn(asked, NULL, "; its modules are taken from the program")
               : file;
}

int
kiln_skew_check(PyObject *finder, PyObject *name, unsigned flags, PyObject *path, PyObject **spec)
{
    Py_ssize_t len;
    struct kiln_asked asked = {.finder = finder, .name = name, .path = path, .flags = flags};
    *spec = NULL;
    asked.text = PyUnicode_AsUTF8AndSize(name, &len);
    if (asked.text == NULL) {
        return -1;
    }
    asked.len = (size_t)len;
    asked.distribution = kiln_distribution_find(asked.text, asked.len);
    if (asked.distribution == NULL) {
        return 1;
    }
    const char *dot = strrchr(asked.text, '.');
    asked.parent_len = dot == NULL ? 0 : (size_t)(dot - asked.text);
    int fits = 1;
    for (;;) {
        struct kiln_answer *answer = __atomic_load_n(&asked.distribution->answer, __ATOMIC_ACQUIRE);
        if (answer == &kiln_answer_fits || (answer == &kiln_answer_absent && dot == NULL)) {
            return fits;
        }
        if (answer != NULL && answer != &kiln_answer_absent) {
            *spec = use_file(&asked, answer);
            return *spec == NULL ? -1 : 0;
        }
        int result = settle(&asked, answer);
        if (result != 0) {
            return result < 0 ? -1 : KILN_SKEW_LOOKED;
        }
        fits = KILN_SKEW_LOOKED;
    }
}
