/* The tree of an image's dependencies, and the orders of glibc's dynamic loader: of loading (breadth
 * first, _dl_map_object_deps()), of constructors and of destructors (_dl_sort_maps_dfs(), the default
 * since glibc 2.35).
 *
 * The loader keeps a list for each object, which sorting follows: the objects that it needs, in the
 * order of DT_NEEDED; for one that was loaded by dlopen() itself, its whole tree, sorted. The list of
 * one that is just being loaded so is empty. All of that shows in the order of what does not depend
 * on each other.
 *
 * What an object is bound to without needing it itself are its relocation dependencies. For
 * constructors they do not matter; for destructors they do, as far as the others leave a choice. The
 * loader remembers one when it relocates the object, or when that finds the other by dlsym(), unless
 * it would not unload the other in any case: that is linked with -z nodelete, or has become the
 * process's one definer of a variable (STB_GNU_UNIQUE) before. (add_dependency(), as of glibc 2.31.) */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

/* A sorted tree. */
struct order {
    const uint32_t *images;
    size_t count;
};

static struct order *orders; /* one an image; empty unless it was a root with dependencies */
static uint32_t *loaded;     /* in the order of loading */
static uint32_t *roots;      /* by image: the one that it was loaded for */
static size_t loaded_count;
static uint32_t *opened; /* the roots, in the order in which they were asked for */
static size_t opened_count;
static struct lookup {
    uint32_t image, other;
} * lookups; /* what images have found by dlsym() in others, each once */
static size_t lookup_count, lookup_capacity;

int
kiln_image_tree_reserve(void)
{
    if (orders == NULL) {
        orders = calloc(kiln_images.image_count, sizeof *orders);
    }
    if (roots == NULL) {
        roots = calloc(kiln_images.image_count, sizeof *roots);
    }
    if (opened == NULL) {
        opened = calloc(kiln_images.image_count, sizeof *opened);
    }
    if (loaded == NULL) {
        __atomic_store_n(&loaded, calloc(kiln_images.image_count, sizeof *loaded),
                         __ATOMIC_RELEASE);
    }
    return orders == NULL || roots == NULL || opened == NULL || loaded == NULL ? -1 : 0;
}

void
kiln_image_tree_add(uint32_t image, uint32_t root)
{
    roots[image] = root;
    loaded[loaded_count] = image;
    __atomic_store_n(&loaded_count, loaded_count + 1, __ATOMIC_RELEASE);
}

/* Whether IMAGE is in the scope of ROOT. */
static bool
is_in_scope(uint32_t root, uint32_t image)
{
    const struct order *scope = &orders[root];
    bool found = image == root;
    for (size_t i = 0; !found && i < scope->count; i++) {
        found = scope->images[i] == image;
    }
    return found;
}

uint32_t
kiln_image_tree_get_root(uint32_t image, size_t index)
{
    bool is_loaded = kiln_image_is(image, KILN_IMAGE_PREPARED);
    uint32_t first = is_loaded ? roots[image] : image;
    if (index == 0) {
        return first;
    }
    for (size_t i = 0; is_loaded && i < opened_count; i++) {
        if (opened[i] != first && is_in_scope(opened[i], image) && --index == 0) {
            return opened[i];
        }
    }
    return KILN_IMAGE_NONE;
}

const uint32_t *
kiln_image_tree_get_loaded(size_t *count)
{
    *count = __atomic_load_n(&loaded_count, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&loaded, __ATOMIC_RELAXED);
}

/* --- Collecting ----------------------------------------------------------------------------------
 */

static int
append(struct kiln_image_tree *tree, uint32_t image)
{
    if (kiln_image_is(image, KILN_IMAGE_SEEN)) {
        return 0;
    }
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity == 0 ? 8 : 2 * tree->capacity;
        uint32_t *images = realloc(tree->images, capacity * sizeof *images);
        if (images == NULL) {
            return -1;
        }
        tree->images = images;
        tree->capacity = capacity;
    }
    tree->images[tree->count++] = image;
    kiln_image_set(image, KILN_IMAGE_SEEN);
    return 0;
}

static int
append_needs(struct kiln_image_tree *tree, uint32_t image)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < list.count; i++) {
        uint32_t item = kiln_image_words[list.first + i];
        result = (item & KILN_IMAGE_BOUND) != 0 ? 0 : append(tree, item);
    }
    return result;
}

