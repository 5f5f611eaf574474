/* The gate: whatever kiln_elf_init() lets through, every accessor can be asked about. */
#include <stdlib.h>

#include "elf/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read all bytes, for the address sanitizer to see. */
static unsigned
read_all(struct kiln_span bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum += bytes.ptr[i];
    }
    return sum;
}

static size_t
read_table(const struct kiln_elf *elf, size_t table)
{
    size_t sum = 0;
    for (size_t i = 0; i < kiln_elf_count_symbols(elf, table); i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        sum += strlen(symbol.name) + strlen(kiln_elf_get_section_name(elf, symbol.section));
    }
    return sum;
}

static size_t
read_relocations(const struct kiln_elf *elf, size_t table, size_t symbols)
{
    size_t sum = 0;
    for (size_t i = 0; i < kiln_elf_count_relocations(elf, table); i++) {
        Elf64_Rela rela;
        struct kiln_elf_symbol symbol;
        kiln_elf_get_relocation(elf, table, i, &rela);
        kiln_elf_get_symbol(elf, symbols, (size_t)ELF64_R_SYM(rela.r_info), &symbol);
        sum += strlen(symbol.name);
    }
    return sum;
}

static volatile size_t seen; /* so that all is read */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    struct kiln_span bytes = kiln_span_of(data, size);
    size_t sum = (size_t)kiln_elf_classify(bytes);
    if (kiln_elf_init(&ctx, bytes, "fuzz.o", &elf) == 0) {
        for (size_t i = 0; i < elf.section_count; i++) {
            Elf64_Shdr shdr;
            kiln_elf_get_section(&elf, i, &shdr);
            sum += strlen(kiln_elf_get_section_name(&elf, i));
            sum += read_all(kiln_elf_get_contents(&elf, i));
            if (shdr.sh_type == SHT_SYMTAB || shdr.sh_type == SHT_DYNSYM) {
                sum += read_table(&elf, i);
            }
            if (shdr.sh_type == SHT_RELA) {
                sum += read_relocations(&elf, i, shdr.sh_link);
            }
        }
        sum += kiln_elf_find_section(&elf, ".text");
    }
    seen = sum;
    kiln_elf_release(&elf);
    kiln_ctx_release(&ctx);
    return 0;
}
