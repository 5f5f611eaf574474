/* Being asked to end: the handler only notes the signal and hands it on to the child. What the run
 * has begun is taken back on the way that errors take, so there is one way to clean up.
 *
 * An interrupt from the terminal is not handed on: the child gets it from there. A process that
 * does not watch, such as one that has a parent to clean up after it, ignores interrupts while it
 * has a child, as system(3) does. */
#include "base/interrupt.h"

#include <stdbool.h>
#include <stddef.h>

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNAL_COUNT (sizeof SIGNALS / sizeof SIGNALS[0])

static volatile sig_atomic_t caught;
static volatile sig_atomic_t running; /* the child's process id, or 0 */
static bool watching;

static void
take(int number)
{
    caught = number;
    if (running > 0 && number != SIGINT) {
        kill((pid_t)running, number);
    }
}

/* Put NEW in the place of OLD where that is the action. */
static void
exchange(void (*old)(int), void (*new)(int))
{
    struct sigaction action = {.sa_handler = new, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (sigaction(SIGNALS[i], NULL, &before) == 0 && before.sa_handler == old) {
            sigaction(SIGNALS[i], &action, NULL);
        }
    }
}

void
kiln_interrupt_watch(void)
{
    watching = true;
    exchange(SIG_DFL, take);
}

int
kiln_interrupt_get(void)
{
    return caught;
}

void
kiln_interrupt_raise(void)
{
    if (caught != 0) {
        exchange(take, SIG_DFL);
        raise(caught);
    }
}

void
kiln_interrupt_begin(struct kiln_interrupt_saved *saved)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t held;
    sigemptyset(&held);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        sigaddset(&held, SIGNALS[i]);
    }
    sigprocmask(SIG_BLOCK, &held, &saved->mask);
    sigaction(SIGINT, watching ? NULL : &ignore, &saved->interrupt);
    sigaction(SIGQUIT, &ignore, &saved->quit);
}

void
kiln_interrupt_in_child(const struct kiln_interrupt_saved *saved)
{
    sigaction(SIGINT, &saved->interrupt, NULL);
    sigaction(SIGQUIT, &saved->quit, NULL);
    exchange(take, SIG_DFL);
    sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

void
kiln_interrupt_in_parent(const struct kiln_interrupt_saved *saved, pid_t child)
{
    running = child > 0 ? child : 0;
    sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

void
kiln_interrupt_end(const struct kiln_interrupt_saved *saved)
{
    running = 0;
    sigaction(SIGINT, &saved->interrupt, NULL);
    sigaction(SIGQUIT, &saved->quit, NULL);
}
