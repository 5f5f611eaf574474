/* The package context: how a single-phase module `pkg.sub` gets its whole name.
 *
 * A single-phase init function calls PyModule_Create() with the name in its definition, which for
 * an extension in a package is the last component only. CPython's loader of shared libraries
 * completes it by an internal variable that the public API cannot set. Baked modules call
 * kiln_PyModule_Create2() instead, by a renamed symbol or -Wl,--wrap. While create.c runs an init
 * function, that applies the same rule: the first module that is created under the last component
 * of the wanted name gets the whole name. */
#include "create/context.h"

#include <stdlib.h>
#include <string.h>

#include "core/mutex.h"
#include "kiln/kiln.h"

struct kiln_context {
    const char *name;   /* the dotted name of the module whose init function runs; NULL once used */
    const char *wanted; /* the same, and stays */
    struct kiln_context *outer;
    bool is_used;
};

/* CPython's own variable, for objects that were linked by hand and call CPython's
 * PyModule_Create2(). Every static libpython has it, and shared ones may export it: a variable up
 * to 3.11; a function that sets a thread-local variable from 3.12 on. */
extern const char *_Py_PackageContext __attribute__((weak));
const char *_PyImport_SwapPackageContext(const char *name) __attribute__((weak));

/* The innermost context. In a thread with several stacks (greenlets) any of them may end first, so
 * none is on a stack. */
static _Thread_local struct kiln_context *current_context;
/* Used for the outermost context, to save an allocation. */
static _Thread_local struct kiln_context first_context;

/* Guards the name in a definition, which all interpreters share: it is the whole name while a
 * module is created from it. */
static struct kiln_mutex name_mutex = KILN_MUTEX_INITIALIZER;

void
kiln_context_survive_fork(void)
{
    kiln_mutex_survive_fork(&name_mutex);
}

static const char *
swap_cpythons(const char *name)
{
    const char *old = NULL;
    if (_PyImport_SwapPackageContext != NULL) {
        old = _PyImport_SwapPackageContext(name);
    }
    else if (&_Py_PackageContext != NULL) {
        old = _Py_PackageContext;
        _Py_PackageContext = name;
    }
    return old;
}

struct kiln_context *
kiln_context_begin(const char *name)
{
    struct kiln_context *context = &first_context;
    if (context->is_used) {
        context = malloc(sizeof *context);
    }
    if (context == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *context = (struct kiln_context){name, name, current_context, true};
    current_context = context;
    swap_cpythons(name);
    return context;
}

/* Up to 3.11 another thread may have set CPython's variable since; then that thread resets it. A
 * name never stays there after its context has ended. */
bool
kiln_context_end(struct kiln_context *context)
{
    struct kiln_context *outer = context->outer;
    struct kiln_context **link = &current_context;
    while (*link != context) {
        link = &(*link)->outer;
    }
    *link = outer;
    const char *left = swap_cpythons(NULL);
    if (left == NULL || left == context->wanted) {
        left = outer == NULL ? NULL : outer->name;
    }
    swap_cpythons(left);
    bool is_name_left = context->name != NULL;
    context->is_used = false;
    if (context != &first_context) {
        free(context);
    }
    return is_name_left;
}

bool
kiln_context_was_missed(const char *wanted, PyObject *module)
{
    const char *dot = strrchr(wanted, '.');
    PyObject *name = dot == NULL ? NULL : PyModule_GetNameObject(module);
    bool missed = name != NULL && PyUnicode_CompareWithASCIIString(name, dot + 1) == 0;
    Py_XDECREF(name);
    PyErr_Clear(); /* a module without a name has not missed one */
    return missed;
}

/* With -Wl,--wrap=PyModule_Create2, this is CPython's own function, and PyModule_Create2 would be
 * __wrap_PyModule_Create2() here. Without, it is NULL. */
PyObject *
__real_PyModule_Create2(struct PyModuleDef *def, int module_api_version) __attribute__((weak));

static PyObject *
create(struct PyModuleDef *def, int module_api_version)
{
    return __real_PyModule_Create2 != NULL ? __real_PyModule_Create2(def, module_api_version)
                                           : (PyModule_Create2)(def, module_api_version);
}

/* Caller must hold the name mutex. */
static PyObject *
create_named(struct PyModuleDef *def, int module_api_version)
{
    struct kiln_context *context = current_context;
    const char *dot = context == NULL || context->name == NULL ? NULL : strrchr(context->name, '.');
    if (dot == NULL || def->m_name == NULL || strcmp(dot + 1, def->m_name) != 0) {
        return create(def, module_api_version);
    }
    /* The functions in m_methods take their __module__ from the definition's name. */
    const char *own_name = def->m_name;
    def->m_name = context->name;
    context->name = NULL;
    swap_cpythons(NULL);
    PyObject *module = create(def, module_api_version);
    def->m_name = own_name;
    return module;
}

PyObject *
kiln_PyModule_Create2(struct PyModuleDef *def, int module_api_version)
{
    kiln_mutex_lock(&name_mutex);
    PyObject *module = create_named(def, module_api_version);
    kiln_mutex_unlock(&name_mutex);
    return module;
}

/* For programs linked with -Wl,--wrap=PyModule_Create2, because their objects did not go through
 * `kiln isolate`. */
PyObject *__wrap_PyModule_Create2(struct PyModuleDef *def, int module_api_version);

PyObject *
__wrap_PyModule_Create2(struct PyModuleDef *def, int module_api_version)
{
    return kiln_PyModule_Create2(def, module_api_version);
}
