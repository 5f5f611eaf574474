/* The place of a module that was baked from a file: where that file is, or would be. The directory may be
 * another than it was when the module was baked. */
#include "find/place.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "core/python.h"
#include "kiln/internal/settings.h"

/* Returns DIRECTORY/BASE. */
static PyObject *
join_base(PyObject *directory, const char *base)
{
    if (!PyUnicode_IS_ASCII(directory) || !kiln_is_ascii(base)) {
        PyObject *name = PyUnicode_DecodeFSDefault(base);
        PyObject *place = name == NULL ? NULL : PyUnicode_FromFormat("%U/%U", directory, name);
        Py_XDECREF(name);
        return place;
    }
    size_t len = (size_t)PyUnicode_GET_LENGTH(directory), base_len = strlen(base);
    PyObject *place = PyUnicode_New((Py_ssize_t)(len + 1 + base_len), 127);
    if (place != NULL) {
        Py_UCS1 *to = PyUnicode_1BYTE_DATA(place);
        memcpy(to, PyUnicode_1BYTE_DATA(directory), len);
        to[len] = '/';
        memcpy(to + len + 1, base, base_len);
    }
    return place;
}

static bool
is_directory_named(PyObject *directory, const char *name)
{
    if (!PyUnicode_Check(directory)) {
        return false;
    }
    if (kiln_is_ascii(name)) {
        return PyUnicode_CompareWithASCIIString(directory, name) == 0;
    }
    PyObject *text = PyUnicode_DecodeFSDefault(name);
    bool result = text != NULL && PyUnicode_Compare(directory, text) == 0;
    PyErr_Clear();
    Py_XDECREF(text);
    return result;
}

static bool
is_file_in(PyObject *directory, const char *base)
{
    PyObject *path = PyUnicode_Check(directory) ? join_base(directory, base) : NULL;
    PyObject *bytes = path == NULL ? NULL : PyUnicode_EncodeFSDefault(path);
    struct stat status;
    bool result = bytes != NULL && stat(PyBytes_AS_STRING(bytes), &status) == 0;
    PyErr_Clear(); /* the name cannot be encoded */
    Py_XDECREF(bytes);
    Py_XDECREF(path);
    return result;
}

/* Returns which of DIRECTORIES, a tuple, the file is in: the one in which it was, or else one in which it
 * is. Borrowed; NULL: none. */
static PyObject *
find_directory_of(const struct kiln_module_file *file, PyObject *directories)
{
    const char *old = kiln_distance_get_string(&file->directory);
    const char *base = kiln_distance_get_string(&file->base);
    Py_ssize_t count = PyTuple_GET_SIZE(directories);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *directory = PyTuple_GET_ITEM(directories, i);
        if (is_directory_named(directory, old)) {
            return directory;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *directory = PyTuple_GET_ITEM(directories, i);
        if (is_file_in(directory, base)) {
            return directory;
        }
    }
    return NULL;
}

PyObject *
kiln_place_get_directory(const struct kiln_module_file *file, PyObject *path)
{
    PyObject *search_path = path == NULL ? kiln_get_sys("path") : path;
    /* A copy, as other threads may change the list. */
    PyObject *directories = search_path == NULL ? PyTuple_New(0) : PySequence_Tuple(search_path);
    if (search_path != path) {
        Py_XDECREF(search_path);
    }
    if (directories == NULL) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(directories);
    PyObject *first = count == 0 ? NULL : PyTuple_GET_ITEM(directories, 0);
    bool has_first = path != NULL && first != NULL && PyUnicode_Check(first);
    PyObject *directory = has_first && count == 1 ? first : find_directory_of(file, directories);
    directory = directory == NULL && has_first ? first : directory;
    Py_XINCREF(directory);
    Py_DECREF(directories);
    return directory == NULL ? PyUnicode_DecodeFSDefault(kiln_distance_get_string(&file->directory))
                             : directory;
}

PyObject *
kiln_place_get(const struct kiln_module_file *file, PyObject *path)
{
    PyObject *directory = kiln_place_get_directory(file, path);
    PyObject *place =
        directory == NULL ? NULL : join_base(directory, kiln_distance_get_string(&file->base));
    Py_XDECREF(directory);
    return place;
}
