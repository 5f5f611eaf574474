/* dlsym() and dlvsym() for images, and for images that ask.
 *
 * A scope is an image and all that it needs, images and libraries alike, breadth first. That of a handle is the
 * image's own. An image that asks from anywhere has those of all that have been opened and bring it, in the order
 * of opening, after the process's (glibc's update_scopes()); what comes next is next in the first of them. */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

/* See dlopen.c. */
#define OUT_OF_LINE __attribute__((noinline))

struct search {
    const char *name, *version;   /* VERSION: NULL for dlsym() */
    const struct link_map *after; /* an object behind which is looked, or NULL */
    void *address;
};

/* The objects of a scope as far as it has been looked through. A library's handle is its link map, too. */
struct scope {
    struct link_map **items;
    size_t count, capacity;
};

static void *
find_in_libc(void *handle, const struct search *search)
{
    const struct kiln_libc *libc = kiln_libc_get();
    return search->version == NULL ? libc->dlsym(handle, search->name)
                                   : libc->dlvsym(handle, search->name, search->version);
}

/* --- One object ----------------------------------------------------------------------------------
 */

static void *
find_in_image(uint32_t image, const struct search *search)
{
    const ElfW(Sym) *symbol = kiln_image_find_symbol(image, search->name, search->version);
    return symbol == NULL ? NULL : kiln_image_get_symbol_address(image, symbol);
}

/* Asked for a library's symbol, the C library also looks in what that needs. A thread-local variable is in no
 * object. */
static void *
find_in_library(struct link_map *map, const struct search *search)
{
    Dl_info info;
    void *owner, *address = find_in_libc(map, search);
    return address == NULL ||
                   kiln_libc_get()->dladdr1(address, &info, &owner, RTLD_DL_LINKMAP) == 0 ||
                   owner == map
               ? address
               : NULL;
}

static bool
find_in_object(struct search *search, struct link_map *map)
{
    uint32_t image = kiln_image_get_by_handle(map);
    search->address =
        image == KILN_IMAGE_NONE ? find_in_library(map, search) : find_in_image(image, search);
    return search->address != NULL;
}

/* --- A scope -------------------------------------------------------------------------------------
 */

/* If memory is short, nothing is appended. */
static void
append(struct scope *scope, struct link_map *map)
{
    bool is_there = map == NULL;
    for (size_t i = 0; !is_there && i < scope->count; i++) {
        is_there = scope->items[i] == map;
    }
    if (is_there) {
        return;
    }
    if (scope->count == scope->capacity) {
        size_t capacity = scope->capacity == 0 ? 8 : 2 * scope->capacity;
        struct link_map **items = realloc(scope->items, capacity * sizeof *items);
        if (items == NULL) {
            return;
        }
        scope->items = items;
        scope->capacity = capacity;
    }
    scope->items[scope->count++] = map;
}

static bool
is_named(uint32_t image, const char *name)
{
    const char *slash = strrchr(kiln_image_get_path(image), '/');
    uint32_t soname = kiln_image_records[image].soname;
    return (soname != KILN_IMAGE_NONE && strcmp(kiln_image_strings + soname, name) == 0) ||
           (slash != NULL && strcmp(slash + 1, name) == 0);
}

/* The images that IMAGE needs: those called NAME, or all if that is NULL. Returns whether there are any. */
static bool
append_images(struct scope *scope, uint32_t image, const char *name)
{
    struct kiln_image_list list = kiln_image_records[image].dependencies;
    bool found = false;
    for (uint32_t i = 0; i < list.count; i++) {
        uint32_t item = kiln_image_words[list.first + i];
        if ((item & KILN_IMAGE_BOUND) == 0 && (name == NULL || is_named(item, name))) {
            append(scope, kiln_image_get_map(item));
            found = true;
        }
    }
    return found;
}

static void
append_library(struct scope *scope, const char *name)
{
    const struct kiln_libc *libc = kiln_libc_get();
    void *handle = libc->dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL) {
        append(scope, handle);
        libc->dlclose(handle); /* who needs it keeps it */
    }
}

