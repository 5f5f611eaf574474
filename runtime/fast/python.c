/* The part of the fast path that is written in Python, for two reasons.
 *
 * Frames. The frames above a module's code during its import are importlib's: warnings count them
 * for their stacklevel and are issued in their name, and tracebacks leave them out, by the names of
 * file and function. So the functions here have those names; the innermost calls
 * kiln_fast_continue(). Each frame costs as much as a twentieth of the import, so there are no more
 * than have different names of files, of the five or six that importlib has; warnings.c counts the
 * others.
 *
 * Speed. To set all attributes that ModuleSpec.__init__() sets takes as long by the C API as
 * creating the module; bytecode is several times faster. One spec is made by ModuleSpec as a model:
 * the function sets the same attributes to the same values in the same order, apart from name, loader
 * and place. */
#include "fast/state.h"

#include "core/python.h"
#include "find/finder.h"
#include "load/loader.h"

/* Appends the formatted text to *TEXT, a str or NULL with an exception. */
static void
append(PyObject **text, const char *format, PyObject *a, PyObject *b)
{
    PyObject *more = *text == NULL ? NULL : PyUnicode_FromFormat(format, a, b);
    if (more == NULL) {
        Py_CLEAR(*text);
        return;
    }
    PyUnicode_Append(text, more);
    Py_DECREF(more);
}

/* Returns the expression for the attribute KEY of a spec, which is VALUE in the model; NULL if the
 * attribute is not known. */
static const char *
get_expression(struct kiln_fast *fast, PyObject *key, PyObject *value)
{
    if (key == fast->names[KILN_NAME_SPEC_NAME]) {
        return "name";
    }
    if (key == fast->names[KILN_NAME_SPEC_LOADER]) {
        return "loader";
    }
    if (key == fast->names[KILN_NAME_SPEC_ORIGIN]) {
        return "origin";
    }
    if (key == fast->names[KILN_NAME_SPEC_HAS_LOCATION]) {
        return "has_location";
    }
    if (PyList_CheckExact(value) && PyList_GET_SIZE(value) == 0) {
        return "[]";
    }
    return value == Py_None ? "None" : value == Py_False ? "False" : NULL;
}

/* Appends statements that fill a spec like VALUES, the __dict__ of the model. Returns whether the
 * attributes are those that the fast path expects; -1 with an exception. */
static int
append_assignments(struct kiln_fast *fast, PyObject **source, PyObject *values)
{
    static const enum kiln_fast_name expected[] = {
        KILN_NAME_SPEC_NAME,
        KILN_NAME_SPEC_LOADER,
        KILN_NAME_SPEC_ORIGIN,
        KILN_NAME_SPEC_HAS_LOCATION,
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (PyDict_Contains(values, fast->names[expected[i]]) != 1) {
            return PyErr_Occurred() ? -1 : 0;
        }
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(values, &position, &key, &value)) {
        const char *expression = get_expression(fast, key, value);
        if (expression == NULL || !PyUnicode_Check(key)) {
            return 0;
        }
        PyObject *text = PyUnicode_FromString(expression);
        if (text == NULL) {
            return -1;
        }
        append(source, "  spec.%U = %U\n", key, text);
        Py_DECREF(text);
    }
    fast->tracks_children = PyDict_Contains(values, fast->names[KILN_NAME_SPEC_CHILDREN]) == 1;
    return *source == NULL ? -1 : 1;
}

