/* Signals that ask a run to end: an interrupt from the terminal, a termination, a hang-up. */
#ifndef KILN_BASE_INTERRUPT_H
#define KILN_BASE_INTERRUPT_H

#include <spawn.h>
#include <sys/types.h>

/* From now on such a signal is handed on to the running children; once these have ended, the
 * temporary files are removed and the process ends by the signal, whatever its threads are doing.
 * LAST, unless NULL, is called just before. A signal that is ignored stays so. */
void kiln_interrupt_watch(void (*last)(void));

/* The signal that has come; 0 if none has. */
int kiln_interrupt_get(void);

/* Does not return if a signal has come. Call it before the process ends in another way. */
void kiln_interrupt_wait(void);

/* A program that process.c runs. */
struct kiln_child {
    pid_t pid;
    struct kiln_child *next;
};

/* posix_spawnp() for ARGV. Returns 0, or the error number. Until kiln_interrupt_reap() the child is
 * handed signals, and this process ignores those that a terminal sends to both (system(3)). */
int kiln_interrupt_spawn(struct kiln_child *child, const posix_spawn_file_actions_t *actions,
                         char **argv, char **env);
/* Wait for CHILD. Returns its status as waitpid() gives it. Does not return if a signal has come. */
int kiln_interrupt_reap(struct kiln_child *child);

#endif
