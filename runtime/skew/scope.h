/* Does a baked module fit the process? For skew.c only. */
#ifndef KILN_RUNTIME_SCOPE_H
#define KILN_RUNTIME_SCOPE_H

#include "core/pycompat.h"

/* Arguments and result are those of kiln_skew_check(). */
int kiln_scope_check(PyObject *finder, PyObject *get_flags, PyObject *name, PyObject *path,
                     PyObject **spec);

#endif
