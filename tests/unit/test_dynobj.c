/* Reading a dynamic object: what it answers, the reason for each way in which it can be damaged, and
 * which symbol answers which reference, by glibc's rules and by glibc. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "dso.h"
#include "unlink/dynobj.h"

static struct test_dso dso;
static struct kiln_ctx ctx;
static struct kiln_dynobj read;

static int
set_up(void **state)
{
    (void)state;
    test_dso_init(&dso, "libtest.so");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

static void
assert_read(void)
{
    const char *reason = kiln_dynobj_read(&ctx, test_dso_bytes(&dso), "test.so", &read);
    if (reason != NULL) {
        fail_msg("refused: %s", reason);
    }
}

static void
assert_refused(const char *expected)
{
    const char *reason = kiln_dynobj_read(&ctx, test_dso_bytes(&dso), "test.so", &read);
    if (reason == NULL || strcmp(reason, expected) != 0) {
        fail_msg("\"%s\" is not \"%s\"", reason == NULL ? "read" : reason, expected);
    }
    set_up(NULL);
}

static bool
find(const char *name, const char *version, struct kiln_dynobj_symbol *symbol)
{
    const struct kiln_dynobj_wanted wanted = {.name = name, .version = version};
    return kiln_dynobj_find(&read, &wanted, symbol);
}

/* -- Reading -- */

static void
test_what_a_sound_object_has_is_read(void **state)
{
    (void)state;
    test_dso_add_function(&dso, "first");
    test_dso_add_symbol(&dso, "second", STB_WEAK, STT_OBJECT, 1, TEST_DSO_AT(data));
    test_dso_add_text(&dso, DT_NEEDED, "libone.so");
    test_dso_add_text(&dso, DT_NEEDED, "libtwo.so");
    test_dso_add_text(&dso, DT_RUNPATH, "$ORIGIN/libs");
    test_dso_add_tag(&dso, DT_FLAGS, DF_SYMBOLIC);
    assert_read();
    assert_int_equal(read.load_count, 2);
    assert_int_equal(read.size, sizeof dso);
    assert_int_equal(read.tls.p_memsz, sizeof dso.tls + 32);
    assert_int_equal(read.symbol_count, 3);
    assert_int_equal(read.needed.count, 2);
    assert_string_equal(read.needed.items[1], "libtwo.so");
    assert_string_equal(read.soname, "libtest.so");
    assert_string_equal(read.runpath, "$ORIGIN/libs");
    assert_null(read.rpath);
    assert_int_equal(read.flags, DF_SYMBOLIC);
    assert_false(read.wants_executable_stack);
    struct kiln_dynobj_symbol symbol;
    assert_true(find("second", NULL, &symbol));
    assert_int_equal(symbol.sym.st_value, TEST_DSO_AT(data));
    assert_int_equal(kiln_dynobj_get_bind(&symbol), STB_WEAK);
    assert_int_equal(kiln_dynobj_get_type(&symbol), STT_OBJECT);
    assert_false(find("third", NULL, &symbol));
}

static void
test_the_gnu_hash_table_tells_how_many_symbols_there_are(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    test_dso_add_symbol(&dso, "outside", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0);
    test_dso_add_function(&dso, "first");
    test_dso_add_function(&dso, "last");
    test_dso_use_gnu_hash(&dso, 2);
    assert_read();
    assert_int_equal(read.symbol_count, 4);
    assert_int_equal(read.first_defined, 2);
    assert_true(find("last", NULL, &symbol));
    /* An empty one: symbols are there, and none is found. */
    set_up(NULL);
    test_dso_add_function(&dso, "first");
    test_dso_use_gnu_hash(&dso, 2);
    assert_read();
    assert_int_equal(read.symbol_count, 2);
    assert_false(find("first", NULL, &symbol));
}

