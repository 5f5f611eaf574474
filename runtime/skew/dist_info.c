/* The version of a distribution that is installed in a directory, from its metadata there: the
 * directory NAME-VERSION.dist-info of pip and other installers, or the NAME-VERSION.egg-info (a
 * directory or a file; NAME.egg-info in a source tree) of setuptools. There may be several:
 * `pip install --ignore-installed` and `--target --upgrade` leave those of the version before. */
#include "skew/dist_info.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "skew/listing.h"

struct kiln_verdict kiln_verdict_fits, kiln_verdict_absent;

bool
kiln_dist_info_exists(const char *prefix, const struct kiln_distribution *distribution)
{
    char path[PATH_MAX];
    struct stat status;
    int len = snprintf(path, sizeof path, "%s%s", prefix,
                       kiln_distance_get_string(&distribution->directory));
    return len > 0 && (size_t)len < sizeof path && stat(path, &status) == 0;
}

/* Returns the next character of a name as PEP 503 normalises it: in lower case, one '-' for each
 * run of '-', '_' and '.'. -1 at the end. */
static int
take_character(const char **name, const char *end)
{
    if (*name == end) {
        return -1;
    }
    int c = (unsigned char)*(*name)++;
    if (c != '-' && c != '_' && c != '.') {
        return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
    }
    while (*name < end && (**name == '-' || **name == '_' || **name == '.')) {
        ++*name;
    }
    return '-';
}

static bool
is_same_name(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const char *a_end = a + a_len, *b_end = b + b_len;
    int c;
    do {
        c = take_character(&a, a_end);
        if (c != take_character(&b, b_end)) {
            return false;
        }
    } while (c != -1);
    return true;
}

/* The parts of a name like "PyYAML-6.0.3.dist-info". */
struct parts {
    size_t name_len;
    const char *version;
    size_t version_len; /* 0: the name has none */
};

static bool
ends_with(const char *text, size_t len, const char *suffix)
{
    size_t suffix_len = strlen(suffix);
    return len > suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

/* Returns false if ENTRY is not the name of metadata. */
static bool
split(const char *entry, struct parts *out)
{
    static const char dist_info[] = ".dist-info", egg_info[] = ".egg-info";
    size_t len = strlen(entry);
    bool egg = ends_with(entry, len, egg_info);
    if (!egg && !ends_with(entry, len, dist_info)) {
        return false;
    }
    len -= strlen(egg ? egg_info : dist_info);
    const char *dash = memchr(entry, '-', len);
    out->name_len = dash == NULL ? len : (size_t)(dash - entry);
    out->version = dash == NULL ? entry + len : dash + 1;
    out->version_len = (size_t)(entry + len - out->version);
    if (egg) {
        const char *python = strstr(out->version, "-py"); /* NAME-VERSION-py3.11.egg-info */
        if (python != NULL && python < entry + len) {
            out->version_len = (size_t)(python - out->version);
        }
    }
    return true;
}

/* Sets OUT to the version in the file PATH, which has headers as in mail. Returns false if there is
 * none. */
static bool
read_version(char out[NAME_MAX], const char *path)
{
    static const char key[] = "Version:";
    FILE *file = fopen(path, "re");
    bool found = false;
    char line[NAME_MAX];
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL && *line != '\n') {
        found = strncasecmp(line, key, strlen(key)) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    if (found) {
        const char *value = line + strlen(key);
        value += strspn(value, " \t");
        snprintf(out, NAME_MAX, "%.*s", (int)strcspn(value, " \t\r\n"), value);
    }
    return found && *out != '\0';
}

/* Sets OUT to the version of the metadata ENTRY below PREFIX. Returns false if there is none. */
static bool
get_version(char out[NAME_MAX], const char *prefix, const char *entry, const struct parts *parts)
{
    if (parts->version_len > 0) {
        snprintf(out, NAME_MAX, "%.*s", (int)parts->version_len, parts->version);
        return true;
    }
    static const char *const files[] = {"/PKG-INFO", "/METADATA", ""};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s%s%s", prefix, entry, files[i]);
        if (len > 0 && (size_t)len < sizeof path && read_version(out, path)) {
            return true;
        }
    }
    return false;
}