/* What MAP needs, in its own order. An image may be called by yet another name, that of a link to its file. */
static void
append_needs(struct scope *scope, const struct link_map *map)
{
    uint32_t image = kiln_image_get_by_handle(map);
    const ElfW(Dyn) *table = kiln_find_dynamic(map->l_ld, DT_STRTAB), *entry = map->l_ld;
    const char *strings = image != KILN_IMAGE_NONE
                              ? kiln_image_get_start(image) + kiln_image_records[image].strings
                          : table == NULL ? NULL
                                          : (const char *)table->d_un.d_ptr;
    for (; strings != NULL && entry != NULL && entry->d_tag != DT_NULL; entry++) {
        const char *name = strings + entry->d_un.d_val;
        if (entry->d_tag == DT_NEEDED &&
            (image == KILN_IMAGE_NONE || !append_images(scope, image, name))) {
            append_library(scope, name);
        }
    }
    if (image != KILN_IMAGE_NONE) {
        append_images(scope, image, NULL);
    }
}

/* Look in the scope of ROOT. Returns the image that has the symbol; KILN_IMAGE_NONE: none has. */
static uint32_t
find_in_scope(struct search *search, uint32_t root)
{
    struct scope scope = {0};
    uint32_t image = KILN_IMAGE_NONE;
    bool is_behind = search->after == NULL;
    append(&scope, kiln_image_get_map(root));
    for (size_t i = 0; i < scope.count; i++) {
        if (is_behind && find_in_object(search, scope.items[i])) {
            image = kiln_image_get_by_handle(scope.items[i]);
            break;
        }
        is_behind = is_behind || scope.items[i] == search->after;
        append_needs(&scope, scope.items[i]);
    }
    free(scope.items);
    return image;
}

/* --- The functions -------------------------------------------------------------------------------
 */

/* Whether IMAGE comes first in what it looks for itself. */
static bool
is_symbolic(const struct link_map *map)
{
    const ElfW(Dyn) *flags = kiln_find_dynamic(map->l_ld, DT_FLAGS);
    return kiln_find_dynamic(map->l_ld, DT_SYMBOLIC) != NULL ||
           (flags != NULL && (flags->d_un.d_val & DF_SYMBOLIC) != 0);
}

static void
find_in_scopes(struct search *search, uint32_t image)
{
    uint32_t root;
    kiln_image_lock();
    for (size_t i = 0;
         search->address == NULL && (root = kiln_image_tree_get_root(image, i)) != KILN_IMAGE_NONE;
         i++)
    {
        uint32_t other = find_in_scope(search, root);
        if (other != KILN_IMAGE_NONE) {
            kiln_image_tree_note_found(image, other);
        }
    }
    kiln_image_unlock();
}

static void
find_from_anywhere(struct search *search, uint32_t image)
{
    struct link_map *map = kiln_image_get_map(image);
    if (map != NULL && is_symbolic(map) && find_in_object(search, map)) {
        return;
    }
    search->address = find_in_libc(RTLD_DEFAULT, search);
    if (search->address == NULL) {
        find_in_scopes(search, image);
    }
}

static void
find_in_one_scope(struct search *search, uint32_t image, bool is_next)
{
    kiln_image_lock();
    if (is_next) {
        search->after = kiln_image_get_map(image);
        image = kiln_image_tree_get_root(image, 0);
    }
    find_in_scope(search, image);
    kiln_image_unlock();
}

/* HANDLE is IMAGE's, or one of the special ones, and IMAGE the caller. */
static OUT_OF_LINE void *
find(uint32_t image, void *handle, const char *name, const char *version)
{
    struct search search = {name, version, NULL, NULL};
    if (handle == RTLD_DEFAULT) {
        find_from_anywhere(&search, image);
    }
    else {
        find_in_one_scope(&search, image, handle == RTLD_NEXT);
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
