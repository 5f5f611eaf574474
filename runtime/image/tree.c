/* The tree of an image's dependencies, and the orders of glibc's dynamic loader: of loading (breadth
 * first, _dl_map_object_deps()), of constructors and of destructors (_dl_sort_maps_dfs(), the default
 * since glibc 2.35).
 *
 * The loader keeps a list for each object, which sorting follows: the objects that it needs, in the
 * order of DT_NEEDED; for one that was loaded by dlopen() itself, its whole tree, sorted. The list of
 * one that is just being loaded so is empty. All of that shows in the order of what does not depend
 * on each other.
 *
 * Dependencies that are KILN_IMAGE_UNORDERED, or also KILN_IMAGE_CHOSEN, are the loader's relocation dependencies: they do not
 * matter for constructors. For destructors they do, as far as the others leave a choice. */
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
append_dependencies(struct kiln_image_tree *tree, uint32_t image, uint32_t flag)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t item = kiln_image_words[list.first + i];
        if ((item & (KILN_IMAGE_UNORDERED | KILN_IMAGE_CHOSEN)) == flag &&
            append(tree, item & ~KILN_IMAGE_UNORDERED) < 0)
        {
            return -1;
        }
    }
    return 0;
}

/* What is in the tree by unordered dependencies only comes behind all that is in it by others. */
static int
append_all(struct kiln_image_tree *tree, uint32_t root)
{
    int result = append(tree, root);
    size_t ordered = 0, unordered = 0;
    while (result == 0 && unordered < tree->count) {
        if (ordered < tree->count) {
            result = append_dependencies(tree, tree->images[ordered++], 0);
            continue;
        }
        if (unordered == 0) {
            tree->ordered_count = tree->count;
        }
        result = append_dependencies(tree, tree->images[unordered++], KILN_IMAGE_UNORDERED);
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
    int result = append_all(tree, image);
    forget_seen(tree->images, tree->count);
    if (result == 0) {
        tree->memory = malloc((tree->ordered_count + tree->count) * sizeof *tree->memory);
    }
    if (tree->memory == NULL) {
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
        free(tree->memory);
    }
}

/* --- Sorting -------------------------------------------------------------------------------------
 */

struct sorting {
    uint32_t *place;      /* of the last image that was put down, from the end to the start */
    uint32_t new_root;    /* the image whose list is still empty, or KILN_IMAGE_NONE */
    bool has_unordered;   /* unordered dependencies are followed, too */
    bool found_unordered; /* and there were some */
};

static void visit(struct sorting *sorting, uint32_t image);

/* Whether OTHER is in the scope that IMAGE was loaded in, be it that another image has brought it before. */
static bool
is_for_same(uint32_t image, uint32_t other)
{
    return is_in_scope(roots[image], other) && kiln_image_is(other, KILN_IMAGE_PREPARED);
}

static void
visit_dependencies(struct sorting *sorting, uint32_t image)
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
            if ((items[i] & KILN_IMAGE_UNORDERED) == 0) {
                visit(sorting, items[i]);
            }
        }
    }
    for (uint32_t i = list.count; sorting->has_unordered && i-- > 0;) {
        uint32_t item = items[i] & ~(KILN_IMAGE_UNORDERED | KILN_IMAGE_CHOSEN);
        if ((items[i] & KILN_IMAGE_UNORDERED) != 0 &&
            ((items[i] & KILN_IMAGE_CHOSEN) == 0 || is_for_same(image, item)))
        {
            sorting->found_unordered = true;
            visit(sorting, item);
        }
    }
}

/* Put IMAGE down in front of all that it depends on. */
static void
visit(struct sorting *sorting, uint32_t image)
{
    if (!kiln_image_is(image, KILN_IMAGE_SEEN)) {
        kiln_image_set(image, KILN_IMAGE_SEEN);
        visit_dependencies(sorting, image);
        *--sorting->place = image;
    }
}

/* Write the COUNT images of FROM, with which is all that they depend on, to SORTED. Returns true if
 * there are unordered dependencies. */
static bool
sort(uint32_t *sorted, const uint32_t *from, size_t count, uint32_t new_root, bool has_unordered)
{
    struct sorting sorting = {sorted + count, new_root, has_unordered, false};
    for (size_t i = count; i-- > 0;) {
        visit(&sorting, from[i]);
    }
    forget_seen(sorted, count);
    return sorting.found_unordered;
}

/* The root comes first even of a cycle (glibc's bug 28937). */
static void
sort_tree(uint32_t *sorted, const uint32_t *images, size_t count, bool is_new)
{
    uint32_t root = images[0];
    size_t place = 0;
    sort(sorted, images, count, is_new ? root : KILN_IMAGE_NONE, false);
    while (sorted[place] != root) {
        place++;
    }
    memmove(sorted + 1, sorted, place * sizeof *sorted);
    sorted[0] = root;
}

void
kiln_image_tree_sort(struct kiln_image_tree *tree, bool is_new)
{
    uint32_t root = tree->images[0];
    sort_tree(tree->memory, tree->images, tree->ordered_count, is_new);
    tree->sorted = tree->memory;
    if (tree->ordered_count < tree->count) {
        tree->sorted = tree->memory + tree->ordered_count;
        sort_tree(tree->sorted, tree->images, tree->count, is_new);
    }
    if (tree->ordered_count > 1 && orders[root].images == NULL) {
        orders[root] = (struct order){tree->memory, tree->ordered_count};
        tree->is_kept = true;
    }
    opened[opened_count++] = root;
}

uint32_t *
kiln_image_tree_get_final(size_t *count)
{
    *count = loaded_count;
    uint32_t *images = calloc(loaded_count + 1, sizeof *images);
    uint32_t *sorted = calloc(loaded_count + 1, sizeof *sorted);
    if (images == NULL || sorted == NULL) {
        free(images);
        free(sorted);
        return NULL;
    }
    if (sort(sorted, loaded, loaded_count, KILN_IMAGE_NONE, true)) {
        memcpy(images, sorted, loaded_count * sizeof *sorted);
        sort(sorted, images, loaded_count, KILN_IMAGE_NONE, false);
    }
    free(images);
    return sorted;
}
