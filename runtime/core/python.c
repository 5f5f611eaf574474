/* Helpers over the C API: importlib's and sys's objects, small conversions, exceptions. */
#include "core/python.h"

#include <marshal.h>
#include <string.h>

PyObject *
kiln_get_bootstrap(void)
{
    PyObject *name = PyUnicode_FromString("_frozen_importlib");
    PyObject *bootstrap = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (bootstrap == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ImportError, "Kiln needs importlib, and it is not there yet");
    }
    return bootstrap;
}

PyObject *
kiln_get_bootstrap_external(PyObject *bootstrap)
{
    PyObject *name = PyUnicode_FromString("_frozen_importlib_external");
    PyObject *external = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (external == NULL && !PyErr_Occurred()) {
        Py_INCREF(bootstrap);
        external = bootstrap;
    }
    return external;
}

/* Returns what `kiln link` has kept of CODE; NULL without an exception if there is nothing for this interpreter. */
static PyObject *
read_code(enum kiln_python_code code)
{
    if (kiln_python_code == NULL || strcmp(kiln_python_code, Py_GetVersion()) != 0) {
        return NULL;
    }
    const char *at = kiln_python_code + strlen(kiln_python_code) + 1;
    for (int i = 0;; i++) {
        uint32_t len;
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        if (i == (int)code) {
            return PyMarshal_ReadObjectFromString(at, (Py_ssize_t)len);
        }
        at += len;
    }
}

static PyObject *
get_code(enum kiln_python_code code)
{
    static const struct {
        const char *source, *file;
    } sources[KILN_CODE_COUNT] = {
        [KILN_CODE_LOADER] = {KILN_SOURCE_LOADER, KILN_FILE_OF_EXTERNAL},
        [KILN_CODE_IMPORT] = {KILN_SOURCE_IMPORT, KILN_FILE_OF_BOOTSTRAP},
    };
    PyObject *kept = read_code(code);
    return kept != NULL || PyErr_Occurred()
               ? kept
               : Py_CompileString(sources[code].source, sources[code].file, Py_file_input);
}

PyObject *
kiln_get_make(PyObject *module, enum kiln_python_code which)
{
    PyObject *code = get_code(which);
    PyObject *locals = code == NULL ? NULL : PyDict_New();
    PyObject *result =
        locals == NULL ? NULL : PyEval_EvalCode(code, PyModule_GetDict(module), locals);
    PyObject *make = result == NULL ? NULL : PyDict_GetItemString(locals, "make");
    Py_XINCREF(make);
    Py_XDECREF(result);
    Py_XDECREF(locals);
    Py_XDECREF(code);
    return make;
}

/* The `self` of CPython's function is the module _imp; that of a replacement is the function that
 * it replaces. */
PyObject *
kiln_get_imp_function(PyObject *bootstrap, const char *name)
{
    PyObject *imp = PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *function = imp == NULL ? NULL : PyObject_GetAttrString(imp, name);
    Py_XDECREF(imp);
    PyObject *self =
        function != NULL && PyCFunction_Check(function) ? PyCFunction_GetSelf(function) : NULL;
    if (self != NULL && PyCFunction_Check(self)) {
        Py_INCREF(self);
        Py_SETREF(function, self);
    }
    return function;
}

bool
kiln_is_ascii(const char *text)
{
    while (*text != '\0' && (*text & 0x80) == 0) { /* a char may be unsigned */
        text++;
    }
    return *text == '\0';
}

bool
kiln_is_flag_set(const char *name)
{
    PyObject *flags = kiln_get_sys("flags");
    PyObject *flag = flags == NULL ? NULL : PyObject_GetAttrString(flags, name);
    Py_XDECREF(flags);
    bool result = flag != NULL && PyObject_IsTrue(flag) == 1;
    Py_XDECREF(flag);
    PyErr_Clear();
    return result;
}

PyObject *
kiln_get_first_string(PyObject *items)
{
    PyObject *first;
    if (PyList_CheckExact(items)) {
        first = kiln_get_item(items, 0);
    }
    else {
        PyObject *iterator = PyObject_GetIter(items);
        first = iterator == NULL ? NULL : PyIter_Next(iterator);
        Py_XDECREF(iterator);
    }
    if (first != NULL && !PyUnicode_Check(first)) {
        Py_CLEAR(first);
    }
    return first;
}

PyObject *
kiln_refuse_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return PyErr_Format(PyExc_TypeError, "cannot create '%.100s' instances", type->tp_name);
}

PyObject *
kiln_fail_import(PyObject *name, PyObject *path, const char *format)
{
    PyObject *message = PyUnicode_FromFormat(format, name);
    if (message != NULL) {
        PyErr_SetImportError(message, name, path);
        Py_DECREF(message);
    }
    return NULL;
}

void
kiln_fail_with_cause(const char *format, const char *name)
{
#if KILN_CHAINS_UNREPORTED_EXCEPTION
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_Format(PyExc_SystemError, format, name);
    PyObject *error = PyErr_GetRaisedException();
    PyException_SetCause(error, Py_NewRef(cause));
    PyException_SetContext(error, cause);
    PyErr_SetRaisedException(error);
#else
    PyErr_Clear();
    PyErr_Format(PyExc_SystemError, format, name);
#endif
}
