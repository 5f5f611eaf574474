/* The package context: what makes a single-phase module `pkg.sub` know its whole name.
 *
 * A single-phase init function calls PyModule_Create() with the name its author wrote down, which
 * for an extension in a package is the last component only. CPython's loader of shared libraries
 * completes it by an internal variable that its public API cannot set. Here, while an init function
 * runs that create.c has called, the call is kiln_PyModule_Create2(), by a renamed symbol or
 * -Wl,--wrap, and the same rule applies: the first module that is created under the last component
 * of the wanted name gets the whole name. */
#include "runtime.h"

#include <string.h>

static _Thread_local struct kiln_context *current_context;

void
kiln_context_begin(struct kiln_context *context, const char *name)
{
    context->name = name;
    context->outer = current_context;
    current_context = context;
}

void
kiln_context_end(struct kiln_context *context)
{
    current_context = context->outer;
}

/* With -Wl,--wrap, PyModule_Create2 is kiln_PyModule_Create2() itself in here, and CPython's own
 * function has this name; without, nothing has. */
PyObject *
__real_PyModule_Create2(struct PyModuleDef *def, int module_api_version) __attribute__((weak));

static PyObject *
create(struct PyModuleDef *def, int module_api_version)
{
    return __real_PyModule_Create2 != NULL ? __real_PyModule_Create2(def, module_api_version)
                                           : (PyModule_Create2)(def, module_api_version);
}

PyObject *
kiln_PyModule_Create2(struct PyModuleDef *def, int module_api_version)
{
    struct kiln_context *context = current_context;
    const char *dot = context == NULL || context->name == NULL ? NULL : strrchr(context->name, '.');
    if (dot == NULL || def->m_name == NULL || strcmp(dot + 1, def->m_name) != 0) {
        return create(def, module_api_version);
    }
    /* The name has to be right from the start, as the functions in m_methods take their __module__
     * from it. */
    const char *own_name = def->m_name;
    def->m_name = context->name;
    context->name = NULL;
    PyObject *module = create(def, module_api_version);
    def->m_name = own_name;
    return module;
}
