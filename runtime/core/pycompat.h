/* The differences between the CPythons Kiln runs on, each under the name of what can be done: the
 * only place that asks for a version. A new minor version is a line here, or none. */
#ifndef KILN_RUNTIME_PYCOMPAT_H
#define KILN_RUNTIME_PYCOMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

_Static_assert(PY_VERSION_HEX >= 0x03080000, "Kiln needs CPython 3.8 or later");

/* Objects of a heap type own a reference to it, which tp_traverse visits (bpo-40217). */
#define KILN_TRAVERSE_VISITS_TYPE (PY_VERSION_HEX >= 0x03090000)

/* An init function that returns a module and leaves an exception behind gets that as the cause of
 * the SystemError. */
#define KILN_CHAINS_UNREPORTED_EXCEPTION (PY_VERSION_HEX >= 0x030c0000)

/* A module without a definition, as the result of an init function, is "not a valid extension
 * module", not just "not an extension module". */
#define KILN_WORD_VALID (PY_VERSION_HEX >= 0x030d0000 ? "a valid" : "an")

/* Init functions are called in the main interpreter first, whichever asks; and one that returns NULL
 * without an exception is no error of its caller. */
#define KILN_INITS_IN_MAIN_INTERPRETER (PY_VERSION_HEX >= 0x030d0000)

/* There are interpreters that admit only modules made for them (PEP 684). */
#define KILN_HAS_STRICT_INTERPRETERS (PY_VERSION_HEX >= 0x030c0000)

/* The first module that importlib imports in every interpreter and of which CPython calls the init
 * function, or the exec slots, in every interpreter. */
#if PY_VERSION_HEX >= 0x03090000
#define KILN_FIRST_MODULE "posix"
#else
#define KILN_FIRST_MODULE "_io"
#endif

/* Interpreters with a GIL of their own, and the slot that says a module can live in them. */
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
#define KILN_SLOT_INTERPRETERS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define KILN_SLOT_INTERPRETERS
#endif

/* Builds without a GIL, and the slot that says a module needs none. */
#ifdef Py_MOD_GIL_NOT_USED
#define KILN_SLOT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define KILN_SLOT_GIL
#endif

/* Of two entries of one name in the inittab, _imp.create_builtin() takes the last, not the first,
 * and so goes through all of it. */
#define KILN_INITTAB_LAST_WINS (PY_VERSION_HEX >= 0x030d0000 && PY_VERSION_HEX < 0x030f0000)

/* sys.executable has no "//", "/./" or "/../" in it. */
#define KILN_NORMALIZES_EXECUTABLE (PY_VERSION_HEX >= 0x030b0000)

/* A file PROGRAM._pth takes the place of all that sys.path is computed from. */
#define KILN_HAS_PTH_FILES (PY_VERSION_HEX >= 0x030b0000)

/* In a virtual environment of copies, sys._base_executable is the file in `home` of pyvenv.cfg. */
#define KILN_BASE_OF_COPY_IS_IN_HOME (PY_VERSION_HEX >= 0x030b0000)

/* sys.prefix is a virtual environment's from the start, and `site` only looks whether it is. */
#define KILN_PREFIX_PRECEDES_SITE (PY_VERSION_HEX >= 0x030e0000)

/* PEP 793: modules made of slots alone, from PyModExport_* hooks. */
#define KILN_HAS_MODULE_EXPORT (PY_VERSION_HEX >= 0x030f0000)

/* The inittab that is used is a copy made at initialisation; what PyImport_Inittab points to is not
 * looked at any more. */
#define KILN_COPIES_INITTAB (PY_VERSION_HEX >= 0x030c0000)

/* PyInitConfig_AddModule() (PEP 741) adds to the inittab while Python is being initialised. */
#define KILN_HAS_INIT_CONFIG (PY_VERSION_HEX >= 0x030e0000)

/* Threads of an interpreter take turns, which the fast path relies on. Where they do not, CPython
 * turns the GIL on for each module that does not declare that it needs none; but only if the module
 * is created by CPython's own loaders, and nothing public does the same. (Tests set it for a Python
 * with a GIL.) */
#ifndef KILN_GIL_IS_OPTIONAL
#ifdef Py_GIL_DISABLED
#define KILN_GIL_IS_OPTIONAL 1
#else
#define KILN_GIL_IS_OPTIONAL 0
#endif
#endif
#define KILN_HAS_FAST_PATH (!KILN_GIL_IS_OPTIONAL)

/* importlib warns when a module cannot be made an attribute of its parent (bpo-39307). */
#define KILN_WARNS_OF_UNBOUND_MODULE (PY_VERSION_HEX >= 0x03090000)

/* importlib raises the audit event of an import, and waits for all parents of a module, not just
 * the one, that other threads are importing. */
#define KILN_IMPORTLIB_AUDITS            (PY_VERSION_HEX >= 0x030f0000)
#define KILN_IMPORTLIB_WAITS_FOR_PARENTS (PY_VERSION_HEX >= 0x030f0000)

/* Public under these names from 3.9 on. */
#if PY_VERSION_HEX >= 0x03090000
#define KILN_VECTORCALL      PyObject_Vectorcall
#define KILN_GET_INTERPRETER PyInterpreterState_Get
#else
#define KILN_VECTORCALL      _PyObject_Vectorcall
#define KILN_GET_INTERPRETER _PyInterpreterState_Get
#endif

/* sys.NAME, a new reference; NULL, without an exception, if there is none. Others may set it to
 * something else at any time, and then what was there is gone. */
static inline PyObject *
kiln_get_sys(const char *name)
{
    PyObject *value = NULL;
#if PY_VERSION_HEX >= 0x030f0000
    if (PySys_GetOptionalAttrString(name, &value) < 0) {
        PyErr_Clear();
    }
#else
#ifdef Py_GIL_DISABLED
    PyObject *key = PyUnicode_FromString("sys");
    PyObject *sys = key == NULL ? NULL : PyImport_GetModule(key);
    if (sys == NULL || PyObject_GetOptionalAttrString(sys, name, &value) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(sys);
    Py_XDECREF(key);
#endif
    if (value == NULL) {
        value = PySys_GetObject(name);
        Py_XINCREF(value);
    }
#endif
    return value;
}

/* Item INDEX of LIST, a new reference; NULL, without an exception, if it is not that long any more. */
static inline PyObject *
kiln_get_item(PyObject *list, Py_ssize_t index)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *item = PyList_GetItemRef(list, index);
    if (item == NULL) {
        PyErr_Clear();
    }
#else
    PyObject *item = index < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, index) : NULL;
    Py_XINCREF(item);
#endif
    return item;
}

/* An exception put aside, or none. */
struct kiln_error {
    PyObject *type, *value, *traceback;
};

static inline void
kiln_error_save(struct kiln_error *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    error->value = PyErr_GetRaisedException();
#else
    PyErr_Fetch(&error->type, &error->value, &error->traceback);
#endif
}

/* Set it again, in the place of one that is set. */
static inline void
kiln_error_restore(const struct kiln_error *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(error->value);
#else
    PyErr_Restore(error->type, error->value, error->traceback);
#endif
}

static inline void
kiln_error_drop(struct kiln_error *error)
{
#if PY_VERSION_HEX >= 0x030c0000
    Py_CLEAR(error->value);
#else
    Py_CLEAR(error->type);
    Py_CLEAR(error->value);
    Py_CLEAR(error->traceback);
#endif
}

/* ISO C has no conversion between pointers to functions and to objects; the slots of types and
 * modules live by it. */
#define KILN_SLOT_FUNCTION(function) (__extension__(void *)(function))

#endif
