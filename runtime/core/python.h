/* Helpers over the C API that several floors need. None of them knows of tables or baked
 * modules. */
#ifndef KILN_RUNTIME_PYTHON_H
#define KILN_RUNTIME_PYTHON_H

#include "core/pycompat.h"
#include "kiln/internal/python_code.h"

#include <stdbool.h>
#include <stddef.h>

#define KILN_MODULE_NAME        "_kiln"
#define KILN_PUBLIC_MODULE_NAME "kiln"
#define KILN_FINDER_TYPE_NAME   KILN_MODULE_NAME ".Finder"

/* --- importlib and sys ---------------------------------------------------------------------------
 */

/* Returns sys.modules["_frozen_importlib"], which is importlib._bootstrap once importlib has been
 * imported. New reference, or NULL with an exception. */
PyObject *kiln_get_bootstrap(void);
/* Returns importlib._bootstrap_external; or BOOTSTRAP, which is importlib._bootstrap, if that is not
 * there yet. New reference, or NULL with an exception. */
PyObject *kiln_get_bootstrap_external(PyObject *bootstrap);
/* Returns the function make() of CODE. To warnings and tracebacks it is one of MODULE, one of importlib's. New
 * reference, or NULL with an exception. */
PyObject *kiln_get_make(PyObject *module, enum kiln_python_code code);

/* Returns CPython's own function _imp.NAME, even if builtins.c has replaced it. BOOTSTRAP is
 * importlib._bootstrap. New reference, or NULL with an exception. */
PyObject *kiln_get_imp_function(PyObject *bootstrap, const char *name);

bool kiln_is_ascii(const char *text);
/* Returns whether sys.flags.NAME is set. */
bool kiln_is_flag_set(const char *name);

/* --- Objects -------------------------------------------------------------------------------------
 */

/* Returns NAME, a str, in UTF-8, and its length; NULL, without an exception, if it has a lone
 * surrogate. */
static inline const char *
kiln_get_utf8(PyObject *name, size_t *len)
{
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &size);
    if (utf8 == NULL) {
        PyErr_Clear();
        return NULL;
    }
    *len = (size_t)size;
    return utf8;
}

/* Returns a new reference to the first item of ITEMS if that is a str; otherwise NULL, with an
 * exception only if iterating over ITEMS raised one. */
PyObject *kiln_get_first_string(PyObject *items);

/* The tp_new of types that Python code cannot instantiate. */
PyObject *kiln_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* --- sys.meta_path (meta_path.c) -----------------------------------------------------------------
 */

/* Returns whether OBJECT is a finder of Kiln's. Each _kiln module has a type of its own, so it is
 * known by the name of its type. */
bool kiln_is_finder(PyObject *object);

/* Asks the finders behind OURS in sys.meta_path. Returns a spec, a new reference; or NULL, with an
 * exception, or without one if they find nothing or only a part of a namespace package. */
PyObject *kiln_find_behind(PyObject *ours, PyObject *name, PyObject *path);

/* --- Errors --------------------------------------------------------------------------------------
 */

/* Sets an ImportError with the message FORMAT % NAME and these for its name and path (NULL: None).
 * Returns NULL. */
PyObject *kiln_fail_import(PyObject *name, PyObject *path, const char *format);

/* Sets a SystemError with the message FORMAT % NAME, and the exception that is set now as its cause
 * where CPython does so. */
void kiln_fail_with_cause(const char *format, const char *name);

/* warn.c: warn with MESSAGE at the import statement. Returns -1 with an exception. */
int kiln_warn_of_import(PyObject *category, PyObject *message);

#endif