static void
test_addresses_lead_to_bytes_of_the_file(void **state)
{
    (void)state;
    struct kiln_span bytes;
    uint64_t word;
    dso.data[0] = 4711;
    assert_read();
    assert_true(kiln_dynobj_slice(&read, TEST_DSO_AT(data), 8, &bytes));
    assert_ptr_equal(bytes.ptr, dso.data);
    assert_true(kiln_dynobj_read_word(&read, TEST_DSO_AT(data), &word));
    assert_int_equal(word, 4711);
    /* Zeros have no bytes, but can be read. */
    assert_false(kiln_dynobj_slice(&read, TEST_DSO_AT(zeros), 8, &bytes));
    assert_true(kiln_dynobj_read_word(&read, TEST_DSO_AT(zeros), &word));
    assert_int_equal(word, 0);
    assert_true(kiln_dynobj_read_word(&read, sizeof dso - 8, &word));
    assert_false(kiln_dynobj_read_word(&read, sizeof dso - 7, &word));
    assert_false(kiln_dynobj_read_word(&read, UINT64_MAX - 3, &word));
    assert_false(kiln_dynobj_slice(&read, UINT64_MAX, 2, &bytes));
    assert_false(kiln_dynobj_slice(&read, 0, UINT64_MAX, &bytes));
    /* Not from one segment into the next, though nothing is between them; each address is in one. */
    assert_false(kiln_dynobj_slice(&read, TEST_DSO_AT(dynamic) - 4, 8, &bytes));
    assert_ptr_equal(kiln_dynobj_find_segment(&read, TEST_DSO_AT(dynamic), 0), &read.loads[1]);
    assert_null(kiln_dynobj_find_segment(&read, sizeof dso, 0));
}

