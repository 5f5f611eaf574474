/* Reading ELF files, telling what an input is, and visiting archives: what they answer for a sound
 * file, and the error for each way in which a file can be unsound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "elf/elf.h"
#include "elf/ar.h"
#include "object.h"

static char said[1000];

static void
remember(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx, (void)severity;
    snprintf(said, sizeof said, "%s", text);
}

static void
assert_fails(struct kiln_span bytes, int err, const char *text)
{
    struct kiln_ctx ctx = {.say = remember};
    struct kiln_elf elf;
    said[0] = '\0';
    assert_int_equal(kiln_elf_init(&ctx, bytes, "bad.o", &elf), err);
    if (strstr(said, text) == NULL || strncmp(said, "bad.o: ", 7) != 0) {
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    }
    kiln_ctx_release(&ctx);
}

static void
assert_damaged(const struct test_object *object, const char *text)
{
    assert_fails(test_object_bytes(object), KILN_ERR_FORMAT, text);
}

static void
test_sections_and_symbols_are_read(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    assert_int_equal(kiln_elf_init(&ctx, test_object_bytes(&object), "good.o", &elf), 0);
    assert_int_equal(elf.section_count, TEST_SECTIONS);
    assert_string_equal(kiln_elf_get_section_name(&elf, TEST_DATA), ".data");
    assert_int_equal(kiln_elf_get_contents(&elf, TEST_TEXT).len, sizeof object.text);
    assert_int_equal(kiln_elf_find_section(&elf, ".rela.text"), TEST_RELA);
    assert_int_equal(kiln_elf_find_section(&elf, ".nothing"), 0);
    assert_int_equal(kiln_elf_find_type(&elf, SHT_SYMTAB), TEST_SYMTAB);
    assert_int_equal(kiln_elf_count_symbols(&elf, TEST_SYMTAB), TEST_SYMBOLS);
    struct kiln_elf_symbol symbol;
    kiln_elf_get_symbol(&elf, TEST_SYMTAB, 3, &symbol);
    assert_string_equal(symbol.name, "shared");
    assert_int_equal(symbol.section, TEST_DATA);
    assert_true(kiln_elf_is_defined(&symbol));
    kiln_elf_get_symbol(&elf, TEST_SYMTAB, 4, &symbol);
    assert_false(kiln_elf_is_defined(&symbol));
    Elf64_Rela rela;
    assert_int_equal(kiln_elf_count_relocations(&elf, TEST_RELA), 1);
    kiln_elf_get_relocation(&elf, TEST_RELA, 0, &rela);
    assert_int_equal(ELF64_R_SYM(rela.r_info), 4);
    kiln_elf_release(&elf);
    kiln_ctx_release(&ctx);
}

static void
test_a_file_need_not_be_aligned(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    for (size_t shift = 0; shift < 8; shift++) {
        uint8_t *copy = malloc(sizeof object + shift);
        assert_non_null(copy);
        memcpy(copy + shift, &object, sizeof object);
        struct kiln_ctx ctx = {0};
        struct kiln_elf elf;
        struct kiln_elf_symbol symbol;
        assert_int_equal(
            kiln_elf_init(&ctx, kiln_span_of(copy + shift, sizeof object), "good.o", &elf), 0);
        kiln_elf_get_symbol(&elf, TEST_SYMTAB, 2, &symbol);
        assert_string_equal(symbol.name, "PyInit_m");
        kiln_ctx_release(&ctx);
        free(copy);
    }
}

static void
test_a_file_cut_short_anywhere_is_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    for (size_t len = 0; len < sizeof object; len++) {
        uint8_t *copy = malloc(len == 0 ? 1 : len); /* of its exact size, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, &object, len);
        struct kiln_ctx ctx = {0};
        struct kiln_elf elf;
        assert_true(kiln_elf_init(&ctx, kiln_span_of(copy, len), "bad.o", &elf) < 0);
        kiln_ctx_release(&ctx);
        free(copy);
    }
}

static void
test_another_machine_or_class_is_named(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.header.e_machine = EM_386;
    assert_fails(test_object_bytes(&object), KILN_ERR_INPUT, "i386");
    object.header.e_machine = EM_RISCV;
    assert_fails(test_object_bytes(&object), KILN_ERR_INPUT, "riscv");
    object.header.e_machine = 4711;
    assert_fails(test_object_bytes(&object), KILN_ERR_INPUT, "4711");
    object = test_make_object();
    object.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_fails(test_object_bytes(&object), KILN_ERR_INPUT, "32-bit");
    object = test_make_object();
    object.header.e_ident[EI_DATA] = ELFDATA2MSB;
    assert_fails(test_object_bytes(&object), KILN_ERR_INPUT, "big-endian");
}

static void
test_a_wrong_header_is_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.header.e_version = 2;
    assert_damaged(&object, "contradicts itself");
    object = test_make_object();
    object.header.e_shoff = UINT64_MAX - 10;
    assert_damaged(&object, "no section headers");
    object = test_make_object();
    object.sections[0].sh_name = 64;
    assert_damaged(&object, "no section headers");
    object = test_make_object();
    object.sections[0].sh_type = SHT_PROGBITS;
    assert_damaged(&object, "no section headers");
    object = test_make_object();
    object.header.e_shnum = 60000;
    assert_damaged(&object, "60000 section headers");
    object = test_make_object();
    object.header.e_shstrndx = TEST_SECTIONS;
    assert_damaged(&object, "section names");
    object = test_make_object();
    object.header.e_shstrndx = TEST_TEXT;
    assert_damaged(&object, "not a table of section names");
    object = test_make_object();
    object.names[63] = 'x';
    assert_damaged(&object, "not a table of section names");
}

static void
test_a_wrong_section_is_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.sections[TEST_DATA].sh_name = 64;
    assert_damaged(&object, "its name is outside");
    object = test_make_object();
    object.sections[TEST_DATA].sh_size = UINT64_MAX;
    assert_damaged(&object, "(.data): it lies outside the file");
    object = test_make_object();
    object.sections[TEST_DATA].sh_link = TEST_SECTIONS;
    assert_damaged(&object, "linked to a section that does not exist");
    object = test_make_object();
    object.sections[TEST_DATA].sh_addralign = 12;
    assert_damaged(&object, "alignment");
    object = test_make_object();
    object.sections[TEST_DATA].sh_offset = 0;
    object.sections[TEST_DATA].sh_size = sizeof object;
    assert_damaged(&object, "larger than the file");
}

static void
test_wrong_symbols_are_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.sections[TEST_SYMTAB].sh_entsize = 16;
    assert_damaged(&object, "size of its entries");
    object = test_make_object();
    object.sections[TEST_SYMTAB].sh_link = TEST_TEXT;
    assert_damaged(&object, "not a string table");
    object = test_make_object();
    object.strings[63] = 'x';
    assert_damaged(&object, "not a string table");
    object = test_make_object();
    object.symbols[2].st_name = 64;
    assert_damaged(&object, "symbol 2 has a name outside");
    object = test_make_object();
    object.symbols[2].st_shndx = TEST_SECTIONS;
    assert_damaged(&object, "symbol 2 (PyInit_m) is in a section that does not exist");
    object = test_make_object();
    object.symbols[2].st_shndx = SHN_XINDEX;
    assert_damaged(&object, "symbol 2 (PyInit_m) is in a section that does not exist");
    object = test_make_object();
    object.sections[TEST_DATA].sh_type = SHT_DYNSYM;
    object.sections[TEST_DATA].sh_entsize = sizeof(Elf64_Sym);
    assert_damaged(&object, "size of its entries");
    object = test_make_object();
    object.sections[TEST_RELA].sh_type = SHT_SYMTAB;
    object.sections[TEST_RELA].sh_link = TEST_STRTAB;
    object.rela[0] = (Elf64_Rela){0};
    assert_damaged(&object, "second symbol table");
}

static void
test_wrong_relocations_are_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.rela[0].r_info = ELF64_R_INFO(TEST_SYMBOLS, 1);
    assert_damaged(&object, "relocation 0 is to a symbol that does not exist");
    object = test_make_object();
    object.sections[TEST_RELA].sh_info = TEST_SECTIONS;
    assert_damaged(&object, "relocations without");
    object.sections[TEST_RELA].sh_size = 0;
    assert_damaged(&object, "relocations without");
    object = test_make_object();
    object.sections[TEST_RELA].sh_link = TEST_STRTAB;
    assert_damaged(&object, "relocations without");
}

static void
test_a_wrong_group_is_an_error(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    uint32_t words[2] = {GRP_COMDAT, TEST_TEXT};
    memcpy(object.data, words, sizeof words);
    object.sections[TEST_DATA].sh_type = SHT_GROUP;
    object.sections[TEST_DATA].sh_entsize = 4;
    object.sections[TEST_DATA].sh_link = TEST_SYMTAB;
    object.sections[TEST_DATA].sh_info = 2;
    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    assert_int_equal(kiln_elf_init(&ctx, test_object_bytes(&object), "good.o", &elf), 0);
    kiln_ctx_release(&ctx);

    object.sections[TEST_DATA].sh_info = TEST_SYMBOLS;
    assert_damaged(&object, "group without a signature");
    object.sections[TEST_DATA].sh_info = 2;
    object.data[4] = TEST_SECTIONS;
    assert_damaged(&object, "member that does not exist");
}

static void
test_extended_section_indexes_are_followed(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    struct {
        struct test_object object;
        uint32_t xindex[TEST_SYMBOLS];
    } file = {.object = object};
    /* .text becomes the table of section indexes, for want of a free header. */
    Elf64_Shdr *shdr = &file.object.sections[TEST_TEXT];
    shdr->sh_type = SHT_SYMTAB_SHNDX;
    shdr->sh_offset = offsetof(__typeof__(file), xindex);
    shdr->sh_size = sizeof file.xindex;
    shdr->sh_entsize = 4;
    shdr->sh_link = TEST_SYMTAB;
    file.object.symbols[3].st_shndx = SHN_XINDEX;
    file.xindex[3] = TEST_DATA;

    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    struct kiln_elf_symbol symbol;
    assert_int_equal(kiln_elf_init(&ctx, kiln_span_of(&file, sizeof file), "good.o", &elf), 0);
    kiln_elf_get_symbol(&elf, TEST_SYMTAB, 3, &symbol);
    assert_int_equal(symbol.section, TEST_DATA);
    kiln_ctx_release(&ctx);

    file.xindex[3] = TEST_SECTIONS;
    assert_fails(kiln_span_of(&file, sizeof file), KILN_ERR_FORMAT, "symbol 3 (shared)");
    file.xindex[3] = TEST_DATA;
    shdr->sh_size = 16;
    assert_fails(kiln_span_of(&file, sizeof file), KILN_ERR_FORMAT, "section indexes");
}

