/* kiln_run_constructors(): runs an extension's global constructors at its first import, and its
 * destructors at the end of the process, as the dynamic loader would.
 *
 * Combining has hidden the arrays from the linker; see kiln/internal/constructors.h. As in the
 * dynamic loader, one lock covers all extensions; it is recursive, as a constructor may import
 * another module; and a forked child can use it whatever the threads of its parent were doing. */
#include "kiln/internal/constructors.h"

#include <pthread.h>
#include <unistd.h>

enum { NOT_RUN, RUNNING, HAVE_RUN };

typedef void constructor(int argc, char **argv, char **envp);
typedef void destructor(void);

/* Itanium C++ ABI 3.3.6.3; in glibc and musl. */
int __cxa_atexit(void (*function)(void *), void *arg, void *dso_handle);

static pthread_mutex_t lock;
static _Thread_local unsigned depth; /* how many times this thread has taken the lock */
static int program_argc;
static char **program_argv;

static void
make_lock(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

/* The thread that forked may be in a constructor: then it still holds the lock, which no other
 * thread does. It has another thread id now, by which a recursive lock knows its owner. */
static void
survive_fork(void)
{
    make_lock();
    for (unsigned i = 0; i < depth; i++) {
        pthread_mutex_lock(&lock);
    }
}

/* glibc calls the functions in .init_array with the arguments of main(). */
__attribute__((constructor)) static void
prepare(int argc, char **argv)
{
    make_lock();
    pthread_atfork(NULL, NULL, survive_fork);
    program_argc = argc;
    program_argv = argv;
}

/* Linkers may pad these arrays with 0 and -1. */
static int
is_function(uintptr_t entry)
{
    return entry != 0 && entry != UINTPTR_MAX;
}

static void
run_destructors(void *arg)
{
    const struct kiln_constructors *record = arg;
    const uintptr_t *start = (const uintptr_t *)kiln_distance_resolve(&record->destructors);
    const uintptr_t *end = (const uintptr_t *)kiln_distance_resolve(&record->destructors_end);
    while (end > start) {
        end--;
        if (is_function(*end)) {
            ((destructor *)*end)();
        }
    }
}

static void
run_constructors(const struct kiln_constructors *record)
{
    const uintptr_t *entry = (const uintptr_t *)kiln_distance_resolve(&record->constructors);
    const uintptr_t *end = (const uintptr_t *)kiln_distance_resolve(&record->constructors_end);
    for (; entry < end; entry++) {
        if (is_function(*entry)) {
            ((constructor *)*entry)(program_argc, program_argv, environ);
        }
    }
}

void
kiln_run_constructors(struct kiln_constructors *record)
{
    if (__atomic_load_n(&record->state, __ATOMIC_ACQUIRE) == HAVE_RUN) {
        return;
    }
    pthread_mutex_lock(&lock);
    depth++;
    if (record->state == NOT_RUN) {
        record->state = RUNNING;
        /* Before the constructors run, which register destructors of single objects: those have to
         * run earlier. */
        if (kiln_distance_resolve(&record->destructors) !=
            kiln_distance_resolve(&record->destructors_end)) {
            __cxa_atexit(run_destructors, record, NULL);
        }
        run_constructors(record);
        __atomic_store_n(&record->state, HAVE_RUN, __ATOMIC_RELEASE);
    }
    depth--;
    pthread_mutex_unlock(&lock);
}
