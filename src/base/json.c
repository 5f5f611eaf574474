/* Writing JSON strings. Bytes that are not UTF-8, as file names may have, become the surrogates that
 * os.fsdecode() of Python makes of them, so that os.fsencode() gives the name back. */
#include "base/json.h"

#include "base/text.h"

void
kiln_json_string(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (const char *c = text; *c != '\0';) {
        size_t len = kiln_text_get_sequence(c);
        if (len == 0) {
            fprintf(stream, "\\udc%02x", (unsigned char)*c);
            len = 1;
        }
        else if (*c == '"' || *c == '\\') {
            fprintf(stream, "\\%c", *c);
        }
        else if (kiln_text_is_control(c, len)) { /* all below U+0100, in its last byte */
            fprintf(stream, "\\u%04x", (unsigned char)c[len - 1]);
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
