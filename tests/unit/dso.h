/* A small shared object for tests to look at and to damage: a segment R-X with the tables, a segment
 * RW- with the dynamic section, data, and thread-local data. Addresses are offsets in the struct, so
 * that a test can name the byte it changes. */
#ifndef KILN_TEST_DSO_H
#define KILN_TEST_DSO_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"

enum {
    TEST_DSO_SYMBOLS = 48,
    TEST_DSO_VERSIONS = 6,
    TEST_DSO_RELAS = 24,
    TEST_DSO_TAGS = 40,
};

struct test_dso {
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[6]; /* R-X, RW-, PT_DYNAMIC, PT_GNU_STACK, PT_TLS, PT_GNU_RELRO */
    uint32_t hash[3 + TEST_DSO_SYMBOLS];     /* DT_HASH: one bucket */
    uint32_t gnu_hash[8 + TEST_DSO_SYMBOLS]; /* DT_GNU_HASH, of all symbols but 0; see below */
    Elf64_Sym symbols[TEST_DSO_SYMBOLS];
    uint16_t versym[TEST_DSO_SYMBOLS];
    struct {
        Elf64_Verdef def;
        Elf64_Verdaux aux;
    } verdefs[TEST_DSO_VERSIONS];
    struct {
        Elf64_Verneed need;
        Elf64_Vernaux aux;
    } verneeds[TEST_DSO_VERSIONS];
    Elf64_Rela relas[TEST_DSO_RELAS];
    uint64_t relr[8];
    char strings[1024];
    uint8_t code[64];
    _Alignas(4096) Elf64_Dyn dynamic[TEST_DSO_TAGS];
    uint64_t data[64];
    uint64_t tls[4];
    uint64_t zeros[16]; /* not in the file */
};

enum { TEST_DSO_FILE_SIZE = offsetof(struct test_dso, zeros) };

/* The address of a member. */
#define TEST_DSO_AT(member) ((uint64_t)offsetof(struct test_dso, member))

static inline uint32_t
test_dso_add_string(struct test_dso *dso, const char *text)
{
    uint32_t at = 1;
    while (dso->strings[at] != '\0') {
        at += (uint32_t)strlen(dso->strings + at) + 1;
    }
    memcpy(dso->strings + at, text, strlen(text) + 1);
    return at;
}

/* Add an entry to the dynamic section, which DT_NULL ends. */
static inline Elf64_Dyn *
test_dso_add_tag(struct test_dso *dso, int64_t tag, uint64_t value)
{
    Elf64_Dyn *entry = dso->dynamic;
    while (entry->d_tag != DT_NULL) {
        entry++;
    }
    entry->d_tag = tag;
    entry->d_un.d_val = value;
    return entry;
}

static inline Elf64_Dyn *
test_dso_find_tag(struct test_dso *dso, int64_t tag)
{
    Elf64_Dyn *entry = dso->dynamic;
    while (entry->d_tag != tag) {
        entry++;
    }
    return entry;
}

static inline void
test_dso_add_text(struct test_dso *dso, int64_t tag, const char *text)
{
    test_dso_add_tag(dso, tag, test_dso_add_string(dso, text));
}

/* Add a symbol and return its index. SECTION is SHN_UNDEF, SHN_ABS, or any other for a defined one. */
static inline uint32_t
test_dso_add_symbol(struct test_dso *dso, const char *name, unsigned bind, unsigned type,
                    uint16_t section, uint64_t value)
{
    uint32_t index = dso->hash[1]++;
    dso->symbols[index] = (Elf64_Sym){.st_name = test_dso_add_string(dso, name),
                                      .st_info = (unsigned char)ELF64_ST_INFO(bind, type),
                                      .st_shndx = section,
                                      .st_value = value,
                                      .st_size = section == SHN_UNDEF ? 0 : 8};
    /* All are in one chain. */
    dso->hash[2] = index;
    dso->hash[3 + index] = index - 1;
    dso->versym[index] = 1;
    return index;
}

static inline uint32_t
test_dso_add_function(struct test_dso *dso, const char *name)
{
    return test_dso_add_symbol(dso, name, STB_GLOBAL, STT_FUNC, 1, TEST_DSO_AT(code));
}

static inline Elf64_Rela *
test_dso_add_rela(struct test_dso *dso, uint64_t offset, uint32_t type, uint64_t symbol,
                  int64_t addend)
{
    Elf64_Dyn *size = test_dso_find_tag(dso, DT_RELASZ);
    Elf64_Rela *rela = &dso->relas[size->d_un.d_val / sizeof *rela];
    *rela = (Elf64_Rela){offset, ELF64_R_INFO(symbol, type), addend};
    size->d_un.d_val += sizeof *rela;
    return rela;
}

/* Define the version NAME with INDEX, 2 or more. Returns INDEX. */
static inline uint16_t
test_dso_define_version(struct test_dso *dso, const char *name, uint16_t index)
{
    Elf64_Dyn *count = test_dso_find_tag(dso, DT_VERDEFNUM);
    size_t i = count->d_un.d_val++;
    dso->verdefs[i].def = (Elf64_Verdef){.vd_version = 1,
                                         .vd_ndx = index,
                                         .vd_cnt = 1,
                                         .vd_aux = sizeof(Elf64_Verdef),
                                         .vd_next = sizeof dso->verdefs[0]};
    dso->verdefs[i].aux.vda_name = test_dso_add_string(dso, name);
    return index;
}

