/* The stand-ins for the compilers: symbolic links to kiln-cc, one for each driver on PATH, so that a build
 * system which searches for compilers finds the same ones as without Kiln.
 *
 * The directory's name is a hash of the links' target and names. So it never needs an update, runs with
 * another PATH have another directory, and its path, which some packages record, does not change. */
#include "pip/pip.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cache.h"
#include "base/file.h"
#include "base/process.h"
#include "base/temporary.h"
#include "base/text.h"

static bool
is_version(const char *text)
{
    return isdigit((unsigned char)*text) && text[strspn(text, "0123456789.")] == '\0';
}

bool
kiln_pip_is_driver(const char *name)
{
    static const char *const drivers[] = {"cc",    "c++",     "gcc",     "g++",
                                          "clang", "clang++", "gfortran"};
    /* In front of the driver's name there may be a target: "x86_64-linux-gnu-". */
    const char *target = strstr(name, "-linux-");
    if (target != NULL && target != name) {
        name = target + strlen("-linux-");
        const char *dash = strchr(name, '-');
        if (dash == NULL) {
            return false;
        }
        name = dash + 1;
    }
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        size_t len = strlen(drivers[i]);
        if (strncmp(name, drivers[i], len) == 0 &&
            (name[len] == '\0' || (name[len] == '-' && is_version(name + len + 1))))
        {
            return true;
        }
    }
    return false;
}

/* The names of the drivers in the directories of PATH, sorted. */
static struct kiln_strings
find_drivers(struct kiln_ctx *ctx)
{
    struct kiln_strings names = {0};
    struct kiln_strings path = kiln_process_get_path(ctx);
    for (size_t i = 0; i < path.count; i++) {
        DIR *dir = opendir(path.items[i]);
        if (dir == NULL) {
            continue;
        }
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            if (kiln_pip_is_driver(entry->d_name) &&
                faccessat(dirfd(dir), entry->d_name, X_OK, 0) == 0) {
                kiln_strings_add(&ctx->arena, &names,
                                 kiln_arena_strdup(&ctx->arena, entry->d_name));
            }
        }
        closedir(dir);
    }
    kiln_strings_sort(&names);
    /* And those that are beside kiln-cc; CMake looks for the archivers. */
    static const char *const ours[] = {"kiln-cc",         "kiln-c++",     "kiln-gcc-ar",
                                       "kiln-gcc-ranlib", "kiln-llvm-ar", "kiln-llvm-ranlib"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        kiln_strings_push(&ctx->arena, &names, ours[i]);
    }
    return names;
}

/* Returns the name of the directory: a hash of what is in it. */
static const char *
name_directory(struct kiln_ctx *ctx, const char *kiln_cc, const struct kiln_strings *names)
{
    const char *text = kiln_cc;
    for (size_t i = 0; i < names->count; i++) {
        text = kiln_arena_printf(&ctx->arena, "%s\n%s", text, names->items[i]);
    }
    return kiln_arena_printf(&ctx->arena, "compilers-%016llx",
                             (unsigned long long)XXH3_64bits(text, strlen(text)));
}

/* Make the links in DIR that are missing or lead elsewhere, each under another name first: other runs use them. Returns
 * false with errno set. */
static bool
make_links(struct kiln_ctx *ctx, const char *dir, const char *kiln_cc,
           const struct kiln_strings *names)
{
    bool made = true;
    for (size_t i = 0; made && i < names->count; i++) {
        char target[PATH_MAX];
        const char *link = kiln_arena_printf(&ctx->arena, "%s/%s", dir, names->items[i]);
        ssize_t len = readlink(link, target, sizeof target);
        if (len == (ssize_t)strlen(kiln_cc) && memcmp(target, kiln_cc, (size_t)len) == 0) {
            continue;
        }
        const char *aside = kiln_temporary_make_dir_for(&ctx->arena, link);
        if (aside == NULL) {
            return false;
        }
        const char *other = kiln_arena_printf(&ctx->arena, "%s/link", aside);
        made = symlink(kiln_cc, other) == 0 && rename(other, link) == 0;
        int error = errno;
        kiln_temporary_remove(aside);
        errno = error;
    }
    return made;
}

const char *
kiln_pip_make_compilers(struct kiln_ctx *ctx)
{
    const char *program = kiln_file_get_program(ctx), *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (program == NULL || tmpdir == NULL) {
        return NULL;
    }
    const char *kiln_cc =
        kiln_arena_printf(&ctx->arena, "%s/kiln-cc", kiln_file_dirname(ctx, program));
    if (access(kiln_cc, X_OK) < 0) {
        kiln_fail_errno(ctx, "%s: cannot be run (kiln-cc belongs beside kiln)", kiln_cc);
        return NULL;
    }
    struct kiln_strings names = find_drivers(ctx);
    const char *name = name_directory(ctx, kiln_cc, &names), *dir = kiln_cache_get_dir(ctx, name);
    if (dir != NULL && make_links(ctx, dir, kiln_cc, &names)) {
        return dir;
    }
    if (dir != NULL) {
        kiln_cache_give_up(ctx, dir, strerror(errno));
    }
    dir = kiln_arena_printf(&ctx->arena, "%s/%s", tmpdir, name);
    if (kiln_file_make_dirs(ctx, dir) < 0) {
        return NULL;
    }
    if (!make_links(ctx, dir, kiln_cc, &names)) {
        kiln_fail_errno(ctx, "%s: cannot make links to kiln-cc", dir);
        return NULL;
    }
    return dir;
}
