/* Which single-phase modules CPython has in its cache. CPython decides whether their init functions
 * are called again, and it raises no audit event for them. */
#include "create/parts.h"

#include <stdlib.h>
#include <string.h>

/* Nodes are added without a lock, and removed when Python has been finalised. */
struct node {
    struct node *next;
    Kiln_InitFunction initfunc;
    char name[];
};
enum { BUCKETS = 1024 };
static struct node *buckets[BUCKETS];
static bool is_registered; /* forget_all() is */

static struct node **
get_bucket(Kiln_InitFunction initfunc)
{
    return &buckets[((uintptr_t)initfunc >> 4) % BUCKETS];
}

bool
kiln_is_created(const char *name, Kiln_InitFunction initfunc)
{
    const struct node *node = __atomic_load_n(get_bucket(initfunc), __ATOMIC_ACQUIRE);
    while (node != NULL && (node->initfunc != initfunc || strcmp(node->name, name) != 0)) {
        node = node->next;
    }
    return node != NULL;
}

/* At the end of Py_FinalizeEx(), with the cache gone. */
static void
forget_all(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (buckets[i] != NULL) {
            struct node *node = buckets[i];
            buckets[i] = node->next;
            free(node);
        }
    }
    __atomic_store_n(&is_registered, false, __ATOMIC_RELAXED);
}

int
kiln_remember_created(const char *name, Kiln_InitFunction initfunc)
{
    if (kiln_is_created(name, initfunc)) {
        return 0;
    }
    if (!__atomic_exchange_n(&is_registered, true, __ATOMIC_RELAXED)) {
        Py_AtExit(forget_all); /* if that fails, a later run of Python lacks some audit events */
    }
    size_t size = strlen(name) + 1;
    struct node *node = malloc(sizeof *node + size);
    if (node == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    node->initfunc = initfunc;
    memcpy(node->name, name, size);
    struct node **bucket = get_bucket(initfunc);
    node->next = __atomic_load_n(bucket, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bucket, &node->next, node, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
    {
    }
    return 0;
}
