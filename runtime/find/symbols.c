/* Modules whose init functions are found by their names among the dynamic symbols of the process,
 * for Kiln_LookupSymbols(). dlsym() also finds data, which is told from functions by its entry in
 * the symbol table. */
#include "find/lookup.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "find/symbol_name.h"

enum { PREFIX_MAX = 64 };

static struct {
    char init[PREFIX_MAX + 1];                            /* "": not set */
    char export_hook[PREFIX_MAX + sizeof "PyModExport_"]; /* "": there are none */
    bool doubled;
} symbols;

/* --- The function of a symbol --------------------------------------------------------------------
 */

static bool
is_function(void *address)
{
    Dl_info info;
    void *entry = NULL;
    if (dladdr1(address, &info, &entry, RTLD_DL_SYMENT) == 0 || entry == NULL) {
        return false;
    }
    /* The field has the same bits in both ELF classes. */
    return info.dli_saddr == address &&
           ELF64_ST_TYPE(((const ElfW(Sym) *)entry)->st_info) == STT_FUNC;
}

/* Looks for the symbol PREFIX CODE; a module that it makes has FLAGS. */
static bool
find_symbol(const char *prefix, const char *code, unsigned flags, struct kiln_target *target)
{
    char symbol[sizeof symbols.export_hook + KILN_SYMBOL_MAX];
    snprintf(symbol, sizeof symbol, "%s%s", prefix, code);
    void *address = dlsym(RTLD_DEFAULT, symbol);
    if (address == NULL || !is_function(address)) {
        return false;
    }
    *target = (struct kiln_target){.function = __extension__(kiln_table_function) address,
                                   .flags = flags};
    return true;
}

/* Looks for NAME as a module, or as a package: FLAGS. */
static bool
find_with(const char *name, size_t len, unsigned flags, struct kiln_target *target)
{
    char code[KILN_SYMBOL_MAX];
    return kiln_symbol_encode(code, name, len, symbols.doubled, flags != 0) &&
           ((symbols.export_hook[0] != '\0' &&
             find_symbol(symbols.export_hook, code, flags | KILN_MODULE_EXPORT, target)) ||
            find_symbol(symbols.init, code, flags, target));
}

int
kiln_symbols_find(const char *name, size_t len, struct kiln_target *target)
{
    return symbols.init[0] != '\0' && strlen(name) == len &&
           (find_with(name, len, 0, target) || find_with(name, len, KILN_MODULE_PACKAGE, target));
}

/* --- The prefix ----------------------------------------------------------------------------------
 */

bool
kiln_symbols_is_prefix(const char *prefix)
{
    static const char characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(prefix);
    return len > 0 && len <= PREFIX_MAX && prefix[len - 1] == '_' &&
           (prefix[0] < '0' || prefix[0] > '9') && strspn(prefix, characters) == len;
}

/* Sets the prefix of export hooks that belongs to PREFIX, that of init functions. */
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

void
kiln_symbols_set(const char *prefix, bool doubled)
{
    strcpy(symbols.init, prefix);
    set_export_hook(prefix);
    symbols.doubled = doubled;
}
