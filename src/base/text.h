/* Small questions about NUL-terminated strings, and strings in assembly. */
#ifndef KILN_BASE_TEXT_H
#define KILN_BASE_TEXT_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/span.h"

static inline bool
kiln_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static inline bool
kiln_ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

/* Compares two elements of an array of `const char *`, for qsort() and bsearch(). */
int kiln_compare_strings(const void *a, const void *b);

/* Sort LIST, and find TEXT in a list that is sorted. */
void kiln_strings_sort(struct kiln_strings *list);
bool kiln_strings_find(const struct kiln_strings *list, const char *text);

/* The length of the UTF-8 sequence at TEXT (RFC 3629: no overlong forms, no surrogates), or 0. */
size_t kiln_text_get_sequence(const char *text);
/* Whether the sequence of LEN bytes at TEXT is a control character, C1's included. */
bool kiln_text_is_control(const char *text, size_t len);
/* Returns TEXT as it can be shown on a terminal: control characters, and bytes that are not UTF-8, as \xNN. With
 * LINES, newlines and tabs stay. The same pointer if there is nothing to change. */
const char *kiln_text_make_printable(struct kiln_arena *arena, const char *text, bool lines);

/* Returns PATH with the beginning OLD replaced by NEW, by the last of MAPS, "OLD=NEW", that fits, as compilers take
 * -ffile-prefix-map; PATH itself if none does. */
const char *
kiln_text_map_path(struct kiln_arena *arena, const struct kiln_strings *maps, const char *path);

/* Writes BYTES as they stand between the quotes of a string in assembly. */
void kiln_asm_write_string(FILE *stream, struct kiln_span bytes);

#endif
