/* The trampoline: an entry of CPython's inittab whose name can be written.
 *
 * CPython creates linked-in modules from the inittab only. It keeps a pointer to the name of an
 * entry, which is a buffer here: kiln_trampoline_run() writes the wanted name into it and calls
 * _imp.create_builtin(), which finds the entry and calls kiln_trampoline_init(), which calls back
 * what this thread has asked for. CPython remembers kiln_trampoline_init() as the init function of
 * a single-phase module, and calls it again when that module is imported again: the thread's
 * request tells the modules apart then as well.
 *
 * The entry belongs to the process, while threads of interpreters with a GIL of their own, or of a
 * Python without one, create modules at the same time. A mutex guards it from the writing of the
 * name until CPython has found the entry. Python code may run in between (a finaliser called by the
 * garbage collector), so one thread can use the entry twice, one use within the other. */
#include "create/trampoline.h"

#include <pthread.h>
#include <string.h>

#include "core/mutex.h"
#include "core/python.h"
#include "create/context.h"

/* Other threads compare names with it, without the mutex; see set_name(). */
char kiln_trampoline_name[KILN_TRAMPOLINE_NAME_SIZE] = KILN_MODULE_NAME;
static struct kiln_mutex name_mutex = KILN_MUTEX_INITIALIZER;
static PyModuleDef *definition_at_rest;

/* The use for which this thread is in _imp.create_builtin(), but not in an init function: there the
 * thread may change stacks (greenlets), and this is on one of them. */
static _Thread_local struct kiln_trampoline *current_use;

/* CPython compares names with the buffer in other threads at any time, without a lock. It is the
 * empty name, which nobody looks for, while it is written, so that nobody sees a mixture of two.
 * They may see NAME for a moment, and find _kiln, which refuses to be created under another name.
 * The buffer always ends in a NUL. */
static void
set_name(const char *name)
{
    __atomic_store_n(&kiln_trampoline_name[0], '\0', __ATOMIC_SEQ_CST);
    strcpy(kiln_trampoline_name + 1, name + 1);
    __atomic_store_n(&kiln_trampoline_name[0], name[0], __ATOMIC_SEQ_CST);
}

static void
enter(struct kiln_trampoline *use)
{
    use->outer = current_use;
    current_use = use;
}

static void
leave(const struct kiln_trampoline *use)
{
    current_use = use->outer;
}

static void
take_entry(struct kiln_trampoline *use)
{
    kiln_mutex_lock(&name_mutex);
    set_name(use->name);
    use->has_entry = true;
}

/* Gives the entry back to the use that this one interrupted, if there is one. */
static void
give_entry(struct kiln_trampoline *use)
{
    if (!use->has_entry) {
        return;
    }
    use->has_entry = false;
    const struct kiln_trampoline *owner = current_use;
    while (owner != NULL && !owner->has_entry) {
        owner = owner->outer;
    }
    set_name(owner == NULL ? KILN_MODULE_NAME : owner->name);
    kiln_mutex_unlock(&name_mutex);
}

/* CPython may call this twice for one module, first in the main interpreter. */
PyObject *
kiln_trampoline_init(void)
{
    struct kiln_trampoline *use = current_use;
    if (use == NULL) {
        return PyModuleDef_Init(definition_at_rest);
    }
    leave(use);
    give_entry(use);
    PyObject *result = use->fulfil(use);
    enter(use);
    return result;
}

PyObject *
kiln_trampoline_run(struct kiln_trampoline *use, PyObject *create_builtin, PyObject *spec)
{
    take_entry(use);
    enter(use);
    PyObject *module = PyObject_CallFunctionObjArgs(create_builtin, spec, NULL);
    leave(use);
    give_entry(use);
    return module;
}

/* The thread that forked is the only one in the child. */
static void
survive_fork(void)
{
    if (kiln_mutex_survive_fork(&name_mutex)) {
        set_name(KILN_MODULE_NAME);
    }
    kiln_context_survive_fork();
}

int
kiln_trampoline_prepare(PyModuleDef *at_rest)
{
    definition_at_rest = at_rest;
    return pthread_atfork(NULL, NULL, survive_fork);
}
