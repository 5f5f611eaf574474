/* Kiln_HashInittab(): the inittab as a hash table.
 *
 * CPython goes through its inittab entry by entry, twice for each built-in module and once for each
 * other name. So the inittab is cut down to what importlib needs before our code runs in an
 * interpreter, and to our slot; all entries are in a hash table of our own, and builtins.c has
 * importlib ask that. A module whose entry is out of CPython's sight is created through the slot, as
 * all of ours are, so that CPython keeps its books as ever.
 *
 * What the program adds afterwards stands behind our entries, when Python starts at the latest:
 * PyInitConfig_AddModule() does it while Python is being initialised, when it is too late to cut.
 * Such entries are in the hash table too, and marked as listed. */
#include "core/runtime.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct kiln_builtin *items; /* in the order of the inittab */
    size_t count;
    uint32_t *buckets;        /* a number of an item, plus 1; 0: free. At least half are. */
    size_t mask;              /* their number, a power of two, less 1 */
    struct _inittab *inittab; /* what CPython is left with */
    size_t inittab_count;
    size_t added_count; /* entries that have come behind those, and are among the items */
    bool in_use;        /* in this run of Python */
} hashed;

/* --- The hash table --------------------------------------------------------------------------- */

/* Where NAME is or, if it is nowhere, where it belongs. */
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
kiln_find_builtin(const char *name, size_t len, struct kiln_builtin *found)
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
kiln_get_builtins(size_t *count)
{
    *count = hashed.count;
    return hashed.items;
}

/* Of two entries of one name, the one that CPython would take counts. */
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

/* Put ITEMS, which are on the heap, in the place of those there are. */
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

/* What has to stay in CPython's sight: what importlib imports before our code runs, what CPython
 * makes itself and looks up here, and what the slot cannot stand for. */
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
    return name[len] != '\0' || len == 0 || len >= KILN_SLOT_NAME_SIZE;
}

/* How many entries of the inittab are in the hash table already: none if CPython has forgotten what
 * it was left with. */
static size_t
count_known(void)
{
    size_t count = hashed.inittab_count + hashed.added_count;
    if (kiln_count_inittab(PyImport_Inittab) < count) {
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

/* Bring what stands behind the first KNOWN entries of the inittab into the hash table. */
static int
add_new(size_t known)
{
    const struct _inittab *added = PyImport_Inittab + known;
    size_t count = known == 0 ? 0 : hashed.count;
    struct kiln_builtin *items = calloc(count + kiln_count_inittab(added) + 1, sizeof *items);
    if (items == NULL) {
        return KILN_INSTALL_MEMORY;
    }
    if (count > 0) {
        memcpy(items, hashed.items, count * sizeof *items);
    }
    for (; added->name != NULL; added++) {
        if (added->initfunc != kiln_slot_init) {
            items[count++] = (struct kiln_builtin){.name = added->name,
                                                   .initfunc = added->initfunc,
                                                   .stays = must_stay(added->name),
                                                   .listed = true};
        }
    }
    int result = set_items(items, count);
    if (result < 0) {
        free(items);
    }
    return result;
}

/* The inittab is filled when the first interpreter starts, and the main one always is the first.
 * Others start while there are threads that look into the hash table, and so change nothing. */
int
kiln_inittab_refresh(void)
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
    size_t added = kiln_count_inittab(PyImport_Inittab + known);
    if (added > 0) {
        if (add_new(known) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        hashed.added_count += added;
    }
    return 1;
}

/* The entries that stay, and the slot where its name hides all others. */
static void
cut_inittab(struct _inittab *entries)
{
    size_t count = KILN_INITTAB_LAST_WINS ? 0 : 1;
    for (size_t i = 0; i < hashed.count; i++) {
        struct kiln_builtin *item = &hashed.items[i];
        item->listed = false;
        if (item->stays) {
            entries[count++] = (struct _inittab){.name = item->name, .initfunc = item->initfunc};
        }
    }
    entries[KILN_INITTAB_LAST_WINS ? count++ : 0] =
        (struct _inittab){.name = kiln_slot_name, .initfunc = kiln_slot_init};
    kiln_install_inittab(entries);
    free(hashed.inittab);
    hashed.inittab = entries;
    hashed.inittab_count = count;
    hashed.added_count = 0;
}

int
Kiln_HashInittab(void)
{
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    int result = kiln_install_importer();
    if (result < 0) {
        return result;
    }
    size_t known = count_known();
    size_t count = kiln_count_inittab(PyImport_Inittab) + (known == 0 ? 0 : hashed.count);
    struct _inittab *entries = calloc(count + 2, sizeof *entries);
    if (entries == NULL || add_new(known) < 0) {
        free(entries);
        return KILN_INSTALL_MEMORY;
    }
    cut_inittab(entries);
    return KILN_INSTALL_OK;
}
