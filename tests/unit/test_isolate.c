/* Isolating combined objects (those of the fuzz corpus, each the combination of one small file):
 * the names that come out, what is found, and the error for an object that cannot be isolated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "elf/elf.h"
#include "isolate/isolate.h"

static char said[2000];

static void
remember(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx, (void)severity;
    snprintf(said, sizeof said, "%s", text);
}

struct fixture {
    struct kiln_ctx ctx;
    const char *path;
    struct kiln_isolated isolated;
    struct kiln_file file; /* the result */
    struct kiln_elf elf;
};

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->ctx.say = remember;
    said[0] = '\0';
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    kiln_file_release(&fixture->file);
    kiln_ctx_release(&fixture->ctx);
    free(fixture);
    return 0;
}

/* A copy of the corpus' object NAME that may be edited. */
static void
copy_object(struct fixture *fixture, const char *name)
{
    struct kiln_arena *arena = &fixture->ctx.arena;
    const char *from = kiln_arena_printf(arena, "tests/fuzz/corpus/isolate/%s", name);
    fixture->path = kiln_arena_printf(arena, "%s/m.o", kiln_ctx_get_tmpdir(&fixture->ctx));
    assert_int_equal(kiln_file_copy(&fixture->ctx, from, fixture->path), 0);
}

static void
open_result(struct fixture *fixture)
{
    kiln_file_release(&fixture->file);
    assert_int_equal(kiln_file_map(&fixture->ctx, fixture->path, &fixture->file), 0);
    assert_int_equal(
        kiln_elf_init(&fixture->ctx, fixture->file.bytes, fixture->path, &fixture->elf), 0);
}

static void
isolate(struct fixture *fixture, const char *object, const char *name, const char *init)
{
    copy_object(fixture, object);
    const struct kiln_isolation as = {.name = name, .init = init};
    int result = kiln_isolate_file(&fixture->ctx, fixture->path, &as, &fixture->isolated);
    if (result != 0) {
        fail_msg("%s", said);
    }
    open_result(fixture);
}

