/* Where a distribution is installed, and in which version: the part of skew.c that searches paths.
 * It finds what Python itself would find, as the modules that are not baked come from there. */
#include "skew/look.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/python.h"
#include "kiln/internal/fingerprint.h"
#include "kiln/internal/settings.h"
#include "kiln/table.h"

/* Returns whether DIRECTORY (LEN bytes) ends in the components of the parent package. */
static bool
ends_in_parent(const struct kiln_asked *asked, const char *directory, size_t len)
{
    if (len < asked->parent_len) {
        return false;
    }
    const char *tail = directory + len - asked->parent_len;
    for (size_t i = 0; i < asked->parent_len; i++) {
        if (tail[i] != (asked->text[i] == '.' ? '/' : asked->text[i])) {
            return false;
        }
    }
    return tail == directory || asked->parent_len == 0 || tail[-1] == '/';
}

/* Sets OUT to ENTRY of the search path without the components of the parent package, with a slash
 * at its end; or to "", the working directory. Returns false if ENTRY has other components, as in
 * editable installs. */
static bool
get_prefix(const struct kiln_asked *asked, PyObject *entry, char out[PATH_MAX])
{
    PyObject *bytes = PyUnicode_Check(entry) ? PyUnicode_EncodeFSDefault(entry) : NULL;
    if (bytes == NULL) {
        PyErr_Clear();
        return false;
    }
    const char *directory = PyBytes_AS_STRING(bytes);
    size_t len = strlen(directory);
    while (len > 1 && directory[len - 1] == '/') {
        len--;
    }
    bool result = len < PATH_MAX - 1 && ends_in_parent(asked, directory, len);
    if (result) {
        len -= asked->parent_len;
        bool slash = len > 0 && directory[len - 1] != '/';
        snprintf(out, PATH_MAX, "%.*s%s", (int)len, directory, slash ? "/" : "");
    }
    Py_DECREF(bytes);
    return result;
}

