/* A process-wide, recursive mutex for threads that hold the GIL; see mutex.c. */
#ifndef KILN_RUNTIME_MUTEX_H
#define KILN_RUNTIME_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

struct kiln_mutex {
    pthread_mutex_t mutex;
    const char *owner; /* identifies a thread; NULL: unlocked */
    unsigned depth;    /* how many times the owner has locked it */
};
#define KILN_MUTEX_INITIALIZER                                                                     \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                         \
    }

/* Caller must hold the GIL, which is released while the thread waits. Each lock needs an unlock. */
void kiln_mutex_lock(struct kiln_mutex *mutex);
void kiln_mutex_unlock(struct kiln_mutex *mutex);
/* Call in the child after fork(): releases the mutex unless the forking thread holds it. Returns
 * true if it is now free. */
bool kiln_mutex_survive_fork(struct kiln_mutex *mutex);

#endif