static void
test_an_object_cut_short_anywhere_is_no_crash(void **state)
{
    (void)state;
    test_dso_add_function(&dso, "first");
    for (size_t len = 0; len < TEST_DSO_FILE_SIZE; len++) {
        uint8_t *copy = malloc(len == 0 ? 1 : len); /* of its exact size, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, &dso, len);
        assert_non_null(kiln_dynobj_read(&ctx, kiln_span_of(copy, len), "test.so", &read));
        free(copy);
    }
}

static void
test_an_object_need_not_be_aligned(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    uint8_t *copy = malloc(sizeof dso + 1);
    assert_non_null(copy);
    test_dso_add_function(&dso, "first");
    memcpy(copy + 1, &dso, sizeof dso);
    assert_null(
        kiln_dynobj_read(&ctx, kiln_span_of(copy + 1, TEST_DSO_FILE_SIZE), "test.so", &read));
    assert_true(find("first", NULL, &symbol));
    free(copy);
}

/* -- Refusals -- */

static void
test_what_is_no_shared_object_is_refused(void **state)
{
    (void)state;
    struct kiln_span nothing = kiln_span_of("", 0);
    assert_string_equal(kiln_dynobj_read(&ctx, nothing, "test.so", &read), "it is empty");
    dso.header.e_ident[1] = 'e';
    assert_refused("it is not an ELF file");
    dso.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_refused("it is a 32-bit file");
    dso.header.e_machine = EM_386;
    assert_refused("it is made for the machine i386");
    dso.header.e_type = ET_REL;
    assert_refused("it is not a shared object");
    dso.header.e_phentsize = 32;
    assert_refused("its program headers are damaged");
    dso.header.e_phnum = 257;
    assert_refused("its program headers are damaged");
    dso.header.e_phoff = UINT64_MAX - 60;
    assert_refused("it is cut short");
}

static void
test_damaged_segments_are_refused(void **state)
{
    (void)state;
    dso.phdrs[0].p_type = dso.phdrs[1].p_type = PT_NULL;
    assert_refused("it has no segments");
    dso.phdrs[1].p_vaddr = UINT64_MAX - 100; /* wraps around */
    assert_refused("its segments are damaged, or larger than 2 GB");
    dso.phdrs[1].p_memsz = UINT64_C(1) << 31;
    assert_refused("its segments are damaged, or larger than 2 GB");
    dso.phdrs[1].p_filesz = dso.phdrs[1].p_memsz + 1;
    assert_refused("its segments are damaged, or larger than 2 GB");
    dso.phdrs[1].p_offset++;
    assert_refused("it is cut short");
    dso.phdrs[1].p_vaddr--;
    assert_refused("its segments overlap");
    dso.phdrs[2].p_type = PT_NULL;
    assert_refused("it has no dynamic section");
    dso.phdrs[2].p_filesz = sizeof dso;
    assert_refused("it has no dynamic section");
}

static void
test_a_damaged_dynamic_section_is_refused(void **state)
{
    (void)state;
    test_dso_find_tag(&dso, DT_STRSZ)->d_un.d_val = UINT64_MAX;
    assert_refused("its dynamic section is damaged");
    test_dso_find_tag(&dso, DT_SYMTAB)->d_un.d_ptr = sizeof dso;
    assert_refused("its dynamic section is damaged");
    test_dso_add_tag(&dso, DT_NEEDED, sizeof dso.strings);
    assert_refused("the name of a library that it needs is damaged");
    test_dso_add_tag(&dso, DT_NEEDED, 0); /* an empty one */
    assert_refused("the name of a library that it needs is damaged");
    test_dso_find_tag(&dso, DT_HASH)->d_un.d_ptr = sizeof dso;
    assert_refused("its hash table is damaged");
    dso.hash[1] = UINT32_MAX;
    assert_refused("its symbol table is cut short");
    test_dso_use_gnu_hash(&dso, 1);
    dso.gnu_hash[0] = UINT32_MAX;
    assert_refused("its hash table is damaged");
    test_dso_add_function(&dso, "first");
    test_dso_use_gnu_hash(&dso, 1);
    dso.gnu_hash[1] = 2; /* a bucket before the first symbol */
    assert_refused("its hash table is damaged");
    test_dso_add_function(&dso, "first");
    test_dso_use_gnu_hash(&dso, 1);
    memset(dso.gnu_hash + 7, 0, TEST_DSO_AT(dynamic) - offsetof(struct test_dso, gnu_hash) - 28);
    assert_refused("its hash table is damaged"); /* a chain without end */
    test_dso_find_tag(&dso, DT_VERSYM)->d_un.d_ptr = sizeof dso;
    assert_refused("its symbol versions are damaged");
    test_dso_define_version(&dso, "V1", 2);
    dso.verdefs[0].aux.vda_name = sizeof dso.strings;
    assert_refused("its symbol versions are damaged");
    test_dso_want_version(&dso, "V1", 2);
    dso.verneeds[0].need.vn_aux = UINT32_MAX;
    assert_refused("its symbol versions are damaged");
}

static void
test_tags_that_ask_for_more_than_loading_are_told(void **state)
{
    (void)state;
    static const struct {
        int64_t tag;
        const char *name;
    } tags[] = {{DT_REL, "DT_REL"},       {DT_PREINIT_ARRAY, "DT_PREINIT_ARRAY"},
                {DT_FILTER, "DT_FILTER"}, {DT_AUXILIARY, "DT_AUXILIARY"},
                {DT_AUDIT, "DT_AUDIT"},   {DT_DEPAUDIT, "DT_DEPAUDIT"}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        set_up(NULL);
        test_dso_add_tag(&dso, tags[i].tag, 0);
        assert_read();
        assert_string_equal(read.unsupported, tags[i].name);
    }
}

static void
test_a_stack_is_executable_unless_the_file_says_otherwise(void **state)
{
    (void)state;
    dso.phdrs[3].p_flags = PF_R | PF_W | PF_X;
    assert_read();
    assert_true(read.wants_executable_stack);
    dso.phdrs[3].p_type = PT_NULL;
    assert_read();
    assert_true(read.wants_executable_stack);
}

/* A large object in memory: COUNT symbols, all in one segment with a string table of STRINGS_LEN bytes,
 * in which they have the names at NAME_AT(i). */
struct large {
    struct test_dso dso;
    uint32_t hash[2];
    Elf64_Sym symbols[1 << 17];
    char strings[1 << 20];
};

static struct large *
make_large(void)
{
    struct large *large = aligned_alloc(_Alignof(struct large), sizeof *large);
    assert_non_null(large);
    memset(large, 0, sizeof *large);
    test_dso_init(&large->dso, NULL);
    large->hash[1] = 1 << 17;
    large->dso.phdrs[1].p_filesz = large->dso.phdrs[1].p_memsz =
        sizeof *large - TEST_DSO_AT(dynamic);
    test_dso_find_tag(&large->dso, DT_HASH)->d_un.d_ptr = offsetof(struct large, hash);
    test_dso_find_tag(&large->dso, DT_SYMTAB)->d_un.d_ptr = offsetof(struct large, symbols);
    test_dso_find_tag(&large->dso, DT_STRTAB)->d_un.d_ptr = offsetof(struct large, strings);
    test_dso_find_tag(&large->dso, DT_STRSZ)->d_un.d_val = sizeof large->strings;
    test_dso_find_tag(&large->dso, DT_VERSYM)->d_un.d_ptr = 0;
    for (size_t i = 0; i < 1 << 17; i++) {
        large->symbols[i] = (Elf64_Sym){
            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1, .st_value = 1};
    }
    return large;
}

/* Both would make work that grows with the square of the file's size. */
static void
test_symbols_of_one_name_or_of_endless_names_are_refused(void **state)
{
    (void)state;
    struct large *large = make_large();
    struct kiln_span bytes = kiln_span_of(large, sizeof *large);
    for (size_t i = 0; i < 1 << 17; i++) {
        large->symbols[i].st_name = 1;
    }
    memcpy(large->strings + 1, "same", 5);
    assert_string_equal(kiln_dynobj_read(&ctx, bytes, "test.so", &read),
                        "too many of its symbols have one name");
    memset(large->strings, 'x', 100000);
    for (size_t i = 0; i < 1 << 17; i++) {
        large->symbols[i].st_name = i < 100000 ? (uint32_t)i : 0;
    }
    assert_string_equal(kiln_dynobj_read(&ctx, bytes, "test.so", &read),
                        "too many of its symbols have one name");
    /* Names that are longer than any compiler's are none. */
    memset(large->strings, 'x', sizeof large->strings - 1);
    for (size_t i = 0; i < 1 << 17; i++) {
        large->symbols[i].st_name = 1;
    }
    assert_null(kiln_dynobj_read(&ctx, bytes, "test.so", &read));
    struct kiln_dynobj_symbol symbol;
    assert_false(kiln_dynobj_get_symbol(&read, 5, &symbol));
    free(large);
}

/* -- Binding -- */

static void
test_symbols_that_nothing_can_refer_to_are_not_found(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    uint64_t at = TEST_DSO_AT(data);
    test_dso_add_symbol(&dso, "local", STB_LOCAL, STT_OBJECT, 1, at);
    uint32_t hidden = test_dso_add_symbol(&dso, "hidden", STB_GLOBAL, STT_OBJECT, 1, at);
    uint32_t internal = test_dso_add_symbol(&dso, "internal", STB_GLOBAL, STT_OBJECT, 1, at);
    uint32_t protected = test_dso_add_symbol(&dso, "protected", STB_GLOBAL, STT_OBJECT, 1, at);
    dso.symbols[hidden].st_other = STV_HIDDEN;
    dso.symbols[internal].st_other = STV_INTERNAL;
    dso.symbols[protected].st_other = STV_PROTECTED;
    test_dso_add_symbol(&dso, "nowhere", STB_GLOBAL, STT_OBJECT, 1, 0);
    test_dso_add_symbol(&dso, "absolute", STB_GLOBAL, STT_OBJECT, SHN_ABS, 0);
    test_dso_add_symbol(&dso, "thread", STB_GLOBAL, STT_TLS, 1, 0);
    test_dso_add_symbol(&dso, "thread_outside", STB_GLOBAL, STT_TLS, SHN_UNDEF, 0);
    test_dso_add_symbol(&dso, "outside", STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0);
    test_dso_add_symbol(&dso, "plt", STB_GLOBAL, STT_FUNC, SHN_UNDEF, TEST_DSO_AT(code));
    test_dso_add_symbol(&dso, "section", STB_GLOBAL, STT_SECTION, 1, at);
    test_dso_add_symbol(&dso, "file", STB_GLOBAL, STT_FILE, 1, at);
    test_dso_add_symbol(&dso, "unknown", STB_GLOBAL, 8, 1, at);
    test_dso_add_symbol(&dso, "only", STB_GNU_UNIQUE, STT_OBJECT, 1, at);
    test_dso_add_symbol(&dso, "ifunc", STB_GLOBAL, STT_GNU_IFUNC, 1, at);
    assert_read();
    static const char *const found[] = {"protected", "absolute", "thread", "plt", "only", "ifunc"};
    static const char *const missing[] = {"local",          "hidden",  "internal", "nowhere",
                                          "thread_outside", "outside", "section",  "file",
                                          "unknown",        ""};
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        assert_true(find(found[i], NULL, &symbol));
        assert_string_equal(symbol.name, found[i]);
    }
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        assert_false(find(missing[i], NULL, &symbol));
    }
    /* A canonical PLT entry is a function's address, and not what a call leads to. */
    const struct kiln_dynobj_wanted call = {.name = "plt", .is_call = true};
    assert_false(kiln_dynobj_find(&read, &call, &symbol));
}

