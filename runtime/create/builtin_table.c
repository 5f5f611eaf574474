/* The inittab as a hash table, for Kiln_HashInittab().
 *
 * CPython scans its inittab twice for each built-in module and once for each other name. So the
 * inittab is cut down to the trampoline and the modules that importlib imports before our code runs
 * in an interpreter. A hash table has all entries, and builtins.c makes importlib use it. A module
 * whose entry has been cut is created through the trampoline, as baked modules are, so that
 * CPython's own state is the same.
 *
 * Entries that the program adds afterwards are behind ours. PyInitConfig_AddModule() adds them
 * while Python is being initialised, too late for a cut: they are in the hash table, marked as
 * visible. */
#include "create/inittab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "create/trampoline.h"

static struct {
    struct kiln_builtin *items; /* in the order of the inittab */
    size_t count;
    uint32_t *buckets;        /* index of an item, plus 1; 0: free. At least half are free. */
    size_t mask;              /* number of buckets, a power of two, minus 1 */
    struct _inittab *inittab; /* the inittab after the cut */
    size_t inittab_count;
    size_t added_count; /* entries behind those, which are also items */
    bool in_use;        /* in this run of Python */
} hashed;

/* --- The hash table --------------------------------------------------------------------------- */

/* Returns the bucket of NAME, or the free one where it belongs. */
static uint32_t *
find_bucket(const char *name, size_t len)
{
    size_t i = kiln_table_hash(0, name, len) & hashed.mask;
    while (hashed.buckets[i] != 0) {
        const char *other = hashed.items[hashed.buckets[i] - 1].name;
        if (strncmp(other, name, len) == 0 && other[len] == '\0') {
            break;
        }
        i = (i + 1) & hashed.mask;
    }
    return &hashed.buckets[i];
}

bool
kiln_builtins_find(const char *name, size_t len, struct kiln_builtin *found)
{
    if (!hashed.in_use || memchr(name, '\0', len) != NULL) {
        return false;
    }
    uint32_t number = *find_bucket(name, len);
    if (number != 0) {
        *found = hashed.items[number - 1];
    }
    return number != 0;
}

const struct kiln_builtin *
kiln_builtins_get(size_t *count)
{
    *count = hashed.count;
    return hashed.items;
}

/* Of two entries with one name, the hash table has the one that CPython would take. */
static void
fill_buckets(void)
{
    for (size_t i = 0; i < hashed.count; i++) {
        const char *name = hashed.items[i].name;
        uint32_t *bucket = find_bucket(name, strlen(name));
        if (*bucket == 0 || KILN_INITTAB_LAST_WINS) {
            *bucket = (uint32_t)i + 1;
        }
    }
}

/* Replaces the items by ITEMS, which are on the heap. */
static int
set_items(struct kiln_builtin *items, size_t count)
{
    size_t size = 64;
    while (size < 2 * count) {
        size *= 2;
    }
    uint32_t *buckets = count < UINT32_MAX ? calloc(size, sizeof *buckets) : NULL;
    if (buckets == NULL) {
        return KILN_INSTALL_MEMORY;
    }
    free(hashed.items);
    free(hashed.buckets);
    hashed.items = items;
    hashed.count = count;
    hashed.buckets = buckets;
    hashed.mask = size - 1;
    fill_buckets();
    return KILN_INSTALL_OK;
}

/* --- From the inittab ------------------------------------------------------------------------- */

/* Returns whether the entry NAME must stay in the inittab: importlib imports it before our code
 * runs, CPython creates it itself, or the trampoline cannot have that name. */
static bool
must_stay(const char *name)
{
    static const char *const early[] = {"sys",      "builtins", "_imp",    "_thread", "_warnings",
                                        "_weakref", "_io",      "marshal", "posix"};
    for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
        if (strcmp(name, early[i]) == 0) {
            return true;
        }
    }
    size_t len = 0;
    while (name[len] != '\0' && (unsigned char)name[len] < 0x80) {
        len++;
    }
    return name[len] != '\0' || len == 0 || len >= KILN_TRAMPOLINE_NAME_SIZE;
}

/* Returns how many entries of the inittab are in the hash table already; 0 if the inittab is not
 * the one that was cut, as CPython forgets that when it is finalised. */
static size_t
count_known(void)
{
    size_t count = hashed.inittab_count + hashed.added_count;
    if (kiln_inittab_count(PyImport_Inittab) < count) {
        return 0;
    }
    for (size_t i = 0; i < hashed.inittab_count; i++) {
        if (PyImport_Inittab[i].name != hashed.inittab[i].name ||
            PyImport_Inittab[i].initfunc != hashed.inittab[i].initfunc)
        {
            return 0;
        }
    }
    return count;
}

/* Adds the entries behind the first KNOWN ones of the inittab to the hash table. */
static int
add_new(size_t known)
{
    const struct _inittab *added = PyImport_Inittab + known;
    size_t count = known == 0 ? 0 : hashed.count;
    struct kiln_builtin *items = calloc(count + kiln_inittab_count(added) + 1, sizeof *items);
    if (items == NULL) {
        return KILN_INSTALL_MEMORY;
    }
    if (count > 0) {
        memcpy(items, hashed.items, count * sizeof *items);
    }
    for (; added->name != NULL; added++) {
        if (added->initfunc != kiln_trampoline_init) {
            items[count++] = (struct kiln_builtin){.name = added->name,
                                                   .initfunc = added->initfunc,
                                                   .stays = must_stay(added->name),
                                                   .visible = true};
        }
    }
    int result = set_items(items, count);
    if (result < 0) {
        free(items);
    }
    return result;
}

/* The inittab is complete when the first interpreter, which is the main one, starts. When others
 * start, threads may be reading the hash table, so it does not change. */
int
kiln_builtins_refresh(void)
{
    if (KILN_GET_INTERPRETER() != PyInterpreterState_Main()) {
        return hashed.in_use;
    }
    size_t known = count_known();
    if (hashed.in_use != (known > 0)) {
        hashed.in_use = known > 0;
    }
    if (known == 0) {
        return 0;
    }
    size_t added = kiln_inittab_count(PyImport_Inittab + known);
    if (added > 0) {
        if (add_new(known) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        hashed.added_count += added;
    }
    return 1;
}

/* Makes ENTRIES the inittab: those that stay, and the trampoline where its name hides all
 * others. */
static void
cut_inittab(struct _inittab *entries)
{
    size_t count = KILN_INITTAB_LAST_WINS ? 0 : 1;
    for (size_t i = 0; i < hashed.count; i++) {
        struct kiln_builtin *item = &hashed.items[i];
        item->visible = false;
        if (item->stays) {
            entries[count++] = (struct _inittab){.name = item->name, .initfunc = item->initfunc};
        }
    }
    entries[KILN_INITTAB_LAST_WINS ? count++ : 0] = kiln_inittab_make_entry();
    kiln_inittab_replace(entries);
    free(hashed.inittab);
    hashed.inittab = entries;
    hashed.inittab_count = count;
    hashed.added_count = 0;
}

int
kiln_builtins_hash(void)
{
    size_t known = count_known();
    size_t count = kiln_inittab_count(PyImport_Inittab) + (known == 0 ? 0 : hashed.count);
    struct _inittab *entries = calloc(count + 2, sizeof *entries);
    if (entries == NULL || add_new(known) < 0) {
        free(entries);
        return KILN_INSTALL_MEMORY;
    }
    cut_inittab(entries);
    return KILN_INSTALL_OK;
}
