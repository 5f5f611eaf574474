/* Deferred constructors: what `kiln isolate` leaves in an object, and the runtime runs.
 *
 * In a shared object, the global constructors of C++ and Rust run when it is loaded, that is, when
 * the module is first imported. Linked into an executable they would run before main(), for every
 * module. Isolating takes them out of the linker's sight and puts a few instructions in front of
 * the extension's init function, which call kiln_run_constructors() with the extension's record.
 * Needs no Python.h. */
#ifndef KILN_CONSTRUCTORS_H
#define KILN_CONSTRUCTORS_H

#include <stdint.h>

/* One for each extension that has constructors or destructors. The first four fields say where the
 * bounds of two arrays of function pointers are, each as the distance from the field itself, so
 * that the record needs no relocation at run time. Either array may be empty. */
struct kiln_constructors {
    int32_t constructors; /* void (*)(int argc, char **argv, char **envp), to be called in order */
    int32_t constructors_end; /* behind the last */
    int32_t destructors;      /* void (*)(void), to be called from the last to the first */
    int32_t destructors_end;
    uint32_t state; /* 0 at the start; belongs to kiln_run_constructors(), which alone uses it */
};

/* Called each time an init function of the extension is: the constructors have run when it returns.
 * The first call runs them, with the program's argc, argv and envp, and registers the destructors
 * for the end of the process; the destructors of an extension that is never imported never run.
 * Other threads wait until the first is done; a call from one of the constructors themselves
 * returns at once. */
void kiln_run_constructors(struct kiln_constructors *record);

#endif
