/* Kiln_LookupSymbols(): modules whose init functions are found by their names, as the dynamic
 * linker finds any symbol.
 *
 * A dotted name has one symbol and a symbol one dotted name, in both forms: Kiln's own is the code
 * of src/isolate/name.c, and the one with doubled underscores is read by the lengths of their runs,
 * even without a dot and odd with one, as long as no underscore stands before a dot. What the
 * dynamic linker finds may be no function; its entry in the symbol table tells. */
#include "core/runtime.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_MAX = 64, SYMBOL_MAX = 4000 };

static struct {
    char init[PREFIX_MAX + 1];
    char export_hook[PREFIX_MAX + sizeof "PyModExport_"]; /* "": there are none */
    bool doubled;
} symbols;

static bool
is_letter_or_digit(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* --- The symbol of a name ----------------------------------------------------------------------
 */

/* The code of one character that is no letter or digit, at *NAME, to OUT; its length, or 0 if it has
 * none. */
static size_t
encode(char out[4], const char *name)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*name;
    if (c == '_') {
        memcpy(out, "__", 2);
        return symbols.doubled && name[1] == '.' ? 0 : 2;
    }
    if (c == '.') {
        memcpy(out, "_d", 2);
        return symbols.doubled ? 1 : 2;
    }
    if (c < 0x80 || symbols.doubled) {
        return 0;
    }
    memcpy(out, (char[]){'_', 'x', hex[c >> 4], hex[c & 15]}, 4);
    return 4;
}

/* Append the code of the LEN bytes at NAME, with a NUL; the new end, or NULL if it has none or does
 * not fit. */
static char *
append_name(char *out, const char *end, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (end - out <= 4) {
            return NULL;
        }
        size_t step = 1;
        if (is_letter_or_digit((unsigned char)name[i])) {
            *out = name[i];
        }
        else if (name[i] == '.' && (i == 0 || i + 1 == len || name[i + 1] == '.')) {
            return NULL; /* an empty component */
        }
        else {
            step = encode(out, name + i);
        }
        if (step == 0) {
            return NULL;
        }
        out += step;
    }
    *out = '\0';
    return out;
}

/* --- The function of a symbol ------------------------------------------------------------------
 */

static bool
is_function(void *address)
{
    Dl_info info;
    void *entry = NULL;
    if (dladdr1(address, &info, &entry, RTLD_DL_SYMENT) == 0 || entry == NULL) {
        return false;
    }
    /* The field has the same bits in both classes. */
    return info.dli_saddr == address &&
           ELF64_ST_TYPE(((const ElfW(Sym) *)entry)->st_info) == STT_FUNC;
}

/* Look for the symbol that begins with PREFIX; the module is called FLAGS. */
static int
find_symbol(const char *prefix, const char *code, unsigned flags, struct kiln_target *target)
{
    char symbol[sizeof symbols.export_hook + SYMBOL_MAX];
    snprintf(symbol, sizeof symbol, "%s%s", prefix, code);
    void *address = dlsym(RTLD_DEFAULT, symbol);
    if (address == NULL || !is_function(address)) {
        return 0;
    }
    *target = (struct kiln_target){.function = __extension__(kiln_table_function) address,
                                   .flags = flags};
    return 1;
}

static int
find_either(const char *code, unsigned flags, struct kiln_target *target)
{
    return (symbols.export_hook[0] != '\0' &&
            find_symbol(symbols.export_hook, code, flags | KILN_MODULE_EXPORT, target)) ||
           find_symbol(symbols.init, code, flags, target);
}

/* As kiln_find_target(). */
static int
find(const char *name, size_t len, struct kiln_target *target)
{
    char code[SYMBOL_MAX];
    char *end = append_name(code, code + sizeof code, name, len);
    if (end == NULL) {
        return 0;
    }
    if (find_either(code, 0, target)) {
        return 1;
    }
    /* The code of ".__init__", if it can follow. */
    const char *init = symbols.doubled ? "_____init____" : "_d____init____";
    if ((symbols.doubled && name[len - 1] == '_') ||
        strlen(init) >= (size_t)(code + sizeof code - end)) {
        return 0;
    }
    strcpy(end, init);
    return find_either(code, KILN_MODULE_PACKAGE, target);
}

/* --- Setting it up -----------------------------------------------------------------------------
 */

static bool
is_prefix(const char *prefix)
{
    size_t len = strlen(prefix);
    if (len == 0 || len > PREFIX_MAX || prefix[len - 1] != '_' ||
        (prefix[0] >= '0' && prefix[0] <= '9'))
    {
        return false;
    }
    size_t i = 0;
    while (i < len && (prefix[i] == '_' || is_letter_or_digit((unsigned char)prefix[i]))) {
        i++;
    }
    return i == len;
}

/* The prefix of export hooks that goes with that of init functions. */
static void
set_export_hook(const char *prefix)
{
    static const char suffix[] = "PyInit_";
    size_t len = strlen(prefix), tail = sizeof suffix - 1;
    symbols.export_hook[0] = '\0';
    if (!KILN_HAS_MODULE_EXPORT) {
        return;
    }
    if (strcmp(prefix, "kiln_init_") == 0) {
        strcpy(symbols.export_hook, "kiln_export_");
    }
    else if (len >= tail && strcmp(prefix + len - tail, suffix) == 0) {
        snprintf(symbols.export_hook, sizeof symbols.export_hook, "%.*sPyModExport_",
                 (int)(len - tail), prefix);
    }
}

int
Kiln_LookupSymbols(const char *prefix, unsigned flags)
{
    bool doubled = (flags & KILN_SYMBOLS_DOUBLED) != 0;
    if (prefix == NULL) {
        prefix = doubled ? "PackagePyInit_" : "kiln_init_";
    }
    if ((flags & ~KILN_SYMBOLS_DOUBLED) != 0 || !is_prefix(prefix)) {
        return KILN_INSTALL_PREFIX;
    }
    if (Py_IsInitialized()) {
        return KILN_INSTALL_LATE;
    }
    int result = kiln_install_importer();
    if (result < 0) {
        return result;
    }
    strcpy(symbols.init, prefix);
    set_export_hook(prefix);
    symbols.doubled = doubled;
    kiln_find_symbol = find;
    return KILN_INSTALL_OK;
}
