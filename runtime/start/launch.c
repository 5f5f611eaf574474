/* Kiln_Main(): a python with the modules of kiln_table. */
#include <stdio.h>

#include "home/executable.h"
#include "kiln/kiln.h"

/* As Py_BytesMain(), apart from the paths. */
static PyStatus
initialize(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyStatus status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status)) {
        status = kiln_executable_choose(&config, argc > 0 ? argv[0] : NULL);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    return status;
}

int
Kiln_Main(int argc, char **argv)
{
    int result = Kiln_Install(&kiln_table);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", argc > 0 ? argv[0] : "python", Kiln_GetInstallError(result));
        return 1;
    }
    PyStatus status = initialize(argc, argv);
    if (PyStatus_IsExit(status)) {
        return status.exitcode;
    }
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
    /* `site` may not have tried to import sitecustomize. */
    if (kiln_executable_set_late() < 0) {
        PyErr_WriteUnraisable(NULL);
    }
    return Py_RunMain();
}