static bool
find_symbol(const struct fixture *fixture, const char *name, struct kiln_elf_symbol *out)
{
    size_t table = kiln_elf_find_type(&fixture->elf, SHT_SYMTAB);
    for (size_t i = 1; i < kiln_elf_count_symbols(&fixture->elf, table); i++) {
        kiln_elf_get_symbol(&fixture->elf, table, i, out);
        if (strcmp(out->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void
assert_defined(const struct fixture *fixture, const char *name, bool defined)
{
    struct kiln_elf_symbol symbol;
    if (!find_symbol(fixture, name, &symbol)) {
        fail_msg("no symbol %s", name);
    }
    assert_int_equal(kiln_elf_is_defined(&symbol), defined);
}

static bool
is_undefined(const struct fixture *fixture, const char *name)
{
    for (size_t i = 0; i < fixture->isolated.undefined.count; i++) {
        if (strcmp(fixture->isolated.undefined.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Change bytes of the copy: the header of the section called NAME. */
static void
damage_section(struct fixture *fixture, const char *name, void (*damage)(Elf64_Shdr *shdr))
{
    open_result(fixture);
    size_t index = kiln_elf_find_section(&fixture->elf, name);
    assert_true(index != 0);
    Elf64_Shdr shdr;
    kiln_elf_get_section(&fixture->elf, index, &shdr);
    damage(&shdr);
    FILE *stream = fopen(fixture->path, "r+b");
    assert_non_null(stream);
    fseek(stream, (long)(fixture->elf.header.e_shoff + index * sizeof shdr), SEEK_SET);
    assert_int_equal(fwrite(&shdr, sizeof shdr, 1, stream), 1);
    fclose(stream);
    kiln_file_release(&fixture->file);
}

static void
assert_fails(struct fixture *fixture, const char *name, const char *init, const char *text)
{
    const struct kiln_isolation as = {.name = name, .init = init};
    assert_true(kiln_isolate_file(&fixture->ctx, fixture->path, &as, &fixture->isolated) < 0);
    if (strstr(said, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    }
}

static void
test_defined_symbols_get_the_suffix_and_are_hidden(void **state)
{
    struct fixture *fixture = *state;
    struct kiln_elf_symbol symbol;
    isolate(fixture, "plain.o", "pkg.m", NULL);
    assert_string_equal(fixture->isolated.suffix, ".pkg_dm");
    static const char *const names[] = {
        "value.pkg_dm", "common.pkg_dm",          "w.pkg_dm",
        "tls.pkg_dm",   "kiln_text_start.pkg_dm", "kiln_init_pkg_dm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_true(find_symbol(fixture, names[i], &symbol));
        assert_int_equal(ELF64_ST_VISIBILITY(symbol.sym.st_other), STV_HIDDEN);
    }
    assert_false(find_symbol(fixture, "PyInit_m", &symbol));
    assert_true(find_symbol(fixture, "w.pkg_dm", &symbol));
    assert_int_equal(ELF64_ST_BIND(symbol.sym.st_info), STB_WEAK);
    assert_true(find_symbol(fixture, "tls.pkg_dm", &symbol));
    assert_int_equal(ELF64_ST_TYPE(symbol.sym.st_info), STT_TLS);
}

static void
test_what_was_found_is_told(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "plain.o", "pkg.m", NULL);
    assert_string_equal(fixture->isolated.symbol, "kiln_init_pkg_dm");
    assert_string_equal(fixture->isolated.init, "PyInit_m");
    assert_true(is_undefined(fixture, "dladdr"));
    assert_false(is_undefined(fixture, "_GLOBAL_OFFSET_TABLE_"));
    assert_int_equal(fixture->isolated.constructors, 0);
    assert_null(fixture->isolated.not_pic);
    assert_true(fixture->isolated.size > 0);
    assert_true(fixture->isolated.hidden >= 6);
}

static void
test_the_function_that_runs_the_constructors_is_exported(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "ctors.o", "pkg.m", NULL);
    assert_int_equal(fixture->isolated.constructors, 1);
    assert_int_equal(fixture->isolated.destructors, 1);
    assert_defined(fixture, "PyInit_m.pkg_dm", true);
    assert_true(is_undefined(fixture, "kiln_run_constructors"));
    size_t index = kiln_elf_find_section(&fixture->elf, ".data.rel.ro.kiln_ctors");
    Elf64_Shdr shdr;
    kiln_elf_get_section(&fixture->elf, index, &shdr);
    assert_int_equal(shdr.sh_type, SHT_PROGBITS);
}

static void
test_an_init_symbol_can_be_chosen(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "ctors.o", "other", "PyModExport_m");
    assert_string_equal(fixture->isolated.symbol, "kiln_export_other");
    assert_defined(fixture, "kiln_export_other", true);
    assert_defined(fixture, "PyModExport_m.other", true);
    assert_defined(fixture, "PyInit_m.other", true);
}

static void
test_versions_become_names(void **state)
{
    struct fixture *fixture = *state;
    struct kiln_elf_symbol symbol;
    isolate(fixture, "names.o", "m", NULL);
    assert_defined(fixture, "f.m", true);
    assert_defined(fixture, "f..V1.m", true);
    assert_false(find_symbol(fixture, "f@V1", &symbol));
    assert_false(find_symbol(fixture, "f@@V2", &symbol));
}

static void
test_sections_with_bounds_are_the_modules_own(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "names.o", "m", NULL);
    assert_true(kiln_elf_find_section(&fixture->elf, "kiln_m_s_my_set") != 0);
    assert_int_equal(kiln_elf_find_section(&fixture->elf, "my_set"), 0);
    assert_defined(fixture, "__start_kiln_m_s_my_set", false);
    assert_defined(fixture, "__stop_kiln_m_s_my_set", false);
    assert_defined(fixture, "__start_kiln_m_s_no_set", false);
    assert_false(is_undefined(fixture, "__start_kiln_m_s_my_set"));
}

static void
test_unique_symbols_and_groups_do_not_meet_those_of_others(void **state)
{
    struct fixture *fixture = *state;
    struct kiln_elf_symbol symbol;
    isolate(fixture, "comdat.o", "m", NULL);
    assert_true(find_symbol(fixture, "_ZN1SIiE1vE.m", &symbol));
    assert_int_equal(ELF64_ST_BIND(symbol.sym.st_info), STB_WEAK);
    size_t group = kiln_elf_find_type(&fixture->elf, SHT_GROUP);
    uint32_t flags = 1;
    assert_true(group != 0);
    kiln_span_get_u32(kiln_elf_get_contents(&fixture->elf, group), 0, &flags);
    assert_int_equal(flags, 0);
}

static void
test_one_string_table_for_all_names_is_edited(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "llvm.o", "m", NULL);
    assert_defined(fixture, "value.m", true);
    assert_true(kiln_elf_find_section(&fixture->elf, ".text") != 0);
}

static void
test_the_same_input_gives_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    isolate(fixture, "names.o", "m", NULL);
    struct kiln_span first =
        kiln_span_of(kiln_arena_strndup(&fixture->ctx.arena, (const char *)fixture->file.bytes.ptr,
                                        fixture->file.bytes.len),
                     fixture->file.bytes.len);
    isolate(fixture, "names.o", "m", NULL);
    assert_true(kiln_span_equal(first, fixture->file.bytes));
}

static void
test_a_missing_init_symbol_is_an_error_with_those_there_are(void **state)
{
    struct fixture *fixture = *state;
    copy_object(fixture, "ctors.o");
    assert_fails(fixture, "pkg.x", NULL,
                 "pkg.x: the object has no init function PyInit_x; it has:");
    assert_non_null(strstr(said, " PyInit_m"));
    assert_non_null(strstr(said, " PyModExport_m"));
    assert_fails(fixture, "pkg.m", "PyInit_y", "no init function PyInit_y");
}

static void
test_a_wrong_name_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    copy_object(fixture, "plain.o");
    assert_fails(fixture, "a..b", NULL, "a..b");
}

static void
make_executable(Elf64_Shdr *shdr)
{
    shdr->sh_flags |= SHF_EXECINSTR;
}

static void
make_init_array(Elf64_Shdr *shdr)
{
    shdr->sh_type = SHT_INIT_ARRAY;
    shdr->sh_size &= ~(Elf64_Xword)7;
}

static void
move_to_the_start(Elf64_Shdr *shdr)
{
    shdr->sh_offset = 0;
}

static void
test_an_object_that_would_do_harm_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    copy_object(fixture, "plain.o");
    damage_section(fixture, ".note.GNU-stack", make_executable);
    assert_fails(fixture, "m", NULL, "section .note.GNU-stack asks for an executable stack");
    copy_object(fixture, "plain.o");
    damage_section(fixture, ".text", make_init_array);
    assert_fails(fixture, "m", NULL, "section .text would run at the start");
}

static void
test_a_file_that_is_no_relocatable_object_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    copy_object(fixture, "plain.o");
    FILE *stream = fopen(fixture->path, "r+b");
    assert_non_null(stream);
    fseek(stream, offsetof(Elf64_Ehdr, e_type), SEEK_SET);
    fputc(ET_DYN, stream);
    fclose(stream);
    assert_fails(fixture, "m", NULL, "not a relocatable object");
}

static void
test_parts_that_overlap_are_an_error(void **state)
{
    struct fixture *fixture = *state;
    copy_object(fixture, "plain.o");
    damage_section(fixture, ".data", move_to_the_start);
    assert_fails(fixture, "m", NULL, "parts of the object overlap");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_defined_symbols_get_the_suffix_and_are_hidden),
        TEST(test_what_was_found_is_told),
        TEST(test_the_function_that_runs_the_constructors_is_exported),
        TEST(test_an_init_symbol_can_be_chosen),
        TEST(test_versions_become_names),
        TEST(test_sections_with_bounds_are_the_modules_own),
        TEST(test_unique_symbols_and_groups_do_not_meet_those_of_others),
        TEST(test_one_string_table_for_all_names_is_edited),
        TEST(test_the_same_input_gives_the_same_bytes),
        TEST(test_a_missing_init_symbol_is_an_error_with_those_there_are),
        TEST(test_a_wrong_name_is_an_error),
        TEST(test_an_object_that_would_do_harm_is_an_error),
        TEST(test_a_file_that_is_no_relocatable_object_is_an_error),
        TEST(test_parts_that_overlap_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
