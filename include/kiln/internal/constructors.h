/* Deferred constructors: the contract between combining (src/combine/shim.c) and the runtime
 * (runtime/machine/constructors.c).
 *
 * The global constructors of C++ and Rust in a shared object run when it is loaded, that is, when
 * the module is first imported. Linked into an executable they would run before main(), for every
 * module. Combining hides them from the linker, and makes the extension's init function call
 * kiln_run_constructors() first, with the extension's record. Needs no Python.h. */
#ifndef KILN_INTERNAL_CONSTRUCTORS_H
#define KILN_INTERNAL_CONSTRUCTORS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "kiln/internal/distance.h"

/* One for each extension that has constructors or destructors. The first four fields are distances
 * to the bounds of two arrays of function pointers. Either array may be empty. */
struct kiln_constructors {
    int32_t constructors; /* void (*)(int argc, char **argv, char **envp), called in order */
    int32_t constructors_end;
    int32_t destructors; /* void (*)(void), called from the last to the first */
    int32_t destructors_end;
    uint32_t state; /* 0 at the start; for kiln_run_constructors() only */
};

/* The same record in assembly. A change of one must change the other. */
#define KILN_CONSTRUCTORS_ALIGN "2" /* log2, for .p2align */
#define KILN_CONSTRUCTORS_ASSEMBLY                                                                 \
    "        .long kiln_ctors_start - .\n"                                                         \
    "        .long kiln_ctors_end - .\n"                                                           \
    "        .long kiln_dtors_start - .\n"                                                         \
    "        .long kiln_dtors_end - .\n"                                                           \
    "        .long 0\n"
static_assert(offsetof(struct kiln_constructors, constructors) == 0 &&
                  offsetof(struct kiln_constructors, constructors_end) == 4 &&
                  offsetof(struct kiln_constructors, destructors) == 8 &&
                  offsetof(struct kiln_constructors, destructors_end) == 12 &&
                  offsetof(struct kiln_constructors, state) == 16 &&
                  sizeof(struct kiln_constructors) == 20,
              "KILN_CONSTRUCTORS_ASSEMBLY has another layout");

/* Called at the start of every call of the extension's init function. The first call runs the
 * constructors with the program's argc, argv and envp, and registers the destructors for the end of
 * the process; the destructors of an extension that is never imported never run. Other threads wait
 * until the constructors have run; a call from one of the constructors returns at once. */
void kiln_run_constructors(struct kiln_constructors *record);

#endif
