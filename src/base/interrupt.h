/* Signals that ask a run to end (an interrupt from the terminal, a termination, a hang-up) while
 * a program that it started is at work, and there is something to clean up. */
#ifndef KILN_BASE_INTERRUPT_H
#define KILN_BASE_INTERRUPT_H

#include <signal.h>
#include <sys/types.h>

/* From now on such a signal ends the child at hand, makes kiln_process_run() fail, and so unwinds
 * the run, which cleans up. A signal that is ignored stays so. */
void kiln_interrupt_watch(void);

/* The signal that has come; 0: none. */
int kiln_interrupt_get(void);

/* End the process by the signal that has come, as if it had not been caught. Returns if none has.
 */
void kiln_interrupt_raise(void);

/* The rest is for process.c: what is changed for the time of a child. */
struct kiln_interrupt_saved {
    sigset_t mask;
    struct sigaction interrupt, quit;
};

/* Before fork(). No signal comes until in_child or in_parent, so that none gets lost. */
void kiln_interrupt_begin(struct kiln_interrupt_saved *saved);
/* The child is to signals what this process was. */
void kiln_interrupt_in_child(const struct kiln_interrupt_saved *saved);
/* CHILD gets the signals handed on; 0 or less: there is none. */
void kiln_interrupt_in_parent(const struct kiln_interrupt_saved *saved, pid_t child);
/* CHILD has been waited for. */
void kiln_interrupt_end(const struct kiln_interrupt_saved *saved);

#endif
