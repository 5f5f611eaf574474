/* The loaders of baked modules: __loader__ and __spec__.loader. One creates its module by the function
 * that is found for the name, and executes it as CPython executes one from a shared library. This
 * file has what the loaders of an interpreter have in common; their type is source.c's. */
#include "load/loader.h"

#include "core/python.h"
#include "create/create.h"
#include "find/lookup.h"

#define NOT_BAKED "%R is not a baked module"

struct loaders {
    PyObject_HEAD
    PyObject *bootstrap;
    PyObject *create_builtin; /* CPython's own _imp.create_builtin */
    PyObject *make_type;      /* of source.c */
    PyObject *wrapper;
    PyObject
        *type; /* NULL until it is asked for: importlib has its loaders later than its finders */
    PyModuleDef *importer_module, *public_module;
};

static PyObject *
create_by_name(struct loaders *self, PyObject *spec, PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "the name of a module spec must be str, not %.200s",
                     Py_TYPE(name)->tp_name);
        return NULL;
    }
    if (PyUnicode_CompareWithASCIIString(name, KILN_MODULE_NAME) == 0) {
        return PyModule_FromDefAndSpec(self->importer_module, spec);
    }
    struct kiln_target target;
    int found = kiln_find_target(name, &target);
    if (found == 0 && PyUnicode_CompareWithASCIIString(name, KILN_PUBLIC_MODULE_NAME) == 0) {
        return PyModule_FromDefAndSpec(self->public_module, spec);
    }
    if (found <= 0) {
        return found < 0 ? NULL : kiln_fail_import(name, NULL, NOT_BAKED);
    }
    return kiln_create_target(self->create_builtin, spec, &target);
}

static PyObject *
create(PyObject *self, PyObject *spec)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name == NULL) {
        return NULL;
    }
    PyObject *module = create_by_name((struct loaders *)self, spec, name);
    Py_DECREF(name);
    return module;
}

/* As _imp.exec_dynamic(): does nothing for an object that is not a module, or a module that has
 * been executed already (a reload). */
int
kiln_loader_exec(PyObject *module)
{
#if KILN_HAS_MODULE_EXPORT
    if (PyModule_Check(module) && PyModule_GetDef(module) == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        return PyModule_GetState(module) == NULL ? PyModule_Exec(module) : 0;
    }
#endif
    PyModuleDef *def = PyModule_Check(module) ? PyModule_GetDef(module) : NULL;
    if (def == NULL) {
        PyErr_Clear();
        return 0;
    }
    return PyModule_GetState(module) == NULL ? PyModule_ExecDef(module, def) : 0;
}

static PyObject *
execute(PyObject *Py_UNUSED(self), PyObject *module)
{
    if (kiln_loader_exec(module) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
is_package(PyObject *Py_UNUSED(self), PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "a module name must be str");
        return NULL;
    }
    struct kiln_target target;
    int found = kiln_find_target(name, &target);
    if (found <= 0) {
        return found < 0 ? NULL : kiln_fail_import(name, NULL, NOT_BAKED);
    }
    return PyBool_FromLong((target.flags & KILN_MODULE_PACKAGE) != 0);
}

static PyMethodDef create_method = {"create", create, METH_O, NULL};
static PyMethodDef execute_method = {"execute", execute, METH_O, NULL};
static PyMethodDef is_package_method = {"is_package", is_package, METH_O, NULL};

/* --- Their type ---------------------------------------------------------------------------------- */

static PyObject *
make_type(struct loaders *self)
{
    PyObject *external = kiln_get_bootstrap_external(self->bootstrap);
    PyObject *base =
        external == NULL ? NULL : PyObject_GetAttrString(external, "ExtensionFileLoader");
    PyObject *type =
        base == NULL ? NULL : PyObject_CallFunctionObjArgs(self->make_type, base, NULL);
    Py_XDECREF(base);
    Py_XDECREF(external);
    return type;
}