/* Returns whether there is a file below PREFIX from which Python would load the module. */
static bool
has_file(const struct kiln_asked *asked, const char *prefix, PyObject *suffixes)
{
    char path[PATH_MAX];
    size_t prefix_len = strlen(prefix);
    const char *init = (asked->flags & KILN_MODULE_PACKAGE) != 0 ? "/__init__" : "";
    for (Py_ssize_t i = 0; i <= PyList_GET_SIZE(suffixes); i++) {
        const char *suffix =
            i == PyList_GET_SIZE(suffixes) ? ".py" : PyUnicode_AsUTF8(PyList_GET_ITEM(suffixes, i));
        int len = suffix == NULL
                      ? -1
                      : snprintf(path, sizeof path, "%s%s%s%s", prefix, asked->text, init, suffix);
        if (len < 0 || (size_t)len >= sizeof path) {
            PyErr_Clear();
            continue;
        }
        for (size_t j = prefix_len; j < prefix_len + asked->len; j++) {
            path[j] = path[j] == '.' ? '/' : path[j];
        }
        if (access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* One search: where to look, and what to skip. */
struct look {
    const struct kiln_asked *asked;
    PyObject *entries; /* of the search path, a tuple */
    Py_ssize_t count;
    /* Set for top-level modules; "" and NULL: not known. */
    char standard_library[PATH_MAX]; /* a prefix */
    PyObject *importer_cache;        /* sys.path_importer_cache, a strong reference */
};

/* The standard library's directory has no metadata of distributions. Python knows already which
 * entries do not exist. */
static void
find_what_to_skip(struct look *look)
{
    look->importer_cache = kiln_get_sys("path_importer_cache");
    if (look->importer_cache != NULL && !PyDict_Check(look->importer_cache)) {
        Py_CLEAR(look->importer_cache);
    }
    PyObject *name = PyUnicode_FromString("os");
    PyObject *os = name == NULL ? NULL : PyImport_GetModule(name);
    PyObject *file = os == NULL ? NULL : PyObject_GetAttrString(os, "__file__");
    const char *text = file == NULL ? NULL : PyUnicode_AsUTF8(file);
    const char *slash = text == NULL ? NULL : strrchr(text, '/');
    if (slash != NULL && strlen(text) < sizeof look->standard_library) {
        memcpy(look->standard_library, text, (size_t)(slash + 1 - text));
    }
    Py_XDECREF(file);
    Py_XDECREF(os);
    Py_XDECREF(name);
    PyErr_Clear();
}

/* Returns whether Python has found that there is no finder for ENTRY, a str. */
static bool
has_no_finder(const struct look *look, PyObject *entry)
{
    PyObject *finder =
        look->importer_cache == NULL ? NULL : PyDict_GetItemWithError(look->importer_cache, entry);
    PyErr_Clear();
    return finder == Py_None;
}

static bool
is_standard_library(const struct look *look, const char *prefix)
{
    size_t len = strlen(look->standard_library);
    return len > 0 && strncmp(prefix, look->standard_library, len) == 0 &&
           (prefix[len] == '\0' || strcmp(prefix + len, "lib-dynload/") == 0);
}

/* Returns whether entry INDEX can have the distribution; then sets PREFIX. */
static bool
get_place(const struct look *look, Py_ssize_t index, char prefix[PATH_MAX])
{
    PyObject *entry = PyTuple_GET_ITEM(look->entries, index);
    return get_prefix(look->asked, entry, prefix) && !is_standard_library(look, prefix) &&
           !has_no_finder(look, entry);
}

/* Returns the index of the first entry below END with a file of the module; END if there is none;
 * -1 with an exception. */
static Py_ssize_t
find_file(const struct look *look, Py_ssize_t end)
{
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *imp = bootstrap == NULL ? NULL : PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *suffixes = imp == NULL ? NULL : PyObject_CallMethod(imp, "extension_suffixes", NULL);
    Py_ssize_t index = suffixes == NULL ? -1 : 0;
    char prefix[PATH_MAX];
    while (index >= 0 && index < end &&
           !(get_place(look, index, prefix) && has_file(look->asked, prefix, suffixes)))
    {
        index++;
    }
    Py_XDECREF(suffixes);
    Py_XDECREF(imp);
    Py_XDECREF(bootstrap);
    return index;
}

/* Returns the index of the first entry with metadata of the version that was baked; the count if
 * there is none. */
static Py_ssize_t
find_version(const struct look *look)
{
    char prefix[PATH_MAX];
    Py_ssize_t index = 0;
    while (index < look->count && !(get_place(look, index, prefix) &&
                                    kiln_dist_info_exists(prefix, look->asked->distribution)))
    {
        index++;
    }
    return index;
}

/* Returns the verdict on entry INDEX; NULL with an exception, or without one if nothing is
 * installed there. */
static struct kiln_verdict *
search_entry(const struct look *look, Py_ssize_t index)
{
    char prefix[PATH_MAX];
    if (!get_place(look, index, prefix)) {
        return NULL;
    }
    struct kiln_verdict *other;
    int result;
    Py_BEGIN_ALLOW_THREADS
    result = kiln_dist_info_search(prefix, look->asked->distribution, &other);
    Py_END_ALLOW_THREADS
    if (result < 0) {
        PyErr_NoMemory();
    }
    return result > 0 ? &kiln_verdict_fits : other;
}

/* Returns the verdict on entry INDEX, where the version that was baked is installed, or has been. */
static struct kiln_verdict *
confirm(const struct look *look, Py_ssize_t index)
{
    struct kiln_verdict *verdict = search_entry(look, index);
    return verdict != NULL || PyErr_Occurred() ? verdict : &kiln_verdict_fits;
}

static struct kiln_verdict *
make_unknown(void)
{
    struct kiln_verdict *verdict = kiln_verdict_new("", "", "");
    return verdict == NULL ? (struct kiln_verdict *)PyErr_NoMemory() : verdict;
}

/* The slow way. FILE is the index of the entry with a file of the module, which does not have the
 * version that was baked; or the count if there is no such entry. */
static struct kiln_verdict *
search(const struct look *look, Py_ssize_t file)
{
    bool anywhere = file == look->count;
    Py_ssize_t end = anywhere ? look->count : file + 1;
    struct kiln_verdict *verdict = NULL;
    for (Py_ssize_t i = anywhere ? 0 : file; i < end && verdict == NULL; i++) {
        verdict = search_entry(look, i);
        if (verdict == NULL && PyErr_Occurred()) {
            return NULL;
        }
    }
    /* No file of a top-level module, or a package without a directory: nothing is installed. */
    bool absent = look->asked->parent_len == 0 ? anywhere : look->count == 0;
    return verdict != NULL ? verdict : absent ? &kiln_verdict_absent : make_unknown();
}

static struct kiln_verdict *
run_look(struct look *look)
{
    Py_ssize_t version = find_version(look);
    if (version == 0 && look->count > 0) {
        return confirm(look, 0);
    }
    /* Python takes a copy in an entry before it, if there is one. */
    Py_ssize_t file = find_file(look, version);
    if (file == version) {
        return version < look->count ? confirm(look, version) : search(look, look->count);
    }
    return file < 0 ? NULL : search(look, file);
}

/* -- Without metadata ------------------------------------------------------------------------------ */

/* Returns item INDEX of PATHS, a tuple, as a C string, the content of *BYTES, which is released before; NULL
 * if it is none, and at the end. */
static const char *
get_path(PyObject *paths, Py_ssize_t index, PyObject **bytes)
{
    Py_CLEAR(*bytes);
    PyObject *item = index < PyTuple_GET_SIZE(paths) ? PyTuple_GET_ITEM(paths, index) : NULL;
    if (item != NULL && PyUnicode_Check(item)) {
        *bytes = PyUnicode_EncodeFSDefault(item);
        PyErr_Clear();
    }
    return *bytes == NULL ? NULL : PyBytes_AS_STRING(*bytes);
}

/* Returns a tuple of PATH's items, or of none. */
static PyObject *
copy_paths(PyObject *path)
{
    PyObject *copy = path == NULL ? NULL : PySequence_Tuple(path);
    PyErr_Clear();
    return copy == NULL ? PyTuple_New(0) : copy;
}

enum kiln_package
kiln_skew_compare(const struct kiln_asked *asked)
{
    enum kiln_package result = KILN_PACKAGE_UNKNOWN;
    if (asked->file == NULL || asked->file->python_files == 0) {
        return result;
    }
    PyObject *paths = copy_paths(asked->path), *bytes = NULL;
    Py_ssize_t count = paths == NULL ? 0 : PyTuple_GET_SIZE(paths);
    for (Py_ssize_t i = 0; i < count && result != KILN_PACKAGE_SAME; i++) {
        const char *directory = get_path(paths, i, &bytes);
        uint64_t found = directory == NULL ? 0 : kiln_fingerprint_directory(directory);
        if (found != 0) {
            result = found == asked->file->python_files ? KILN_PACKAGE_SAME : KILN_PACKAGE_OTHER;
        }
    }
    Py_XDECREF(bytes);
    Py_XDECREF(paths);
    PyErr_Clear();
    return result;
}

/* Returns whether ITEM is the LEN bytes at DIRECTORY. */
static bool
is_directory(PyObject *item, const char *directory, size_t len)
{
    if (!PyUnicode_Check(item)) {
        return false;
    }
    if (PyUnicode_IS_ASCII(item)) {
        return (size_t)PyUnicode_GET_LENGTH(item) == len &&
               memcmp(PyUnicode_1BYTE_DATA(item), directory, len) == 0;
    }
    PyObject *bytes = PyUnicode_EncodeFSDefault(item);
    bool result = bytes != NULL && (size_t)PyBytes_GET_SIZE(bytes) == len &&
                  memcmp(PyBytes_AS_STRING(bytes), directory, len) == 0;
    Py_XDECREF(bytes);
    PyErr_Clear();
    return result;
}

/* Returns whether PATH has the LEN bytes at DIRECTORY as an item. */
static bool
has_directory(PyObject *path, const char *directory, size_t len)
{
    bool is_list = PyList_CheckExact(path), found = false;
    PyObject *items = is_list ? path : copy_paths(path), *item;
    for (Py_ssize_t i = 0; items != NULL && !found; i++) {
        if (is_list) {
            item = kiln_get_item(items, i);
        }
        else {
            item = i < PyTuple_GET_SIZE(items) ? PyTuple_GET_ITEM(items, i) : NULL;
            Py_XINCREF(item);
        }
        if (item == NULL) {
            break;
        }
        found = is_directory(item, directory, len);
        Py_DECREF(item);
    }
    if (!is_list) {
        Py_XDECREF(items);
    }
    PyErr_Clear();
    return found;
}

bool
kiln_skew_is_in_front(const struct kiln_asked *asked)
{
    const char *directory =
        asked->file == NULL ? NULL : kiln_distance_get_string(&asked->file->directory);
    size_t len = directory == NULL ? 0 : strlen(directory);
    if (len <= asked->parent_len + 1 || !ends_in_parent(asked, directory, len) ||
        has_directory(asked->path, directory, len))
    {
        return false;
    }
    PyObject *path = kiln_get_sys("path");
    bool result = path != NULL && has_directory(path, directory, len - asked->parent_len - 1);
    Py_XDECREF(path);
    return result;
}

struct kiln_verdict *
kiln_skew_look(const struct kiln_asked *asked)
{
    PyObject *path = asked->path == Py_None ? kiln_get_sys("path") : asked->path;
    struct look look = {.asked = asked};
    /* A copy, as other threads may change the list. */
    look.entries = path == NULL ? PyTuple_New(0) : PySequence_Tuple(path);
    if (path != asked->path) {
        Py_XDECREF(path);
    }
    if (look.entries == NULL) {
        return NULL;
    }
    look.count = PyTuple_GET_SIZE(look.entries);
    if (asked->parent_len == 0) {
        find_what_to_skip(&look);
    }
    struct kiln_verdict *verdict = run_look(&look);
    Py_XDECREF(look.importer_cache);
    Py_DECREF(look.entries);
    return verdict;
}
