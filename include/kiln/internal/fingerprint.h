/* A number for the Python files in a directory, which `kiln link` notes for the directory of each extension
 * (src/link/emit/data.c), and the runtime compares where nothing tells which version of a package is
 * installed (runtime/skew). Needs no Python.h. */
#ifndef KILN_INTERNAL_FINGERPRINT_H
#define KILN_INTERNAL_FINGERPRINT_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Continues HASH (FNV-1a) with DATA. */
static inline uint64_t
kiln_fingerprint_add(uint64_t hash, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Returns that of the file NAME in DIRECTORY: of its name and its content. 0 if it cannot be read. */
static inline uint64_t
kiln_fingerprint_file(const char *directory, const char *name)
{
    char path[PATH_MAX], buffer[8192];
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    struct stat status;
    bool is_file =
        len > 0 && (size_t)len < sizeof path && stat(path, &status) == 0 && S_ISREG(status.st_mode);
    FILE *file = is_file ? fopen(path, "rbe") : NULL;
    if (file == NULL) {
        return 0;
    }
    uint64_t hash = kiln_fingerprint_add(UINT64_C(0xcbf29ce484222325), name, strlen(name) + 1);
    size_t size;
    while ((size = fread(buffer, 1, sizeof buffer, file)) > 0) {
        hash = kiln_fingerprint_add(hash, buffer, size);
    }
    fclose(file);
    return hash;
}

/* Returns that of all Python files in DIRECTORY, in whatever order they are read. 0 if there are none. */
static inline uint64_t
kiln_fingerprint_directory(const char *directory)
{
    uint64_t sum = 0;
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len > 3 && strcmp(entry->d_name + len - 3, ".py") == 0) {
            sum += kiln_fingerprint_file(directory, entry->d_name);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return sum;
}

#endif
