/* shop._native: one of two extensions that share nothing but the names of their symbols. */
#include <Python.h>

#include "ledger.h"

static PyObject *
total(PyObject *self, PyObject *args)
{
    (void)self;
    long amount;
    if (!PyArg_ParseTuple(args, "l", &amount)) {
        return NULL;
    }
    return PyLong_FromLong(ledger_add(amount));
}

static PyMethodDef methods[] = {{"total", total, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "_native", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
