/* kiln_image_start(): prepare a module's image, or raise what CPython's loader of shared libraries
 * would raise if dlopen() failed. */
#include "create/parts.h"

#include <string.h>

#include "kiln/internal/images.h"

/* Bytes of a message, which has a path and perhaps the name of a C++ symbol. */
enum { TEXT_SIZE = 8192 };

/* The last component of the module's name, as dynload has it from the name of the file: up to the
 * first dot, which begins the suffix. */
static PyObject *
get_short_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    PyObject *name = PyUnicode_FromStringAndSize(base, (Py_ssize_t)strcspn(base, "."));
    PyObject *encoded = name == NULL ? NULL : kiln_encode_hook_name(PyUnicode_AsUTF8(name));
    if (encoded != NULL) {
        Py_SETREF(name, PyUnicode_FromEncodedObject(encoded, "ascii", NULL));
        Py_DECREF(encoded);
    }
    return name;
}

static int
raise(uint32_t index, const char *text)
{
    const char *file = kiln_image_strings + kiln_image_records[index].path;
    PyObject *message = PyUnicode_DecodeLocale(text, "surrogateescape");
    PyObject *path = message == NULL ? NULL : PyUnicode_DecodeFSDefault(file);
    PyObject *name = path == NULL ? NULL : get_short_name(file);
    if (name != NULL) {
        PyErr_SetImportError(message, name, path);
    }
    Py_XDECREF(message);
    Py_XDECREF(path);
    Py_XDECREF(name);
    return -1;
}

int
kiln_image_start(uint32_t index)
{
    char text[TEXT_SIZE];
    const char *error = kiln_image_prepare(index, text, sizeof text);
    return error == NULL ? 0 : raise(index, error);
}
