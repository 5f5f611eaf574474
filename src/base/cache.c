/* The cache: see cache.h. An entry is a file, a checksum and the bytes, which belongs to this user and which nobody else
 * can write. The checksum is against damage. */
#include "base/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

void
kiln_cache_give_up(struct kiln_ctx *ctx, const char *path, const char *why)
{
    if (!ctx->no_cache) {
        kiln_say(ctx, KILN_WARNING, "%s: the cache cannot be used: %s; working without", path, why);
    }
    ctx->no_cache = true;
}

/* Returns why what is in the open file or directory FD cannot be believed, or NULL. */
static const char *
find_doubt(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return strerror(errno);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return "it is no file";
    }
    if (st.st_uid != geteuid()) {
        return "it belongs to another user";
    }
    return (st.st_mode & 022) != 0 ? "other users can write it: remove it" : NULL;
}

/* Make the directory PATH if it is missing, and check it. */
static bool
take_dir(struct kiln_ctx *ctx, const char *path)
{
    int fd = -1;
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    const char *doubt = fd < 0 ? strerror(errno) : find_doubt(fd);
    if (fd >= 0) {
        close(fd);
    }
    if (doubt != NULL) {
        kiln_cache_give_up(ctx, path, doubt);
    }
    return doubt == NULL;
}

/* Returns the directory that has the cache's, or NULL. */
static const char *
find_base(struct kiln_ctx *ctx)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base != NULL && *base == '/') { /* the XDG specification: a relative path is ignored */
        return base;
    }
    if (home == NULL || *home != '/') {
        kiln_cache_give_up(ctx, "$HOME", "it is not set, nor is XDG_CACHE_HOME");
        return NULL;
    }
    return kiln_arena_printf(&ctx->arena, "%s/.cache", home);
}

const char *
kiln_cache_get_dir(struct kiln_ctx *ctx, const char *name)
{
    const char *size = getenv("KILN_CACHE_SIZE");
    if (ctx->no_cache || (size != NULL && strcmp(size, "0") == 0)) {
        return NULL;
    }
    struct kiln_ctx silent = {.quiet = true};
    const char *base = find_base(ctx);
    if (base != NULL && access(base, F_OK) < 0 &&
        kiln_file_make_dirs(&silent, kiln_file_dirname(&silent, base)) == 0)
    {
        mkdir(base, 0700); /* the XDG specification, too; take_dir() tells of an error */
    }
    kiln_ctx_release(&silent);
    if (base == NULL) {
        return NULL;
    }
    const char *root = kiln_arena_printf(&ctx->arena, "%s/kiln", base);
    const char *dir = kiln_arena_printf(&ctx->arena, "%s/%s", root, name);
    return take_dir(ctx, root) && take_dir(ctx, dir) ? dir : NULL;
}

bool
kiln_cache_load(struct kiln_ctx *ctx, const char *name, const char *key, struct kiln_span *out)
{
    const char *dir = kiln_cache_get_dir(ctx, name);
    if (dir == NULL) {
        return false;
    }
    const char *path = kiln_arena_printf(&ctx->arena, "%s/%s", dir, key);
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_span bytes, rest;
    uint64_t checksum;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool found = fd >= 0 && find_doubt(fd) == NULL &&
                 kiln_file_read(&silent, fd, path, &bytes) == 0 &&
                 kiln_span_get_u64(bytes, 0, &checksum) &&
                 kiln_span_slice(bytes, sizeof checksum, bytes.len - sizeof checksum, &rest) &&
                 XXH3_64bits(rest.ptr, rest.len) == checksum;
    if (found) {
        uint8_t *copy = kiln_arena_alloc(&ctx->arena, rest.len + 1);
        memcpy(copy, rest.ptr, rest.len);
        *out = kiln_span_of(copy, rest.len);
    }
    if (fd >= 0) {
        close(fd);
    }
    kiln_ctx_release(&silent);
    return found;
}

void
kiln_cache_store(struct kiln_ctx *ctx, const char *name, const char *key, struct kiln_span bytes)
{
    const char *dir = kiln_cache_get_dir(ctx, name);
    if (dir == NULL) {
        return;
    }
    const char *path = kiln_arena_printf(&ctx->arena, "%s/%s", dir, key);
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_output out;
    uint8_t checksum[8];
    uint64_t hash = XXH3_64bits(bytes.ptr, bytes.len);
    for (int i = 0; i < 8; i++) {
        checksum[i] = (uint8_t)(hash >> 8 * i);
    }
    const struct kiln_span parts[] = {kiln_span_of(checksum, sizeof checksum), bytes};
    if (kiln_file_is_special(path)) {
        unlink(path); /* an output does not replace such a file */
    }
    int result = kiln_output_init(&silent, path, 0600, &out);
    if (result == 0) {
        result = kiln_output_write_all(&silent, &out, parts, 2);
    }
    if (result == 0) {
        result = kiln_output_commit(&silent, &out);
    }
    const char *why = strerror(errno);
    kiln_output_release(&out);
    if (result < 0) {
        kiln_cache_give_up(ctx, path, why);
    }
    kiln_ctx_release(&silent);
}
