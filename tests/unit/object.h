/* A small relocatable object for tests to look at and to damage: .text, .data, relocations of
 * .text, symbols. Positions are fixed, so that a test can name the byte it changes. */
#ifndef KILN_TEST_OBJECT_H
#define KILN_TEST_OBJECT_H

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "elf/elf.h"

enum {
    TEST_TEXT = 1,
    TEST_DATA,
    TEST_RELA,
    TEST_SYMTAB,
    TEST_STRTAB,
    TEST_SHSTRTAB,
    TEST_SECTIONS
};
enum { TEST_SYMBOLS = 5 };

struct test_object {
    Elf64_Ehdr header;
    uint8_t text[16];
    uint8_t data[8];
    Elf64_Rela rela[1];
    Elf64_Sym symbols[TEST_SYMBOLS];
    char strings[64];
    char names[64];
    Elf64_Shdr sections[TEST_SECTIONS];
};

static inline uint32_t
test_add_string(char table[64], const char *text)
{
    uint32_t at = 1;
    while (table[at] != '\0') {
        at += (uint32_t)strlen(table + at) + 1;
    }
    memcpy(table + at, text, strlen(text) + 1);
    return at;
}

static inline void
test_set_section(struct test_object *object, size_t index, const char *name, uint32_t type,
                 const void *contents, size_t size)
{
    Elf64_Shdr *shdr = &object->sections[index];
    shdr->sh_name = test_add_string(object->names, name);
    shdr->sh_type = type;
    shdr->sh_offset = (uint64_t)((const char *)contents - (const char *)object);
    shdr->sh_size = size;
    shdr->sh_addralign = 8;
}

/* Symbols: 1 "local" in .text, 2 "PyInit_m" in .text, 3 "shared" in .data, 4 "outside", undefined.
 */
static inline struct test_object
test_make_object(void)
{
    struct test_object o = {.header = {.e_type = ET_REL,
                                       .e_machine = EM_X86_64,
                                       .e_version = EV_CURRENT,
                                       .e_shoff = offsetof(struct test_object, sections),
                                       .e_ehsize = sizeof(Elf64_Ehdr),
                                       .e_shentsize = sizeof(Elf64_Shdr),
                                       .e_shnum = TEST_SECTIONS,
                                       .e_shstrndx = TEST_SHSTRTAB}};
    memcpy(o.header.e_ident, ELFMAG, SELFMAG);
    o.header.e_ident[EI_CLASS] = ELFCLASS64;
    o.header.e_ident[EI_DATA] = ELFDATA2LSB;
    o.header.e_ident[EI_VERSION] = EV_CURRENT;

    test_set_section(&o, TEST_TEXT, ".text", SHT_PROGBITS, o.text, sizeof o.text);
    test_set_section(&o, TEST_DATA, ".data", SHT_PROGBITS, o.data, sizeof o.data);
    test_set_section(&o, TEST_RELA, ".rela.text", SHT_RELA, o.rela, sizeof o.rela);
    test_set_section(&o, TEST_SYMTAB, ".symtab", SHT_SYMTAB, o.symbols, sizeof o.symbols);
    test_set_section(&o, TEST_STRTAB, ".strtab", SHT_STRTAB, o.strings, sizeof o.strings);
    test_set_section(&o, TEST_SHSTRTAB, ".shstrtab", SHT_STRTAB, o.names, sizeof o.names);
    o.sections[TEST_TEXT].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
    o.sections[TEST_DATA].sh_flags = SHF_ALLOC | SHF_WRITE;
    o.sections[TEST_RELA].sh_link = TEST_SYMTAB;
    o.sections[TEST_RELA].sh_info = TEST_TEXT;
    o.sections[TEST_RELA].sh_entsize = sizeof(Elf64_Rela);
    o.sections[TEST_SYMTAB].sh_link = TEST_STRTAB;
    o.sections[TEST_SYMTAB].sh_info = 2;
    o.sections[TEST_SYMTAB].sh_entsize = sizeof(Elf64_Sym);

    static const struct {
        const char *name;
        unsigned char bind, type;
        uint16_t section;
    } symbols[] = {{"local", STB_LOCAL, STT_FUNC, TEST_TEXT},
                   {"PyInit_m", STB_GLOBAL, STT_FUNC, TEST_TEXT},
                   {"shared", STB_GLOBAL, STT_OBJECT, TEST_DATA},
                   {"outside", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF}};
    for (size_t i = 1; i < TEST_SYMBOLS; i++) {
        o.symbols[i].st_name = test_add_string(o.strings, symbols[i - 1].name);
        o.symbols[i].st_info = ELF64_ST_INFO(symbols[i - 1].bind, symbols[i - 1].type);
        o.symbols[i].st_shndx = symbols[i - 1].section;
    }
    o.rela[0].r_offset = 4;
    o.rela[0].r_info = ELF64_R_INFO(4, R_X86_64_PLT32);
    return o;
}

static inline struct kiln_span
test_object_bytes(const struct test_object *object)
{
    return kiln_span_of(object, sizeof *object);
}

/* An ar archive of such objects, in CONTEXT's arena; NAMES are separated by spaces, each shorter than 16
 * bytes. */
static inline struct kiln_span
test_make_archive(struct kiln_ctx *context, const char *names)
{
    struct test_object object = test_make_object();
    struct kiln_span bytes = test_object_bytes(&object);
    size_t size = 8, capacity = 8 + (strlen(names) + 1) * (bytes.len + 61);
    char *archive = kiln_arena_alloc(&context->arena, capacity);
    memcpy(archive, "!<arch>\n", 8);
    while (*names != '\0') {
        size_t len = strcspn(names, " ");
        const char *name = kiln_arena_printf(&context->arena, "%.*s/", (int)len, names);
        size += (size_t)snprintf(archive + size, capacity - size, "%-16s%-12d%-6d%-6d%-8o%-10zu`\n",
                                 name, 0, 0, 0, 0644U, bytes.len);
        memcpy(archive + size, bytes.ptr, bytes.len);
        size += bytes.len;
        if (bytes.len % 2 != 0) {
            archive[size++] = '\n';
        }
        names += len + (names[len] == ' ');
    }
    return kiln_span_of(archive, size);
}

#endif
