/* Names of C++ (Itanium C++ ABI, "Mangling"). */
#include "unlink/set.h"

#include <string.h>

static bool
skip(const char **name, const char *prefix)
{
    size_t len = strlen(prefix);
    bool found = strncmp(*name, prefix, len) == 0;
    *name += found ? len : 0;
    return found;
}

bool
kiln_cplusplus_is_vague(const char *name)
{
    /* Type information and its name, virtual tables; what is local to an inline function, guards of such
     * variables; functions that initialise or reach a thread-local variable. */
    static const char *const prefixes[] = {"_ZTI", "_ZTS", "_ZTV", "_ZTT",
                                           "_ZZ",  "_ZGV", "_ZTH", "_ZTW"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof prefixes / sizeof prefixes[0]; i++) {
        found = skip(&name, prefixes[i]);
    }
    return found;
}

bool
kiln_cplusplus_is_own(const char *name)
{
    /* Virtual tables, type information, guards, thunks, and clones of functions for transactions. */
    static const char *const specials[] = {"TI", "TS", "TV", "TT", "GV", "GTt", "GTn"};
    if (skip(&name, "__cxa_") || skip(&name, "__gxx_")) {
        return true;
    }
    if (!skip(&name, "_Z")) {
        return false;
    }
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (skip(&name, specials[i])) {
            break;
        }
    }
    while (skip(&name, "Z")) { /* local to a function */
    }
    if (skip(&name, "N")) {
        name += strspn(name, "rVKRO"); /* qualifiers */
    }
    return name[0] == 'S' && name[1] != '\0' && strchr("tabsiod", name[1]) != NULL;
}
