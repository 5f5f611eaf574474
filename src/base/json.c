/* Writing JSON: strings, in which bytes of other encodings than UTF-8 stay as they are, as in the
 * paths they come from. */
#include "base/json.h"

void
kiln_json_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(stream, "\\%c", *c);
        }
        else if (*c < 0x20) {
            fprintf(stream, "\\u%04x", *c);
        }
        else {
            fputc(*c, stream);
        }
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
