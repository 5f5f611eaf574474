/* The stand-ins for the compilers: symbolic links to kiln-cc, one for each driver on PATH, so that a build
 * system which searches for compilers finds the same ones as without Kiln.
 *
 * The directory's name is a hash of the links' target and names. So it never needs an update, runs with
 * another PATH have another directory, and its path, which some packages record, does not change. */
#include "pip/pip.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

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

static const char *
name_directory(struct kiln_ctx *ctx, const char *cache, const char *kiln_cc,
               const struct kiln_strings *names)
{
    const char *text = kiln_cc;
    for (size_t i = 0; i < names->count; i++) {
        text = kiln_arena_printf(&ctx->arena, "%s\n%s", text, names->items[i]);
    }
    return kiln_arena_printf(&ctx->arena, "%s/compilers-%016llx", cache,
                             (unsigned long long)XXH3_64bits(text, strlen(text)));
}

/* Make DIR with its links under another name first: other runs look for it. */
static int
make_directory(struct kiln_ctx *ctx, const char *dir, const char *kiln_cc,
               const struct kiln_strings *names)
{
    char *aside = kiln_arena_printf(&ctx->arena, "%s-XXXXXX", dir);
    if (!kiln_temporary_make_dir(aside)) {
        return kiln_fail_errno(ctx, "%s: cannot make the directory", aside);
    }
    int result = 0;
    for (size_t i = 0; i < names->count && result == 0; i++) {
        const char *link = kiln_arena_printf(&ctx->arena, "%s/%s", aside, names->items[i]);
        if (symlink(kiln_cc, link) < 0) {
            result = kiln_fail_errno(ctx, "%s: cannot make the link", link);
        }
    }
    if (result == 0 && (chmod(aside, 0755) < 0 || rename(aside, dir) < 0) && errno != EEXIST &&
        errno != ENOTEMPTY)
    {
        result = kiln_fail_errno(ctx, "%s: cannot make the directory", dir);
    }
    kiln_temporary_remove(aside); /* still there if another run was first, or after a failure */
    return result;
}

const char *
kiln_pip_make_compilers(struct kiln_ctx *ctx)
{
    const char *program = kiln_file_get_program(ctx);
    const char *cache = kiln_file_get_cache_dir(ctx);
    if (program == NULL || cache == NULL) {
        return NULL;
    }
    const char *kiln_cc =
        kiln_arena_printf(&ctx->arena, "%s/kiln-cc", kiln_file_dirname(ctx, program));
    if (access(kiln_cc, X_OK) < 0) {
        kiln_fail_errno(ctx, "%s: cannot be run (kiln-cc belongs beside kiln)", kiln_cc);
        return NULL;
    }
    struct kiln_strings names = find_drivers(ctx);
    const char *dir = name_directory(ctx, cache, kiln_cc, &names);
    if (access(dir, X_OK) < 0 && make_directory(ctx, dir, kiln_cc, &names) != 0) {
        return NULL;
    }
    return dir;
}
