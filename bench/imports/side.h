/* What the programs of the import benchmark share: driver.c is their main(), and each side is one
 * way to make linked-in modules importable. */
#ifndef KILN_BENCH_SIDE_H
#define KILN_BENCH_SIDE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_module {
    const char *name;
    PyObject *(*init)(void);
};

/* The modules in the order in which they are imported; generated. */
extern const struct bench_module bench_modules[];
extern const size_t bench_count;

/* Get ready, before and after Python is initialised. 0, or -1. */
int side_prepare(void);
int side_install(void);

/* Import one module; a new reference, or NULL with an exception. */
PyObject *side_import(const struct bench_module *module, PyObject *name);

#ifdef __cplusplus
}
#endif

#endif
