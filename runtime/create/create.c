/* Modules from nothing but their init functions, for every init protocol and every CPython.
 *
 * CPython creates linked-in modules from the inittab only, and in doing so it keeps state that the
 * public API cannot reach: the cache of single-phase modules, the checks of sub-interpreters, the
 * state of the GIL. So modules are created by _imp.create_builtin(), through the trampoline.
 *
 * Three kinds of names are not for the trampoline: those that are not ASCII, which CPython refuses;
 * those that are too long; and those that the inittab has as well, as CPython would find the
 * built-in module in its cache. Their init functions are called here. For multi-phase modules that
 * makes no difference; single-phase ones are not cached. (They can have an ASCII name in a package
 * whose name is not ASCII.) In a free-threaded build CPython enables the GIL for modules that do
 * not declare that they need none, which cannot be done here: they are refused. */
#include "create/create.h"

#include <string.h>

#include "core/process.h"
#include "core/python.h"
#include "create/context.h"
#include "create/inittab.h"
#include "create/parts.h"
#include "create/trampoline.h"

/* One module that one thread creates. */
struct request {
    struct kiln_trampoline trampoline; /* its name, in UTF-8, is the module's */
    PyObject *spec;
    const char *hook_name; /* the name in messages; NULL: the last component */
    Kiln_InitFunction initfunc;
    PyObject *result;      /* what the init function has returned, if it was called before */
    enum kiln_fault fault; /* of what it has returned, for which no exception is set yet */
    bool called;           /* the init function has been called */
    bool builtin;          /* the module is in CPython's inittab: CPython names it and checks it */
    bool checked;          /* or we check it, in CPython's place */
};

/* Returns the last component of NAME, by which CPython's messages call a module. */
static const char *
get_short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

static const char *
get_hook_name(const struct request *request)
{
    return request->hook_name != NULL ? request->hook_name
                                      : get_short_name(request->trampoline.name);
}

static void
raise_fault(struct request *request)
{
    kiln_raise_fault(request->fault, request->trampoline.name, get_hook_name(request));
    request->fault = KILN_FAULT_NONE;
}

static bool
is_single_phase(PyObject *result)
{
    return result != NULL && !PyObject_TypeCheck(result, &PyModuleDef_Type);
}

/* Returns what the init function returned; NULL with the exception that it raised, or with the
 * request's fault, for raise_fault(). */
static PyObject *
call_initfunc(struct request *request)
{
    request->called = true;
    struct kiln_context *context =
        kiln_context_begin(request->builtin ? NULL : request->trampoline.name);
    if (context == NULL) {
        return NULL;
    }
    PyObject *result = request->initfunc();
    bool is_name_left = kiln_context_end(context);
    if (request->builtin && !request->checked) {
        return result;
    }
    result = kiln_check_result(result, get_hook_name(request), &request->fault);
    if (!request->builtin && is_name_left && is_single_phase(result) &&
        kiln_context_was_missed(request->trampoline.name, result))
    {
        request->fault = KILN_FAULT_NAMELESS;
        Py_CLEAR(result);
    }
    return result;
}

/* CPython puts MODULE, a single-phase one, into its cache if it has m_size -1, or if this is the
 * main interpreter. */
