/* Warnings about imports. */
#include <string.h>

#include "core/python.h"

/* Returns whether FRAME is one of importlib's. */
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

/* Returns the stack level of the import, for a warning. */
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

int
kiln_warn_of_import(PyObject *category, PyObject *message)
{
    const char *text = PyUnicode_AsUTF8(message);
    return text == NULL ? -1 : PyErr_WarnEx(category, text, get_stack_level());
}
