/* The perfect hash: finds the contents of the table's buckets for a list of names, and lays the table
 * out as it will be in memory. The second step of `kiln table`.
 *
 * "Hash and displace": the names are hashed into buckets of about four. The buckets are placed in
 * order of size, the largest first; for each, the displacements 1, 2, 3... are tried until all its
 * names get free slots. A bucket of one name takes the next free slot, and its word is that slot.
 * (With four names per bucket, 2 in 100 names are alone, so that the last pairs still find 2 in 100
 * slots free, which keeps their search short.) The table depends on the sorted names only. */
#include "table/table.h"

enum {
    NAMES_PER_BUCKET = 4,
    /* For a pair of names and two free slots among 300, 45,000 are expected; large tables are never
     * that full while pairs are left. */
    DISPLACEMENT_LIMIT = 1 << 20,
    SEED_LIMIT = 64,
};

struct search {
    uint32_t count, bucket_count;
    uint64_t seed;
    uint64_t *hashes;  /* by name */
    uint32_t *starts;  /* by bucket: its first index in `members`; one more, for the end */
    uint32_t *members; /* names, by bucket */
    uint32_t *by_size; /* buckets, the largest first */
    uint8_t *taken;    /* by slot */
    uint32_t *words;   /* by bucket: what the table holds */
    uint32_t *order;   /* by slot: the name */
};

static void *
alloc_words(struct kiln_ctx *ctx, size_t count)
{
    return kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof(uint32_t));
}

static void
init_search(struct kiln_ctx *ctx, struct search *search, uint32_t count)
{
    uint32_t bucket_count = (count + NAMES_PER_BUCKET - 1) / NAMES_PER_BUCKET;
    *search = (struct search){
        .count = count,
        .bucket_count = bucket_count,
        .hashes = kiln_arena_alloc(&ctx->arena, ((size_t)count + 1) * sizeof *search->hashes),
        .starts = alloc_words(ctx, (size_t)bucket_count + 1),
        .members = alloc_words(ctx, count),
        .by_size = alloc_words(ctx, bucket_count),
        .taken = kiln_arena_alloc(&ctx->arena, (size_t)count + 1),
        .words = alloc_words(ctx, bucket_count),
        .order = alloc_words(ctx, count),
    };
}

static uint32_t
get_bucket_size(const struct search *search, uint32_t bucket)
{
    return search->starts[bucket + 1] - search->starts[bucket];
}

/* Hashes the names and sorts them by bucket, stably. */
static void
fill_buckets(struct search *search, const struct kiln_table_name *names)
{
    memset(search->starts, 0, ((size_t)search->bucket_count + 2) * sizeof *search->starts);
    for (uint32_t i = 0; i < search->count; i++) {
        search->hashes[i] = kiln_table_hash(search->seed, names[i].name, strlen(names[i].name));
        /* Counted one further on, so that the sums below become starts, not ends. */
        search->starts[kiln_table_bucket(search->hashes[i], search->bucket_count) + 2]++;
    }
    for (uint32_t b = 2; b <= search->bucket_count; b++) {
        search->starts[b] += search->starts[b - 1];
    }
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t bucket = kiln_table_bucket(search->hashes[i], search->bucket_count);
        search->members[search->starts[bucket + 1]++] = i;
    }
}

/* Sorts the buckets by size, those of one size by number. */
static void
sort_buckets(struct search *search)
{
    uint32_t largest = 0, done = 0;
    for (uint32_t b = 0; b < search->bucket_count; b++) {
        uint32_t size = get_bucket_size(search, b);
        largest = size > largest ? size : largest;
    }
    for (uint32_t size = largest; done < search->bucket_count; size--) {
        for (uint32_t b = 0; b < search->bucket_count; b++) {
            if (get_bucket_size(search, b) == size) {
                search->by_size[done++] = b;
            }
        }
    }
}

