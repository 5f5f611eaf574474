/* Reads untrusted ELF files: 64-bit, little-endian, for a machine in machine.h.
 *
 * kiln_elf_init() is the gate: after it has returned 0, the accessors below return only what lies
 * inside the file, whatever the file's type, as long as each index is below the count it belongs to.
 */
#ifndef KILN_ELF_ELF_H
#define KILN_ELF_ELF_H

#include <elf.h>

#include "base/ctx.h"
#include "elf/machine.h"

struct kiln_elf {
    struct kiln_span bytes; /* borrowed: they must outlive this */
    const char *name;       /* for messages: "foo.o" or "libx.a(foo.o)"; borrowed */
    Elf64_Ehdr header;
    const struct kiln_machine *machine;
    size_t section_count;   /* index 0 included; 0 if the file has no section headers */
    struct kiln_span table; /* the section headers */
    struct kiln_span names; /* the section names; empty if there are none */
    size_t xindex;          /* the first SHT_SYMTAB_SHNDX section, 0 if there is none */
    /* The symbol table used most, SHT_SYMTAB. */
    size_t symtab; /* 0 if there is none */
    struct kiln_span symbols, strings;
};

/* Checks BYTES, any bytes with any alignment, as an ELF file. An error names NAME and the section,
 * symbol or offset. */
int
kiln_elf_init(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name, struct kiln_elf *out);
void kiln_elf_release(struct kiln_elf *elf);

/* All of these require INDEX < section_count. */
void kiln_elf_get_section(const struct kiln_elf *elf, size_t index, Elf64_Shdr *out);
/* Returns "" for a section without a name. */
const char *kiln_elf_get_section_name(const struct kiln_elf *elf, size_t index);
/* Returns an empty span for SHT_NOBITS. */
struct kiln_span kiln_elf_get_contents(const struct kiln_elf *elf, size_t index);
/* Returns the index of the first section named NAME, or 0. */
size_t kiln_elf_find_section(const struct kiln_elf *elf, const char *name);
/* Returns the index of the first section of TYPE (SHT_SYMTAB, SHT_DYNSYM), or 0. */
size_t kiln_elf_find_type(const struct kiln_elf *elf, uint32_t type);

struct kiln_elf_symbol {
    Elf64_Sym sym;
    const char *name; /* borrowed from the file */
    uint32_t section; /* the index of its section, SHN_XINDEX resolved; 0 if it has none: st_shndx
                       * then tells SHN_UNDEF, SHN_ABS and SHN_COMMON apart */
};

/* Requires TABLE to be an SHT_SYMTAB or SHT_DYNSYM section. */
size_t kiln_elf_count_symbols(const struct kiln_elf *elf, size_t table);
/* Requires INDEX < kiln_elf_count_symbols(). */
void kiln_elf_get_symbol(const struct kiln_elf *elf, size_t table, size_t index,
                         struct kiln_elf_symbol *out);
/* Returns whether SYMBOL is defined: in a section, absolute, or common. */
bool kiln_elf_is_defined(const struct kiln_elf_symbol *symbol);
/* Returns whether SYMBOL is defined and other objects can refer to it: it is not local. */
bool kiln_elf_is_exported(const struct kiln_elf_symbol *symbol);
/* Returns whether ELF has an SHT_SYMTAB in which NAME is such a symbol. */
bool kiln_elf_defines(const struct kiln_elf *elf, const char *name);

/* Returns the number of relocations in section TABLE: 0 unless ELF is a relocatable object (ET_REL) and TABLE is an
 * SHT_RELA section of it. The symbols of those counted exist in the table sh_link, and the section
 * sh_info to which they apply exists. */
size_t kiln_elf_count_relocations(const struct kiln_elf *elf, size_t table);
void
kiln_elf_get_relocation(const struct kiln_elf *elf, size_t table, size_t index, Elf64_Rela *out);

/* What an input of a link is, by its first bytes and its sections. */
enum kiln_object_kind {
    KILN_OBJECT_RELOCATABLE, /* ET_REL with machine code; gcc's fat LTO objects too */
    KILN_OBJECT_SHARED,      /* ET_DYN */
    KILN_OBJECT_ARCHIVE,     /* ar, thin ones included */
    KILN_OBJECT_GCC_LTO,     /* ET_REL that holds only GIMPLE bytecode */
    KILN_OBJECT_LLVM_BITCODE,
    KILN_OBJECT_OTHER, /* a linker script, text, another executable */
};
/* Never fails: what cannot be parsed is OTHER, or RELOCATABLE if it begins like an ELF file;
 * kiln_elf_init() then reports what is wrong. */
enum kiln_object_kind kiln_elf_classify(struct kiln_span bytes);

#endif
