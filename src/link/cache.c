/* The cache of isolated objects: `$XDG_CACHE_HOME/kiln/objects`, one file for each.
 *
 * A file is the object, as the linker reads it, with more behind it that no section header points
 * at: what isolating found out, as strings "key=value", and a footer with their lengths and a
 * checksum. So an entry comes and goes in one step. Its name is a hash of everything that it
 * depends on: the compressed object in the extension, the names it is isolated under, and the
 * program that does it.
 *
 * Runs at the same time share it: a file is written aside and renamed, equal keys have equal bytes,
 * and all hold a lock together, so that the one that removes things, for which it needs the lock
 * alone, takes none away that a linker is reading. The lock goes with the process, however that
 * ends. A file's time of modification is that of its last use. */
#include "link/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/file.h"

static const char MAGIC[8] = {'K', 'I', 'L', 'N', 'O', 'B', 'J', '1'};

struct footer {
    char magic[8];
    uint64_t object_size, facts_size;
    uint64_t checksum; /* XXH3-64 of all before it, with the key's as its seed */
};

enum { FOOTER_BODY = sizeof(struct footer) - sizeof(uint64_t) };

static const uint64_t DEFAULT_LIMIT = (uint64_t)4 << 30;

/* KILN_CACHE_SIZE: bytes, or with K, M, G. */
static uint64_t
get_limit(void)
{
    const char *text = getenv("KILN_CACHE_SIZE");
    if (text == NULL || *text < '0' || *text > '9') {
        return DEFAULT_LIMIT;
    }
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    const char *unit = *end == '\0' ? NULL : strchr("KMG", *end & ~0x20);
    int shift = unit == NULL ? 0 : *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
    return value > UINT64_MAX >> shift ? UINT64_MAX : value << shift;
}

/* A hash of this program: another build may isolate in another way. */
static bool
hash_program(struct kiln_ctx *ctx, uint64_t *out)
{
    struct kiln_file file;
    if (kiln_file_map(ctx, "/proc/self/exe", &file) < 0) {
        return false;
    }
    *out = XXH3_64bits(file.bytes.ptr, file.bytes.len);
    kiln_file_release(&file);
    return true;
}

void
kiln_cache_open(struct kiln_ctx *ctx, struct kiln_cache *out)
{
    struct kiln_ctx silent = {.quiet = true};
    const char *base = kiln_file_get_cache_dir(&silent);
    *out = (struct kiln_cache){.lock = -1, .limit = get_limit()};
    if (base != NULL && out->limit > 0 && hash_program(&silent, &out->maker)) {
        const char *dir = kiln_arena_printf(&ctx->arena, "%s/objects", base);
        const char *lock = kiln_arena_printf(&ctx->arena, "%s/lock", dir);
        if (kiln_file_make_dirs(&silent, dir) == 0) {
            out->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        }
        if (out->lock >= 0 && flock(out->lock, LOCK_SH) == 0) {
            out->dir = dir;
        }
    }
    kiln_ctx_release(&silent);
}

static void
add_text(XXH3_state_t *state, const char *text)
{
    text = text == NULL ? "" : text;
    XXH3_128bits_update(state, text, strlen(text) + 1);
}

static void
add_list(XXH3_state_t *state, const struct kiln_strings *list)
{
    size_t count = list == NULL ? 0 : list->count;
    XXH3_128bits_update(state, &count, sizeof count);
    for (size_t i = 0; i < count; i++) {
        add_text(state, list->items[i]);
    }
}

struct kiln_cache_key
kiln_cache_make_key(const struct kiln_cache *cache, struct kiln_span frame,
                    const struct kiln_isolation *as)
{
    struct kiln_cache_key key;
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &cache->maker, sizeof cache->maker);
    add_text(&state, as->name);
    add_text(&state, as->init);
    add_text(&state, as->distribution);
    add_list(&state, as->own);
    add_list(&state, as->exports);
    XXH3_128bits_update(&state, frame.ptr, frame.len);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(key.text, sizeof key.text, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    return key;
}

static const char *
make_path(struct kiln_ctx *ctx, const struct kiln_cache *cache, const struct kiln_cache_key *key)
{
    return kiln_arena_printf(&ctx->arena, "%s/%s.o", cache->dir, key->text);
}

static uint64_t
hash_key(const struct kiln_cache_key *key)
{
    return XXH3_64bits(key->text, strlen(key->text));
}

/* Split the BYTES of the entry with KEY. False if they are not that. */
static bool
parse(struct kiln_span bytes, const struct kiln_cache_key *key, struct kiln_span *facts)
{
    struct footer footer;
    struct kiln_span object;
    return bytes.len >= sizeof footer &&
           kiln_span_read(bytes, bytes.len - sizeof footer, &footer, sizeof footer) &&
           memcmp(footer.magic, MAGIC, sizeof MAGIC) == 0 &&
           kiln_span_slice(bytes, 0, footer.object_size, &object) &&
           kiln_span_slice(bytes, footer.object_size, footer.facts_size, facts) &&
           object.len + facts->len + sizeof footer == bytes.len &&
           XXH3_64bits_withSeed(bytes.ptr, bytes.len - sizeof footer.checksum, hash_key(key)) ==
               footer.checksum;
}