static PyObject *
remember(struct request *request, PyObject *module)
{
    const PyModuleDef *def = PyModule_GetDef(module);
    bool is_cached = KILN_CACHES_IN_SUBINTERPRETERS || def->m_size == -1 ||
                     KILN_GET_INTERPRETER() == PyInterpreterState_Main();
    if (is_cached && kiln_remember_created(request->trampoline.name, request->initfunc) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

/* What the trampoline returns for a request. */
static PyObject *
fulfil(struct kiln_trampoline *trampoline)
{
    struct request *request = (struct request *)trampoline;
    PyObject *result = request->result;
    if (result != NULL) {
        request->result = NULL;
        request->called = true;
    }
    else {
        result = call_initfunc(request);
        if (!KILN_INITS_IN_MAIN_INTERPRETER) {
            raise_fault(request);
        }
        if (request->builtin) {
            return result;
        }
        result = kiln_check_admission(result, request->spec);
    }
    return is_single_phase(result) ? remember(request, result) : result;
}

static PyObject *
create_by_trampoline(struct request *request, PyObject *create_builtin, PyObject *name)
{
    if (!kiln_process.installed) {
        return kiln_fail_import(name, NULL,
                                "cannot create module %U: Kiln_Install() has not been called");
    }
    request->trampoline.fulfil = fulfil;
    PyObject *module = kiln_trampoline_run(&request->trampoline, create_builtin, request->spec);
    /* CPython's own exception is a SystemError, or in a sub-interpreter from 3.13 on an ImportError
     * that names no cause. */
    if (module == NULL && PyErr_ExceptionMatches(PyExc_SystemError)) {
        raise_fault(request);
    }
    if (module == Py_None && !request->called) {
        Py_DECREF(module);
        return kiln_fail_import(name, NULL,
                                "cannot create module %U: Kiln_Install() has not been called "
                                "since Python was last finalized");
    }
    return module;
}

/* Does what CPython does for a single-phase MODULE, except for putting it into its cache. */
static int
register_single_phase(PyObject *module, PyObject *name)
{
    PyModuleDef *def = PyModule_GetDef(module);
    if (PyState_FindModule(def) != module && PyState_AddModule(module, def) < 0) {
        return -1;
    }
    return PyObject_SetItem(PyImport_GetModuleDict(), name, module);
}

/* Returns the module for RESULT, that of the init function, which is stolen. */
static PyObject *
create_by_result(struct request *request, PyObject *name, PyObject *result)
{
    if (PyObject_TypeCheck(result, &PyModuleDef_Type)) {
        return PyModule_FromDefAndSpec((PyModuleDef *)result, request->spec);
    }
    if (request->hook_name != NULL) {
        PyErr_Format(PyExc_SystemError, "initialization of %s did not return PyModuleDef",
                     request->hook_name);
        Py_CLEAR(result);
    }
    else if (register_single_phase(result, name) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
create_by_call(struct request *request, PyObject *name)
{
    PyObject *hook_name = kiln_encode_hook_name(get_short_name(request->trampoline.name));
    if (hook_name == NULL && PyErr_Occurred()) {
        return NULL;
    }
    request->hook_name = hook_name == NULL ? NULL : PyBytes_AsString(hook_name);
    PyObject *result = call_initfunc(request);
    raise_fault(request);
    result = kiln_check_admission(kiln_check_gil(result, name, hook_name != NULL), request->spec);
    PyObject *module = result == NULL ? NULL : create_by_result(request, name, result);
    Py_XDECREF(hook_name);
    return module;
}

/* Returns whether the inittab has NAME, apart from the trampoline. */
static bool
is_in_inittab(const char *name, size_t len)
{
    struct kiln_builtin builtin;
    if (kiln_builtins_find(name, len, &builtin)) {
        return true;
    }
    for (const struct _inittab *entry = PyImport_Inittab; entry->name != NULL; entry++) {
        if (entry->name != kiln_trampoline_name && entry->name[0] == name[0] &&
            strcmp(entry->name, name) == 0)
        {
            return true;
        }
    }
    return false;
}

/* Returns the name in UTF-8, which lives as long as the object; NULL with an exception. */
static const char *
get_name(PyObject *name, size_t *len)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "the name of a module spec must be str, not %.200s",
                     Py_TYPE(name)->tp_name);
        return NULL;
    }
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &size);
    if (utf8 == NULL) {
        return NULL;
    }
    *len = (size_t)size;
    if (size == 0 || strlen(utf8) != *len) {
        PyErr_SetString(PyExc_ValueError,
                        size == 0 ? "empty module name" : "null character in a module name");
        return NULL;
    }
    return utf8;
}

static bool
needs_trampoline(PyObject *name, const char *utf8, size_t len)
{
    return PyUnicode_IS_ASCII(name) && len < KILN_TRAMPOLINE_NAME_SIZE && !is_in_inittab(utf8, len);
}

static PyObject *
create_named(struct request *request, PyObject *create_builtin, PyObject *name)
{
    size_t len = 0;
    const char *utf8 = request->trampoline.name = get_name(name, &len);
    if (utf8 == NULL) {
        return NULL;
    }
    bool by_trampoline = needs_trampoline(name, utf8, len);
    bool is_cached = by_trampoline && kiln_is_created(utf8, request->initfunc);
    if (!is_cached && kiln_audit_load(request->spec) < 0) {
        return NULL;
    }
    return by_trampoline ? create_by_trampoline(request, create_builtin, name)
                         : create_by_call(request, name);
}

