/* kiln_run_constructors(): an extension's global constructors at its first import, and its
 * destructors at the end of the process, as the dynamic loader would have run them.
 *
 * Isolating has taken the arrays out of the linker's sight, see kiln/constructors.h. The lock is
 * one for all and recursive, as the dynamic loader's is: a constructor may import another module.
 */
#include "kiln/internal/constructors.h"

#include <pthread.h>
#include <stddef.h>

enum { NOT_RUN, RUNNING, HAVE_RUN };

typedef void constructor(int argc, char **argv, char **envp);
typedef void destructor(void);

/* Itanium C++ ABI 3.3.6.3; in glibc and musl. */
int __cxa_atexit(void (*function)(void *), void *arg, void *dso_handle);

static pthread_mutex_t lock;
static int program_argc;
static char **program_argv, **program_envp;

/* glibc calls the functions in .init_array with the arguments of main(). */
__attribute__((constructor)) static void
keep_arguments(int argc, char **argv, char **envp)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    program_argc = argc;
    program_argv = argv;
    program_envp = envp;
}

static uintptr_t
resolve(const int32_t *field)
{
    return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

/* Linkers fill arrays of this kind with 0 and -1 here and there. */
static int
is_function(uintptr_t entry)
{
    return entry != 0 && entry != UINTPTR_MAX;
}

static void
run_destructors(void *arg)
{
    const struct kiln_constructors *record = arg;
    const uintptr_t *start = (const uintptr_t *)resolve(&record->destructors);
    const uintptr_t *end = (const uintptr_t *)resolve(&record->destructors_end);
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
    const uintptr_t *entry = (const uintptr_t *)resolve(&record->constructors);
    const uintptr_t *end = (const uintptr_t *)resolve(&record->constructors_end);
    for (; entry < end; entry++) {
        if (is_function(*entry)) {
            ((constructor *)*entry)(program_argc, program_argv, program_envp);
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
    if (record->state == NOT_RUN) {
        record->state = RUNNING;
        /* Before the constructors, as they register destructors of single objects, which have to
         * run earlier. */
        if (resolve(&record->destructors) != resolve(&record->destructors_end)) {
            __cxa_atexit(run_destructors, record, NULL);
        }
        run_constructors(record);
        __atomic_store_n(&record->state, HAVE_RUN, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
}