/* f@V1 (hidden), f@@V2, g@@V2, h without a version, all of an object that defines both. */
static void
make_versions(void)
{
    test_dso_define_version(&dso, "V1", 2);
    test_dso_define_version(&dso, "V2", 3);
    dso.versym[test_dso_add_function(&dso, "f")] = 2 | 0x8000;
    dso.versym[test_dso_add_function(&dso, "f")] = 3;
    dso.versym[test_dso_add_function(&dso, "g")] = 3;
    test_dso_add_function(&dso, "h");
    assert_read();
}

static void
assert_found(const char *name, const char *version, uint32_t index)
{
    struct kiln_dynobj_symbol symbol;
    if (!find(name, version, &symbol) || symbol.index != index) {
        fail_msg("%s@%s", name, version == NULL ? "" : version);
    }
}

static void
test_a_version_finds_the_symbol_that_has_it(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    make_versions();
    assert_found("f", "V1", 1);
    assert_found("f", "V2", 2);
    assert_found("g", "V2", 3);
    assert_false(find("g", "V1", &symbol));
    assert_false(find("f", "V3", &symbol));
    assert_found("h", "V1", 4); /* it has none, and answers all */
    const struct kiln_dynobj_wanted hidden = {
        .name = "h", .version = "V1", .is_version_hidden = true};
    assert_false(kiln_dynobj_find(&read, &hidden, &symbol));
}

