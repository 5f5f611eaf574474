/* Which single-phase modules CPython has in its cache. CPython decides whether their init functions
 * are called again, and it raises no audit event for them. */
#include "create/parts.h"

#include <stdlib.h>
#include <string.h>

/* Nodes are added without a lock, and stay. */
struct node {
    struct node *next;
    Kiln_InitFunction initfunc;
    unsigned run; /* the run of Python that has the module in its cache */
    char name[];
};
enum { BUCKETS = 1024 };
static struct node *buckets[BUCKETS];
static unsigned current_run;
static bool is_registered; /* end_run() is */

/* Called at the end of Py_FinalizeEx(): the cache is gone. */
static void
end_run(void)
{
    current_run++;
    is_registered = false;
}

static struct node **
get_bucket(Kiln_InitFunction initfunc)
{
    return &buckets[((uintptr_t)initfunc >> 4) % BUCKETS];
}

static struct node *
find(const char *name, Kiln_InitFunction initfunc)
{
    struct node *node = __atomic_load_n(get_bucket(initfunc), __ATOMIC_ACQUIRE);
    while (node != NULL && (node->initfunc != initfunc || strcmp(node->name, name) != 0)) {
        node = node->next;
    }
    return node;
}

bool
kiln_is_created(const char *name, Kiln_InitFunction initfunc)
{
    const struct node *node = find(name, initfunc);
    return node != NULL && __atomic_load_n(&node->run, __ATOMIC_RELAXED) == current_run;
}

static int
add(const char *name, Kiln_InitFunction initfunc)
{
    size_t size = strlen(name) + 1;
    struct node *node = malloc(sizeof *node + size);
    if (node == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    node->initfunc = initfunc;
    node->run = current_run;
    memcpy(node->name, name, size);
    struct node **bucket = get_bucket(initfunc);
    node->next = __atomic_load_n(bucket, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bucket, &node->next, node, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
    {
    }
    return 0;
}

int
kiln_remember_created(const char *name, Kiln_InitFunction initfunc)
{
    if (!__atomic_exchange_n(&is_registered, true, __ATOMIC_RELAXED)) {
        Py_AtExit(end_run); /* if that fails, the next run of Python lacks some audit events */
    }
    struct node *node = find(name, initfunc);
    if (node != NULL) {
        __atomic_store_n(&node->run, current_run, __ATOMIC_RELAXED);
        return 0;
    }
    return add(name, initfunc);
}
