/* The loader of baked modules: their __loader__ and __spec__.loader. It creates a module by the
 * function that is found for its name, and executes it as CPython executes one from a shared
 * library. One loader serves all modules of an interpreter. */
#include "load/loader.h"

#include "core/python.h"
#include "create/create.h"
#include "find/lookup.h"

#define NOT_BAKED "%R is not a baked module"

struct loader {
    PyObject_HEAD
    PyObject *create_builtin; /* CPython's own _imp.create_builtin */
    PyObject *functions;      /* of frames.c: a tuple */
    PyModuleDef *importer_module, *public_module;
};

static PyObject *
create_by_name(struct loader *self, PyObject *spec, PyObject *name)
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
    PyObject *module = create_by_name((struct loader *)self, spec, name);
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

static PyMethodDef create_method = {"create", create, METH_O, NULL};
static PyMethodDef execute_method = {"execute", execute, METH_O, NULL};

/* Calls a function of frames.c. */
static PyObject *
call(PyObject *self, enum kiln_loader_function index, PyObject *arg)
{
    PyObject *functions = ((struct loader *)self)->functions;
    if (functions == NULL) {
        PyErr_SetString(PyExc_ImportError, "Python is shutting down");
        return NULL;
    }
    PyObject *function = PyTuple_GET_ITEM(functions, index);
    Py_INCREF(function);
    PyObject *result = KILN_VECTORCALL(function, &arg, 1, NULL);
    Py_DECREF(function);
    return result;
}

static PyObject *
loader_create_module(PyObject *self, PyObject *spec)
{
    return call(self, KILN_LOADER_CREATE, spec);
}

static PyObject *
loader_exec_module(PyObject *self, PyObject *module)
{
    return call(self, KILN_LOADER_EXECUTE, module);
}

static PyObject *
loader_is_package(PyObject *Py_UNUSED(self), PyObject *name)
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

/* Machine code has neither source nor a code object (PEP 302). */
static PyObject *
loader_get_none(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(name))
{
    Py_RETURN_NONE;
}

/* Appears in the repr of a module that has no __file__. */
static PyObject *
loader_repr(PyObject *Py_UNUSED(self))
{
    return PyUnicode_FromString("baked by Kiln");
}

static int
loader_traverse(PyObject *self, visitproc visit, void *arg)
{
#if KILN_TRAVERSE_VISITS_TYPE
    Py_VISIT(Py_TYPE(self));
#endif
    Py_VISIT(((struct loader *)self)->create_builtin);
    Py_VISIT(((struct loader *)self)->functions);
    return 0;
}

static int
loader_clear(PyObject *self)
{
    Py_CLEAR(((struct loader *)self)->create_builtin);
    Py_CLEAR(((struct loader *)self)->functions);
    return 0;
}

static void
loader_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    loader_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef loader_methods[] = {
    {"create_module", loader_create_module, METH_O,
     PyDoc_STR("create_module($self, spec, /)\n--\n\nCreate a baked module.")},
    {"exec_module", loader_exec_module, METH_O,
     PyDoc_STR("exec_module($self, module, /)\n--\n\nExecute a baked module.")},
    {"is_package", loader_is_package, METH_O,
     PyDoc_STR("is_package($self, fullname, /)\n--\n\nWhether the extension is a package.")},
    {"get_code", loader_get_none, METH_O,
     PyDoc_STR("get_code($self, fullname, /)\n--\n\nNone: it is machine code.")},
    {"get_source", loader_get_none, METH_O,
     PyDoc_STR("get_source($self, fullname, /)\n--\n\nNone: it is machine code.")},
    {"get_filename", kiln_loader_get_filename, METH_O,
     PyDoc_STR("get_filename($self, fullname, /)\n--\n\nThe place of a baked module.")},
    {"get_data", kiln_loader_get_data, METH_O,
     PyDoc_STR("get_data($self, path, /)\n--\n\nThe content of a file.")},
    {"get_resource_reader", kiln_loader_get_resource_reader, METH_O,
     PyDoc_STR("get_resource_reader($self, fullname, /)\n--\n\n"
               "A reader of a package's resources, or None.")},
    {0},
};

static PyType_Slot loader_slots[] = {
    {Py_tp_new, KILN_SLOT_FUNCTION(kiln_refuse_new)},
    {Py_tp_dealloc, KILN_SLOT_FUNCTION(loader_dealloc)},
    {Py_tp_traverse, KILN_SLOT_FUNCTION(loader_traverse)},
    {Py_tp_clear, KILN_SLOT_FUNCTION(loader_clear)},
    {Py_tp_repr, KILN_SLOT_FUNCTION(loader_repr)},
    {Py_tp_methods, loader_methods},
    {Py_tp_doc, "The loader of the modules that are linked into the program."},
    {0, NULL},
};

static PyType_Spec loader_spec = {
    .name = "_kiln.Loader",
    .basicsize = sizeof(struct loader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = loader_slots,
};

PyObject *
kiln_loader_get_function(PyObject *loader, enum kiln_loader_function index)
{
    return PyTuple_GET_ITEM(((struct loader *)loader)->functions, index);
}

static PyObject *
make_loader(PyObject *type, PyObject *bootstrap, PyModuleDef *importer_module,
            PyModuleDef *public_module)
{
    struct loader *self = PyObject_GC_New(struct loader, (PyTypeObject *)type);
    if (self == NULL) {
        return NULL;
    }
    self->functions = NULL;
    self->importer_module = importer_module;
    self->public_module = public_module;
    self->create_builtin = kiln_get_imp_function(bootstrap, "create_builtin");
    self->functions = self->create_builtin == NULL
                          ? NULL
                          : kiln_loader_make_functions((PyObject *)self, bootstrap, &create_method,
                                                       &execute_method);
    PyObject_GC_Track(self);
    if (self->functions == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

PyObject *
kiln_loader_new(PyObject *bootstrap, PyModuleDef *importer_module, PyModuleDef *public_module)
{
    PyObject *type = PyType_FromSpec(&loader_spec);
    if (type == NULL) {
        return NULL;
    }
    PyObject *self = make_loader(type, bootstrap, importer_module, public_module);
    Py_DECREF(type);
    return self;
}
