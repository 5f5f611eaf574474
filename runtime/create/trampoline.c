/* The slot of the inittab: an entry with a name that can be written, see create.c.
 *
 * It belongs to the process, while threads of interpreters with a GIL of their own, or without one,
 * create modules at the same time: a mutex goes with it from the writing of the name to the moment
 * CPython has found it. What runs in between can be Python code in rare cases (a finaliser that the
 * garbage collector calls), so the same thread may take the slot twice, one within the other. */
#include "core/runtime.h"

#include "core/mutex.h"

#include <pthread.h>
#include <string.h>

/* Threads that do not wait for this one compare names with it meanwhile, see set_slot_name(). */
char kiln_slot_name[KILN_SLOT_NAME_SIZE] = KILN_MODULE_NAME;
static struct kiln_mutex slot_mutex = KILN_MUTEX_INITIALIZER;

/* CPython compares names with it in other threads at any time, without any lock. While it is written
 * it is the empty name, which nobody looks for, so that it is never one that is mixed of two. That
 * it is NAME for a moment, to them as well, is harmless: they find _kiln, which refuses to be created
 * under another name. It ends in NUL whatever happens. */
static void
set_slot_name(const char *name)
{
    __atomic_store_n(&kiln_slot_name[0], '\0', __ATOMIC_SEQ_CST);
    strcpy(kiln_slot_name + 1, name + 1);
    __atomic_store_n(&kiln_slot_name[0], name[0], __ATOMIC_SEQ_CST);
}

void
kiln_slot_take(const char *name)
{
    kiln_mutex_lock(&slot_mutex);
    set_slot_name(name);
}

void
kiln_slot_give(const char *outer)
{
    set_slot_name(outer == NULL ? KILN_MODULE_NAME : outer);
    kiln_mutex_unlock(&slot_mutex);
}

/* The thread that forked is the only one in the child. */
static void
free_slot_in_child(void)
{
    if (kiln_mutex_survive_fork(&slot_mutex)) {
        set_slot_name(KILN_MODULE_NAME);
    }
    kiln_context_survive_fork();
}

int
kiln_slot_survive_fork(void)
{
    return pthread_atfork(NULL, NULL, free_slot_in_child);
}
