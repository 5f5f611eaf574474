/* The floor: create and execute each module in a loop, nothing else. No import can be faster, as
 * this is what is left of one without finding, registering and describing the module. */
#include "side.h"

static PyObject *spec; /* one for all: it only has to have a name */

int
side_prepare(void)
{
    return 0;
}

int
side_install(void)
{
    PyObject *types = PyImport_ImportModule("types");
    spec = types == NULL ? NULL : PyObject_CallMethod(types, "SimpleNamespace", NULL);
    Py_XDECREF(types);
    return spec == NULL ? -1 : 0;
}

PyObject *
side_import(const struct bench_module *module, PyObject *name)
{
    PyObject *def = module->init();
    if (def == NULL || PyObject_SetAttrString(spec, "name", name) < 0) {
        return NULL;
    }
    PyObject *made = PyModule_FromDefAndSpec((PyModuleDef *)def, spec);
    if (made != NULL && PyModule_ExecDef(made, (PyModuleDef *)def) < 0) {
        Py_CLEAR(made);
    }
    Py_XINCREF(made); /* it stays, as an imported module does */
    return made;
}
