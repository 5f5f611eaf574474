/* The symbol of a dotted name, in the two forms of Kiln_LookupSymbols().
 *
 * In both, a name has one symbol and a symbol one name. Kiln's own form is that of
 * src/isolate/isolate.h. In the doubled form the lengths of the runs of underscores tell the two
 * characters apart: a run with a dot in it is odd, provided that no underscore is in front of a
 * dot. */
#include "find/symbol_name.h"

#include <string.h>

static bool
is_letter_or_digit(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Writes the code of the character at *NAME to OUT. Returns its length; 0 if it has none. */
static size_t
encode_character(char out[4], const char *name, bool doubled)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*name;
    if (is_letter_or_digit(c)) {
        *out = *name;
        return 1;
    }
    if (c == '_') {
        memcpy(out, "__", 2);
        return doubled && name[1] == '.' ? 0 : 2;
    }
    if (c == '.') {
        memcpy(out, "_d", 2);
        return doubled ? 1 : 2;
    }
    if (c < 0x80 || doubled) {
        return 0;
    }
    memcpy(out, (char[]){'_', 'x', hex[c >> 4], hex[c & 15]}, 4);
    return 4;
}

static bool
has_empty_component(const char *name, size_t len)
{
    return len == 0 || name[0] == '.' || name[len - 1] == '.' || strstr(name, "..") != NULL;
}

bool
kiln_symbol_encode(char out[KILN_SYMBOL_MAX], const char *name, size_t len, bool doubled,
                   bool in_package)
{
    size_t used = 0;
    const char *suffix = !in_package ? "" : doubled ? "_____init____" : "_d____init____";
    if (has_empty_component(name, len) || (doubled && in_package && name[len - 1] == '_')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        size_t step =
            KILN_SYMBOL_MAX - used > 4 ? encode_character(out + used, name + i, doubled) : 0;
        if (step == 0) {
            return false;
        }
        used += step;
    }
    if (strlen(suffix) >= KILN_SYMBOL_MAX - used) {
        return false;
    }
    strcpy(out + used, suffix);
    return true;
}
