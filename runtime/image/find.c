/* Which image an address, a path or a handle stands for. What is sorted for that is made when it is
 * first needed; a program that never asks does not pay. */
#include "image/image.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct by_path {
    const char *path;
    uint32_t image;
};

static struct by_path *by_path;
static size_t path_count;
static struct link_map *maps;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int
compare_path(const void *a, const void *b)
{
    return strcmp(((const struct by_path *)a)->path, ((const struct by_path *)b)->path);
}

static void
sort_paths(void)
{
    uint32_t alias_count = kiln_image_aliases == NULL ? 0 : kiln_image_aliases[0];
    struct by_path *items = calloc(kiln_images.image_count + alias_count, sizeof *items);
    if (items == NULL) {
        return;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < kiln_images.image_count; i++) {
        items[count++] = (struct by_path){kiln_image_get_path(i), i};
    }
    for (uint32_t i = 0; i < alias_count; i++) {
        items[count++] = (struct by_path){kiln_image_strings + kiln_image_aliases[1 + 2 * i],
                                          kiln_image_aliases[2 + 2 * i]};
    }
    qsort(items, count, sizeof *items, compare_path);
    by_path = items;
    path_count = count;
}

static void
create_maps(void)
{
    maps = calloc(kiln_images.image_count, sizeof *maps);
    for (uint32_t i = 0; maps != NULL && i < kiln_images.image_count; i++) {
        uint32_t dynamic = kiln_image_records[i].dynamic;
        maps[i] = (struct link_map){
            .l_addr = (ElfW(Addr))kiln_image_get_start(i),
            .l_name = (char *)kiln_image_get_path(i),
            .l_ld = dynamic == 0 ? NULL : (ElfW(Dyn) *)(kiln_image_get_start(i) + dynamic),
        };
    }
}

/* Happens again in a child that was forked meanwhile. */
static void
create(void)
{
    if (&kiln_images != NULL) {
        sort_paths();
        create_maps();
    }
}

/* Allocates nothing and takes no lock: a library that replaces malloc() asks for libc's by dlsym() before
 * there is any. */
uint32_t
kiln_image_find_at(uintptr_t address)
{
    /* The last image that does not start behind it: they are in the order of their addresses. */
    uint32_t low = 0, high = &kiln_images == NULL ? 0 : kiln_images.image_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)kiln_image_get_start(middle) <= address) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low > 0 && address - (uintptr_t)kiln_image_get_start(low - 1) <
                          kiln_image_records[low - 1].size
               ? low - 1
               : KILN_IMAGE_NONE;
}

uint32_t
kiln_image_find_path(const char *path)
{
    pthread_once(&once, create);
    struct by_path wanted = {path, 0};
    const struct by_path *found =
        by_path == NULL ? NULL
                        : bsearch(&wanted, by_path, path_count, sizeof *by_path, compare_path);
    return found == NULL ? KILN_IMAGE_NONE : found->image;
}

struct link_map *
kiln_image_get_map(uint32_t image)
{
    pthread_once(&once, create);
    return maps == NULL ? NULL : &maps[image];
}

uint32_t
kiln_image_get_by_handle(const void *handle)
{
    /* Without maps there is no handle of an image. */
    uintptr_t distance = (uintptr_t)handle - (uintptr_t)maps;
    return maps != NULL && distance < kiln_images.image_count * sizeof *maps
               ? (uint32_t)(distance / sizeof *maps)
               : KILN_IMAGE_NONE;
}
