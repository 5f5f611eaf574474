/* The list of temporary directories: see temporary.h.
 *
 * A directory is made and listed under one lock, so that a signal finds either both or neither. One that is removed
 * because of a signal is renamed first: threads and programs that are still at work can then create nothing more in it.
 *
 * Each has a file in it that its maker holds a lock on (flock(2)) for as long as it lives. Where nobody holds the lock,
 * the maker was killed. That is true in containers and after reboots, too, where a process ID tells nothing; and a
 * directory without that file is none of Kiln's. Whoever removes such a directory holds its lock, and removes the file
 * last. A maker that gets the lock only after that has lost its directory, and makes another. */
#include "base/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define LOCK_NAME ".kiln-lock"

enum { ATTEMPTS = 1000 };

struct temporary {
    struct temporary *next;
    int lock;
    char path[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct temporary *list;

/* Open the lock of the directory PATH. Returns a descriptor, or -1 with errno set. */
static int
open_lock(const char *path, int flags)
{
    char lock[PATH_MAX];
    int len = snprintf(lock, sizeof lock, "%s/" LOCK_NAME, path);
    if (len < 0 || (size_t)len >= sizeof lock) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type;
    if (ftw->level > 1 || (ftw->level == 1 && strcmp(path + ftw->base, LOCK_NAME) != 0)) {
        remove(path);
    }
    return 0;
}

static void
remove_tree(const char *path)
{
    char lock[PATH_MAX];
    int len = snprintf(lock, sizeof lock, "%s/" LOCK_NAME, path);
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (len > 0 && (size_t)len < sizeof lock) {
        unlink(lock);
    }
    rmdir(path);
}

/* Remove the directory PATH if its maker was killed. */
static void
remove_stale(const char *path)
{
    struct stat st;
    bool is_ours = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
                   (st.st_mode & 077) == 0;
    int fd = is_ours ? open_lock(path, 0) : -1;
    /* Without a link it is that of a directory which another process has removed; what is there now is a new one. */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) {
        remove_tree(path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Lock and list the new directory PATH. Returns false, with errno set, after removing it; EEXIST: another process has
 * removed it, and may have made it anew. Requires the mutex. */
static bool
add(const char *path)
{
    struct stat st;
    size_t size = strlen(path) + 1;
    struct temporary *temporary = malloc(sizeof *temporary + size);
    int fd = temporary == NULL ? -1 : open_lock(path, O_CREAT | O_EXCL);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        /* Some file systems have no locks: what is in them is never taken for stale. */
        flock(fd, LOCK_EX);
        error = fstat(fd, &st) < 0 || st.st_nlink == 0 ? EEXIST : 0;
    }
    if (error != 0) {
        if (fd >= 0) {
            close(fd);
        }
        else {
            rmdir(path);
        }
        free(temporary);
        errno = error == ENOENT ? EEXIST : error;
        return false;
    }
    memcpy(temporary->path, path, size);
    temporary->lock = fd;
    temporary->next = list;
    list = temporary;
    return true;
}

bool
kiln_temporary_make_dir(char *template)
{
    char *place = template + strlen(template) - strlen("XXXXXX");
    bool made = false;
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < ATTEMPTS && !made; i++) {
        memcpy(place, "XXXXXX", strlen("XXXXXX"));
        made = mkdtemp(template) != NULL && add(template);
        if (!made && errno != EEXIST) {
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
    return made;
}

const char *
kiln_temporary_make_dir_for(struct kiln_arena *arena, const char *path)
{
    const char *dir = NULL;
    bool made = false;
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < ATTEMPTS && !made; i++) {
        /* A name that can be foreseen, so that the next run comes upon what a killed one has left. */
        dir = kiln_arena_printf(arena, "%s.kiln-%u", path, i);
        made = mkdir(dir, 0700) == 0;
        if (!made && errno == EEXIST) {
            remove_stale(dir);
            rmdir(dir); /* its maker may have been killed before it was locked */
            made = mkdir(dir, 0700) == 0;
        }
        made = made && add(dir);
        if (!made && errno != EEXIST) {
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
    return made ? dir : NULL;
}

void
kiln_temporary_remove(const char *path)
{
    pthread_mutex_lock(&mutex);
    /* Until it is off the list, no other thread is to make and list another one of its name. */
    remove_tree(path);
    for (struct temporary **at = &list; *at != NULL; at = &(*at)->next) {
        struct temporary *temporary = *at;
        if (strcmp(temporary->path, path) == 0) {
            *at = temporary->next;
            close(temporary->lock);
            free(temporary);
            break;
        }
    }
    pthread_mutex_unlock(&mutex);
}

void
kiln_temporary_sweep(struct kiln_arena *arena, const char *parent, const char *prefix)
{
    DIR *stream = opendir(parent);
    struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (kiln_starts_with(entry->d_name, prefix)) {
            remove_stale(kiln_arena_printf(arena, "%s/%s", parent, entry->d_name));
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
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
