/* The name of the init function of a module whose name is not ASCII (PEP 489): PyInitU_ and the
 * last component in Punycode, with '_' for '-'. CPython uses it in messages, too. */
#include "create/parts.h"

#include "core/python.h"

PyObject *
kiln_encode_hook_name(const char *short_name)
{
    if (kiln_is_ascii(short_name)) {
        return NULL;
    }
    PyObject *name = PyUnicode_FromString(short_name);
    if (name == NULL) {
        return NULL;
    }
    PyObject *encoded = PyUnicode_AsEncodedString(name, "punycode", NULL);
    Py_DECREF(name);
    PyObject *result =
        encoded == NULL ? NULL : PyObject_CallMethod(encoded, "replace", "yy", "-", "_");
    Py_XDECREF(encoded);
    return result;
}
