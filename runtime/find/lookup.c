/* From a dotted name to what makes the module, for the finder and the loader.
 *
 * Four sources are asked in this order: the override of this thread (Kiln_ImportByInitFunc()), the
 * callback of Kiln_SetLookup(), the table, and the symbols of Kiln_LookupSymbols(). CPython's
 * inittab comes last, as its finder is behind ours. */
#include "find/lookup.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/process.h"
#include "core/python.h"
#include "kiln/internal/settings.h"

/* --- Overrides -------------------------------------------------------------------------------- */

static _Thread_local struct kiln_override *current_override;

void
kiln_override_begin(struct kiln_override *override)
{
    override->outer = current_override;
    current_override = override;
}

void
kiln_override_end(struct kiln_override *override)
{
    current_override = override->outer;
}

static const struct kiln_override *
find_override(const char *name, size_t len)
{
    const struct kiln_override *override = current_override;
    while (override != NULL &&
           (strlen(override->name) != len || memcmp(override->name, name, len) != 0))
    {
        override = override->outer;
    }
    return override;
}

/* --- The callback ----------------------------------------------------------------------------- */

/* A callback and its argument change together, while threads use them without a lock: each pair
 * that was ever set is kept, and one pointer says which is in use. */
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
kiln_callback_set(Kiln_LookupFunction callback, void *arg)
{
    const struct callback *chosen = callback == NULL ? NULL : get_callback(callback, arg);
    if (callback != NULL && chosen == NULL) {
        return KILN_INSTALL_MEMORY;
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
    if ((flags & ~(KILN_MODULE_PACKAGE | KILN_MODULE_EXPORT)) != 0) {
        PyErr_Format(PyExc_SystemError, "the lookup of %s set unknown flags (%x)", name, flags);
        return -1;
    }
    *target = (struct kiln_target){.function = (kiln_table_function)function, .flags = flags};
    return 1;
}

/* --- All sources ------------------------------------------------------------------------------ */

/* The callback takes a C string, so it is not asked for a name with a NUL in it. */
static bool
is_c_string(const char *name, size_t len)
{
    return len > 0 && strlen(name) == len;
}

static bool
find_in_table(const char *name, size_t len, struct kiln_target *target)
{
    const struct kiln_table *table = kiln_process.table;
    const struct kiln_table_entry *entry = table == NULL ? NULL : kiln_table_find(table, name, len);
    if (entry == NULL) {
        return false;
    }
    size_t slot = (size_t)(entry - kiln_table_get_entry(table, 0));
    *target =
        (struct kiln_target){.function = kiln_table_get_function(entry),
                             .flags = kiln_table_get_flags(entry),
                             .in_table = true,
                             .file = kiln_module_files == NULL ? NULL : &kiln_module_files[slot]};
    return true;
}

int
kiln_find_target(PyObject *name, struct kiln_target *target)
{
    size_t len = 0;
    const char *utf8 = kiln_get_utf8(name, &len);
    if (utf8 == NULL) {
        return 0;
    }
    const struct kiln_override *override = find_override(utf8, len);
    if (override != NULL) {
        *target = override->target;
        return 1;
    }
    const struct callback *callback = atomic_load(&current_callback);
    int found =
        callback != NULL && is_c_string(utf8, len) ? ask_callback(callback, utf8, target) : 0;
    if (found != 0 || find_in_table(utf8, len, target)) {
        return found != 0 ? found : 1;
    }
    return kiln_symbols_find(utf8, len, target);
}

bool
kiln_find_in_table(PyObject *name, struct kiln_target *target)
{
    size_t len = 0;
    const char *utf8 = kiln_get_utf8(name, &len);
    return utf8 != NULL && find_in_table(utf8, len, target);
}

bool
kiln_find_visible(PyObject *name, struct kiln_target *target)
{
    return current_override == NULL && atomic_load(&current_callback) == NULL &&
           kiln_find_in_table(name, target);
}