/* Want the version NAME with INDEX. Returns INDEX. */
static inline uint16_t
test_dso_want_version(struct test_dso *dso, const char *name, uint16_t index)
{
    Elf64_Dyn *count = test_dso_find_tag(dso, DT_VERNEEDNUM);
    size_t i = count->d_un.d_val++;
    dso->verneeds[i].need = (Elf64_Verneed){.vn_version = 1,
                                            .vn_cnt = 1,
                                            .vn_aux = sizeof(Elf64_Verneed),
                                            .vn_next = sizeof dso->verneeds[0]};
    dso->verneeds[i].aux =
        (Elf64_Vernaux){.vna_other = index, .vna_name = test_dso_add_string(dso, name)};
    return index;
}

/* Symbols are found by DT_HASH; test_dso_use_gnu_hash() changes that. */
static inline void
test_dso_init(struct test_dso *dso, const char *soname)
{
    memset(dso, 0, sizeof *dso);
    dso->header = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = offsetof(struct test_dso, phdrs),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 6};
    uint64_t second = TEST_DSO_AT(dynamic), tls = TEST_DSO_AT(tls);
    dso->phdrs[0] = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = second, .p_memsz = second};
    dso->phdrs[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                                 .p_flags = PF_R | PF_W,
                                 .p_offset = second,
                                 .p_vaddr = second,
                                 .p_filesz = TEST_DSO_FILE_SIZE - second,
                                 .p_memsz = sizeof *dso - second,
                                 .p_align = 4096};
    dso->phdrs[0].p_align = 4096;
    dso->phdrs[2] = (Elf64_Phdr){.p_type = PT_DYNAMIC,
                                 .p_flags = PF_R | PF_W,
                                 .p_offset = second,
                                 .p_vaddr = second,
                                 .p_filesz = sizeof dso->dynamic,
                                 .p_memsz = sizeof dso->dynamic,
                                 .p_align = 8};
    dso->phdrs[3] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    dso->phdrs[4] = (Elf64_Phdr){.p_type = PT_TLS,
                                 .p_flags = PF_R,
                                 .p_offset = tls,
                                 .p_vaddr = tls,
                                 .p_filesz = sizeof dso->tls,
                                 .p_memsz = sizeof dso->tls + 32,
                                 .p_align = 16};
    dso->phdrs[5] = (Elf64_Phdr){.p_type = PT_GNU_RELRO,
                                 .p_flags = PF_R,
                                 .p_offset = second,
                                 .p_vaddr = second,
                                 .p_filesz = sizeof dso->dynamic,
                                 .p_memsz = sizeof dso->dynamic,
                                 .p_align = 1};
    dso->hash[0] = 1; /* buckets */
    dso->hash[1] = 1; /* symbols */
    test_dso_add_tag(dso, DT_STRTAB, TEST_DSO_AT(strings));
    test_dso_add_tag(dso, DT_STRSZ, sizeof dso->strings);
    test_dso_add_tag(dso, DT_SYMTAB, TEST_DSO_AT(symbols));
    test_dso_add_tag(dso, DT_SYMENT, sizeof(Elf64_Sym));
    test_dso_add_tag(dso, DT_HASH, TEST_DSO_AT(hash));
    test_dso_add_tag(dso, DT_RELA, TEST_DSO_AT(relas));
    test_dso_add_tag(dso, DT_RELASZ, 0);
    test_dso_add_tag(dso, DT_RELAENT, sizeof(Elf64_Rela));
    test_dso_add_tag(dso, DT_VERSYM, TEST_DSO_AT(versym));
    test_dso_add_tag(dso, DT_VERDEF, TEST_DSO_AT(verdefs));
    test_dso_add_tag(dso, DT_VERDEFNUM, 0);
    test_dso_add_tag(dso, DT_VERNEED, TEST_DSO_AT(verneeds));
    test_dso_add_tag(dso, DT_VERNEEDNUM, 0);
    if (soname != NULL) {
        test_dso_add_text(dso, DT_SONAME, soname);
    }
}

/* DT_GNU_HASH in the place of DT_HASH: one bucket, whose chain has all symbols from FIRST on. */
static inline void
test_dso_use_gnu_hash(struct test_dso *dso, uint32_t first)
{
    Elf64_Dyn *tag = test_dso_find_tag(dso, DT_HASH);
    uint32_t count = dso->hash[1];
    tag->d_tag = DT_GNU_HASH;
    tag->d_un.d_ptr = TEST_DSO_AT(gnu_hash);
    const uint32_t head[] = {1, first, 1, 0, UINT32_MAX, UINT32_MAX, first < count ? first : 0};
    memcpy(dso->gnu_hash, head, sizeof head);
    for (uint32_t i = first; i < count; i++) {
        dso->gnu_hash[7 + i - first] = i + 1 == count ? 1 : 2;
    }
}

static inline struct kiln_span
test_dso_bytes(const struct test_dso *dso)
{
    return kiln_span_of(dso, TEST_DSO_FILE_SIZE);
}

#endif
