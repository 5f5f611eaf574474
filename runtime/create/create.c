/* Kiln_CreateModuleFromInitfunc(): a module from nothing but its init function, for every init
 * protocol and every CPython.
 *
 * CPython creates linked-in modules from the inittab only, and does much by the way that nobody
 * else can: its cache of single-phase modules, the checks of sub-interpreters, the state of the
 * GIL. So one entry of the inittab, the slot, stands for every module in turn. CPython keeps the
 * pointer to an entry's name, which here is a buffer: the wanted name is written into it,
 * _imp.create_builtin() is called, finds the slot, and calls kiln_slot_init(), which calls the init
 * function that this thread has asked for. CPython remembers kiln_slot_init() as the init function
 * of a single-phase module and calls it again when that module is imported again; the request of
 * the thread tells them apart then, too.
 *
 * Three sorts of names are not for the slot: those that are not ASCII, as CPython refuses them;
 * those that do not fit; and those that the inittab has as well, as CPython would find the built-in
 * module in its cache. Their init functions are called here, which makes no difference for
 * multi-phase modules; single-phase ones are not cached then. (They can have an ASCII name in a
 * package whose name is none.) In a free-threaded build it does: there CPython turns the GIL on for
 * modules that do not declare that they need none, and so they are refused. */
#include "core/runtime.h"

#include <string.h>

/* One module being created by one thread. */
struct request {
    PyObject *spec;
    const char *name;      /* its name, in UTF-8 */
    const char *hook_name; /* what messages call it; NULL: the last component */
    Kiln_InitFunction initfunc;
    struct request *outer; /* the one that this one happened in */
    PyObject *result;      /* what the init function has returned, if it was called before */
    enum kiln_fault fault; /* of what it has returned, for which no exception is set yet */
    bool has_slot;         /* it has set the slot's name, and not given it back */
    bool called;           /* the init function has been called */
    bool audited;          /* audit hooks have been told */
    bool builtin;          /* the module is of CPython's inittab: it names it and checks it */
    bool checked;          /* or we do, in its place */
};

/* The one for which this thread is in _imp.create_builtin(), but not in the init function: the stack
 * that it is on is another one in there, if the thread changes stacks (greenlets). */
static _Thread_local struct request *current_request;

static void
enter(struct request *request)
{
    request->outer = current_request;
    current_request = request;
}

static void
leave(const struct request *request)
{
    current_request = request->outer;
}

static void
take_slot(struct request *request)
{
    kiln_slot_take(request->name);
    request->has_slot = true;
}

static void
give_slot(struct request *request)
{
    if (!request->has_slot) {
        return;
    }
    request->has_slot = false;
    const struct request *owner = current_request;
    while (owner != NULL && !owner->has_slot) {
        owner = owner->outer;
    }
    kiln_slot_give(owner == NULL ? NULL : owner->name);
}

/* What dynload calls a module in its messages: the last component. */
static const char *
get_short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

static const char *
get_hook_name(const struct request *request)
{
    return request->hook_name != NULL ? request->hook_name : get_short_name(request->name);
}

static void
raise_fault(struct request *request)
{
    kiln_raise_fault(request->fault, request->name, get_hook_name(request));
    request->fault = KILN_FAULT_NONE;
}

/* ORIGIN is None for what has no file, of which there is nothing to tell. */
static int
audit_load_from(PyObject *name, PyObject *origin)
{
    return origin == Py_None
               ? 0
               : PySys_Audit("import", "OOOOO", name, origin, Py_None, Py_None, Py_None);
}

int
kiln_audit_load(PyObject *spec)
{
    PyObject *origin = PyObject_GetAttrString(spec, "origin");
    PyObject *name = origin == NULL ? NULL : PyObject_GetAttrString(spec, "name");
    int result = 0;
    if (name == NULL) {
        PyErr_Clear(); /* any object with a name is good for a spec */
    }
    else {
        result = audit_load_from(name, origin);
    }
    Py_XDECREF(name);
    Py_XDECREF(origin);
    return result;
}

