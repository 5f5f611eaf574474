/* The metadata in a directory; see listing.c. Plain C. */
#ifndef KILN_RUNTIME_LISTING_H
#define KILN_RUNTIME_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct kiln_listing {
    struct kiln_listing *next;
    dev_t device;
    ino_t inode;
    struct timespec modified;
    char *names; /* *.dist-info and *.egg-info, one behind the other, each with its NUL */
    size_t size; /* of all of them */
};

/* Returns what is in the directory PREFIX ("": the working directory); nothing is if it cannot be read. NULL if
 * there is no memory. */
const struct kiln_listing *kiln_listing_get(const char *prefix);

#endif
