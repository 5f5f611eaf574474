/* A mutex for state of the process that threads of several interpreters, or of a Python without a
 * GIL, change at the same time.
 *
 * It is recursive because Python code can run while it is held: the garbage collector may call a
 * finaliser. PyMutex is neither recursive nor in versions before 3.13. */
#include "core/mutex.h"

#include "core/pycompat.h"

/* Its address differs from thread to thread. */
static _Thread_local char this_thread;

static bool
is_mine(const struct kiln_mutex *mutex)
{
    return __atomic_load_n(&mutex->owner, __ATOMIC_RELAXED) == &this_thread;
}

/* Never waits for the mutex with the GIL held, as its owner may need the GIL; nor for the GIL with
 * the mutex held, as a thread that does so while Python is finalised never returns. */
void
kiln_mutex_lock(struct kiln_mutex *mutex)
{
    if (is_mine(mutex)) {
        mutex->depth++;
        return;
    }
    while (pthread_mutex_trylock(&mutex->mutex) != 0) {
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&mutex->mutex);
        pthread_mutex_unlock(&mutex->mutex);
        Py_END_ALLOW_THREADS
    }
    __atomic_store_n(&mutex->owner, &this_thread, __ATOMIC_RELAXED);
    mutex->depth = 1;
}

void
kiln_mutex_unlock(struct kiln_mutex *mutex)
{
    if (--mutex->depth == 0) {
        __atomic_store_n(&mutex->owner, NULL, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&mutex->mutex);
    }
}

bool
kiln_mutex_survive_fork(struct kiln_mutex *mutex)
{
    if (is_mine(mutex)) {
        return false;
    }
    pthread_mutex_init(&mutex->mutex, NULL);
    mutex->owner = NULL;
    mutex->depth = 0;
    return true;
}
