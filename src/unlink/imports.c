/* The imports of all images: values that are known when the program runs, each once. */
#include "unlink/set.h"

#include <string.h>
#include <xxhash.h>

static bool
is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
is_same(const struct kiln_import *a, const struct kiln_import *b)
{
    return a->kind == b->kind && a->object == b->object && a->value == b->value &&
           is_same_text(a->name, b->name) && is_same_text(a->version, b->version);
}

static uint64_t
hash(const struct kiln_import *import)
{
    const char *name = import->name == NULL ? "" : import->name;
    uint64_t seed = import->value * 31 + import->kind + (uintptr_t)import->object;
    return XXH3_64bits_withSeed(name, strlen(name), seed);
}

static void
grow(struct kiln_set *set)
{
    size_t count = set->import_bucket_count == 0 ? 1024 : set->import_bucket_count * 2;
    uint32_t *buckets = kiln_arena_alloc(&set->ctx->arena, count * sizeof *buckets);
    for (size_t i = 0; i < set->imports.count; i++) {
        size_t at = hash(&set->imports.items[i]) & (count - 1);
        while (buckets[at] != 0) {
            at = (at + 1) & (count - 1);
        }
        buckets[at] = (uint32_t)i + 1;
    }
    set->import_buckets = buckets;
    set->import_bucket_count = count;
}

size_t
kiln_import_intern(struct kiln_set *set, const struct kiln_import *like)
{
    if (set->imports.count * 2 >= set->import_bucket_count) {
        grow(set);
    }
    size_t mask = set->import_bucket_count - 1, at = hash(like) & mask;
    for (; set->import_buckets[at] != 0; at = (at + 1) & mask) {
        size_t index = set->import_buckets[at] - 1;
        if (is_same(&set->imports.items[index], like)) {
            return index;
        }
    }
    *KILN_ARENA_PUSH(&set->ctx->arena, &set->imports) = *like;
    set->import_buckets[at] = (uint32_t)set->imports.count;
    return set->imports.count - 1;
}

void
kiln_imports_forget(struct kiln_set *set)
{
    set->imports.count = 0;
    set->import_bucket_count = 0;
    set->stub_count = 0;
}
