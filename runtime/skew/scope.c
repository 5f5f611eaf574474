/* Whether the dynamic loader would bind a module otherwise in this process than `kiln link` has (image/give_way.c): then
 * its file is imported, if there is one. */
#include "skew/scope.h"

#include "core/python.h"
#include "kiln/internal/images.h"
#include "skew/skew.h"

/* Returns whether this import would open its file as `kiln link` took for granted (sys.setdlopenflags()); -1 with an
 * exception. */
static int
is_plain(PyObject *get_flags)
{
    if (get_flags == NULL) {
        return 1;
    }
    PyObject *flags = KILN_VECTORCALL(get_flags, NULL, 0, NULL);
    long value = flags == NULL ? -1 : PyLong_AsLong(flags);
    Py_XDECREF(flags);
    return value == -1 && PyErr_Occurred() ? -1 : kiln_image_is_plain_mode((int)value);
}

/* Returns whether SPEC is of a file to which the module gives way. */
static bool
gives_way(PyObject *spec)
{
    PyObject *origin = PyObject_GetAttrString(spec, "origin"), *path = NULL;
    bool result = origin != NULL && PyUnicode_Check(origin) &&
                  PyUnicode_FSConverter(origin, &path) &&
                  kiln_image_gives_way_to(PyBytes_AS_STRING(path));
    PyErr_Clear();
    Py_XDECREF(path);
    Py_XDECREF(origin);
    return result;
}

/* What the module defines does not become everybody's (RTLD_GLOBAL), say, as it would from its file. */
static int
warn(PyObject *name, const char *reason)
{
    PyObject *message =
        PyUnicode_FromFormat("%U: sys.setdlopenflags() has no effect on it, as %s; `kiln link "
                             "--keep %U` leaves it a file",
                             name, reason, name);
    int result = message == NULL ? -1 : kiln_warn_of_import(PyExc_RuntimeWarning, message);
    Py_XDECREF(message);
    return result < 0 ? -1 : KILN_SKEW_LOOKED;
}

int
kiln_scope_check(PyObject *finder, PyObject *get_flags, PyObject *name, PyObject *path,
                 PyObject **spec)
{
    int plain = is_plain(get_flags);
    if (plain < 0) {
        return -1;
    }
    if (plain == 0) {
        kiln_image_begin_special();
    }
    if (!kiln_image_may_give_way()) {
        return 1;
    }
    PyObject *found = kiln_find_behind(finder, name, path);
    if (found == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (found != NULL && gives_way(found)) {
        *spec = found;
        return 0;
    }
    const char *reason = found == NULL
                             ? "there is no file of it"
                             : "something that it needs was loaded from the program before";
    Py_XDECREF(found);
    return plain == 0 ? warn(name, reason) : KILN_SKEW_LOOKED;
}
