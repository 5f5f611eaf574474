/* From a dotted name to what makes the module: finder and loader ask here, and nowhere else.
 *
 * Four places are asked in turn: what Kiln_ImportByInitFunc() is importing in this thread, the
 * callback of Kiln_SetLookup(), the table, and the symbols of Kiln_LookupSymbols(). CPython's
 * inittab comes behind all of them, as its importer stands behind our finder. */
#include "core/runtime.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int (*kiln_find_symbol)(const char *name, size_t len, struct kiln_target *target);

/* --- One name in one thread ------------------------------------------------------------------- */

static _Thread_local struct kiln_given *current_given;

void
kiln_given_begin(struct kiln_given *given)
{
    given->outer = current_given;
    current_given = given;
}

void
kiln_given_end(struct kiln_given *given)
{
    current_given = given->outer;
}

static const struct kiln_given *
find_given(const char *name, size_t len)
{
    const struct kiln_given *given = current_given;
    while (given != NULL && (strlen(given->name) != len || memcmp(given->name, name, len) != 0)) {
        given = given->outer;
    }
    return given;
}

/* --- The callback ----------------------------------------------------------------------------- */

/* A callback and its argument change together, while threads that do not wait for one another ask:
 * so each pair that was ever set is kept, and one pointer tells which is in use. */
struct callback {
    Kiln_LookupFunction function;
    void *arg;
    struct callback *next;
};
static _Atomic(struct callback *) all_callbacks;
static _Atomic(const struct callback *) current_callback;

static const struct callback *
get_callback(Kiln_LookupFunction function, void *arg)
{
    struct callback *first = atomic_load(&all_callbacks);
    for (const struct callback *known = first; known != NULL; known = known->next) {
        if (known->function == function && known->arg == arg) {
            return known;
        }
    }
    struct callback *added = malloc(sizeof *added);
    if (added == NULL) {
        return NULL;
    }
    *added = (struct callback){.function = function, .arg = arg, .next = first};
    while (!atomic_compare_exchange_weak(&all_callbacks, &added->next, added)) {
    }
    return added;
}

int
Kiln_SetLookup(Kiln_LookupFunction callback, void *arg)
{
    const struct callback *chosen = NULL;
    if (callback != NULL) {
        int result = kiln_install_importer();
        if (result < 0) {
            return result;
        }
        chosen = get_callback(callback, arg);
        if (chosen == NULL) {
            return KILN_INSTALL_MEMORY;
        }
    }
    atomic_store(&current_callback, chosen);
    return KILN_INSTALL_OK;
}

/* As kiln_find_target(). */
static int
ask_callback(const struct callback *callback, const char *name, struct kiln_target *target)
{
    unsigned flags = 0;
    Kiln_InitFunction function = callback->function(name, &flags, callback->arg);
    if (PyErr_Occurred()) {
        if (function != NULL) {
            kiln_fail_with_cause("the lookup of %s returned a result with an exception set", name);
        }
        return -1;
    }
    if (function == NULL) {
        return 0;
    }
    if ((flags & ~KILN_MODULE_FLAGS) != 0) {
        PyErr_Format(PyExc_SystemError, "the lookup of %s set unknown flags (%x)", name, flags);
        return -1;
    }
    *target = (struct kiln_target){.function = (kiln_table_function)function, .flags = flags};
    return 1;
}

/* --- All of them ------------------------------------------------------------------------------ */

/* Callback and symbols know names that end in NUL, and so none with a NUL in it. */
static bool
is_c_string(const char *name, size_t len)
{
    return len > 0 && strlen(name) == len;
}

/* NAME in UTF-8; NULL if it has a lone surrogate, as no module has such a name. */
static const char *
get_utf8(PyObject *name, size_t *len)
{
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &size);
    if (utf8 == NULL) {
        PyErr_Clear();
        return NULL;
    }
    *len = (size_t)size;
    return utf8;
}

static bool
find_in_table(const char *name, size_t len, struct kiln_target *target)
{
    const struct kiln_table *table = kiln_process.table;
    const struct kiln_table_entry *entry = table == NULL ? NULL : kiln_table_find(table, name, len);
    if (entry == NULL) {
        return false;
    }
    *target = (struct kiln_target){.function = kiln_table_get_function(entry),
                                   .flags = kiln_table_get_flags(entry),
                                   .listed = true,
                                   .index = (size_t)(entry - kiln_table_get_entry(table, 0))};
    return true;
}

int
kiln_find_target(PyObject *name, struct kiln_target *target)
{
    size_t len = 0;
    const char *utf8 = get_utf8(name, &len);
    if (utf8 == NULL) {
        return 0;
    }
    const struct kiln_given *given = find_given(utf8, len);
    if (given != NULL) {
        *target = given->target;
        return 1;
    }
    const struct callback *callback = atomic_load(&current_callback);
    int found =
        callback != NULL && is_c_string(utf8, len) ? ask_callback(callback, utf8, target) : 0;
    if (found != 0 || find_in_table(utf8, len, target)) {
        return found != 0 ? found : 1;
    }
    return kiln_find_symbol != NULL && is_c_string(utf8, len) ? kiln_find_symbol(utf8, len, target)
                                                              : 0;
}

bool
kiln_find_in_table(PyObject *name, struct kiln_target *target)
{
    size_t len = 0;
    const char *utf8 = get_utf8(name, &len);
    return utf8 != NULL && find_in_table(utf8, len, target);
}

bool
kiln_find_listed(PyObject *name, struct kiln_target *target)
{
    return current_given == NULL && atomic_load(&current_callback) == NULL &&
           kiln_find_in_table(name, target);
}
