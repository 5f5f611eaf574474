/* kiln_image_prepare(): an image at its first import.
 *
 *     collect   the image and all that it depends on: its tree
 *     resolve   libraries are opened, symbols are found. Any of that may fail; nothing is changed yet
 *     open      the pages that are to be written
 *     fill      words, then those of ifuncs, whose resolvers may use any image of the tree
 *     close     the pages that were written for that only
 *     start     constructors
 *
 * Opening and closing of pages may fail, too, and can be repeated. Filling cannot be, as it adds to
 * what is there, and is the one step that a flag remembers when what follows has failed. */
#include "image/image.h"

#include <stdlib.h>

/* Before other constructors, and so after what they register to be called at the end. The dynamic
 * loader's own destructors come later still. */
__attribute__((constructor(101))) static void
start(int argc, char **argv)
{
    if (&kiln_images != NULL) {
        kiln_libc_get(); /* before anybody unwinds, perhaps with a lock held that dlvsym() takes */
        kiln_image_lock_start();
        kiln_image_imports_start();
        kiln_image_init_start(argc, argv);
        kiln_image_give_way_start();
        atexit(kiln_image_finish);
    }
}

static int
resolve(const struct kiln_image_tree *tree, const struct kiln_image_error *error)
{
    kiln_image_imports_begin();
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_FILLED) &&
            kiln_image_resolve(tree->images[i], error) < 0)
        {
            kiln_image_imports_abandon();
            return -1;
        }
    }
    kiln_image_imports_begin(); /* what is opened now stays open */
    return 0;
}

static int
open_pages(const struct kiln_image_tree *tree, const struct kiln_image_error *error)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_FILLED) &&
            kiln_image_open_pages(tree->images[i], error) < 0)
        {
            return -1;
        }
    }
    return 0;
}

/* The order matters for STB_GNU_UNIQUE: the first definition in the tree is to be the process's. */
static void
fill(const struct kiln_image_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_FILLED)) {
            kiln_image_fill(tree->images[i]);
        }
    }
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_FILLED)) {
            kiln_image_fill_ifuncs(tree->images[i]);
            kiln_image_set(tree->images[i], KILN_IMAGE_FILLED);
        }
    }
}

static int
close_pages(const struct kiln_image_tree *tree, const struct kiln_image_error *error)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_PREPARED) &&
            kiln_image_close_pages(tree->images[i], error) < 0)
        {
            return -1;
        }
    }
    return 0;
}

static void
add_to_loaded(const struct kiln_image_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!kiln_image_is(tree->images[i], KILN_IMAGE_PREPARED)) {
            kiln_image_set(tree->images[i], KILN_IMAGE_PREPARED);
            kiln_image_tree_add(tree->images[i], tree->images[0]);
        }
    }
}

/* All that a forked child must not find half done. */
static int
write_images(struct kiln_image_tree *tree, const struct kiln_image_error *error)
{
    bool is_new = !kiln_image_is(tree->images[0], KILN_IMAGE_PREPARED);
    if (open_pages(tree, error) < 0) {
        return -1;
    }
    fill(tree);
    if (close_pages(tree, error) < 0) {
        return -1;
    }
    add_to_loaded(tree);
    kiln_image_tree_sort(tree, is_new);
    kiln_image_set(tree->images[0], KILN_IMAGE_ASKED);
    return 0;
}

/* A constructor may come back here for any image, and find this tree in any state. */
static void
start_images(const struct kiln_image_tree *tree)
{
    for (size_t i = tree->count; i-- > 0;) {
        if (!kiln_image_is(tree->sorted[i], KILN_IMAGE_STARTED)) {
            kiln_image_set(tree->sorted[i], KILN_IMAGE_STARTED);
            kiln_image_call_init(tree->sorted[i]);
        }
    }
}

static int
prepare_tree(struct kiln_image_tree *tree, const struct kiln_image_error *error)
{
    /* What the constructors of libraries prepare comes in between. */
    uint32_t outer = kiln_image_imports_set_root(tree->images[0]);
    int result = resolve(tree, error);
    if (result == 0) {
        kiln_image_hold_forks();
        result = write_images(tree, error);
        kiln_image_let_forks();
    }
    kiln_image_imports_set_root(outer);
    if (result == 0) {
        start_images(tree);
    }
    return result;
}

static int
prepare(uint32_t image, const struct kiln_image_error *error)
{
    /* From one of its own constructors, or after that. */
    if (kiln_image_is(image, KILN_IMAGE_ASKED)) {
        return 0;
    }
    struct kiln_image_tree tree;
    if (kiln_image_tree_reserve() < 0 || kiln_image_tree_collect(&tree, image) < 0) {
        return kiln_image_fail(error, "%s: cannot allocate memory", kiln_image_get_path(image));
    }
    int result = prepare_tree(&tree, error);
    kiln_image_tree_release(&tree);
    return result;
}

const char *
kiln_image_prepare(uint32_t index, char *text, size_t size)
{
    if (kiln_image_is(index, KILN_IMAGE_READY)) {
        return NULL;
    }
    struct kiln_image_error error = {text, size};
    kiln_image_lock();
    int result = prepare(index, &error);
    /* Others wait until nothing is under way any more: what is may be what this image depends on. */
    if (result == 0 && kiln_image_is_outermost()) {
        kiln_image_set(index, KILN_IMAGE_READY);
    }
    kiln_image_unlock();
    return result == 0 ? NULL : text;
}
