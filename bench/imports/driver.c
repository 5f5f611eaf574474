/* driver COUNT STEP [PARENT...]: import the PARENTs, then every STEP-th of the first COUNT modules,
 * and say how long that took, as JSON: nanoseconds up to 100 places on the way, peak memory.
 * KILN_BENCH_PYTHON is the python whose library is used, KILN_BENCH_PATH a directory for
 * sys.path. */
#include "side.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PLACES = 100 };

static uint64_t
read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static _Noreturn void
fail(const char *what)
{
    if (PyErr_Occurred()) {
        PyErr_Print();
    }
    fprintf(stderr, "driver: %s\n", what);
    exit(1);
}

static void
initialize(void)
{
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    const char *python = getenv("KILN_BENCH_PYTHON");
    PyStatus status = python == NULL
                          ? PyStatus_Ok()
                          : PyConfig_SetBytesString(&config, &config.program_name, python);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
    const char *path = getenv("KILN_BENCH_PATH");
    if (path != NULL) {
        PyObject *entry = PyUnicode_DecodeFSDefault(path);
        if (entry == NULL || PyList_Insert(PySys_GetObject("path"), 0, entry) < 0) {
            fail("no sys.path");
        }
        Py_DECREF(entry);
    }
}

static void
import_parents(char **names)
{
    for (; *names != NULL; names++) {
        PyObject *parent = PyImport_ImportModule(*names);
        if (parent == NULL) {
            fail(*names);
        }
        Py_DECREF(parent);
    }
}

/* The names are interned, as the constants of import statements are. */
static PyObject **
make_names(size_t count, size_t step)
{
    PyObject **names = calloc(count / step + 2, sizeof *names);
    for (size_t i = 0, n = 0; i < count; i += step) {
        names[n++] = PyUnicode_InternFromString(bench_modules[i].name);
    }
    return names;
}

static void
import_modules(size_t count, size_t step)
{
    PyObject **names = make_names(count, step);
    size_t total = (count + step - 1) / step, places = 0;
    uint64_t times[PLACES + 1] = {0};
    size_t at[PLACES + 1] = {0};
    uint64_t start = read_clock();
    for (size_t n = 0; n < total; n++) {
        PyObject *module = side_import(&bench_modules[n * step], names[n]);
        if (module == NULL) {
            fail(bench_modules[n * step].name);
        }
        Py_DECREF(module);
        if ((n + 1) * PLACES / total > places) {
            at[places] = n + 1;
            times[places++] = read_clock() - start;
        }
    }
    printf("{\"imported\": %zu, \"nanoseconds\": %llu, \"places\": [", total,
           places == 0 ? 0ull : (unsigned long long)times[places - 1]);
    for (size_t i = 0; i < places; i++) {
        printf("%s[%zu, %llu]", i == 0 ? "" : ", ", at[i], (unsigned long long)times[i]);
    }
}

/* getrusage() would count what the parent had before it executed this program. */
static long
read_peak_kilobytes(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long peak = 0;
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            peak = strtol(line + 6, NULL, 10);
        }
    }
    return peak;
}

int
main(int argc, char **argv)
{
    if (argc < 3 || side_prepare() < 0) {
        fail("usage: driver COUNT STEP [PARENT...]");
    }
    initialize();
    if (side_install() < 0) {
        fail("cannot install the importer");
    }
    size_t count = strtoul(argv[1], NULL, 10), step = strtoul(argv[2], NULL, 10);
    if (count > bench_count || step == 0) {
        fail("there are fewer modules");
    }
    import_parents(argv + 3);
    import_modules(count, step);
    printf("], \"peak_kilobytes\": %ld}\n", read_peak_kilobytes());
    fflush(stdout);
    _Exit(0); /* what finalising costs is not the question */
}