PyObject *
kiln_create_module(PyObject *create_builtin, PyObject *spec, Kiln_InitFunction initfunc)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name == NULL) {
        return NULL;
    }
    struct request request = {.spec = spec, .initfunc = initfunc};
    PyObject *module = create_named(&request, create_builtin, name);
    Py_DECREF(name);
    return module;
}

PyObject *
kiln_create_target(PyObject *create_builtin, PyObject *spec, const struct kiln_target *target)
{
    return (target->flags & KILN_MODULE_EXPORT) != 0
               ? kiln_create_module_from_export(spec, target->function)
               : kiln_create_module(create_builtin, spec, (Kiln_InitFunction)target->function);
}

/* BUILTIN's entry is behind the trampoline. Where the last entry of a name counts, CPython finds it
 * there, by a scan of the whole inittab. 3.14, the first version that can have many such entries
 * (by PyInitConfig_AddModule()), is spared that, unless it is free-threaded. */
static PyObject *
create_visible(struct request *request, PyObject *create_builtin, PyObject *name)
{
    if (!KILN_HAS_INIT_CONFIG || KILN_GIL_IS_OPTIONAL ||
        PyThreadState_Get()->interp != PyInterpreterState_Main())
    {
        return create_by_trampoline(request, create_builtin, name);
    }
    request->checked = true;
    return create_by_call(request, name);
}

PyObject *
kiln_create_builtin(PyObject *create_builtin, PyObject *spec, const struct kiln_builtin *builtin)
{
    PyObject *name = PyUnicode_FromString(builtin->name);
    if (name == NULL) {
        return NULL;
    }
    struct request request = {.trampoline.name = builtin->name,
                              .spec = spec,
                              .initfunc = builtin->initfunc,
                              .builtin = true};
    PyObject *module = builtin->visible && KILN_INITTAB_LAST_WINS
                           ? create_visible(&request, create_builtin, name)
                           : create_by_trampoline(&request, create_builtin, name);
    Py_DECREF(name);
    return module;
}

/* RESULT is that of an init function whose module CPython does not have: a single-phase one goes
 * through the trampoline, so that CPython puts it into its cache. */
static PyObject *
create_by_first_result(struct request *request, PyObject *create_builtin, PyObject *name,
                       PyObject *result)
{
    if (!is_single_phase(result) ||
        !needs_trampoline(name, request->trampoline.name, strlen(request->trampoline.name)))
    {
        return create_by_result(request, name, result);
    }
    request->called = false;
    request->result = result;
    PyObject *module = create_by_trampoline(request, create_builtin, name);
    Py_CLEAR(request->result);
    return module;
}

/* Calls the init function without CPython, which a multi-phase module does not need. Unless CPython
 * has the module in its cache, or may want to call the function in another interpreter. */
PyObject *
kiln_create_in_table(PyObject *create_builtin, PyObject *spec, PyObject *name, PyObject *origin,
                     const struct kiln_target *target, bool is_main_interpreter)
{
    struct request request = {.spec = spec, .initfunc = (Kiln_InitFunction)target->function};
    if (!is_main_interpreter || (target->flags & KILN_MODULE_EXPORT) != 0 ||
        !PyUnicode_IS_ASCII(name)) {
        return kiln_create_target(create_builtin, spec, target);
    }
    request.trampoline.name = PyUnicode_AsUTF8(name);
    if (request.trampoline.name == NULL) {
        return NULL;
    }
    if (kiln_is_created(request.trampoline.name, request.initfunc)) {
        return kiln_create_module(create_builtin, spec, request.initfunc);
    }
    if ((origin == NULL ? kiln_audit_load(spec) : kiln_audit_load_from(name, origin)) < 0) {
        return NULL;
    }
    PyObject *module = call_initfunc(&request);
    raise_fault(&request);
    return module == NULL ? NULL : create_by_first_result(&request, create_builtin, name, module);
}

PyObject *
Kiln_CreateModuleFromInitfunc(PyObject *spec, Kiln_InitFunction initfunc)
{
    if (spec == NULL || initfunc == NULL) {
        PyErr_BadInternalCall();
        return NULL;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *create_builtin =
        bootstrap == NULL ? NULL : kiln_get_imp_function(bootstrap, "create_builtin");
    PyObject *module =
        create_builtin == NULL ? NULL : kiln_create_module(create_builtin, spec, initfunc);
    Py_XDECREF(create_builtin);
    Py_XDECREF(bootstrap);
    return module;
}
