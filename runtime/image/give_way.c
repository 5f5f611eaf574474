/* When an image gives way to its file.
 *
 * `kiln link` has bound what is in the executable as dlopen(..., RTLD_LOCAL) would, with the libraries that it found.
 * Two things that only the process knows make the dynamic loader decide otherwise: other modes of dlopen(), as
 * symbols that became everybody's (RTLD_GLOBAL) come before those of what is loaded later, and with RTLD_DEEPBIND a
 * file's own come before those; and LD_LIBRARY_PATH, which comes before DT_RUNPATH. Then the
 * loader itself opens the file, unless it would bring a second copy of what is loaded already, or is not there. */
#include "image/image.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_special; /* a mode that is not plain was used */

static const char *search_path;

/* By image, and behind these by library: it is needed, and the search path has another one of its name. NULL: none is.
 */
static bool *overridden;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void
kiln_image_give_way_start(void)
{
    search_path = secure_getenv("LD_LIBRARY_PATH");
}

const char *
kiln_image_get_search_path(void)
{
    return search_path;
}

bool
kiln_image_is_plain_mode(int mode)
{
    int binding = RTLD_LAZY | RTLD_NOW;
    return (mode & binding) != 0 && (mode & ~(binding | RTLD_NODELETE)) == 0;
}

void
kiln_image_begin_special(void)
{
    __atomic_store_n(&is_special, true, __ATOMIC_RELEASE);
}

/* --- LD_LIBRARY_PATH -----------------------------------------------------------------------------
 */

/* Whether the directory of LEN bytes at ITEM has another library NAME than IMAGE. Which of the variants for processors
 * it would be is the loader's to know. */
static bool
has_other(const char *item, size_t len, const char *name, uint32_t image)
{
    char place[PATH_MAX], variants[PATH_MAX];
    int directory = len == 0 ? 1 : (int)len;
    const char *start = len == 0 ? "." : item;
    return snprintf(place, sizeof place, "%.*s/%s", directory, start, name) < PATH_MAX &&
           snprintf(variants, sizeof variants, "%.*s/glibc-hwcaps", directory, start) < PATH_MAX &&
           ((access(place, F_OK) == 0 &&
             (image == KILN_IMAGE_NONE || kiln_image_find_file(place) != image)) ||
            access(variants, F_OK) == 0);
}

static bool
is_elsewhere(const char *path, uint32_t image)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    for (const char *item = search_path;; item++) {
        size_t len = strcspn(item, ":;");
        if (has_other(item, len, name, image)) {
            return true;
        }
        item += len;
        if (*item == '\0') {
            return false;
        }
    }
}

static void
mark_needed(bool *needed)
{
    for (uint32_t i = 0; i < kiln_images.image_count; i++) {
        const struct kiln_image *record = &kiln_image_records[i];
        for (uint32_t k = 0; k < record->dependencies.count; k++) {
            uint32_t item = kiln_image_words[record->dependencies.first + k];
            if ((item & KILN_IMAGE_BOUND) == 0) {
                needed[item] = true;
            }
        }
    }
}

static void
look_in_search_path(void)
{
    uint32_t count = kiln_images.image_count;
    bool *items = calloc(count + kiln_images.library_count, sizeof *items);
    bool any = false;
    if (items == NULL) {
        return;
    }
    mark_needed(items);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t soname = kiln_image_records[i].soname;
        const char *name =
            soname == KILN_IMAGE_NONE ? kiln_image_get_path(i) : kiln_image_strings + soname;
        items[i] = items[i] && is_elsewhere(name, i);
        any = any || items[i];
    }
    /* The loader looks by itself for those without a directory. */
    for (uint32_t i = 0; i < kiln_images.library_count; i++) {
        const char *name = kiln_image_strings + kiln_image_libraries[i];
        items[count + i] = strchr(name, '/') != NULL && is_elsewhere(name, KILN_IMAGE_NONE);
        any = any || items[count + i];
    }
    overridden = any ? items : NULL;
    if (!any) {
        free(items);
    }
}

static bool
is_overridden(uint32_t image)
{
    struct kiln_image_list libraries = kiln_image_records[image].libraries;
    bool result = overridden != NULL && overridden[image];
    for (uint32_t i = 0; overridden != NULL && i < libraries.count; i++) {
        uint32_t library = kiln_image_words[libraries.first + i];
        result = result || overridden[kiln_images.image_count + library];
    }
    return result;
}

/* -------------------------------------------------------------------------------------------------
 */

bool
kiln_image_may_give_way(void)
{
    if (search_path != NULL) {
        pthread_once(&once, look_in_search_path);
    }
    return overridden != NULL || __atomic_load_n(&is_special, __ATOMIC_ACQUIRE);
}

/* Whether IMAGE is loaded, or has a variable of what is: the process would have a second one. */
static bool
is_loaded(uint32_t image)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    bool result = kiln_image_is(image, KILN_IMAGE_PREPARED), is_unique;
    for (uint32_t i = 0; !result && i < list.count; i++) {
        uint32_t item = kiln_image_words[list.first + i], other = item & KILN_IMAGE_INDEX;
        if ((item & KILN_IMAGE_IMPORT) != 0) {
            other = kiln_image_get_definer(other, image, &is_unique);
        }
        result = other != KILN_IMAGE_NONE && kiln_image_is(other, KILN_IMAGE_PREPARED);
    }
    return result;
}

bool
kiln_image_gives_way(uint32_t image)
{
    struct kiln_image_tree tree;
    bool result = __atomic_load_n(&is_special, __ATOMIC_ACQUIRE);
    if (!kiln_image_may_give_way() || access(kiln_image_get_path(image), F_OK) != 0) {
        return false;
    }
    kiln_image_lock();
    if (kiln_image_tree_collect(&tree, image) == 0) {
        for (size_t i = 0; i < tree.count; i++) {
            result = result || is_overridden(tree.images[i]);
        }
        for (size_t i = 0; i < tree.count; i++) {
            result = result && !is_loaded(tree.images[i]);
        }
        kiln_image_tree_release(&tree);
    }
    kiln_image_unlock();
    return result;
}

bool
kiln_image_gives_way_to(const char *path)
{
    uint32_t image = kiln_image_find_file(path);
    return image == KILN_IMAGE_NONE ? __atomic_load_n(&is_special, __ATOMIC_ACQUIRE)
                                    : kiln_image_gives_way(image);
}
