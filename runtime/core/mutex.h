/* A lock of the process, see mutex.c. */
#ifndef KILN_RUNTIME_MUTEX_H
#define KILN_RUNTIME_MUTEX_H

#include "core/pycompat.h"

#include <pthread.h>
#include <stdbool.h>

struct kiln_mutex {
    pthread_mutex_t mutex;
    const char *owner; /* a thread, or NULL */
    unsigned depth;    /* how often it has taken it */
};
#define KILN_MUTEX_INITIALIZER                                                                     \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                         \
    }

/* This thread has the GIL, and lets go of it while it waits. Once for each lock: unlock. */
void kiln_mutex_lock(struct kiln_mutex *mutex);
void kiln_mutex_unlock(struct kiln_mutex *mutex);
/* In a forked child, of which this thread is the only one: have nobody else hold it. Whether this
 * thread does not hold it either. */
bool kiln_mutex_survive_fork(struct kiln_mutex *mutex);

#endif
