/* What the symbols of a combined object tell of it. */
#include "names/combined.h"

#include <string.h>

/* Bytes of a function pointer. */
enum { WORD = 8 };

/* Set *OUT to the value of the symbol NAME in the section of constructors. */
static bool
find_bound(const struct kiln_elf *elf, const char *name, uint64_t *out)
{
    size_t count = elf->symtab == 0 ? 0 : kiln_elf_count_symbols(elf, elf->symtab);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, elf->symtab, i, &symbol);
        if (kiln_elf_is_exported(&symbol) && symbol.section != 0 && strcmp(symbol.name, name) == 0)
        {
            Elf64_Shdr shdr;
            kiln_elf_get_section(elf, symbol.section, &shdr);
            *out = symbol.sym.st_value;
            return *out <= shdr.sh_size && *out % WORD == 0 &&
                   strcmp(kiln_elf_get_section_name(elf, symbol.section), KILN_CTORS_SECTION) == 0;
        }
    }
    return false;
}

bool
kiln_combined_count(const struct kiln_elf *elf, const char *start, const char *end, size_t *count)
{
    uint64_t first, last;
    bool found = find_bound(elf, start, &first) && find_bound(elf, end, &last) && last >= first;
    *count = found ? (size_t)(last - first) / WORD : 0;
    return found;
}
