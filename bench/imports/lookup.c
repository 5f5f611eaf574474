/* lookup ROUNDS: look every name of the table up ROUNDS times, in an order that no cache foresees,
 * and as many names that are not in it; nanoseconds for one, as JSON. Needs no Python. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kiln/table.h"

static uint64_t
read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct name {
    char text[24];
    size_t len;
};

static double
measure(const struct name *names, size_t count, size_t rounds, size_t *found)
{
    uint64_t start = read_clock();
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            *found += kiln_table_find(&kiln_table, names[i].text, names[i].len) != NULL;
        }
    }
    size_t lookups = count * (rounds > 0 ? rounds : 1);
    return (double)(read_clock() - start) / (double)lookups;
}

int
main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, hits = 0, misses = 0;
    size_t count = kiln_table_get_count(&kiln_table);
    struct name *present = calloc(count, sizeof *present), *absent = calloc(count, sizeof *absent);
    for (size_t i = 0; i < count; i++) {
        /* The slots are in no order that has to do with the names. */
        const struct kiln_table_entry *entry = kiln_table_get_entry(&kiln_table, i);
        size_t at = i * 2654435761u % count;
        present[at].len = kiln_table_get_name_len(entry);
        memcpy(present[at].text, kiln_table_get_name(entry), present[at].len);
        absent[at] = present[at];
        absent[at].text[0] = 'x';
    }
    double hit = measure(present, count, rounds, &hits);
    double miss = measure(absent, count, rounds, &misses);
    if (hits != count * rounds || misses != 0) {
        fprintf(stderr, "lookup: wrong answers\n");
        return 1;
    }
    printf("{\"hit_nanoseconds\": %.2f, \"miss_nanoseconds\": %.2f}\n", hit, miss);
    return 0;
}
