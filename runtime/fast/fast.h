/* What the floor gives to those above: the fast path, for an interpreter. */
#ifndef KILN_RUNTIME_FAST_H
#define KILN_RUNTIME_FAST_H

#include "core/pycompat.h"

/* Replaces importlib's _find_and_load() by the fast path, unless that is turned off or has been
 * done. BOOTSTRAP is importlib._bootstrap. Returns 0, or -1 with an exception. */
int kiln_fast_install(PyObject *bootstrap, PyObject *finder, PyObject *loaders);

#endif
