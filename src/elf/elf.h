/* Reading ELF objects and ar archives that nobody vouches for: 64-bit, little-endian, of one
 * machine.
 *
 * kiln_elf_init() is the gate: once it has returned 0, section headers, section contents, string
 * tables and symbols can be asked for by index and every answer lies inside the file. */
#ifndef KILN_ELF_ELF_H
#define KILN_ELF_ELF_H

#include <gelf.h>

#include "base/ctx.h"

struct kiln_elf {
    Elf *elf; /* over `bytes`, which must outlive it */
    struct kiln_span bytes;
    const char *name; /* for messages: "foo.o" or "libx.a(foo.o)"; borrowed */
    GElf_Ehdr header;
    size_t section_count; /* index 0 included */
};

/* Check BYTES (any alignment) as an ELF file of the machine this Kiln links for; nothing is assumed
 * of them. Errors name NAME, and the section or offset. */
int
kiln_elf_init(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name, struct kiln_elf *out);
void kiln_elf_release(struct kiln_elf *elf);

/* INDEX < section_count, for all of these. */
void kiln_elf_get_section(const struct kiln_elf *elf, size_t index, GElf_Shdr *out);
const char *kiln_elf_get_section_name(const struct kiln_elf *elf, size_t index);
/* Empty for SHT_NOBITS. */
struct kiln_span kiln_elf_get_contents(const struct kiln_elf *elf, size_t index);
/* The index of the first section named NAME, 0 if there is none. */
size_t kiln_elf_find_section(const struct kiln_elf *elf, const char *name);
/* The first section of TYPE (SHT_SYMTAB, SHT_DYNSYM), 0 if there is none. */
size_t kiln_elf_find_type(const struct kiln_elf *elf, uint32_t type);

struct kiln_elf_symbol {
    GElf_Sym sym;
    const char *name; /* borrowed from the file */
    uint32_t section; /* st_shndx with SHN_XINDEX resolved; SHN_UNDEF, SHN_ABS and SHN_COMMON as
                       * they are */
};

/* Symbols of the symbol table in section TABLE (SHT_SYMTAB or SHT_DYNSYM). */
size_t kiln_elf_count_symbols(const struct kiln_elf *elf, size_t table);
void kiln_elf_get_symbol(const struct kiln_elf *elf, size_t table, size_t index,
                         struct kiln_elf_symbol *out);

/* What an input of a link is, told by its first bytes and sections. */
enum kiln_object_kind {
    KILN_OBJECT_RELOCATABLE, /* ET_REL with machine code; gcc's fat LTO objects too */
    KILN_OBJECT_SHARED,      /* ET_DYN */
    KILN_OBJECT_ARCHIVE,     /* ar, thin ones included */
    KILN_OBJECT_GCC_LTO,     /* ET_REL that holds only GIMPLE bytecode */
    KILN_OBJECT_LLVM_BITCODE,
    KILN_OBJECT_OTHER, /* a linker script, text, another executable */
};
/* Never fails: what cannot be parsed is OTHER (or, for bytes that start as ELF, RELOCATABLE, whose
 * kiln_elf_init() then says what is wrong). */
enum kiln_object_kind kiln_elf_classify(struct kiln_span bytes);

/* Whether NAME is an init symbol: PyInit_x, PyInitU_x (PEP 489) or PyModExport_x (PEP 793). */
bool kiln_elf_is_init_symbol(const char *name);

/* The members of an archive, in order, the symbol index and name table left out. VISIT returns 0 to
 * go on, or what kiln_ar_visit() shall return. A thin archive is KILN_ERR_INPUT: its members are
 * files of their own. */
int
kiln_ar_visit(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
              int (*visit)(void *arg, const char *member, struct kiln_span contents), void *arg);

#endif
