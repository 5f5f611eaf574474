/* Runs a fuzz harness without a fuzzer: each seed of a corpus as it is, then a fixed number of
 * mutations of the seeds, the same ones every time.
 *
 * This is what `make check` runs under AddressSanitizer and UBSan; `make fuzz` links the same
 * harnesses with libFuzzer, which is guided by coverage. An input that makes the harness fail is
 * kept in the file that is named then. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MUTATIONS = 4000,          /* of all seeds together */
    MAX_EDITS = 6,             /* of one mutation */
    MAX_SEED_SIZE = 256 << 10, /* a larger one is cut, to keep the run short */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of the sanitizers' run-time library; not there without them. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct input {
    uint8_t *data;
    size_t size;
};

static const char *harness;
static struct input current; /* what the harness is running on */

static void
keep_current(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.failure", harness);
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        fwrite(current.data, 1, current.size, file);
        fclose(file);
        fprintf(stderr, "the input that failed is in %s\n", path);
    }
}

static void *
allocate(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL) {
        perror(harness);
        exit(1);
    }
    return memory;
}

/* A copy that ends where its block ends, so that a read beyond it is seen. */
static void
run(const uint8_t *data, size_t size)
{
    current = (struct input){.data = allocate(size), .size = size};
    if (size > 0) {
        memcpy(current.data, data, size);
    }
    LLVMFuzzerTestOneInput(current.data, size);
    free(current.data);
    current.data = NULL;
}

static struct input
read_seed(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    struct input seed = {.data = allocate(MAX_SEED_SIZE)};
    seed.size = fread(seed.data, 1, MAX_SEED_SIZE, file);
    fclose(file);
    return seed;
}

/* xorshift64* (Vigna 2016): small, and the same on every machine. */
static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Values that parsers of offsets and counts stumble over. */
static const uint64_t interesting[] = {
    0,      1,          0x7f,       0x80,       0xff,      0x7fff,     0x8000,
    0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX,
};

static void
edit(struct input *input, uint64_t *random)
{
    if (input->size == 0) {
        return;
    }
    size_t at = next_random(random) % input->size;
    switch (next_random(random) % 5) {
    case 0:
        input->data[at] ^= (uint8_t)(1 << next_random(random) % 8);
        break;
    case 1:
        input->data[at] = (uint8_t)next_random(random);
        break;
    case 2: {
        uint64_t value =
            interesting[next_random(random) % (sizeof interesting / sizeof interesting[0])];
        size_t width = (size_t)1 << next_random(random) % 4;
        size_t room = input->size - at;
        memcpy(input->data + at, &value, width < room ? width : room);
        break;
    }
    case 3: { /* some bytes over others */
        size_t from = next_random(random) % input->size;
        size_t room = input->size - (from > at ? from : at);
        memmove(input->data + at, input->data + from, next_random(random) % 32 % (room + 1));
        break;
    }
    default: /* cut short, now and then */
        if (next_random(random) % 4 == 0) {
            input->size = at;
        }
    }
}

static void
run_mutation(const struct input *seed, uint64_t *random)
{
    struct input input = {.data = allocate(seed->size), .size = seed->size};
    memcpy(input.data, seed->data, seed->size);
    for (uint64_t edits = 1 + next_random(random) % MAX_EDITS; edits > 0; edits--) {
        edit(&input, random);
    }
    run(input.data, input.size);
    free(input.data);
}

static int
is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n       %s FILE.failure\n", argv[0], argv[0]);
        return 2;
    }
    harness = argv[0];
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(keep_current);
    }

    struct dirent **entries;
    int count = scandir(argv[1], &entries, is_seed, alphasort); /* in an order of their own */
    if (count < 0) {
        struct input input = read_seed(argv[1]);
        run(input.data, input.size);
        free(input.data);
        return 0;
    }
    run(NULL, 0);
    uint64_t random = 1;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        struct input seed = read_seed(path);
        run(seed.data, seed.size);
        for (int mutation = 0; mutation < MUTATIONS / count; mutation++) {
            run_mutation(&seed, &random);
        }
        free(seed.data);
        free(entries[i]);
    }
    free(entries);
    printf("%s: %d seeds, %d mutations, no failure\n", argv[0], count,
           count == 0 ? 0 : MUTATIONS / count * count);
    return count == 0;
}