/* What the init function returned; NULL with the exception that it raised, or with the request's
 * fault, for raise_fault(). */
static PyObject *
call_initfunc(struct request *request)
{
    bool is_name_left = false;
    request->called = true;
    PyObject *result = NULL;
    if (request->builtin || request->audited || kiln_audit_load(request->spec) == 0) {
        struct kiln_context *context = kiln_context_begin(request->builtin ? NULL : request->name);
        if (context != NULL) {
            result = request->initfunc();
            is_name_left = kiln_context_end(context);
        }
    }
    if (request->builtin && !request->checked) {
        return result;
    }
    result = kiln_check_result(result, get_hook_name(request), &request->fault);
    if (request->builtin) {
        return result;
    }
    bool single_phase = result != NULL && !PyObject_TypeCheck(result, &PyModuleDef_Type);
    if (single_phase && is_name_left && kiln_context_was_missed(request->name, result)) {
        request->fault = KILN_FAULT_NAMELESS;
        Py_CLEAR(result);
    }
    else if (single_phase && kiln_remember_created(request->name, request->initfunc) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* What the slot's init function returns for REQUEST. */
static PyObject *
fulfil(struct request *request)
{
    PyObject *result = request->result;
    if (result != NULL) {
        request->result = NULL;
        request->called = true;
        return result;
    }
    result = call_initfunc(request);
    if (!KILN_INITS_IN_MAIN_INTERPRETER) {
        raise_fault(request);
    }
    return request->builtin ? result : kiln_check_admission(result, request->spec);
}

/* At rest, and to an init function that imports _kiln, the slot is _kiln. CPython may call this twice
 * for one module, first in the main interpreter. */
PyObject *
kiln_slot_init(void)
{
    struct request *request = current_request;
    if (request == NULL) {
        return PyModuleDef_Init(&kiln_module_def);
    }
    leave(request);
    give_slot(request);
    PyObject *result = fulfil(request);
    enter(request);
    return result;
}

static PyObject *
create_by_slot(struct request *request, PyObject *create_builtin, PyObject *name)
{
    if (!kiln_process.installed) {
        return kiln_fail_import(name, NULL,
                                "cannot create module %U: Kiln_Install() has not been called");
    }
    take_slot(request);
    enter(request);
    PyObject *module = PyObject_CallFunctionObjArgs(create_builtin, request->spec, NULL);
    leave(request);
    give_slot(request);
    /* If it is not told what is wrong, CPython says SystemError, or in a sub-interpreter of late that
     * the import failed elsewhere. */
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

/* What CPython does for a single-phase MODULE, except for keeping it for the next time. */
static int
register_single_phase(PyObject *module, PyObject *name)
{
    PyModuleDef *def = PyModule_GetDef(module);
    if (PyState_FindModule(def) != module && PyState_AddModule(module, def) < 0) {
        return -1;
    }
    return PyObject_SetItem(PyImport_GetModuleDict(), name, module);
}

/* The module that RESULT, of the init function, stands for. */
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
    PyObject *hook_name = kiln_encode_hook_name(get_short_name(request->name));
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

/* Whether the inittab has NAME besides the slot. */
static bool
is_in_inittab(const char *name, size_t len)
{
    struct kiln_builtin builtin;
    if (kiln_find_builtin(name, len, &builtin)) {
        return true;
    }
    for (const struct _inittab *entry = PyImport_Inittab; entry->name != NULL; entry++) {
        if (entry->name != kiln_slot_name && entry->name[0] == name[0] &&
            strcmp(entry->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The name as UTF-8, which lives as long as the object; NULL with an exception. */
static const char *
get_utf8(PyObject *name, size_t *len)
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
needs_slot(PyObject *name, const char *utf8, size_t len)
{
    return PyUnicode_IS_ASCII(name) && len < KILN_SLOT_NAME_SIZE && !is_in_inittab(utf8, len);
}

PyObject *
kiln_create_module(PyObject *create_builtin, PyObject *spec, Kiln_InitFunction initfunc)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name == NULL) {
        return NULL;
    }
    size_t len = 0;
    struct request request = {.spec = spec, .initfunc = initfunc};
    request.name = get_utf8(name, &len);
    PyObject *module = NULL;
    if (request.name != NULL) {
        module = needs_slot(name, request.name, len)
                     ? create_by_slot(&request, create_builtin, name)
                     : create_by_call(&request, name);
    }
    Py_DECREF(name);
    return module;
}

/* Where the last entry of a name counts, CPython finds one behind the slot before it finds the slot,
 * and goes through all of them for that. That is spared to 3.14, the first that has many such
 * entries (by PyInitConfig_AddModule()), where there is a GIL anyway. */
static PyObject *
create_listed(struct request *request, PyObject *create_builtin, PyObject *name)
{
    if (!KILN_HAS_INIT_CONFIG || KILN_GIL_IS_OPTIONAL ||
        PyThreadState_Get()->interp != PyInterpreterState_Main())
    {
        return create_by_slot(request, create_builtin, name);
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
    struct request request = {
        .spec = spec, .name = builtin->name, .initfunc = builtin->initfunc, .builtin = true};
    PyObject *module = builtin->listed && KILN_INITTAB_LAST_WINS
                           ? create_listed(&request, create_builtin, name)
                           : create_by_slot(&request, create_builtin, name);
    Py_DECREF(name);
    return module;
}

/* The module of an init function that nobody has called before: a single-phase one goes through the
 * slot, for CPython to remember it. */
static PyObject *
create_by_first_result(struct request *request, PyObject *create_builtin, PyObject *name,
                       PyObject *result)
{
    if (PyObject_TypeCheck(result, &PyModuleDef_Type) ||
        !needs_slot(name, request->name, strlen(request->name)))
    {
        return create_by_result(request, name, result);
    }
    request->called = false;
    request->result = result;
    PyObject *module = create_by_slot(request, create_builtin, name);
    Py_CLEAR(request->result);
    return module;
}

/* The init function is called without CPython's help, which a multi-phase module does not need.
 * Unless CPython has a module for that name already, or may want to call the function in another
 * interpreter than this one. */
PyObject *
kiln_create_target(PyObject *create_builtin, PyObject *spec, PyObject *name, PyObject *origin,
                   const struct kiln_target *target, bool is_main_interpreter)
{
    if ((target->flags & KILN_MODULE_EXPORT) != 0) {
        return kiln_create_module_from_export(spec, target->function);
    }
    struct request request = {.spec = spec, .initfunc = (Kiln_InitFunction)target->function};
    if (!is_main_interpreter || !PyUnicode_IS_ASCII(name) || kiln_is_created(target->index)) {
        return kiln_create_module(create_builtin, spec, request.initfunc);
    }
    request.name = PyUnicode_AsUTF8(name);
    request.audited = origin != NULL;
    if (request.name == NULL || (request.audited && audit_load_from(name, origin) < 0)) {
        return NULL;
    }
    PyObject *module = call_initfunc(&request);
    raise_fault(&request);
    if (module != NULL) {
        module = create_by_first_result(&request, create_builtin, name, module);
    }
    return module;
}

PyObject *
Kiln_CreateModuleFromInitfunc(PyObject *spec, Kiln_InitFunction initfunc)
{
    if (spec == NULL || initfunc == NULL) {
        PyErr_BadInternalCall();
        return NULL;
    }
    PyObject *bootstrap = kiln_get_bootstrap();
    PyObject *create_builtin = bootstrap == NULL ? NULL : kiln_get_create_builtin(bootstrap);
    PyObject *module =
        create_builtin == NULL ? NULL : kiln_create_module(create_builtin, spec, initfunc);
    Py_XDECREF(create_builtin);
    Py_XDECREF(bootstrap);
    return module;
}