/* Returns the __dict__ of a new spec, the model; NULL with or without an exception. */
static PyObject *
get_model(struct kiln_fast *fast)
{
    PyObject *spec = PyObject_CallFunctionObjArgs(fast->spec_type, fast->empty, Py_None, NULL);
    PyObject *values = spec == NULL ? NULL : PyObject_GetAttrString(spec, "__dict__");
    Py_XDECREF(spec);
    if (values == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    if (values != NULL && !PyDict_CheckExact(values)) {
        Py_CLEAR(values);
    }
    return values;
}

#define LOAD                                                                                       \
    "  spec._initializing = True\n"                                                                \
    "  try: return exec_module(lock)\n"                                                            \
    "  finally: spec._initializing = False\n"

/* Returns the source; NULL without an exception if this importlib has unknown specs. */
static PyObject *
make_source(struct kiln_fast *fast)
{
    PyObject *values = get_model(fast);
    if (values == NULL) {
        return NULL;
    }
    PyObject *source = PyUnicode_FromString(
        "def make(continue_, make_exec_module):\n"
        " def _call_with_frames_removed(lock): return continue_(lock)\n"
        " exec_module = make_exec_module(_call_with_frames_removed)\n"
        " def _find_and_load(spec, lock):\n" LOAD " load_made = _find_and_load\n"
        " def _find_and_load(spec, lock, name, loader, origin, has_location):\n"
        "  loader.name = name\n"
        "  loader.path = origin\n");
    int known = append_assignments(fast, &source, values);
    Py_DECREF(values);
    append(&source, LOAD " return load_made, _find_and_load, _call_with_frames_removed.__code__\n",
           NULL, NULL);
    if (known <= 0) {
        Py_CLEAR(source);
    }
    return source;
}

/* Calls the function make() of SOURCE. */
static PyObject *
run(struct kiln_fast *fast, const char *source)
{
    PyObject *make = kiln_compile_make(fast->bootstrap, KILN_FILE_OF_BOOTSTRAP, source);
    PyObject *inner = make == NULL ? NULL : PyObject_GetAttrString((PyObject *)fast, "_continue");
    PyObject *functions =
        inner == NULL ? NULL
                      : PyObject_CallFunctionObjArgs(make, inner,
                                                     kiln_loaders_get_wrapper(fast->loaders), NULL);
    Py_XDECREF(inner);
    Py_XDECREF(make);
    return functions;
}

int
kiln_fast_make_functions(struct kiln_fast *fast)
{
    PyObject *source = make_source(fast);
    if (source == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    const char *text = PyUnicode_AsUTF8(source);
    PyObject *functions = text == NULL ? NULL : run(fast, text);
    Py_DECREF(source);
    int result = functions == NULL ? -1
                                   : PyArg_ParseTuple(functions, "OOO", &fast->load_made,
                                                      &fast->load_new, &fast->innermost) -
                                         1;
    if (result == 0) {
        Py_INCREF(fast->load_made);
        Py_INCREF(fast->load_new);
        Py_INCREF(fast->innermost);
    }
    Py_XDECREF(functions);
    return result;
}

/* Makes the spec as importlib does, by asking the finder. */
static PyObject *
load_by_finder(struct kiln_fast *fast, struct kiln_import *import)
{
    PyObject *path = import->path == NULL ? Py_None : import->path;
    import->spec = PyObject_CallMethodObjArgs(fast->finder, fast->names[KILN_NAME_FIND_SPEC],
                                              import->name, path, NULL);
    return import->spec == NULL
               ? NULL
               : PyObject_CallFunctionObjArgs(fast->load_made, import->spec, import->lock, NULL);
}

PyObject *
kiln_fast_load_from_python(struct kiln_fast *fast, struct kiln_import *import)
{
    if (kiln_fast_is_package(import)) {
        return load_by_finder(fast, import);
    }
    import->origin =
        kiln_finder_get_place(fast->finder, import->name, import->path, &import->target);
    if (import->origin == NULL && PyErr_Occurred()) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)fast->spec_type;
    PyTypeObject *loader_type = (PyTypeObject *)kiln_loaders_get_type(fast->loaders);
    if (loader_type == NULL) {
        return NULL;
    }
    import->spec = type->tp_new(type, fast->no_args, NULL);
    import->loader = loader_type->tp_new(loader_type, fast->no_args, NULL);
    if (import->spec == NULL || import->loader == NULL) {
        return NULL;
    }
    PyObject_GC_UnTrack(import->loader); /* it will hold two strings */
    PyObject *origin = import->origin == NULL ? Py_None : import->origin;
    PyObject *args[] = {
        import->spec, (PyObject *)import->lock,
        import->name, import->loader,
        origin,       origin == Py_None ? Py_False : Py_True,
    };
    return KILN_VECTORCALL(fast->load_new, args, sizeof args / sizeof args[0], NULL);
}
