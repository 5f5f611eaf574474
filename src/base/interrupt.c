/* Ending by a signal: a thread waits for it, so that it is acted on wherever the other threads are: in
 * a system call that blocks, or in a loop that nobody thought of.
 *
 * The run does not unwind. What must not stay behind is listed in base/temporary.h, and a child has
 * ended before its files are removed. The thread that waits, or the one that reaps the last child, ends
 * the process.
 *
 * A terminal sends an interrupt to the children as well; one that another process sent to this one is
 * handed on. A process that does not watch, such as one that has a parent to clean up after it,
 * ignores interrupts while it has a child, as system(3) does. */
#include "base/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/temporary.h"

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};

static atomic_int caught;
static atomic_bool watching;
static sigset_t watched, mask_before; /* of kiln_interrupt_watch() */
static void (*call_last)(void);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kiln_child *children;
static struct sigaction interrupt_action, quit_action; /* in place when there are no children */

/* Requires the mutex, and never unlocks it. */
static _Noreturn void
end_process(void)
{
    kiln_temporary_remove_all();
    if (call_last != NULL) {
        call_last();
    }
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
    raise(caught);
    _exit(128 + caught);
}

/* Act on pending signals. Requires the mutex, under which alone they are taken: a thread that reaps a
 * child learns of a signal that ended the child. */
static void
take_signals(void)
{
    const struct timespec now = {0};
    siginfo_t info;
    int number;
    while (watching && (number = sigtimedwait(&watched, &info, &now)) > 0) {
        bool is_terminal = number == SIGINT && info.si_code == SI_KERNEL;
        caught = number;
        for (const struct kiln_child *child = children; child != NULL && !is_terminal;
             child = child->next) {
            kill(child->pid, number);
        }
    }
    if (caught != 0 && children == NULL) {
        end_process();
    }
}

static void *
wait_for_signals(void *arg)
{
    struct pollfd poll_fd = {.fd = *(const int *)arg, .events = POLLIN};
    for (;;) {
        if (poll(&poll_fd, 1, -1) > 0) {
            pthread_mutex_lock(&mutex);
            take_signals();
            pthread_mutex_unlock(&mutex);
        }
    }
    return NULL;
}

void
kiln_interrupt_watch(void (*last)(void))
{
    static int fd; /* is readable while a signal is pending */
    pthread_t thread;
    call_last = last;
    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
        struct sigaction action;
        if (sigaction(SIGNALS[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
            sigaddset(&watched, SIGNALS[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &watched, &mask_before); /* and so in every thread made later */
    fd = signalfd(-1, &watched, SFD_CLOEXEC);
    watching = fd >= 0;
    if (!watching || pthread_create(&thread, NULL, wait_for_signals, &fd) != 0) {
        watching = false;
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
    }
}

int
kiln_interrupt_get(void)
{
    return caught;
}

/* Let another thread end the process. Requires the mutex. */
static void
block_if_caught(void)
{
    take_signals();
    if (caught != 0) {
        pthread_mutex_unlock(&mutex);
        for (;;) {
            pause();
        }
    }
}

void
kiln_interrupt_wait(void)
{
    pthread_mutex_lock(&mutex);
    block_if_caught();
    pthread_mutex_unlock(&mutex);
}

/* The child's signals are what this process's were. */
static void
set_signals(posix_spawnattr_t *attributes)
{
    sigset_t defaults;
    short flags = POSIX_SPAWN_SETSIGDEF;
    sigemptyset(&defaults);
    if (interrupt_action.sa_handler == SIG_DFL) {
        sigaddset(&defaults, SIGINT);
    }
    if (quit_action.sa_handler == SIG_DFL) {
        sigaddset(&defaults, SIGQUIT);
    }
    posix_spawnattr_setsigdefault(attributes, &defaults);
    if (watching) {
        posix_spawnattr_setsigmask(attributes, &mask_before);
        flags |= POSIX_SPAWN_SETSIGMASK;
    }
    posix_spawnattr_setflags(attributes, flags);
}

/* Restore the actions after the last child. */
static void
restore_signals(void)
{
    if (children == NULL) {
        sigaction(SIGINT, &interrupt_action, NULL);
        sigaction(SIGQUIT, &quit_action, NULL);
    }
}

int
kiln_interrupt_spawn(struct kiln_child *child, const posix_spawn_file_actions_t *actions,
                     char **argv, char **env)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        return error;
    }
    pthread_mutex_lock(&mutex);
    block_if_caught();
    if (children == NULL) {
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigaction(SIGINT, watching ? NULL : &ignore, &interrupt_action);
        sigaction(SIGQUIT, &ignore, &quit_action);
    }
    set_signals(&attributes);
    error = posix_spawnp(&child->pid, argv[0], actions, &attributes, argv, env);
    if (error == 0) {
        child->next = children;
        children = child;
    }
    else {
        restore_signals();
    }
    pthread_mutex_unlock(&mutex);
    posix_spawnattr_destroy(&attributes);
    return error;
}

int
kiln_interrupt_reap(struct kiln_child *child)
{
    int status = 0;
    siginfo_t info;
    /* Its process id stays its own until the mutex is held, for take_signals(). */
    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&mutex);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    struct kiln_child **at = &children;
    while (*at != child) {
        at = &(*at)->next;
    }
    *at = child->next;
    restore_signals();
    block_if_caught();
    pthread_mutex_unlock(&mutex);
    return status;
}
