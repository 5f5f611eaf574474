/* Version skew: the pure part of a package is read from sys.path, where another version may have
 * been installed since the executable was linked. Machine code of one version must not run with
 * Python code of another. The finder asks here at the first import of a module of each
 * distribution.
 *
 * Usually little is needed: the metadata of the version that was baked (the directory
 * NAME-VERSION.dist-info) are in the directory in which the parent package was found, or, for a
 * top-level module, in one on sys.path, and no newer ones are there. That directory is read once for
 * all distributions (listing.c), others only if it has none. The verdict holds for
 * the process, whatever path an interpreter has later, so that the modules of one distribution are
 * either all baked or all from files:
 *
 *     the version that was baked        baked
 *     another version                   files: what the finders behind ours find
 *     no metadata                       as the first module: its file if it has one; else baked, unless
 *                                       the package's Python files are not those of the link
 *     no metadata, a top-level module   not installed, and nothing to mix with: baked
 *
 * The last verdict is dropped when a module in a package asks, as the package has been found then.
 * Two threads may look at the same time; the verdict of the first counts.
 *
 * Before all that, the process may be one in which only the file is right: scope.c. */
#include "skew/skew.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/python.h"
#include "kiln/internal/images.h"
#include "kiln/internal/settings.h"
#include "create/create.h"
#include "skew/look.h"
#include "skew/scope.h"

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
            return (struct kiln_distribution *)kiln_distance_resolve(&entry->function);
        }
    }
    return NULL;
}

/* Returns the message for VERDICT, with END at its end. VERDICT is NULL if the version is not
 * known. */
static PyObject *
describe(const struct kiln_asked *asked, const struct kiln_verdict *verdict, const char *end)
{
    const char *name = kiln_distance_get_string(&asked->distribution->name);
    const char *version = kiln_distance_get_string(&asked->distribution->version);
    if (verdict == NULL || *verdict->version == '\0') {
        return PyUnicode_FromFormat("%U: %s %s is linked into the program; which version is "
                                    "installed is not known, as there is no .dist-info of it "
                                    "beside the package%s",
                                    asked->name, name, version, end);
    }
    return PyUnicode_FromFormat("%U: %s %s is linked into the program, but version %s is installed "
                                "(%s)%s",
                                asked->name, name, version, verdict->version, verdict->path, end);
}

static int
warn(const struct kiln_asked *asked, const struct kiln_verdict *verdict, const char *end)
{
    PyObject *message = describe(asked, verdict, end);
    int result = message == NULL ? -1 : kiln_warn_of_import(PyExc_ImportWarning, message);
    Py_XDECREF(message);
    return result;
}

#define OTHER_FILES                                                                                \
    ", and the package has other Python files beside this module than when it was linked"

static void
fail(const struct kiln_asked *asked, const struct kiln_verdict *verdict)
{
    bool known = *verdict->version != '\0';
    const char *end = known ? ", without a file for this module; link the program again, or "
                              "install the version that is linked into it"
                      : verdict->other_files
                          ? OTHER_FILES "; link the program again, or remove that package"
                          : "; other modules of it were loaded from files, and this one has none";
    PyObject *path = known ? PyUnicode_DecodeFSDefault(verdict->path) : NULL;
    PyObject *message = known && path == NULL ? NULL : describe(asked, verdict, end);
    if (message != NULL) {
        PyErr_SetImportError(message, asked->name, path);
    }
    Py_XDECREF(message);
    Py_XDECREF(path);
}

/* Returns the spec of the module's file. Warns the first time. */
static PyObject *
use_file(const struct kiln_asked *asked, struct kiln_verdict *verdict)
{
    PyObject *spec = kiln_find_behind(asked->finder, asked->name, asked->path);
    if (spec == NULL) {
        if (!PyErr_Occurred()) {
            fail(asked, verdict);
        }
        return NULL;
    }
    if (!__atomic_exchange_n(&verdict->warned, 1, __ATOMIC_RELAXED) &&
        warn(asked, verdict,
             *verdict->version == '\0'
                 ? "; its modules are loaded from files"
                 : "; its modules are loaded from files; link the program again") < 0)
    {
        Py_CLEAR(spec);
    }
    return spec;
}

static bool
is_constant(const struct kiln_verdict *verdict)
{
    return verdict == &kiln_verdict_fits || verdict == &kiln_verdict_absent;
}

/* Makes VERDICT that of the process, in place of OLD. Returns false if another thread was
 * faster. */