static void
test_without_a_version_the_oldest_or_the_only_default_is_found(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    make_versions();
    assert_found("f", NULL, 1); /* what was there before versions were */
    assert_found("g", NULL, 3);
    assert_found("h", NULL, 4);
    set_up(NULL);
    test_dso_define_version(&dso, "V2", 3);
    test_dso_define_version(&dso, "V3", 4);
    dso.versym[test_dso_add_function(&dso, "hidden")] = 3 | 0x8000;
    dso.versym[test_dso_add_function(&dso, "twice")] = 3;
    dso.versym[test_dso_add_function(&dso, "twice")] = 4;
    assert_read();
    assert_false(find("hidden", NULL, &symbol));
    assert_false(find("twice", NULL, &symbol));
}

static void
test_an_object_without_versions_answers_all(void **state)
{
    (void)state;
    test_dso_add_function(&dso, "f");
    test_dso_find_tag(&dso, DT_VERSYM)->d_un.d_ptr = 0;
    assert_read();
    assert_found("f", "V1", 1);
    assert_found("f", NULL, 1);
}

static void
test_a_reference_has_the_version_that_is_wanted(void **state)
{
    (void)state;
    struct kiln_dynobj_symbol symbol;
    test_dso_want_version(&dso, "GLIBC_2.2.5", 2);
    test_dso_want_version(&dso, "GLIBC_2.3", 3 | 0x8000);
    dso.versym[test_dso_add_symbol(&dso, "a", STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0)] = 2;
    dso.versym[test_dso_add_symbol(&dso, "b", STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0)] = 3;
    dso.versym[test_dso_add_symbol(&dso, "c", STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0)] = 0x7fff;
    assert_read();
    assert_true(kiln_dynobj_get_symbol(&read, 1, &symbol));
    assert_string_equal(symbol.version->name, "GLIBC_2.2.5");
    assert_false(symbol.version->is_hidden);
    assert_true(kiln_dynobj_get_symbol(&read, 2, &symbol));
    assert_true(symbol.version->is_hidden);
    assert_true(kiln_dynobj_get_symbol(&read, 3, &symbol));
    assert_null(symbol.version);
    assert_false(kiln_dynobj_get_symbol(&read, UINT64_MAX, &symbol));
}

