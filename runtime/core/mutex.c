/* A lock of the process, for what threads do that may or may not wait for one another: those of one
 * interpreter with a GIL take turns, those of several interpreters, or without a GIL, do not.
 *
 * What runs while it is held can be Python code in rare cases (a finaliser that the garbage
 * collector calls), so the same thread may take it again. PyMutex would do half of this, and from
 * 3.13 on only. */
#include "core/mutex.h"

/* The address of it is another in each thread. */
static _Thread_local char this_thread;

static bool
is_mine(const struct kiln_mutex *mutex)
{
    return __atomic_load_n(&mutex->owner, __ATOMIC_RELAXED) == &this_thread;
}

/* Never wait for the mutex with the GIL held, nor for the GIL with the mutex: its owner may need
 * the first, and a thread that waits for the second when Python is finalised never comes back. */
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
