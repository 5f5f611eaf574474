/* Comparing strings, and writing them for terminals and in assembly: see text.h. */
#include "base/text.h"

#include <stdlib.h>

int
kiln_compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
kiln_strings_sort(struct kiln_strings *list)
{
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, kiln_compare_strings);
    }
}

bool
kiln_strings_find(const struct kiln_strings *list, const char *text)
{
    return list->count > 0 && bsearch(&text, list->items, list->count, sizeof *list->items,
                                      kiln_compare_strings) != NULL;
}

size_t
kiln_text_get_sequence(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char first = bytes[0], low = 0x80, high = 0xbf; /* the range of the second byte */
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf4) {
        return 0;
    }
    low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
    high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    for (size_t i = 1; i < len; i++) {
        if (bytes[i] < (i == 1 ? low : 0x80) || bytes[i] > (i == 1 ? high : 0xbf)) {
            return 0;
        }
    }
    return len;
}

bool
kiln_text_is_control(const char *text, size_t len)
{
    unsigned char first = (unsigned char)text[0];
    return (len == 1 && (first < 0x20 || first == 0x7f)) ||
           (len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

/* Returns the length of what may stand as it is at TEXT, or 0. */
static size_t
get_printable(const char *text, bool lines)
{
    size_t len = kiln_text_get_sequence(text);
    bool stays = lines && (*text == '\n' || *text == '\t');
    return len > 0 && kiln_text_is_control(text, len) && !stays ? 0 : len;
}

const char *
kiln_text_make_printable(struct kiln_arena *arena, const char *text, bool lines)
{
    const char *at = text;
    for (size_t len; *at != '\0' && (len = get_printable(at, lines)) > 0; at += len) {
    }
    if (*at == '\0') {
        return text;
    }
    char *copy = kiln_arena_alloc(arena, 4 * strlen(text) + 1), *out = copy;
    for (at = text; *at != '\0';) {
        size_t len = get_printable(at, lines);
        if (len == 0) {
            out += sprintf(out, "\\x%02x", (unsigned char)*at++);
        }
        for (; len > 0; len--) {
            *out++ = *at++;
        }
    }
    *out = '\0';
    return copy;
}

const char *
kiln_text_map_path(struct kiln_arena *arena, const struct kiln_strings *maps, const char *path)
{
    for (size_t i = maps->count; i-- > 0;) {
        const char *equals = strrchr(maps->items[i], '=');
        size_t len = equals == NULL ? 0 : (size_t)(equals - maps->items[i]);
        if (equals != NULL && strncmp(path, maps->items[i], len) == 0) {
            return kiln_arena_printf(arena, "%s%s", equals + 1, path + len);
        }
    }
    return path;
}

void
kiln_asm_write_string(FILE *stream, struct kiln_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            putc_unlocked(c, stream);
        }
        else {
            /* Three digits: a shorter escape would take in a digit that follows it. */
            fprintf(stream, "\\%03o", c);
        }
    }
}