PyObject *
kiln_loaders_get_type(PyObject *loaders)
{
    struct loaders *self = (struct loaders *)loaders;
    PyObject *type = self == NULL ? NULL : __atomic_load_n(&self->type, __ATOMIC_ACQUIRE);
    if (type != NULL) {
        return type;
    }
    if (self == NULL || self->make_type == NULL) {
        PyErr_SetString(PyExc_ImportError, "Kiln's loaders are not there yet, or not any more");
        return NULL;
    }
    type = make_type(self);
    PyObject *present = NULL; /* of another thread */
    if (type != NULL && !__atomic_compare_exchange_n(&self->type, &present, type, false,
                                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        Py_DECREF(type);
        type = present;
    }
    return type;
}

static PyObject *
get_type(PyObject *self, PyObject *Py_UNUSED(args))
{
    PyObject *type = kiln_loaders_get_type(self);
    Py_XINCREF(type);
    return type;
}

PyObject *
kiln_loaders_get_wrapper(PyObject *loaders)
{
    return ((struct loaders *)loaders)->wrapper;
}

/* --- What they have in common -------------------------------------------------------------------- */

static int
loaders_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct loaders *self = (struct loaders *)object;
#if KILN_TRAVERSE_VISITS_TYPE
    Py_VISIT(Py_TYPE(object));
#endif
    Py_VISIT(self->bootstrap);
    Py_VISIT(self->create_builtin);
    Py_VISIT(self->make_type);
    Py_VISIT(self->wrapper);
    Py_VISIT(self->type);
    return 0;
}

static int
loaders_clear(PyObject *object)
{
    struct loaders *self = (struct loaders *)object;
    Py_CLEAR(self->bootstrap);
    Py_CLEAR(self->create_builtin);
    Py_CLEAR(self->make_type);
    Py_CLEAR(self->wrapper);
    Py_CLEAR(self->type);
    return 0;
}

static void
loaders_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    loaders_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef loaders_methods[] = {
    {"get_type", get_type, METH_NOARGS, PyDoc_STR("The type of loaders.")},
    {0},
};

static PyType_Slot loaders_slots[] = {
    {Py_tp_new, KILN_SLOT_FUNCTION(kiln_refuse_new)},
    {Py_tp_dealloc, KILN_SLOT_FUNCTION(loaders_dealloc)},
    {Py_tp_traverse, KILN_SLOT_FUNCTION(loaders_traverse)},
    {Py_tp_clear, KILN_SLOT_FUNCTION(loaders_clear)},
    {Py_tp_methods, loaders_methods},
    {Py_tp_doc, "What the loaders of an interpreter have in common."},
    {0, NULL},
};

static PyType_Spec loaders_spec = {
    .name = KILN_MODULE_NAME ".Loaders",
    .basicsize = sizeof(struct loaders),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = loaders_slots,
};

static int
fill(struct loaders *self, PyObject *bootstrap)
{
    Py_INCREF(bootstrap);
    self->bootstrap = bootstrap;
    self->create_builtin = kiln_get_imp_function(bootstrap, "create_builtin");
    PyObject *functions =
        self->create_builtin == NULL
            ? NULL
            : kiln_loader_make_functions((PyObject *)self, bootstrap, &create_method,
                                         &execute_method, &is_package_method);
    if (functions == NULL || !PyArg_ParseTuple(functions, "OO", &self->make_type, &self->wrapper)) {
        Py_XDECREF(functions);
        return -1;
    }
    Py_INCREF(self->make_type);
    Py_INCREF(self->wrapper);
    Py_DECREF(functions);
    return 0;
}

PyObject *
kiln_loaders_new(PyObject *bootstrap, PyModuleDef *importer_module, PyModuleDef *public_module)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&loaders_spec);
    struct loaders *self =
        type == NULL ? NULL : (struct loaders *)type->tp_alloc(type, 0); /* all NULL */
    Py_XDECREF(type);
    if (self != NULL && fill(self, bootstrap) < 0) {
        Py_CLEAR(self);
    }
    if (self != NULL) {
        self->importer_module = importer_module;
        self->public_module = public_module;
    }
    return (PyObject *)self;
}
