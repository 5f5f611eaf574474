/* Tracebacks without importlib's frames.
 *
 * When an import fails, CPython drops the frames of importlib down to the last call of its function
 * _call_with_frames_removed(), through which its own loaders call what they load. Calling that from
 * C each time would cost as much as creating the module; so it is called when there is something to
 * drop. */
#include "core/runtime.h"

/* Raise the exception in HOLDER, a list, and leave it empty: the frame that this is called from is
 * in the exception's traceback and has the list. */
static PyObject *
raise_held(PyObject *holder, PyObject *Py_UNUSED(args))
{
    PyObject *error = PyList_GET_ITEM(holder, 0);
    Py_INCREF(error);
    Py_INCREF(Py_None);
    if (PyList_SetItem(holder, 0, Py_None) < 0) {
        Py_DECREF(error);
        return NULL;
    }
    Py_INCREF(Py_TYPE(error));
    PyErr_Restore((PyObject *)Py_TYPE(error), error, PyException_GetTraceback(error));
    return NULL;
}

static PyMethodDef raise_method = {"raise_held", raise_held, METH_NOARGS, NULL};

/* A function that raises ERROR, once. */
static PyObject *
make_raiser(PyObject *error)
{
    PyObject *holder = PyList_New(1);
    if (holder == NULL) {
        return NULL;
    }
    Py_INCREF(error);
    PyList_SET_ITEM(holder, 0, error);
    PyObject *raiser = PyCFunction_New(&raise_method, holder);
    Py_DECREF(holder);
    return raiser;
}

PyObject *
kiln_fail_without_frames(void)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *raiser = bootstrap == NULL ? NULL : make_raiser(error);
    if (raiser != NULL) {
        Py_XDECREF(PyObject_CallMethod(bootstrap, "_call_with_frames_removed", "O", raiser));
    }
    Py_XDECREF(raiser);
    Py_XDECREF(bootstrap);
    if (raiser != NULL && PyErr_ExceptionMatches(type)) {
        Py_DECREF(type);
        Py_DECREF(error);
        Py_XDECREF(traceback);
    }
    else {
        PyErr_Restore(type, error, traceback); /* with its frames, then */
    }
    return NULL;
}