const char *
kiln_cache_find(struct kiln_ctx *ctx, const struct kiln_cache *cache,
                const struct kiln_cache_key *key, struct kiln_isolated *isolated)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct kiln_span facts;
    bool found = false;
    const char *path = cache->dir == NULL ? NULL : make_path(ctx, cache, key);
    if (path != NULL && access(path, R_OK) == 0 && kiln_file_map(&silent, path, &file) == 0) {
        found = parse(file.bytes, key, &facts) && kiln_isolated_parse(ctx, facts, isolated);
        kiln_file_release(&file);
        if (!found) {
            unlink(path);
        }
        /* Its last use is now. */
        found = found && utimensat(AT_FDCWD, path, NULL, 0) == 0;
    }
    kiln_ctx_release(&silent);
    return found ? path : NULL;
}

const char *
kiln_cache_keep(struct kiln_ctx *ctx, struct kiln_cache *cache, const struct kiln_cache_key *key,
                struct kiln_span object, const struct kiln_isolated *isolated)
{
    if (cache->dir == NULL) {
        return NULL;
    }
    struct kiln_ctx silent = {.quiet = true};
    const char *path = make_path(ctx, cache, key);
    struct kiln_span facts = kiln_isolated_format(&silent, isolated);
    struct footer footer = {.object_size = object.len, .facts_size = facts.len};
    memcpy(footer.magic, MAGIC, sizeof MAGIC);
    XXH3_state_t state;
    XXH3_64bits_reset_withSeed(&state, hash_key(key));
    XXH3_64bits_update(&state, object.ptr, object.len);
    XXH3_64bits_update(&state, facts.ptr, facts.len);
    XXH3_64bits_update(&state, &footer, FOOTER_BODY);
    footer.checksum = XXH3_64bits_digest(&state);
    const struct kiln_span parts[] = {object, facts, kiln_span_of(&footer, sizeof footer)};
    if (kiln_file_write_all(&silent, path, parts, 3) == 0) {
        atomic_store(&cache->grown, true);
    }
    else {
        path = NULL;
    }
    kiln_ctx_release(&silent);
    return path;
}

/* -- The limit -- */

struct entry {
    const char *name;
    struct timespec used;
    uint64_t size;
};

struct entries {
    struct kiln_arena arena;
    struct entry *items;
    size_t count, capacity;
    uint64_t size;
};

static int
compare_uses(const void *a, const void *b)
{
    const struct timespec *one = &((const struct entry *)a)->used;
    const struct timespec *other = &((const struct entry *)b)->used;
    if (one->tv_sec != other->tv_sec) {
        return one->tv_sec < other->tv_sec ? -1 : 1;
    }
    return (one->tv_nsec > other->tv_nsec) - (one->tv_nsec < other->tv_nsec);
}

static void
list_entries(int dir, DIR *stream, struct entries *out)
{
    for (const struct dirent *found; (found = readdir(stream)) != NULL;) {
        size_t len = strlen(found->d_name);
        struct stat st;
        if (fstatat(dir, found->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            strcmp(found->d_name, "lock") == 0)
        {
            continue;
        }
        if (len < 2 || strcmp(found->d_name + len - 2, ".o") != 0) {
            unlinkat(dir, found->d_name, 0); /* half an entry, of a run that was killed */
            continue;
        }
        *KILN_ARENA_PUSH(&out->arena, out) =
            (struct entry){.name = kiln_arena_strdup(&out->arena, found->d_name),
                           .used = st.st_mtim,
                           .size = (uint64_t)st.st_size};
        out->size += (uint64_t)st.st_size;
    }
}

/* Nobody else uses the cache now. Some room is made beyond the limit, so that not every run has to.
 */
static void
shrink(const char *path, uint64_t limit)
{
    DIR *stream = opendir(path);
    if (stream == NULL) {
        return;
    }
    struct entries entries = {0};
    int dir = dirfd(stream);
    list_entries(dir, stream, &entries);
    if (entries.size > limit) {
        qsort(entries.items, entries.count, sizeof *entries.items, compare_uses);
        for (size_t i = 0; i < entries.count && entries.size > limit - limit / 10; i++) {
            unlinkat(dir, entries.items[i].name, 0);
            entries.size -= entries.items[i].size;
        }
    }
    kiln_arena_release(&entries.arena);
    closedir(stream);
}

void
kiln_cache_close(struct kiln_cache *cache)
{
    if (cache->dir != NULL) {
        if (atomic_load(&cache->grown) && flock(cache->lock, LOCK_EX | LOCK_NB) == 0) {
            shrink(cache->dir, cache->limit);
        }
        cache->dir = NULL;
    }
    if (cache->lock > 0) {
        close(cache->lock);
        cache->lock = -1;
    }
}
