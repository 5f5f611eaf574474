/* dlsym() and dlvsym() for images, and for images that ask.
 *
 * The scope of an image's handle is what the image depends on, breadth first, with the libraries that these
 * images need. An image that asks has the scope of what it was loaded for, as from the dynamic loader. */
#include "image/image.h"

/* See dlopen.c. */
#define OUT_OF_LINE __attribute__((noinline))

struct search {
    const char *name, *version; /* VERSION: NULL for dlsym() */
    uint32_t after;             /* an image behind which is looked, or KILN_IMAGE_NONE */
    void *address;
};

static void *
find_in_libc(void *handle, const struct search *search)
{
    const struct kiln_libc *libc = kiln_libc_get();
    return search->version == NULL ? libc->dlsym(handle, search->name)
                                   : libc->dlvsym(handle, search->name, search->version);
}

static bool
find_in_images(struct search *search, const struct kiln_image_tree *tree)
{
    size_t first = 0;
    while (search->after != KILN_IMAGE_NONE && first < tree->ordered_count &&
           tree->images[first++] != search->after)
    {
    }
    for (size_t i = first; i < tree->ordered_count; i++) {
        const ElfW(Sym) *symbol =
            kiln_image_find_symbol(tree->images[i], search->name, search->version);
        if (symbol != NULL) {
            search->address = kiln_image_get_symbol_address(tree->images[i], symbol);
            return search->address != NULL;
        }
    }
    return false;
}

/* In libraries that IMAGE needs and that are loaded. */
static bool
find_in_needed(struct search *search, uint32_t image)
{
    const struct kiln_libc *libc = kiln_libc_get();
    const struct link_map *map = kiln_image_get_map(image);
    const char *strings = kiln_image_get_start(image) + kiln_image_records[image].strings;
    const ElfW(Dyn) *entry = map == NULL ? NULL : map->l_ld;
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        void *handle = entry->d_tag != DT_NEEDED
                           ? NULL
                           : libc->dlopen(strings + entry->d_un.d_val, RTLD_LAZY | RTLD_NOLOAD);
        if (handle != NULL) {
            search->address = find_in_libc(handle, search);
            libc->dlclose(handle);
        }
        if (search->address != NULL) {
            return true;
        }
    }
    return false;
}

static bool
find_in_tree(struct search *search, const struct kiln_image_tree *tree)
{
    if (find_in_images(search, tree)) {
        return true;
    }
    for (size_t i = 0; i < tree->ordered_count; i++) {
        if (find_in_needed(search, tree->images[i])) {
            return true;
        }
    }
    return false;
}

static void
find_in_scope(struct search *search, uint32_t image)
{
    struct kiln_image_tree tree;
    kiln_image_lock();
    if (kiln_image_tree_collect(&tree, image) == 0) {
        find_in_tree(search, &tree);
        kiln_image_tree_release(&tree);
    }
    kiln_image_unlock();
}

/* HANDLE is IMAGE's, or one of the special ones, and IMAGE the caller. */
static OUT_OF_LINE void *
find(uint32_t image, void *handle, const char *name, const char *version)
{
    bool is_special = handle == RTLD_DEFAULT || handle == RTLD_NEXT;
    struct search search = {name, version, KILN_IMAGE_NONE, NULL};
    if (handle == RTLD_DEFAULT) {
        search.address = find_in_libc(RTLD_DEFAULT, &search);
    }
    if (search.address == NULL) {
        search.after = handle == RTLD_NEXT ? image : KILN_IMAGE_NONE;
        find_in_scope(&search, is_special ? kiln_image_tree_get_root(image) : image);
    }
    if (search.address == NULL) {
        kiln_image_set_message("%s: undefined symbol: %s%s%s", kiln_image_get_path(image), name,
                               version == NULL ? "" : ", version ", version == NULL ? "" : version);
    }
    else {
        kiln_image_clear_message();
    }
    return search.address;
}

/* The image whose scope HANDLE means, if CALLER has called; KILN_IMAGE_NONE: it is the C library's. */
static uint32_t
get_image(void *handle, const void *caller)
{
    return handle == RTLD_DEFAULT || handle == RTLD_NEXT ? kiln_image_find_at((uintptr_t)caller)
                                                         : kiln_image_get_by_handle(handle);
}

void *
kiln_image_dlsym(void *handle, const char *name)
{
    uint32_t image = get_image(handle, __builtin_return_address(0));
    if (image != KILN_IMAGE_NONE) {
        return find(image, handle, name, NULL);
    }
    kiln_image_drop_message();
    return kiln_libc_get()->dlsym(handle, name);
}

void *
kiln_image_dlvsym(void *handle, const char *name, const char *version)
{
    uint32_t image = get_image(handle, __builtin_return_address(0));
    if (image != KILN_IMAGE_NONE) {
        return find(image, handle, name, version);
    }
    kiln_image_drop_message();
    return kiln_libc_get()->dlvsym(handle, name, version);
}
