/* Files of the cache that something has damaged. The input is taken as the file of an entry, as
 * what is in front of a footer that fits, and as an object that is kept and read back. What is
 * promised: a file that is not right in every byte is a miss and gone, and what is found is what was
 * kept. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/file.h"
#include "link/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As in cache.c: the magic, two lengths, and the checksum of all before it with the key's as seed. */
enum { FOOTER_SIZE = 32, OBJECT_SIZE_AT = 8, FACTS_SIZE_AT = 16, CHECKSUM_AT = 24 };

static char dir[] = "/tmp/kiln-fuzz-cache-XXXXXX";
static struct kiln_cache cache = {.lock = -1};
static const struct kiln_cache_key key = {"00"};

static void
require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
remove_dir(void)
{
    kiln_file_remove_tree(dir);
}

static void
make_dir(void)
{
    if (cache.dir == NULL) {
        require((cache.dir = mkdtemp(dir)) != NULL);
        atexit(remove_dir);
    }
}

static void
put_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    require(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static bool
is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Read the file at PATH, which has DATA, as an entry; whether it is one. */
static bool
find(struct kiln_ctx *ctx, const char *path, const uint8_t *data, size_t size)
{
    struct kiln_isolated isolated;
    put_file(path, data, size);
    const char *found = kiln_cache_find(ctx, &cache, &key, &isolated);
    require((found != NULL) == is_there(path));
    if (found != NULL) {
        require(isolated.symbol != NULL && isolated.init != NULL && isolated.suffix != NULL);
        require(kiln_isolated_format(ctx, &isolated).len > 0);
    }
    return found != NULL;
}

static uint64_t
compute_checksum(const uint8_t *file, size_t size)
{
    return XXH3_64bits_withSeed(file, size - FOOTER_SIZE + CHECKSUM_AT,
                                XXH3_64bits(key.text, strlen(key.text)));
}

/* DATA with a footer behind it: its first byte says where the facts begin. */
static void
find_with_footer(struct kiln_ctx *ctx, const char *path, const uint8_t *data, size_t size)
{
    uint8_t *file = kiln_arena_alloc(&ctx->arena, size + FOOTER_SIZE);
    uint8_t *footer = file + size;
    uint64_t object = size == 0 ? 0 : data[0] % size, facts = size - object;
    if (size > 0) {
        memcpy(file, data, size);
    }
    memcpy(footer, "KILNOBJ1", 8);
    memcpy(footer + OBJECT_SIZE_AT, &object, sizeof object);
    memcpy(footer + FACTS_SIZE_AT, &facts, sizeof facts);
    uint64_t checksum = compute_checksum(file, size + FOOTER_SIZE);
    memcpy(footer + CHECKSUM_AT, &checksum, sizeof checksum);
    find(ctx, path, file, size + FOOTER_SIZE);
    /* And with lengths that are wrong under a right checksum. */
    if (size >= 16) {
        memcpy(footer + OBJECT_SIZE_AT, data, 16);
        checksum = compute_checksum(file, size + FOOTER_SIZE);
        memcpy(footer + CHECKSUM_AT, &checksum, sizeof checksum);
        uint64_t lengths[2];
        memcpy(lengths, data, sizeof lengths);
        bool fits = lengths[0] <= size && lengths[1] == size - lengths[0];
        require(!find(ctx, path, file, size + FOOTER_SIZE) || fits);
    }
}

/* DATA is kept and comes back; with a bit of the file changed, it does not. */
static void
keep(struct kiln_ctx *ctx, const uint8_t *data, size_t size)
{
    struct kiln_isolated kept = {.symbol = "kiln_init_m", .init = "PyInit_m", .suffix = ".m"};
    struct kiln_isolated back;
    struct kiln_file file;
    kept.size = size;
    const char *path = kiln_cache_keep(ctx, &cache, &key, kiln_span_of(data, size), &kept);
    require(path != NULL && kiln_cache_find(ctx, &cache, &key, &back) != NULL);
    require(back.size == size && strcmp(back.symbol, kept.symbol) == 0);
    require(kiln_file_map(ctx, path, &file) == 0 && file.bytes.len > size);
    require(size == 0 || memcmp(file.bytes.ptr, data, size) == 0);
    uint8_t *copy = kiln_arena_alloc(&ctx->arena, file.bytes.len);
    size_t len = file.bytes.len;
    memcpy(copy, file.bytes.ptr, len);
    kiln_file_release(&file);
    uint64_t hash = XXH3_64bits(data, size);
    copy[hash % len] ^= (uint8_t)(1 << (hash >> 32) % 8);
    require(!find(ctx, path, copy, len));
    copy[hash % len] ^= (uint8_t)(1 << (hash >> 32) % 8);
    require(!find(ctx, path, copy, hash % len)); /* cut short */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {.quiet = true};
    make_dir();
    const char *path = kiln_arena_printf(&ctx.arena, "%s/%s.o", dir, key.text);
    if (find(&ctx, path, data, size)) {
        uint64_t checksum;
        memcpy(&checksum, data + size - FOOTER_SIZE + CHECKSUM_AT, sizeof checksum);
        require(checksum == compute_checksum(data, size));
    }
    find_with_footer(&ctx, path, data, size);
    keep(&ctx, data, size);
    kiln_ctx_release(&ctx);
    return 0;
}
