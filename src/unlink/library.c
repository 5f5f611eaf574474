/* Where the dynamic loader finds a library (ld.so(8)): DT_RPATH of the object and of those that loaded
 * it, unless it has DT_RUNPATH; then that; then the loader's cache and its own directories.
 * LD_LIBRARY_PATH is the user's when the program runs, and not looked at. */
#include "unlink/set.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* /etc/ld.so.cache, as glibc has written it since 2.2 ("cache.h"): this header, entries, strings. */
#define CACHE_MAGIC "glibc-ld.so.cache1.1"

struct cache_header {
    char magic[20];
    uint32_t count, strings_len;
    uint8_t flags, unused[3];
    uint32_t extension, more[3];
};

struct cache_entry {
    int32_t flags;
    uint32_t key, value; /* offsets from the header */
    uint32_t os_version;
    uint64_t hwcap;
};

struct kiln_library_search {
    const struct kiln_machine *machine;
    struct kiln_file cache_file;
    struct kiln_span cache;   /* from the header on; empty: there is none */
    struct kiln_strings dirs; /* the loader's own */
};

static int32_t
get_cache_flags(const struct kiln_machine *machine)
{
    return machine->number == EM_AARCH64 ? 0x0a03 : 0x0303; /* FLAG_ELF_LIBC6 and the machine's */
}

struct kiln_library_search *
kiln_library_search_new(struct kiln_ctx *ctx, const struct kiln_machine *machine)
{
    struct kiln_library_search *search = kiln_arena_alloc(&ctx->arena, sizeof *search);
    struct kiln_ctx silent = {.quiet = true};
    search->machine = machine;
    if (kiln_file_map(&silent, "/etc/ld.so.cache", &search->cache_file) == 0) {
        struct kiln_span bytes = search->cache_file.bytes;
        const uint8_t *header =
            bytes.len == 0 ? NULL : memmem(bytes.ptr, bytes.len, CACHE_MAGIC, strlen(CACHE_MAGIC));
        if (header != NULL) { /* an older form of the cache may stand before it */
            kiln_span_slice(bytes, (uint64_t)(header - bytes.ptr),
                            bytes.len - (size_t)(header - bytes.ptr), &search->cache);
        }
    }
    kiln_ctx_release(&silent);
    static const char *const forms[] = {
        "/lib/%s-linux-gnu", "/usr/lib/%s-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *rest = strstr(forms[i], "%s");
        const char *dir = rest == NULL
                              ? forms[i]
                              : kiln_arena_printf(&ctx->arena, "%.*s%s%s", (int)(rest - forms[i]),
                                                  forms[i], machine->kernel, rest + 2);
        kiln_strings_push(&ctx->arena, &search->dirs, dir);
    }
    return search;
}

void
kiln_library_search_release(struct kiln_library_search *search)
{
    kiln_file_release(&search->cache_file);
}

static const char *
find_in_cache(const struct kiln_library_search *search, const char *name)
{
    struct cache_header header;
    if (!kiln_span_read(search->cache, 0, &header, sizeof header)) {
        return NULL;
    }
    for (uint64_t i = 0; i < header.count; i++) {
        struct cache_entry entry;
        if (!kiln_span_read(search->cache, sizeof header + i * sizeof entry, &entry, sizeof entry))
        {
            return NULL;
        }
        const char *key = kiln_span_get_string(search->cache, entry.key);
        if (key != NULL && strcmp(key, name) == 0 && entry.hwcap == 0 &&
            entry.flags == get_cache_flags(search->machine))
        {
            return kiln_span_get_string(search->cache, entry.value);
        }
    }
    return NULL;
}

