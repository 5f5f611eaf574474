/* What the floor gives to those above: modules from init functions and export hooks. */
#ifndef KILN_RUNTIME_CREATE_H
#define KILN_RUNTIME_CREATE_H

#include "core/pycompat.h"

#include <stdbool.h>

#include "kiln/kiln.h"

struct kiln_module_file;

/* What makes a baked module. */
struct kiln_target {
    kiln_table_function function;
    unsigned flags; /* KILN_MODULE_... */
    bool in_table;  /* it is the table's, and may be covered by a distribution's record */
    const struct kiln_module_file *file; /* that it was baked from; NULL: not known */
};

/* Kiln_CreateModuleFromInitfunc(), given CPython's own _imp.create_builtin. */
PyObject *kiln_create_module(PyObject *create_builtin, PyObject *spec, Kiln_InitFunction initfunc);

/* Creates the module of TARGET, whichever kind of function it has. */
PyObject *
kiln_create_target(PyObject *create_builtin, PyObject *spec, const struct kiln_target *target);

/* The same for the fast path. TARGET is in the table; NAME and ORIGIN are those of SPEC, or ORIGIN
 * is NULL if the caller does not know it. */
PyObject *
kiln_create_in_table(PyObject *create_builtin, PyObject *spec, PyObject *name, PyObject *origin,
                     const struct kiln_target *target, bool is_main_interpreter);

struct kiln_builtin;
/* Creates BUILTIN, the built-in module of SPEC's name, as CPython would from its inittab. */
PyObject *
kiln_create_builtin(PyObject *create_builtin, PyObject *spec, const struct kiln_builtin *builtin);

/* Call in the first interpreter, before there are others. Returns 0, or -1 with an exception. */
int kiln_admission_prepare(void);

#endif
