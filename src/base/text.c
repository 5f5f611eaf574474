/* Comparing strings, and writing them in assembly: see text.h. */
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
