/* The list of temporary files and directories: see temporary.h.
 *
 * A path is created and listed under one lock, so that a signal finds either both or neither. A
 * directory that is removed because of a signal is renamed first: threads and programs that are
 * still at work can then create nothing more in it. */
#include "base/temporary.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct temporary {
    struct temporary *next;
    char path[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct temporary *list;

/* Requires the mutex. Without memory the path is not listed. */
static void
add(const char *path)
{
    size_t size = strlen(path) + 1;
    struct temporary *temporary = malloc(sizeof *temporary + size);
    if (temporary != NULL) {
        memcpy(temporary->path, path, size);
        temporary->next = list;
        list = temporary;
    }
}

int
kiln_temporary_create(const char *path, unsigned mode)
{
    pthread_mutex_lock(&mutex);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0) {
        add(path);
    }
    pthread_mutex_unlock(&mutex);
    return fd;
}

bool
kiln_temporary_make_dir(char *template)
{
    pthread_mutex_lock(&mutex);
    bool made = mkdtemp(template) != NULL;
    if (made) {
        add(template);
    }
    pthread_mutex_unlock(&mutex);
    return made;
}

void
kiln_temporary_keep(const char *path)
{
    pthread_mutex_lock(&mutex);
    for (struct temporary **at = &list; *at != NULL; at = &(*at)->next) {
        struct temporary *temporary = *at;
        if (strcmp(temporary->path, path) == 0) {
            *at = temporary->next;
            free(temporary);
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static void
remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void
kiln_temporary_remove(const char *path)
{
    remove_tree(path);
    kiln_temporary_keep(path);
}

void
kiln_temporary_remove_all(void)
{
    pthread_mutex_lock(&mutex);
    for (const struct temporary *temporary = list; temporary != NULL; temporary = temporary->next) {
        char aside[PATH_MAX];
        int len = snprintf(aside, sizeof aside, "%s-removed", temporary->path);
        bool moved = len > 0 && (size_t)len < sizeof aside && rename(temporary->path, aside) == 0;
        const char *path = moved ? aside : temporary->path;
        /* A program may still be creating files in its working directory. */
        for (int attempt = 0; attempt < 100 && access(path, F_OK) == 0; attempt++) {
            remove_tree(path);
        }
    }
}
