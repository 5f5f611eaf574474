/* CPython's functions that issue a warning, as modules call them that are linked into the program.
 *
 * A stack level counts the frames of importlib, if the innermost frame is one of these: a module
 * that blames the line that imports it, at the sixth level from its exec slots and the seventh from
 * its init function, relies on their number. The fast path has only three of them, one for each file that can
 * be at fault at the levels 1, 2 and 3 (python.c). So the levels above are counted here.
 *
 * Not covered are calls of warnings.warn() by way of Python: there are three frames to count. */
#include "fast/state.h"

#include "core/pycompat.h"
#include "kiln/kiln.h"

enum { FRAMES = 3 }; /* that the fast path has */

_Thread_local struct kiln_frames kiln_fast_frames;

/* Returns whether the module's code has been called by the fast path, and not by other Python code
 * since. */
static bool
is_called_by_import(void)
{
    PyFrameObject *frame = kiln_fast_frames.innermost == NULL ? NULL : PyEval_GetFrame();
    PyCodeObject *code = frame == NULL ? NULL : KILN_GET_FRAME_CODE(frame);
    bool result = code != NULL && (PyObject *)code == kiln_fast_frames.innermost;
    Py_XDECREF(code);
    return result;
}

/* Returns the level of the frame that is at STACK_LEVEL in an import of a shared library. */
static Py_ssize_t
convert(Py_ssize_t stack_level)
{
    if (stack_level <= FRAMES || !is_called_by_import()) {
        return stack_level;
    }
    Py_ssize_t level = stack_level - kiln_fast_frames.missing;
    return level < FRAMES ? FRAMES : level;
}

int
kiln_PyErr_WarnEx(PyObject *category, const char *message, Py_ssize_t stack_level)
{
    return PyErr_WarnEx(category, message, convert(stack_level));
}

/* Calls WARN_FORMAT, one of CPython's functions, with OBJECT and the formatted message. */
static int
warn(int (*warn_format)(PyObject *, Py_ssize_t, const char *, ...), PyObject *object,
     Py_ssize_t stack_level, const char *format, va_list args)
{
    PyObject *message = PyUnicode_FromFormatV(format, args);
    int result = message == NULL ? -1 : warn_format(object, convert(stack_level), "%U", message);
    Py_XDECREF(message);
    return result;
}

int
kiln_PyErr_WarnFormat(PyObject *category, Py_ssize_t stack_level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = warn(PyErr_WarnFormat, category, stack_level, format, args);
    va_end(args);
    return result;
}

int
kiln_PyErr_ResourceWarning(PyObject *source, Py_ssize_t stack_level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = warn(PyErr_ResourceWarning, source, stack_level, format, args);
    va_end(args);
    return result;
}