static void
test_a_shared_object_may_have_careless_symbols(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    object.header.e_type = ET_DYN;
    object.symbols[2].st_shndx = TEST_SECTIONS;
    struct kiln_ctx ctx = {0};
    struct kiln_elf elf;
    struct kiln_elf_symbol symbol;
    assert_int_equal(kiln_elf_init(&ctx, test_object_bytes(&object), "good.so", &elf), 0);
    kiln_elf_get_symbol(&elf, TEST_SYMTAB, 2, &symbol);
    assert_int_equal(symbol.section, 0);
    assert_true(kiln_elf_is_defined(&symbol));
    kiln_ctx_release(&ctx);
}

static void
test_inputs_are_told_apart(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    struct kiln_span bytes = test_object_bytes(&object);
    assert_int_equal(kiln_elf_classify(bytes), KILN_OBJECT_RELOCATABLE);
    object.header.e_type = ET_DYN;
    assert_int_equal(kiln_elf_classify(bytes), KILN_OBJECT_SHARED);
    object.header.e_type = ET_EXEC;
    assert_int_equal(kiln_elf_classify(bytes), KILN_OBJECT_OTHER);
    assert_int_equal(kiln_elf_classify(kiln_span_of_string("!<arch>\n")), KILN_OBJECT_ARCHIVE);
    assert_int_equal(kiln_elf_classify(kiln_span_of_string("!<thin>\n")), KILN_OBJECT_ARCHIVE);
    assert_int_equal(kiln_elf_classify(kiln_span_of_string("BC\xc0\xde....")),
                     KILN_OBJECT_LLVM_BITCODE);
    assert_int_equal(kiln_elf_classify(kiln_span_of_string("INPUT(x.o)")), KILN_OBJECT_OTHER);
    assert_int_equal(kiln_elf_classify(kiln_span_of("\x7f"
                                                    "ELF",
                                                    4)),
                     KILN_OBJECT_RELOCATABLE);
    assert_int_equal(kiln_elf_classify(kiln_span_of("", 0)), KILN_OBJECT_OTHER);
}

