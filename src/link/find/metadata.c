/* RECORD (PEP 376, PEP 627) is CSV: a path, a hash and a size on each line. METADATA is headers as
 * in mail: a key, a colon and a value on each line, up to the first empty one. */
#include "link/find/metadata.h"

#include <strings.h>

/* Take the next line out of *TEXT, without its end. Returns false if none is left. */
static bool
take_line(struct kiln_span *text, struct kiln_span *line)
{
    if (text->len == 0) {
        return false;
    }
    const uint8_t *newline = memchr(text->ptr, '\n', text->len);
    size_t len = newline == NULL ? text->len : (size_t)(newline - text->ptr);
    *line = kiln_span_of(text->ptr, len);
    size_t taken = len + (newline != NULL);
    *text = kiln_span_of(text->ptr + taken, text->len - taken);
    if (len > 0 && line->ptr[len - 1] == '\r') {
        line->len--;
    }
    return true;
}

bool
kiln_metadata_next_path(struct kiln_span *record, struct kiln_span *path)
{
    struct kiln_span line;
    while (take_line(record, &line)) {
        if (line.len > 0 && line.ptr[0] != '"') {
            const uint8_t *comma = memchr(line.ptr, ',', line.len);
            *path = kiln_span_of(line.ptr, comma == NULL ? line.len : (size_t)(comma - line.ptr));
            return true;
        }
    }
    return false;
}

static struct kiln_span
trim(struct kiln_span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = kiln_span_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

struct kiln_span
kiln_metadata_get(struct kiln_span metadata, const char *key)
{
    size_t key_len = strlen(key);
    struct kiln_span line;
    while (take_line(&metadata, &line) && line.len > 0) {
        if (line.len > key_len && line.ptr[key_len] == ':' &&
            strncasecmp((const char *)line.ptr, key, key_len) == 0)
        {
            return trim(kiln_span_of(line.ptr + key_len + 1, line.len - key_len - 1));
        }
    }
    return kiln_span_of(NULL, 0);
}
