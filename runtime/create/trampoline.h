/* The trampoline: the entry of CPython's inittab that stands for every baked module; see
 * trampoline.c. */
#ifndef KILN_RUNTIME_TRAMPOLINE_H
#define KILN_RUNTIME_TRAMPOLINE_H

#include "core/pycompat.h"

#include <stdbool.h>

/* The entry: its name, which is a buffer, and its init function. */
enum { KILN_TRAMPOLINE_NAME_SIZE = 4001 };
extern char kiln_trampoline_name[];
PyObject *kiln_trampoline_init(void);

/* Call once, before the entry is in the inittab. AT_REST defines the module that the entry is while
 * no thread uses it. Returns 0, or an errno value. */
int kiln_trampoline_prepare(PyModuleDef *at_rest);

/* One module that one thread creates through the trampoline. */
struct kiln_trampoline {
    const char *name; /* its dotted name: ASCII, shorter than KILN_TRAMPOLINE_NAME_SIZE */
    /* Called for the entry's init function: returns what the module's own would return. */
    PyObject *(*fulfil)(struct kiln_trampoline *use);
    struct kiln_trampoline *outer; /* the rest belongs to trampoline.c */
    bool has_entry;
};

/* Calls CREATE_BUILTIN(SPEC), CPython's _imp.create_builtin, with the entry under the name of USE.
 * Returns what that returns. */
PyObject *
kiln_trampoline_run(struct kiln_trampoline *use, PyObject *create_builtin, PyObject *spec);

#endif
