/* Which names a module can have. A leading digit is allowed: generated modules have such names, and
 * importlib accepts them. */
#include "names/dotted_name.h"

static bool
is_letter_or_digit(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Returns the length of the well-formed UTF-8 sequence at P, which is not ASCII, or 0 (the Unicode
 * standard, table 3-7). */
static size_t
match_utf8(const unsigned char *p, size_t len)
{
    size_t need = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > len) {
        return 0;
    }
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < need; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }
    return need;
}

const char *
kiln_dotted_name_find_problem(struct kiln_span name)
{
    bool in_component = false;
    for (size_t i = 0; i < name.len;) {
        unsigned char c = name.ptr[i];
        size_t step = 1;
        if (c == '.') {
            if (!in_component) {
                return "a component is empty";
            }
            in_component = false;
        }
        else {
            step = c >= 0x80 ? match_utf8(name.ptr + i, name.len - i) : 1;
            if (step == 0) {
                return "it is not UTF-8";
            }
            if (c < 0x80 && c != '_' && !is_letter_or_digit(c)) {
                return "only letters, digits, \"_\", non-ASCII characters, and dots between them, "
                       "can stand in a module's name";
            }
            in_component = true;
        }
        i += step;
    }
    return in_component ? NULL : name.len == 0 ? "it is empty" : "a component is empty";
}

int
kiln_dotted_name_check(struct kiln_ctx *ctx, const char *dotted_name)
{
    const char *problem = kiln_dotted_name_find_problem(kiln_span_of_string(dotted_name));
    if (problem != NULL) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "\"%s\" is not the name of a module: %s", dotted_name,
                         problem);
    }
    return 0;
}