static void
test_slim_and_fat_lto_objects_are_told_apart(void **state)
{
    (void)state;
    struct test_object object = test_make_object();
    memset(object.names, 0, sizeof object.names);
    object.sections[TEST_DATA].sh_name = test_add_string(object.names, ".gnu.lto_.lto.1a2b");
    for (size_t i = 1; i < TEST_SECTIONS; i++) {
        object.sections[i].sh_name = i == TEST_DATA ? object.sections[i].sh_name : 0;
    }
    assert_int_equal(kiln_elf_classify(test_object_bytes(&object)), KILN_OBJECT_RELOCATABLE);
    object.data[4] = 1;
    assert_int_equal(kiln_elf_classify(test_object_bytes(&object)), KILN_OBJECT_GCC_LTO);
}

static int
list_member(void *arg, const char *member, struct kiln_span contents)
{
    char *list = arg;
    size_t len = strlen(list);
    snprintf(list + len, 200 - len, "%s=%.*s;", member, (int)contents.len,
             (const char *)contents.ptr);
    return 0;
}

#define HEADER(name, size) name "0           0     0     644     " size "`\n"

static int
visit(const char *text, char list[200])
{
    struct kiln_ctx ctx = {.say = remember};
    list[0] = said[0] = '\0';
    int result = kiln_ar_visit(&ctx, kiln_span_of_string(text), "l.a", list_member, list);
    kiln_ctx_release(&ctx);
    return result;
}