/* A file of another machine is passed over, as the loader does. */
static bool
is_library(struct kiln_ctx *ctx, const struct kiln_library_search *search, const char *path)
{
    struct stat st;
    struct kiln_file file;
    Elf64_Ehdr header;
    struct kiln_ctx silent = {.quiet = true};
    (void)ctx;
    bool result =
        stat(path, &st) == 0 && S_ISREG(st.st_mode) && kiln_file_map(&silent, path, &file) == 0;
    if (result) {
        result = kiln_span_read(file.bytes, 0, &header, sizeof header) &&
                 kiln_span_starts_with(file.bytes, ELFMAG, SELFMAG) &&
                 header.e_ident[EI_CLASS] == ELFCLASS64 &&
                 header.e_machine == search->machine->number;
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
    return result;
}

/* DIR with $ORIGIN (ld.so(8), "Dynamic string tokens"); NULL: it has another one, and depends on the
 * system. */
static const char *
expand(struct kiln_ctx *ctx, const struct kiln_object *object, const char *dir, size_t len)
{
    const char *result = "";
    for (const char *end = dir + len; dir < end && strlen(result) < PATH_MAX;) {
        const char *dollar = memchr(dir, '$', (size_t)(end - dir));
        size_t plain = dollar == NULL ? (size_t)(end - dir) : (size_t)(dollar - dir);
        result = kiln_arena_printf(&ctx->arena, "%s%.*s", result, (int)plain, dir);
        dir += plain;
        if (dollar == NULL) {
            break;
        }
        static const char *const tokens[] = {"$ORIGIN", "${ORIGIN}"};
        size_t i = 0, count = sizeof tokens / sizeof tokens[0], token_len = 0;
        for (; i < count; i++) {
            token_len = strlen(tokens[i]);
            if ((size_t)(end - dir) >= token_len && memcmp(dir, tokens[i], token_len) == 0) {
                break;
            }
        }
        if (i == count) {
            return NULL;
        }
        result = kiln_arena_printf(&ctx->arena, "%s%s", result, object->directory);
        dir += token_len;
    }
    return result;
}

static const char *
find_in_dirs(struct kiln_ctx *ctx, const struct kiln_library_search *search,
             const struct kiln_object *object, const char *dirs, const char *name)
{
    while (dirs != NULL && *dirs != '\0') {
        size_t len = strcspn(dirs, ":");
        const char *dir = expand(ctx, object, dirs, len);
        if (dir != NULL && *dir != '\0') {
            const char *path = kiln_arena_printf(&ctx->arena, "%s/%s", dir, name);
            if (is_library(ctx, search, path)) {
                return path;
            }
        }
        dirs += len + (dirs[len] == ':');
    }
    return NULL;
}

const char *
kiln_library_find(struct kiln_ctx *ctx, struct kiln_library_search *search,
                  const struct kiln_object *object, const char *name, bool *is_cached)
{
    const char *path = NULL;
    *is_cached = false;
    if (strchr(name, '/') != NULL) {
        path = expand(ctx, object, name, strlen(name));
        return path != NULL && is_library(ctx, search, path) ? path : NULL;
    }
    if (object->dso.runpath == NULL) {
        for (const struct kiln_object *from = object; path == NULL && from != NULL;
             from = from->loader) {
            if (from->dso.runpath == NULL) {
                path = find_in_dirs(ctx, search, from, from->dso.rpath, name);
            }
        }
    }
    else {
        path = find_in_dirs(ctx, search, object, object->dso.runpath, name);
    }
    if (path != NULL) {
        return path;
    }
    *is_cached = true;
    path = find_in_cache(search, name);
    if (path != NULL && is_library(ctx, search, path)) {
        return path;
    }
    for (size_t i = 0; i < search->dirs.count; i++) {
        path = kiln_arena_printf(&ctx->arena, "%s/%s", search->dirs.items[i], name);
        if (is_library(ctx, search, path)) {
            return path;
        }
    }
    return NULL;
}

const char *
kiln_library_find_origin(struct kiln_ctx *ctx, const char *path)
{
    const char *dir = kiln_file_dirname(ctx, path);
    char *real = realpath(dir, NULL);
    dir = real == NULL ? dir : kiln_arena_strdup(&ctx->arena, real);
    free(real);
    return dir;
}
