/* The differences between versions of CPython, each under the name of a capability. This is the
 * only file that tests PY_VERSION_HEX; a new minor version is a line here, or none. */
#ifndef KILN_RUNTIME_PYCOMPAT_H
#define KILN_RUNTIME_PYCOMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

_Static_assert(PY_VERSION_HEX >= 0x03080000, "Kiln needs CPython 3.8 or later");

/* What it is compiled for; Py_GetVersion() begins so, and tells of a build without a GIL. */
#ifdef Py_GIL_DISABLED
#define KILN_IS_FREE_THREADED true
#else
#define KILN_IS_FREE_THREADED false
#endif
#define KILN_TEXT_OF_(number) #number
#define KILN_TEXT_OF(number)  KILN_TEXT_OF_(number)
#define KILN_PYTHON           KILN_TEXT_OF(PY_MAJOR_VERSION) "." KILN_TEXT_OF(PY_MINOR_VERSION)

/* tp_traverse of a heap type visits the type (bpo-40217). */
#define KILN_TRAVERSE_VISITS_TYPE (PY_VERSION_HEX >= 0x03090000)

/* If an init function returns a module with an exception set, that exception becomes the cause of
 * the SystemError. */
#define KILN_CHAINS_UNREPORTED_EXCEPTION (PY_VERSION_HEX >= 0x030c0000)

/* An init function that returns a module without a definition "did not return a valid extension
 * module", rather than "an extension module". */
#define KILN_WORD_VALID (PY_VERSION_HEX >= 0x030d0000 ? "a valid" : "an")

/* Init functions are called in the main interpreter first, whichever interpreter imports the
 * module. CPython itself raises the SystemError for one that returns NULL without an exception. */
#define KILN_INITS_IN_MAIN_INTERPRETER (PY_VERSION_HEX >= 0x030d0000)

/* CPython caches a single-phase module that is created in a sub-interpreter whatever its m_size,
 * not only if that is -1. */
#define KILN_CACHES_IN_SUBINTERPRETERS (PY_VERSION_HEX < 0x03090000)

/* Interpreters can refuse modules that do not declare support for them (PEP 684). */
#define KILN_HAS_STRICT_INTERPRETERS (PY_VERSION_HEX >= 0x030c0000)

/* The first module that importlib imports in every interpreter whose init function or exec slots
 * CPython runs in every interpreter. */
#if PY_VERSION_HEX >= 0x03090000
#define KILN_FIRST_MODULE "posix"
#else
#define KILN_FIRST_MODULE "_io"
#endif

/* The slot by which a module declares support for interpreters with a GIL of their own. */
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
#define KILN_SLOT_INTERPRETERS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define KILN_SLOT_INTERPRETERS
#endif

/* The slot by which a module declares that it does not need the GIL. */
#ifdef Py_MOD_GIL_NOT_USED
#define KILN_SLOT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define KILN_SLOT_GIL
#endif

/* Of two inittab entries with one name, _imp.create_builtin() takes the last, not the first, and so
 * scans the whole inittab. */
#define KILN_INITTAB_LAST_WINS (PY_VERSION_HEX >= 0x030d0000 && PY_VERSION_HEX < 0x030f0000)

/* CPython removes "//", "/./" and "/../" from sys.executable. */
#define KILN_NORMALIZES_EXECUTABLE (PY_VERSION_HEX >= 0x030b0000)

/* A file PROGRAM._pth, if there is one, defines sys.path. */
#define KILN_HAS_PTH_FILES (PY_VERSION_HEX >= 0x030b0000)

/* In a virtual environment made of copies, sys._base_executable is a file in the `home` of
 * pyvenv.cfg. */
#define KILN_BASE_OF_COPY_IS_IN_HOME (PY_VERSION_HEX >= 0x030b0000)

/* CPython, not `site`, sets sys.prefix to that of a virtual environment. */
#define KILN_PREFIX_PRECEDES_SITE (PY_VERSION_HEX >= 0x030e0000)

/* PEP 793: modules made of slots, from PyModExport_* hooks. */
#define KILN_HAS_MODULE_EXPORT (PY_VERSION_HEX >= 0x030f0000)

/* CPython copies the inittab when it is initialised, and does not read PyImport_Inittab
 * afterwards. */
#define KILN_COPIES_INITTAB (PY_VERSION_HEX >= 0x030c0000)

/* PyInitConfig_AddModule() (PEP 741) adds to the inittab while Python is being initialised. */
#define KILN_HAS_INIT_CONFIG (PY_VERSION_HEX >= 0x030e0000)

/* Free-threaded builds. The fast path relies on the GIL. Without one, CPython enables it when a
 * module is loaded that does not declare that it does not need it, but only in its own loaders; the
 * public API cannot. (Tests define this for a Python with a GIL.) */
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

/* Finders have find_module(), which warns in the later of these versions (bpo-42134). */
#define KILN_HAS_FIND_MODULE   (PY_VERSION_HEX < 0x030c0000)
#define KILN_FIND_MODULE_WARNS (PY_VERSION_HEX >= 0x030a0000)

/* importlib, not its caller, raises the audit event of an import; and it waits for all parents of a
 * module that other threads are importing, not only for the nearest. */
#define KILN_IMPORTLIB_AUDITS            (PY_VERSION_HEX >= 0x030f0000)
#define KILN_IMPORTLIB_WAITS_FOR_PARENTS (PY_VERSION_HEX >= 0x030f0000)

/* Public under these names since 3.9. KILN_GET_FRAME_CODE() returns a new reference. */
#if PY_VERSION_HEX >= 0x03090000
#define KILN_GET_FRAME_CODE  PyFrame_GetCode
#define KILN_VECTORCALL      PyObject_Vectorcall
#define KILN_GET_INTERPRETER PyInterpreterState_Get
#else
#include <frameobject.h>
static inline PyCodeObject *
KILN_GET_FRAME_CODE(PyFrameObject *frame)
{
    Py_INCREF(frame->f_code);
    return frame->f_code;
}
#define KILN_VECTORCALL      _PyObject_Vectorcall
#define KILN_GET_INTERPRETER _PyInterpreterState_Get
#endif

/* Returns sys.NAME, a new reference: other code may replace the attribute at any time. NULL without
 * an exception if there is none. */
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

/* Returns item INDEX of LIST, a new reference; NULL without an exception if LIST is shorter by
 * now. */
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

/* A saved exception, or none. */
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

/* Sets it again, replacing an exception that is set. */
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

/* The slots of types and modules hold pointers to functions as pointers to objects, which ISO C
 * does not convert. */
#define KILN_SLOT_FUNCTION(function) (__extension__(void *)(function))

#endif
