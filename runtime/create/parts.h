/* The steps of create.c, each in a file of its name. For this floor only. */
#ifndef KILN_RUNTIME_PARTS_H
#define KILN_RUNTIME_PARTS_H

#include "core/pycompat.h"

#include <stdbool.h>

#include "kiln/kiln.h"

/* --- admission.c ---------------------------------------------------------------------------------
 */

/* RESULT is that of an init function, and is stolen. Returns it; or NULL with CPython's ImportError
 * if it is a single-phase module and this interpreter admits only modules that declare support. */
PyObject *kiln_check_admission(PyObject *result, PyObject *spec);
/* The same if it does not declare that it needs no GIL, so that CPython would have enabled the GIL.
 * With ONLY_MULTI_PHASE, single-phase modules pass: the caller refuses them. */
PyObject *kiln_check_gil(PyObject *result, PyObject *name, bool only_multi_phase);

/* --- audit.c -------------------------------------------------------------------------------------
 */

/* Raises the audit event that CPython raises before it loads a shared library, with the name and
 * the origin of SPEC. Nothing if SPEC has no origin, or None. Returns 0, or -1 with an
 * exception. */
int kiln_audit_load(PyObject *spec);
int kiln_audit_load_from(PyObject *name, PyObject *origin);

/* --- created.c -----------------------------------------------------------------------------------
 */

/* Returns whether CPython has the single-phase module NAME of INITFUNC in its cache. */
bool kiln_is_created(const char *name, Kiln_InitFunction initfunc);
/* Note that CPython is about to put it there. Returns 0, or -1 with an exception. */
int kiln_remember_created(const char *name, Kiln_InitFunction initfunc);

/* --- hook_name.c ---------------------------------------------------------------------------------
 */

/* Returns SHORT_NAME, the last component of a name that is not ASCII, in the form that it has in
 * the name of its init function (PEP 489): bytes. NULL without an exception if it is ASCII. */
PyObject *kiln_encode_hook_name(const char *short_name);

/* --- init_result.c -------------------------------------------------------------------------------
 */

/* What is wrong with the result of an init function. */
enum kiln_fault {
    KILN_FAULT_NONE,
    KILN_FAULT_SILENT, /* NULL without an exception */
    KILN_FAULT_UNINITIALIZED,
    KILN_FAULT_NO_MODULE,
    KILN_FAULT_NO_DEFINITION, /* a module that has none */
    KILN_FAULT_NAMELESS,      /* a module in a package that does not know its whole name */
};
/* RESULT is that of the init function of HOOK_NAME, by which CPython's messages call it (the last
 * component), and is stolen. Returns it; or NULL with an exception, or with *FAULT for
 * kiln_raise_fault(). */
PyObject *kiln_check_result(PyObject *result, const char *hook_name, enum kiln_fault *fault);
/* Sets the exception for FAULT, replacing one that is set. Does nothing for KILN_FAULT_NONE. */
void kiln_raise_fault(enum kiln_fault fault, const char *name, const char *hook_name);

/* --- pep793.c ------------------------------------------------------------------------------------
 */

/* Creates the module of SPEC by an export hook (PEP 793). New reference, or NULL with an
 * exception. */
PyObject *kiln_create_module_from_export(PyObject *spec, kiln_table_function export_hook);

#endif
