/* Writing JSON strings. Bytes that are not UTF-8, as file names may have, become the surrogates that
 * os.fsdecode() of Python makes of them, so that os.fsencode() gives the name back. */
#include "base/json.h"

/* The length of the UTF-8 sequence at TEXT (RFC 3629: no overlong forms, no surrogates), or 0. */
static size_t
get_sequence(const unsigned char *text)
{
    unsigned char first = text[0], low = 0x80, high = 0xbf; /* the range of the second byte */
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf4) {
        return 0;
    }
    low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
    high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    for (size_t i = 1; i < len; i++) {
        if (text[i] < (i == 1 ? low : 0x80) || text[i] > (i == 1 ? high : 0xbf)) {
            return 0;
        }
    }
    return len;
}

void
kiln_json_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0';) {
        size_t len = get_sequence(c);
        if (len == 0) {
            fprintf(stream, "\\udc%02x", *c);
            len = 1;
        }
        else if (*c == '"' || *c == '\\') {
            fprintf(stream, "\\%c", *c);
        }
        else if (*c < 0x20) {
            fprintf(stream, "\\u%04x", *c);
        }
        else {
            fwrite(c, 1, len, stream);
        }
        c += len;
    }
    fputc('"', stream);
}

void
kiln_json_strings(FILE *stream, const struct kiln_strings *list)
{
    fputc('[', stream);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i == 0 ? "" : ", ", stream);
        kiln_json_string(stream, list->items[i]);
    }
    fputc(']', stream);
}