/* Returns whether VERSION, from a file name or from metadata, is the one that was baked. */
static bool
is_same_version(const char *version, const struct kiln_distribution *distribution)
{
    struct parts parts;
    if (strcmp(version, kiln_distance_get_string(&distribution->version)) == 0) {
        return true;
    }
    return split(kiln_distance_get_string(&distribution->directory), &parts) &&
           strlen(version) == parts.version_len &&
           memcmp(version, parts.version, parts.version_len) == 0;
}

/* Returns whether ENTRY below PREFIX is metadata of DISTRIBUTION; then sets VERSION to theirs. */
static bool
is_metadata_of(char version[NAME_MAX], const char *prefix, const char *entry,
               const struct kiln_distribution *distribution)
{
    const char *directory = kiln_distance_get_string(&distribution->directory);
    struct parts ours, theirs;
    return split(directory, &ours) && split(entry, &theirs) &&
           is_same_name(directory, ours.name_len, entry, theirs.name_len) &&
           get_version(version, prefix, entry, &theirs);
}

struct kiln_verdict *
kiln_verdict_new(const char *version, const char *prefix, const char *entry)
{
    size_t version_size = strlen(version) + 1, path_size = strlen(prefix) + strlen(entry) + 1;
    struct kiln_verdict *verdict = malloc(sizeof *verdict + version_size + path_size);
    if (verdict != NULL) {
        char *text = (char *)(verdict + 1);
        memcpy(text, version, version_size);
        snprintf(text + version_size, path_size, "%s%s", prefix, entry);
        *verdict = (struct kiln_verdict){.version = text, .path = text + version_size};
    }
    return verdict;
}

/* Returns whether the metadata A were installed after B. If that cannot be told, whether A counts: it is
 * not what was baked, or comes later by name. */
static bool
is_newer(const char *prefix, const char *a, bool a_is_baked, const char *b, bool b_is_baked)
{
    struct timespec times[2] = {{0}};
    const char *names[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        struct stat status;
        int len = snprintf(path, sizeof path, "%s%s", prefix, names[i]);
        if (len > 0 && (size_t)len < sizeof path && stat(path, &status) == 0) {
            times[i] = status.st_mtim;
        }
    }
    if (times[0].tv_sec != times[1].tv_sec) {
        return times[0].tv_sec > times[1].tv_sec;
    }
    if (times[0].tv_nsec != times[1].tv_nsec) {
        return times[0].tv_nsec > times[1].tv_nsec;
    }
    return a_is_baked != b_is_baked ? b_is_baked : strcmp(a, b) > 0;
}

int
kiln_dist_info_search(const char *prefix, const struct kiln_distribution *distribution,
                      struct kiln_verdict **other)
{
    char version[NAME_MAX], best_version[NAME_MAX];
    *other = NULL;
    const struct kiln_listing *listing = kiln_listing_get(prefix);
    if (listing == NULL) {
        return -1;
    }
    const char *best = NULL, *end = listing->names + listing->size;
    bool best_is_baked = false;
    for (const char *entry = listing->names; entry < end; entry += strlen(entry) + 1) {
        if (!is_metadata_of(version, prefix, entry, distribution)) {
            continue;
        }
        bool is_baked = is_same_version(version, distribution);
        if (best == NULL || is_newer(prefix, entry, is_baked, best, best_is_baked)) {
            best = entry;
            best_is_baked = is_baked;
            strcpy(best_version, version);
        }
    }
    if (best == NULL || best_is_baked) {
        return best != NULL;
    }
    *other = kiln_verdict_new(best_version, prefix, best);
    return *other == NULL ? -1 : 0;
}