static void
forget_seen(const uint32_t *images, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kiln_image_unset(images[i], KILN_IMAGE_SEEN);
    }
}

int
kiln_image_tree_collect(struct kiln_image_tree *tree, uint32_t image)
{
    *tree = (struct kiln_image_tree){0};
    int result = append(tree, image);
    for (size_t i = 0; result == 0 && i < tree->count; i++) {
        result = append_needs(tree, tree->images[i]);
    }
    forget_seen(tree->images, tree->count);
    if (result == 0) {
        tree->sorted = malloc(tree->count * sizeof *tree->sorted);
    }
    if (tree->sorted == NULL) {
        kiln_image_tree_release(tree);
        return -1;
    }
    return 0;
}

void
kiln_image_tree_release(struct kiln_image_tree *tree)
{
    free(tree->images);
    if (!tree->is_kept) {
        free(tree->sorted);
    }
}

/* --- Sorting -------------------------------------------------------------------------------------
 */

struct sorting {
    uint32_t *place;   /* of the last image that was put down, from the end to the start */
    uint32_t new_root; /* the image whose list is still empty, or KILN_IMAGE_NONE */
    uint32_t *const
        *bound; /* by image: a number of images, and these, which are followed, too; or NULL */
    bool found_bound; /* there were some */
};

static void visit(struct sorting *sorting, uint32_t image);

static void
visit_needs(struct sorting *sorting, uint32_t image)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    const uint32_t *items = kiln_image_words + list.first;
    if (orders[image].images != NULL) {
        for (size_t i = 0; i < orders[image].count; i++) {
            visit(sorting, orders[image].images[i]);
        }
    }
    else if (image != sorting->new_root) {
        for (uint32_t i = 0; i < list.count; i++) {
            if ((items[i] & KILN_IMAGE_BOUND) == 0) {
                visit(sorting, items[i]);
            }
        }
    }
}

static void
visit_bound(struct sorting *sorting, const uint32_t *items)
{
    for (uint32_t i = items == NULL ? 0 : items[0]; i > 0; i--) {
        sorting->found_bound = true;
        visit(sorting, items[i]);
    }
}

/* Put IMAGE down in front of all that it depends on. */
static void
visit(struct sorting *sorting, uint32_t image)
{
    if (!kiln_image_is(image, KILN_IMAGE_SEEN)) {
        kiln_image_set(image, KILN_IMAGE_SEEN);
        visit_needs(sorting, image);
        if (sorting->bound != NULL) {
            visit_bound(sorting, sorting->bound[image]);
        }
        *--sorting->place = image;
    }
}

/* Write the COUNT images of FROM, with which is all that they depend on, to SORTED. Returns true if
 * relocation dependencies were followed. */
static bool
sort(uint32_t *sorted, const uint32_t *from, size_t count, uint32_t new_root,
     uint32_t *const *bound)
{
    struct sorting sorting = {sorted + count, new_root, bound, false};
    for (size_t i = count; i-- > 0;) {
        visit(&sorting, from[i]);
    }
    forget_seen(sorted, count);
    return sorting.found_bound;
}

/* The root comes first even of a cycle (glibc's bug 28937). */
void
kiln_image_tree_sort(struct kiln_image_tree *tree, bool is_new)
{
    uint32_t root = tree->images[0], *sorted = tree->sorted;
    size_t place = 0;
    sort(sorted, tree->images, tree->count, is_new ? root : KILN_IMAGE_NONE, NULL);
    while (sorted[place] != root) {
        place++;
    }
    memmove(sorted + 1, sorted, place * sizeof *sorted);
    sorted[0] = root;
    if (tree->count > 1 && orders[root].images == NULL) {
        orders[root] = (struct order){sorted, tree->count};
        tree->is_kept = true;
    }
    opened[opened_count++] = root;
}

/* --- Relocation dependencies ---------------------------------------------------------------------
 */

static bool
is_needed(struct kiln_image_list list, uint32_t image)
{
    bool result = false;
    for (uint32_t i = 0; !result && i < list.count; i++) {
        result = kiln_image_words[list.first + i] == image;
    }
    return result;
}

