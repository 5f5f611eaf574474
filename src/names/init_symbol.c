/* The init symbols of extensions: recognizing, finding and making them.
 *
 * The symbol for a name that is not ASCII is made by Punycode (PEP 489; RFC 3492): the ASCII
 * characters, a "-", and then, in ascending order of the other characters, the places where each is
 * to be inserted, as numbers of variable length in base 36. */
#include "names/init_symbol.h"

#include <stdint.h>

const char kiln_init_export_first[] = "PyModExport";

/* RFC 3492, section 5. */
enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 0x80 };

/* Decodes UTF-8 that kiln_dotted_name_check() has accepted. */
static size_t
decode(const char *text, uint32_t *out)
{
    size_t count = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; count++) {
        size_t more = *p < 0xc0 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        uint32_t c = more == 0 ? *p : *p & (0x3f >> more);
        for (p++; more > 0 && *p != '\0'; more--) {
            c = c << 6 | (*p++ & 0x3f);
        }
        out[count] = c;
    }
    return count;
}

/* Section 6.1. */
static uint64_t
adapt(uint64_t delta, size_t count, bool first)
{
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / count;
    uint64_t k = 0;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) {
        delta /= BASE - T_MIN;
    }
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* Writes NUMBER in digits that depend on BIAS. Returns their end. */
static char *
put_number(char *out, uint64_t number, uint64_t bias)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (uint64_t k = BASE;; k += BASE) {
        uint64_t t = k <= bias + T_MIN ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        if (number < t) {
            *out++ = digits[number];
            return out;
        }
        *out++ = digits[t + (number - t) % (BASE - t)];
        number = (number - t) / (BASE - t);
    }
}

/* Section 6.3, for the COUNT characters of TEXT. */
static void
encode(char *out, const uint32_t *text, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < FIRST) {
            *out++ = (char)text[i];
            done++;
        }
    }
    size_t basic = done;
    if (basic > 0) {
        *out++ = '_'; /* RFC 3492 has "-" here, which no symbol can have */
    }
    uint64_t delta = 0, bias = BIAS;
    for (uint32_t n = FIRST; done < count; n++, delta++) {
        uint32_t next = UINT32_MAX;
        for (size_t i = 0; i < count; i++) {
            next = text[i] >= n && text[i] < next ? text[i] : next;
        }
        delta += (uint64_t)(next - n) * (done + 1);
        n = next;
        for (size_t i = 0; i < count; i++) {
            delta += text[i] < n;
            if (text[i] == n) {
                out = put_number(out, delta, bias);
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done++;
            }
        }
    }
    *out = '\0';
}

const char *
kiln_init_symbol_make(struct kiln_ctx *ctx, const char *kind, const char *dotted_name)
{
    const char *dot = strrchr(dotted_name, '.');
    const char *last = dot == NULL ? dotted_name : dot + 1;
    size_t len = strlen(last), prefix_len = strlen(kind) + strlen("U_");
    uint32_t *text = kiln_arena_alloc(&ctx->arena, (len + 1) * sizeof *text);
    size_t count = decode(last, text);
    if (count == len) {
        return kiln_arena_printf(&ctx->arena, "%s_%s", kind, last);
    }
    /* A digit divides what is left of a number by 10 at least, and numbers are below 2^53. */
    char *out = kiln_arena_alloc(&ctx->arena, prefix_len + 1 + count * 20 + 1);
    memcpy(out, kind, prefix_len - 2);
    memcpy(out + prefix_len - 2, "U_", 2);
    encode(out + prefix_len, text, count);
    return out;
}

bool
kiln_init_symbol_is_valid(const char *name)
{
    static const char *const prefixes[] = {"PyInit_", "PyInitU_", "PyModExport_", "PyModExportU_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t len = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], len) == 0 && name[len] != '\0') {
            /* The import system asks for identifiers only, and the name goes into assembly. */
            return name[len + strspn(name + len, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
        }
    }
    return false;
}

const char *
kiln_init_symbol_next(const struct kiln_elf *elf, uint32_t type, size_t *index)
{
    size_t table = kiln_elf_find_type(elf, type);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    while (++*index < count) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, *index, &symbol);
        if (kiln_elf_is_exported(&symbol) && kiln_init_symbol_is_valid(symbol.name)) {
            return symbol.name;
        }
    }
    return NULL;
}

bool
kiln_init_symbol_is_exported(const struct kiln_elf *elf)
{
    size_t index = 0;
    return kiln_init_symbol_next(elf, SHT_DYNSYM, &index) != NULL;
}