static void
test_members_are_visited_with_their_names(void **state)
{
    (void)state;
    char list[200];
    const char *text = "!<arch>\n" HEADER("/               ", "4         ") "idx." HEADER(
        "//              ",
        "22 "
        "   "
        "   "
        " ") "a_very_long_name.o/\n\n\n" HEADER("short.o/        ",
                                                "3         ") "abc\n" HEADER("/0              ",
                                                                             "2         ") "d"
                                                                                           "e" HEADER(
                                                                                               "#1/"
                                                                                               "8  "
                                                                                               "   "
                                                                                               "   "
                                                                                               "   "
                                                                                               " ",
                                                                                               "10 "
                                                                                               "   "
                                                                                               "   "
                                                                                               " ") "bsd.o\0\0\0"
                                                                                                    "fg";
    /* The text has NUL bytes, so its length is not strlen()'s. */
    size_t len = 8 + 5 * 60 + 4 + 22 + 4 + 2 + 10;
    struct kiln_ctx ctx = {.say = remember};
    list[0] = '\0';
    assert_int_equal(kiln_ar_visit(&ctx, kiln_span_of(text, len), "l.a", list_member, list), 0);
    assert_string_equal(list, "short.o=abc;a_very_long_name.o=de;bsd.o=fg;");
    kiln_ctx_release(&ctx);
}

static void
test_a_damaged_archive_is_an_error(void **state)
{
    (void)state;
    char list[200];
    assert_int_equal(visit("!<arch>\n" HEADER("a.o/            ", "9         ") "abc", list),
                     KILN_ERR_FORMAT);
    assert_non_null(strstr(said, "l.a: damaged archive: the file ends inside a member"));
    assert_int_equal(visit("!<arch>\n" HEADER("a.o/            ", "x         "), list),
                     KILN_ERR_FORMAT);
    assert_int_equal(visit("!<arch>\nabc", list), KILN_ERR_FORMAT);
    assert_int_equal(visit("!<arch>\n" HEADER("/99             ", "0         "), list),
                     KILN_ERR_FORMAT);
    assert_int_equal(visit("!<arch>\n" HEADER("#1/9            ", "1         ") "a", list),
                     KILN_ERR_FORMAT);
    assert_int_equal(visit("!<thin>\n", list), KILN_ERR_INPUT);
    assert_int_equal(visit("text", list), KILN_ERR_FORMAT);
    assert_int_equal(visit("!<arch>\n", list), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_and_symbols_are_read),
        cmocka_unit_test(test_a_file_need_not_be_aligned),
        cmocka_unit_test(test_a_file_cut_short_anywhere_is_an_error),
        cmocka_unit_test(test_another_machine_or_class_is_named),
        cmocka_unit_test(test_a_wrong_header_is_an_error),
        cmocka_unit_test(test_a_wrong_section_is_an_error),
        cmocka_unit_test(test_wrong_symbols_are_an_error),
        cmocka_unit_test(test_wrong_relocations_are_an_error),
        cmocka_unit_test(test_a_wrong_group_is_an_error),
        cmocka_unit_test(test_extended_section_indexes_are_followed),
        cmocka_unit_test(test_a_shared_object_may_have_careless_symbols),
        cmocka_unit_test(test_inputs_are_told_apart),
        cmocka_unit_test(test_slim_and_fat_lto_objects_are_told_apart),
        cmocka_unit_test(test_members_are_visited_with_their_names),
        cmocka_unit_test(test_a_damaged_archive_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
