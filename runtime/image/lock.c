/* The lock of images, and fork().
 *
 * The lock is one for all images and recursive, like the dynamic loader's: a constructor may import
 * or open another image. A child that was forked while another thread held it finds it free, and the
 * images as that thread left them: a constructor that was running counts as run, and those that were
 * to follow run when the image is asked for again.
 *
 * What must not be cut in half is the filling in of words, as they are added to. A second lock is
 * held meanwhile, and fork() waits for it. It is held for microseconds, and no constructor runs. */
#include "image/image.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *owner; /* this_thread of the one that holds it */
static unsigned depth;
static pthread_mutex_t fork_mutex;

/* Has another address in each thread. */
static _Thread_local char this_thread;

static bool
is_mine(void)
{
    return __atomic_load_n(&owner, __ATOMIC_RELAXED) == &this_thread;
}

void
kiln_image_lock(void)
{
    if (!is_mine()) {
        pthread_mutex_lock(&mutex);
        __atomic_store_n(&owner, &this_thread, __ATOMIC_RELAXED);
    }
    depth++;
}

bool
kiln_image_unlock(void)
{
    if (--depth > 0) {
        return false;
    }
    __atomic_store_n(&owner, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&mutex);
    return true;
}

bool
kiln_image_is_outermost(void)
{
    return depth == 1;
}

void
kiln_image_hold_forks(void)
{
    pthread_mutex_lock(&fork_mutex);
}

void
kiln_image_let_forks(void)
{
    pthread_mutex_unlock(&fork_mutex);
}

/* Recursive, as the resolver of an ifunc could fork. */
static void
create_fork_mutex(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&fork_mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

/* Only the thread that forked is left. */
static void
free_in_child(void)
{
    create_fork_mutex();
    if (is_mine()) {
        return;
    }
    if (pthread_mutex_trylock(&mutex) == 0) {
        pthread_mutex_unlock(&mutex);
        return;
    }
    pthread_mutex_init(&mutex, NULL);
    owner = NULL;
    depth = 0;
    for (uint32_t i = 0; i < kiln_images.image_count; i++) {
        kiln_image_unset(i, KILN_IMAGE_SEEN);
        if (!kiln_image_is(i, KILN_IMAGE_READY)) {
            kiln_image_unset(i, KILN_IMAGE_ASKED);
        }
    }
}

void
kiln_image_lock_start(void)
{
    create_fork_mutex();
    pthread_atfork(kiln_image_hold_forks, kiln_image_let_forks, free_in_child);
}