static bool
set_verdict(const struct kiln_asked *asked, struct kiln_verdict *old, struct kiln_verdict *verdict)
{
    void *expected = old;
    bool set = __atomic_compare_exchange_n(&asked->distribution->verdict, &expected, verdict, false,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (!set && !is_constant(verdict)) {
        free(verdict);
    }
    return set;
}

/* Returns whether the finders behind ours find the module; -1 with an exception. */
static int
has_file(const struct kiln_asked *asked)
{
    PyObject *spec = kiln_find_behind(asked->finder, asked->name, asked->path);
    int result = spec != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(spec);
    return result;
}

/* Finds the verdict and sets it. Returns 0; 1 if there is nothing to compare with; -1 with an
 * exception. */
static int
settle(const struct kiln_asked *asked, struct kiln_verdict *old)
{
    if (asked->parent_len > 0 && asked->path == Py_None) {
        return 1; /* not an import, but a direct call of the finder */
    }
    struct kiln_verdict *verdict = kiln_skew_look(asked);
    if (verdict == NULL) {
        return -1;
    }
    if (asked->parent_len > 0 && verdict == &kiln_verdict_absent) {
        return 1;
    }
    if (is_constant(verdict) || *verdict->version != '\0') {
        set_verdict(asked, old, verdict);
        return 0;
    }
    int file = has_file(asked);
    verdict->other_files = file == 0 && kiln_skew_compare(asked) == KILN_PACKAGE_OTHER;
    if (file > 0 || verdict->other_files) {
        set_verdict(asked, old, verdict);
        return 0;
    }
    free(verdict);
    return file == 0 && set_verdict(asked, old, &kiln_verdict_fits)
               ? warn(asked, NULL, "; its modules are taken from the program")
               : file;
}

/* Returns whether another file is in the place of the one that the module was unlinked from. */
static bool
is_outdated(const struct kiln_asked *asked)
{
    char path[PATH_MAX];
    int len = asked->file == NULL || &kiln_images == NULL
                  ? 0
                  : snprintf(path, sizeof path, "%s/%s",
                             kiln_distance_get_string(&asked->file->directory),
                             kiln_distance_get_string(&asked->file->base));
    return len > 0 && (size_t)len < sizeof path && kiln_image_is_outdated(path);
}

/* Returns 0 with the *SPEC of the file of a module of no distribution, and a warning that says why, in END. Without a
 * file, that is an ImportError if MUST_BE, or the module is taken from the program. */
static int
prefer_file(const struct kiln_asked *asked, const char *end, bool must_be, PyObject **spec)
{
    *spec = kiln_find_behind(asked->finder, asked->name, asked->path);
    if (*spec == NULL && !must_be && !PyErr_Occurred()) {
        return KILN_SKEW_LOOKED;
    }
    PyObject *message = *spec == NULL && PyErr_Occurred()
                            ? NULL
                            : PyUnicode_FromFormat(
                                  "%U: it is linked into the program%s%s", asked->name, end,
                                  *spec == NULL ? "; link the program again, or remove that package"
                                                : "; it is loaded from its file");
    if (*spec == NULL && message != NULL) {
        PyErr_SetImportError(message, asked->name, NULL);
    }
    else if (message == NULL || kiln_warn_of_import(PyExc_ImportWarning, message) < 0) {
        Py_CLEAR(*spec);
    }
    Py_XDECREF(message);
    return *spec == NULL ? -1 : 0;
}

/* For a module of no distribution. Its file may have been built anew, and with it the Python files. A package in front of
 * the one that it was baked with, a source tree say, is another one if its Python files are others. */
static int
check_place(const struct kiln_asked *asked, PyObject **spec)
{
    bool is_in_package = asked->parent_len > 0 && asked->path != Py_None;
    if (is_in_package && kiln_skew_is_in_front(asked)) {
        return kiln_skew_compare(asked) == KILN_PACKAGE_OTHER
                   ? prefer_file(asked, OTHER_FILES, true, spec)
                   : 1;
    }
    return (is_in_package || asked->parent_len == 0) && is_outdated(asked)
               ? prefer_file(asked, ", but another file is in its place now", false, spec)
               : 1;
}

/* Python searches for an extension of the standard library, and may come upon a module of that name
 * before, a script's own, say. */
static int
check_standard(PyObject *finder, PyObject *name, PyObject *path, PyObject **spec)
{
    PyObject *found = kiln_find_behind(finder, name, path);
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : KILN_SKEW_LOOKED;
    }
    PyObject *origin = PyObject_GetAttrString(found, "origin");
    const char *text = origin == NULL || !PyUnicode_Check(origin) ? NULL : PyUnicode_AsUTF8(origin);
    bool is_ours = text != NULL && strstr(text, "/lib-dynload/") != NULL;
    PyErr_Clear();
    Py_XDECREF(origin);
    if (is_ours) {
        Py_DECREF(found);
        return KILN_SKEW_LOOKED;
    }
    *spec = found;
    return 0;
}

/* Returns as kiln_skew_check(). */
static int
check_version(PyObject *finder, PyObject *name, const struct kiln_target *target, PyObject *path,
              PyObject **spec)
{
    Py_ssize_t len;
    struct kiln_asked asked = {
        .finder = finder, .name = name, .path = path, .flags = target->flags, .file = target->file};
    if ((target->flags & KILN_MODULE_STANDARD) != 0) {
        return check_standard(finder, name, path, spec);
    }
    asked.text = PyUnicode_AsUTF8AndSize(name, &len);
    if (asked.text == NULL) {
        return -1;
    }
    asked.len = (size_t)len;
    asked.distribution = kiln_distribution_find(asked.text, asked.len);
    const char *dot = strrchr(asked.text, '.');
    asked.parent_len = dot == NULL ? 0 : (size_t)(dot - asked.text);
    if (asked.distribution == NULL) {
        return check_place(&asked, spec);
    }
    int fits = 1;
    for (;;) {
        struct kiln_verdict *verdict =
            __atomic_load_n(&asked.distribution->verdict, __ATOMIC_ACQUIRE);
        if (verdict == &kiln_verdict_fits || (verdict == &kiln_verdict_absent && dot == NULL)) {
            return fits;
        }
        if (verdict != NULL && verdict != &kiln_verdict_absent) {
            *spec = use_file(&asked, verdict);
            return *spec == NULL ? -1 : 0;
        }
        int result = settle(&asked, verdict);
        if (result != 0) {
            return result < 0 ? -1 : KILN_SKEW_LOOKED;
        }
        fits = KILN_SKEW_LOOKED;
    }
}

int
kiln_skew_check(PyObject *finder, PyObject *get_flags, PyObject *name,
                const struct kiln_target *target, PyObject *path, PyObject **spec)
{
    *spec = NULL;
    int scope = kiln_scope_check(finder, get_flags, name, path, spec);
    int version = scope <= 0 ? scope : check_version(finder, name, target, path, spec);
    return version > 0 && scope == KILN_SKEW_LOOKED ? scope : version;
}