static bool
stays(uint32_t image)
{
    uint32_t dynamic = kiln_image_records[image].dynamic;
    const char *start = kiln_image_get_start(image);
    const ElfW(Dyn) *flags =
        dynamic == 0 ? NULL : kiln_find_dynamic((const ElfW(Dyn) *)(start + dynamic), DT_FLAGS_1);
    return kiln_image_is(image, KILN_IMAGE_STAYS) ||
           (flags != NULL && (flags->d_un.d_val & DF_1_NODELETE) != 0);
}

/* Append OTHER to ITEMS, those of IMAGE. What an image was opened for itself, all is known of before. */
static void
append_bound(uint32_t *items, uint32_t image, uint32_t other)
{
    if (other != image && roots[image] != image && !stays(other) &&
        kiln_image_is(other, KILN_IMAGE_PREPARED) &&
        !is_needed(kiln_image_records[image].dependencies, other))
    {
        items[++items[0]] = other;
    }
}

/* Append to ITEMS what IMAGE is bound to by ITEM. */
static void
note_bound(uint32_t *items, uint32_t image, uint32_t item)
{
    bool is_unique = (item & KILN_IMAGE_UNIQUE) != 0;
    uint32_t other = item & KILN_IMAGE_INDEX;
    if ((item & KILN_IMAGE_IMPORT) != 0) {
        other = kiln_image_get_definer(other, roots[image], &is_unique);
    }
    if (other == KILN_IMAGE_NONE) {
        return;
    }
    if (is_unique) {
        kiln_image_set(other, KILN_IMAGE_STAYS);
    }
    else {
        append_bound(items, image, other);
    }
}

/* Returns a list of relocation dependencies as for sorting; NULL: there are none, or memory is short. */
static uint32_t *
list_bound(uint32_t image)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    const uint32_t *words = kiln_image_words + list.first;
    uint32_t first = 0;
    while (first < list.count && (words[first] & KILN_IMAGE_BOUND) == 0) {
        first++;
    }
    size_t count = list.count - first + lookup_count;
    uint32_t *items = count == 0 ? NULL : calloc(count + 1, sizeof *items);
    for (uint32_t i = first; items != NULL && i < list.count; i++) {
        note_bound(items, image, words[i]);
    }
    for (size_t i = 0; items != NULL && i < lookup_count; i++) {
        if (lookups[i].image == image) {
            append_bound(items, image, lookups[i].other);
        }
    }
    return items;
}

void
kiln_image_tree_note_found(uint32_t image, uint32_t other)
{
    for (size_t i = 0; i < lookup_count; i++) {
        if (lookups[i].image == image && lookups[i].other == other) {
            return;
        }
    }
    if (lookup_count == lookup_capacity) {
        size_t capacity = lookup_capacity == 0 ? 8 : 2 * lookup_capacity;
        struct lookup *items = realloc(lookups, capacity * sizeof *items);
        if (items == NULL) {
            return;
        }
        lookups = items;
        lookup_capacity = capacity;
    }
    lookups[lookup_count++] = (struct lookup){image, other};
}

/* Go through the images in the order in which the loader relocates them. */
static void
list_all_bound(uint32_t **bound)
{
    for (size_t i = 0; i < opened_count; i++) {
        uint32_t root = opened[i];
        struct order alone = {&root, 1};
        const struct order *order = orders[root].images == NULL ? &alone : &orders[root];
        for (size_t k = order->count; k-- > 0;) {
            uint32_t image = order->images[k];
            if (roots[image] == root) {
                bound[image] = list_bound(image);
            }
        }
    }
}

uint32_t *
kiln_image_tree_get_final(size_t *count)
{
    *count = loaded_count;
    uint32_t *images = calloc(loaded_count + 1, sizeof *images);
    uint32_t *sorted = calloc(loaded_count + 1, sizeof *sorted);
    uint32_t **bound = calloc(kiln_images.image_count, sizeof *bound);
    if (images == NULL || sorted == NULL || bound == NULL) {
        free(sorted);
        sorted = NULL;
    }
    else {
        list_all_bound(bound);
        if (sort(sorted, loaded, loaded_count, KILN_IMAGE_NONE, bound)) {
            memcpy(images, sorted, loaded_count * sizeof *sorted);
            sort(sorted, images, loaded_count, KILN_IMAGE_NONE, NULL);
        }
        for (uint32_t i = 0; i < kiln_images.image_count; i++) {
            free(bound[i]);
        }
    }
    free(bound);
    free(images);
    return sorted;
}