/* -- The dynamic loader's own answers -- */

/* The path and the load address of the library NAME of this process. */
static void *
open_library(const char *name, char path[4096], uintptr_t *base)
{
    Dl_info info;
    void *handle = dlopen(name, RTLD_LAZY);
    if (handle != NULL) {
        struct link_map_head {
            uintptr_t address;
            char *name;
            Elf64_Dyn *dynamic;
        } *map = handle; /* <link.h>: a handle is a struct link_map */
        assert_true(dladdr(map->dynamic, &info) != 0);
        snprintf(path, 4096, "%s", map->name);
        *base = map->address;
    }
    return handle;
}

static bool
is_comparable(const struct kiln_dynobj_symbol *symbol)
{
    unsigned type = kiln_dynobj_get_type(symbol);
    return symbol->sym.st_shndx != SHN_UNDEF && *symbol->name != '\0' &&
           (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE) &&
           symbol->sym.st_shndx != SHN_ABS;
}

/* Each symbol of the library, by its version, against dlvsym(): the same address or none from both. The
 * sanitizers' own functions come before the library's; dlvsym() of a handle does not see them. */
static size_t
compare_library(const char *name)
{
    char path[4096];
    uintptr_t base;
    struct kiln_file file;
    size_t count = 0;
    void *handle = open_library(name, path, &base);
    if (handle == NULL) {
        return 0;
    }
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    assert_null(kiln_dynobj_read(&ctx, file.bytes, path, &read));
    for (size_t i = 1; i < read.symbol_count; i++) {
        struct kiln_dynobj_symbol symbol, found;
        if (!kiln_dynobj_get_symbol(&read, i, &symbol) || !is_comparable(&symbol)) {
            continue;
        }
        const struct kiln_dynobj_wanted wanted = {
            .name = symbol.name,
            .version = symbol.version == NULL ? NULL : symbol.version->name,
            .is_version_hidden = true}; /* as dlvsym() asks */
        if (wanted.version == NULL) {
            continue;
        }
        const char *expected = dlvsym(handle, symbol.name, wanted.version);
        bool is_found = kiln_dynobj_find(&read, &wanted, &found);
        if (expected == NULL) {
            assert_false(is_found);
        }
        else if (!is_found || (const char *)base + found.sym.st_value != expected) {
            fail_msg("%s: %s@%s", name, symbol.name, wanted.version);
        }
        count++;
    }
    kiln_file_release(&file);
    return count;
}

static void
test_versions_are_found_as_dlvsym_finds_them(void **state)
{
    (void)state;
    assert_true(compare_library("libc.so.6") > 2000);
    assert_true(compare_library("libm.so.6") > 500);
    assert_true(compare_library("libstdc++.so.6") > 1000);
    compare_library("libgcc_s.so.1");
    compare_library("libcrypto.so.3");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_sound_object_has_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_gnu_hash_table_tells_how_many_symbols_there_are,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_addresses_lead_to_bytes_of_the_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_object_cut_short_anywhere_is_no_crash, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_object_need_not_be_aligned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_shared_object_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_segments_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_dynamic_section_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_tags_that_ask_for_more_than_loading_are_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stack_is_executable_unless_the_file_says_otherwise,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_symbols_of_one_name_or_of_endless_names_are_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_symbols_that_nothing_can_refer_to_are_not_found,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_version_finds_the_symbol_that_has_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_without_a_version_the_oldest_or_the_only_default_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_object_without_versions_answers_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_reference_has_the_version_that_is_wanted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_versions_are_found_as_dlvsym_finds_them, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
