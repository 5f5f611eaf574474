/* Tracebacks without importlib's frames.
 *
 * When an import fails, CPython removes the frames of importlib up to the last call of its function
 * _call_with_frames_removed(), through which its own loaders call what they load. To call that from
 * C each time would cost as much as creating the module, so it is called only to raise an
 * exception. */
#include "core/python.h"
#include "load/loader.h"

/* Raises the exception in HOLDER, a list, and empties the list: the frame that this is called from
 * is in the exception's traceback, and refers to the list. Python code can get at this function,
 * and call it again, and at the list. */
static PyObject *
raise_held(PyObject *holder, PyObject *Py_UNUSED(args))
{
    PyObject *error = kiln_get_item(holder, 0);
    if (error == NULL || !PyExceptionInstance_Check(error)) {
        Py_XDECREF(error);
        PyErr_SetString(PyExc_RuntimeError, "the exception has been raised already");
        return NULL;
    }
    if (PyList_SetSlice(holder, 0, PyList_GET_SIZE(holder), NULL) < 0) {
        Py_DECREF(error);
        return NULL;
    }
    Py_INCREF(Py_TYPE(error));
    PyErr_Restore((PyObject *)Py_TYPE(error), error, PyException_GetTraceback(error));
    return NULL;
}

static PyMethodDef raise_method = {"raise_held", raise_held, METH_NOARGS, NULL};

/* Returns a function that raises ERROR when it is first called. */
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
        PyErr_Restore(type, error, traceback); /* with the frames */
    }
    return NULL;
}