/* Takes the slots that DISPLACEMENT gives the names of BUCKET, or none if not all are free. */
static bool
try_displacement(struct search *search, uint32_t bucket, uint32_t displacement)
{
    const uint32_t *members = search->members + search->starts[bucket];
    uint32_t size = get_bucket_size(search, bucket), done = 0;
    for (; done < size; done++) {
        uint32_t slot =
            kiln_table_displace(search->hashes[members[done]], displacement, search->count);
        if (search->taken[slot]) {
            break;
        }
        search->taken[slot] = 1;
        search->order[slot] = members[done];
    }
    if (done == size) {
        return true;
    }
    while (done-- > 0) {
        search->taken[kiln_table_displace(search->hashes[members[done]], displacement,
                                          search->count)] = 0;
    }
    return false;
}

static bool
place_buckets(struct search *search)
{
    uint32_t free_slot = 0;
    memset(search->taken, 0, search->count);
    for (uint32_t i = 0; i < search->bucket_count; i++) {
        uint32_t bucket = search->by_size[i], size = get_bucket_size(search, bucket), word = 0;
        if (size == 1) {
            while (search->taken[free_slot]) {
                free_slot++;
            }
            search->taken[free_slot] = 1;
            search->order[free_slot] = search->members[search->starts[bucket]];
            word = KILN_TABLE_DIRECT | free_slot;
        }
        else if (size > 1) {
            do {
                if (++word == DISPLACEMENT_LIMIT) {
                    return false;
                }
            } while (!try_displacement(search, bucket, word));
        }
        search->words[bucket] = word;
    }
    return true;
}

static bool
run_search(struct search *search, const struct kiln_table_name *names)
{
    for (; search->seed < SEED_LIMIT; search->seed++) {
        fill_buckets(search, names);
        sort_buckets(search);
        if (place_buckets(search)) {
            return true;
        }
    }
    return false;
}

/* Bytes of the table. */
static uint64_t
get_size(const struct kiln_table_name *names, size_t count)
{
    uint64_t size = sizeof(struct kiln_table_header) +
                    (count + UINT64_C(1)) * sizeof(struct kiln_table_entry) +
                    (count + UINT64_C(3)) / NAMES_PER_BUCKET * sizeof(uint32_t);
    for (size_t i = 0; i < count; i++) {
        size += strlen(names[i].name) + 2;
    }
    return size;
}

static struct kiln_span
lay_out(struct kiln_ctx *ctx, const struct search *search, const struct kiln_table_name *names,
        uint32_t size)
{
    uint8_t *bytes = kiln_arena_alloc(&ctx->arena, size);
    struct kiln_table_header header = {
        .magic = KILN_TABLE_MAGIC,
        .version = KILN_TABLE_VERSION,
        .size = size,
        .count = search->count,
        .bucket_count = search->bucket_count,
        .seed = search->seed,
    };
    memcpy(bytes, &header, sizeof header);

    struct kiln_table_entry *entries = (void *)(bytes + sizeof header);
    uint8_t *words = (uint8_t *)(entries + search->count + 1);
    size_t words_size = search->bucket_count * sizeof *search->words;
    memcpy(words, search->words, words_size);

    uint8_t *record = words + words_size;
    for (uint32_t slot = 0; slot < search->count; slot++) {
        const struct kiln_table_name *name = &names[search->order[slot]];
        size_t len = strlen(name->name);
        entries[slot].name = (int32_t)(record - (uint8_t *)&entries[slot]);
        record[0] = (uint8_t)name->flags;
        memcpy(record + 1, name->name, len + 1);
        record += len + 2;
    }
    entries[search->count].name = (int32_t)(record - (uint8_t *)&entries[search->count]);
    return kiln_span_of(bytes, size);
}

int
kiln_table_build(struct kiln_ctx *ctx, struct kiln_table_image *image,
                 const struct kiln_table_name *names, size_t count)
{
    uint64_t size = get_size(names, count);
    if (size > INT32_MAX) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%zu modules: the table would have %llu bytes; its offsets reach 2 GiB, "
                         "so split the modules between programs",
                         count, (unsigned long long)size);
    }
    struct search search;
    init_search(ctx, &search, (uint32_t)count);
    if (!run_search(&search, names)) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "no perfect hash was found for these %zu names with %d seeds; please "
                         "report this with the names",
                         count, SEED_LIMIT);
    }
    image->bytes = lay_out(ctx, &search, names, (uint32_t)size);
    image->order = search.order;
    return 0;
}
