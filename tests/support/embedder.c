/* A program that runs Python code in interpreters of several kinds, one after the other:
 *
 *     embedder KIND CODE [KIND CODE]...
 *
 * KIND is `main`, the sub-interpreters `legacy`, `strict` (with main's GIL) and `own` (with a GIL of
 * its own), or `again`, which finalises Python and initialises it before CODE. With STOCK in the
 * environment it is a program that knows nothing of Kiln. Exit status: 0 done, 1 failed, 77 this
 * Python cannot do it. */
#include <Python.h>
#include <kiln/kiln.h>

#include <string.h>

static int
start(void)
{
    if (getenv("STOCK") == NULL && Kiln_Install(&kiln_table) != KILN_INSTALL_OK) {
        fputs("Kiln_Install() failed\n", stderr);
        return -1;
    }
    Py_Initialize();
    return 0;
}

static PyThreadState *
make_interpreter(const char *kind)
{
    if (strcmp(kind, "legacy") == 0) {
        return Py_NewInterpreter();
    }
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
    int own = strcmp(kind, "own") == 0;
    PyInterpreterConfig config = {
        .use_main_obmalloc = !own,
        .allow_threads = 1,
        .check_multi_interp_extensions = 1,
        .gil = own ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL,
    };
    PyThreadState *state = NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&state, &config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
    return state;
#else
    exit(77);
#endif
}

static int
run_in_new(const char *kind, const char *code)
{
    PyThreadState *main = PyThreadState_Get();
    PyThreadState *state = make_interpreter(kind);
    if (state == NULL) {
        fputs("no interpreter\n", stderr);
        return -1;
    }
    int result = PyRun_SimpleString(code);
    Py_EndInterpreter(state);
    PyThreadState_Swap(main);
    return result;
}

static int
run(const char *kind, const char *code)
{
    if (strcmp(kind, "main") != 0 && strcmp(kind, "again") != 0) {
        return run_in_new(kind, code);
    }
    if (strcmp(kind, "again") == 0 && (Py_FinalizeEx() < 0 || start() < 0)) {
        return -1;
    }
    return PyRun_SimpleString(code);
}

int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (start() < 0) {
        return 1;
    }
    int result = 0;
    for (int i = 1; i + 1 < argc && result == 0; i += 2) {
        result = run(argv[i], argv[i + 1]);
    }
    return Py_FinalizeEx() < 0 || result < 0 ? 1 : 0;
}
