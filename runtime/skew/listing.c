/* The names of metadata in directories, which are read once, and again when they have changed: many
 * distributions are in the same one. */
#include "skew/listing.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What has been read is never changed or freed: other threads may use it. */
static struct kiln_listing *all;

static bool
is_of(const struct kiln_listing *listing, const struct stat *status)
{
    return listing->device == status->st_dev && listing->inode == status->st_ino &&
           listing->modified.tv_sec == status->st_mtim.tv_sec &&
           listing->modified.tv_nsec == status->st_mtim.tv_nsec;
}

static bool
is_metadata(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot > name &&
           (strcmp(dot, ".dist-info") == 0 || strcmp(dot, ".egg-info") == 0);
}

/* Adds NAME, with its NUL, to LISTING. Returns false if there is no memory. */
static bool
add(struct kiln_listing *listing, const char *name, size_t *capacity)
{
    size_t size = strlen(name) + 1;
    if (listing->size + size > *capacity) {
        size_t wanted = 2 * *capacity + size;
        char *names = realloc(listing->names, wanted);
        if (names == NULL) {
            return false;
        }
        listing->names = names;
        *capacity = wanted;
    }
    memcpy(listing->names + listing->size, name, size);
    listing->size += size;
    return true;
}

/* Fills LISTING with the names in the directory PATH. */
static bool
read_names(struct kiln_listing *listing, const char *path)
{
    DIR *directory = opendir(path);
    bool result = true;
    size_t capacity = 0;
    const struct dirent *entry;
    while (directory != NULL && result && (entry = readdir(directory)) != NULL) {
        result = !is_metadata(entry->d_name) || add(listing, entry->d_name, &capacity);
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return result;
}

const struct kiln_listing *
kiln_listing_get(const char *prefix)
{
    static const struct kiln_listing empty;
    const char *path = *prefix == '\0' ? "." : prefix;
    struct stat status;
    if (stat(path, &status) != 0) {
        return &empty;
    }
    for (struct kiln_listing *known = __atomic_load_n(&all, __ATOMIC_ACQUIRE); known != NULL;
         known = known->next)
    {
        if (is_of(known, &status)) {
            return known;
        }
    }
    struct kiln_listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL) {
        return NULL;
    }
    listing->device = status.st_dev;
    listing->inode = status.st_ino;
    listing->modified = status.st_mtim;
    if (!read_names(listing, path)) {
        free(listing->names);
        free(listing);
        return NULL;
    }
    listing->next = __atomic_load_n(&all, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&all, &listing->next, listing, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
    {
    }
    return listing;
}
