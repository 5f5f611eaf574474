/* A file of the cache that something else has written, or damaged: it is not found, and is removed;
 * or, with a footer whose sizes and checksum are right, what it says can be written and read again. The
 * input is taken as a file as it is, and as object and facts, split by its first byte. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/file.h"
#include "link/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/kiln-fuzz-XXXXXX";
static const struct kiln_cache_key key = {"0"};

static const char *
get_path(struct kiln_ctx *ctx)
{
    return kiln_arena_printf(&ctx->arena, "%s/%s.o", directory, key.text);
}

static void
remove_directory(void)
{
    kiln_file_remove_tree(directory);
}

static void
make_directory(void)
{
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        exit(1);
    }
    atexit(remove_directory);
}

/* Whether the cache finds BYTES; then *FACTS is what it found. */
static bool
find(struct kiln_ctx *ctx, struct kiln_span bytes, struct kiln_isolated *facts)
{
    struct kiln_cache cache = {.dir = directory, .lock = -1, .limit = UINT64_MAX};
    const char *path = get_path(ctx);
    if (kiln_file_write(ctx, path, bytes) < 0) {
        exit(1);
    }
    bool found = kiln_cache_find(ctx, &cache, &key, facts) != NULL;
    if (found == (access(path, F_OK) != 0)) {
        abort(); /* found and gone, or not found and still there */
    }
    return found;
}

/* BYTES as object and facts, with the footer that belongs to them. */
static struct kiln_span
add_footer(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct {
        char magic[8];
        uint64_t object_size, facts_size, checksum;
    } footer = {.magic = "KILNOBJ1"};
    footer.object_size = bytes.len == 0 ? 0 : bytes.ptr[0] % bytes.len;
    footer.facts_size = bytes.len - footer.object_size;
    uint8_t *file = kiln_arena_alloc(&ctx->arena, bytes.len + sizeof footer);
    if (bytes.len > 0) {
        memcpy(file, bytes.ptr, bytes.len);
    }
    memcpy(file + bytes.len, &footer, sizeof footer);
    size_t before = bytes.len + sizeof footer - sizeof footer.checksum;
    footer.checksum = XXH3_64bits(file, before);
    memcpy(file + before, &footer.checksum, sizeof footer.checksum);
    return kiln_span_of(file, bytes.len + sizeof footer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_made;
    if (!is_made) {
        make_directory();
        is_made = true;
    }
    struct kiln_ctx ctx = {0};
    struct kiln_isolated facts, again;
    find(&ctx, kiln_span_of(data, size), &facts);
    if (find(&ctx, add_footer(&ctx, kiln_span_of(data, size)), &facts)) {
        struct kiln_span text = kiln_isolated_format(&ctx, &facts);
        struct kiln_span other;
        if (!kiln_isolated_parse(&ctx, text, &again)) {
            abort();
        }
        other = kiln_isolated_format(&ctx, &again);
        if (other.len != text.len || memcmp(other.ptr, text.ptr, text.len) != 0) {
            abort();
        }
    }
    kiln_ctx_release(&ctx);
    return 0;
}
