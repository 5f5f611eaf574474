/* What kiln pip says at the end, for each kind of file that pip may have installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "fat/fat.h"
#include "object.h"
#include "pip/pip.h"

static struct kiln_ctx ctx;
static char said[4000]; /* every message, on lines that start with E, W or N */

static void
remember(struct kiln_ctx *context, enum kiln_severity severity, const char *text)
{
    (void)context;
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%c %s\n", "EWND"[severity], text);
}

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){.say = remember};
    said[0] = '\0';
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

static const char *
write_file(const char *name, const void *bytes, size_t len)
{
    const char *path = kiln_arena_printf(&ctx.arena, "%s/%s", kiln_ctx_get_tmpdir(&ctx), name);
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of(bytes, len)), 0);
    return path;
}

/* A shared object whose dynamic symbols are those of the test object, INIT in place of PyInit_m. */
static const char *
write_shared(const char *name, const char *init)
{
    struct test_object object = test_make_object();
    object.header.e_type = ET_DYN;
    object.sections[TEST_SYMTAB].sh_type = SHT_DYNSYM;
    assert_int_equal(strlen(init), strlen("PyInit_m"));
    memcpy(object.strings + object.symbols[2].st_name, init, strlen(init));
    return write_file(name, &object, sizeof object);
}

static const char *
write_fat(const char *name, const char *failure)
{
    const char *path = write_shared(name, "PyInit_m");
    struct kiln_fat fat = {.driver = "cc", .output = path, .failure = failure};
    struct kiln_span object = kiln_span_of_string(failure == NULL ? "object" : "");
    kiln_strings_push(&ctx.arena, &fat.inits, "PyInit_m");
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, object), 0);
    return path;
}

/* The result of driver.py, as a string with newlines for the NULs. */
static int
try_to_summarize(const char *result)
{
    char *bytes = kiln_arena_strdup(&ctx.arena, result);
    size_t len = strlen(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = bytes[i] == '\n' ? '\0' : bytes[i];
    }
    return kiln_pip_summarize(&ctx, kiln_span_of(bytes, len));
}

static void
summarize(const char *result)
{
    assert_int_equal(try_to_summarize(result), 0);
}

static const char *
result_of(const char *how, const char *path)
{
    return kiln_arena_printf(&ctx.arena, "P\nfoo\n1.0\n%s\nF\n%s\nfoo/_m.so\n", how, path);
}

static void
fat_extensions_are_counted(void **state)
{
    (void)state;
    const char *path = write_fat("a.so", NULL);
    summarize(
        kiln_arena_printf(&ctx.arena, "%sF\n%s\nfoo/_n.so\n", result_of("built", path), path));
    assert_string_equal(said, "N foo 1.0: 2 extensions, fat\n");
}

static void
a_recorded_failure_is_the_reason(void **state)
{
    (void)state;
    summarize(result_of("built", write_fat("a.so", "there is no ld.bfd")));
    assert_non_null(strstr(said, "W foo 1.0: 1 extension, not fat: there is no ld.bfd\n"));
    assert_non_null(strstr(said, "kiln pip cache remove"));
}

static void
each_way_to_come_without_kiln_has_its_reason(void **state)
{
    static const char *const reasons[][2] = {
        {"built", "not linked through kiln-cc"},
        {"editable", "not linked through kiln-cc"},
        {"kept", "it was installed before, without Kiln (--force-reinstall builds it anew)"},
        {"no-source", "a wheel: the index has no source of this version"},
        {"only-binary", "a wheel, as --only-binary asks"},
        {"hashes", "a wheel: the hashes that are required leave its source out"},
        {"given", "a wheel that was not built with Kiln"},
    };
    (void)state;
    const char *path = write_shared("a.so", "PyInit_m");
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        said[0] = '\0';
        summarize(result_of(reasons[i][0], path));
        assert_string_equal(
            said,
            kiln_arena_printf(&ctx.arena, "W foo 1.0: 1 extension, not fat: %s\n", reasons[i][1]));
    }
}

static void
a_package_that_is_fat_in_part_names_the_rest(void **state)
{
    (void)state;
    summarize(kiln_arena_printf(&ctx.arena, "%sF\n%s\nfoo/_plain.so\n",
                                result_of("built", write_fat("a.so", NULL)),
                                write_shared("b.so", "PyInit_m")));
    assert_string_equal(said, "W foo 1.0: 1 of 2 extensions are fat:\n"
                              "  foo/_plain.so: not linked through kiln-cc\n");
}

static void
long_lists_of_reasons_are_cut(void **state)
{
    (void)state;
    const char *result = result_of("built", write_fat("a.so", NULL));
    const char *plain = write_shared("b.so", "PyInit_m");
    for (int i = 0; i < 10; i++) {
        result = kiln_arena_printf(&ctx.arena, "%sF\n%s\n_%d.so\n", result, plain, i);
    }
    summarize(result);
    assert_non_null(strstr(said, "_7.so"));
    assert_null(strstr(said, "_8.so"));
    assert_non_null(strstr(said, "and 2 more"));
}

static void
libraries_and_text_files_are_no_extensions(void **state)
{
    (void)state;
    summarize(kiln_arena_printf(&ctx.arena, "%sF\n%s\nlibfoo.so\n",
                                result_of("given", write_shared("a.so", "somelib_")),
                                write_file("b.so", "INPUT(libm.so)", 14)));
    assert_string_equal(said, "N 1 package, no extensions\n");
}

static void
a_damaged_section_is_a_reason_and_no_error(void **state)
{
    (void)state;
    const char *path = write_fat("a.so", NULL);
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    uint8_t *bytes = kiln_arena_alloc(&ctx.arena, file.bytes.len);
    memcpy(bytes, file.bytes.ptr, file.bytes.len);
    uint8_t *magic = memmem(bytes, file.bytes.len, "KILNFAT", 7);
    assert_non_null(magic);
    magic[40] ^= 1;
    path = write_file("b.so", bytes, file.bytes.len);
    kiln_file_release(&file);
    summarize(result_of("built", path));
    assert_non_null(strstr(said, "W foo 1.0: 1 extension, not fat: foo/_m.so"));
    assert_int_equal(ctx.errors, 0);
}

static void
a_file_that_is_gone_is_a_reason(void **state)
{
    (void)state;
    summarize(result_of("built", "/nosuch/file.so"));
    assert_non_null(strstr(said, "not fat: /nosuch/file.so: cannot read"));
    assert_int_equal(ctx.errors, 0);
}

static void
several_packages_have_a_total(void **state)
{
    (void)state;
    summarize(kiln_arena_printf(&ctx.arena, "%sP\npure\n2\ngiven\n",
                                result_of("built", write_fat("a.so", NULL))));
    assert_non_null(strstr(said, "N 2 packages, 1 without extensions; 1 of 1 extensions fat\n"));
}

static void
a_failed_build_is_told(void **state)
{
    (void)state;
    summarize("X\nfoo\n");
    assert_non_null(strstr(said, "--only-binary foo"));
}

static void
an_extension_that_a_build_left_out_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(try_to_summarize("L\nfoo\n1.0\n3\nerror\nM\nfoo/_a.so\nM\nfoo/_b.so\n"),
                     KILN_ERR_TOOL);
    assert_non_null(
        strstr(said, "E foo 1.0: built without these extensions of the index's wheel (2 of 3):\n"
                     "  foo/_a.so\n  foo/_b.so\n"));
    assert_non_null(strstr(said, "--only-binary foo"));
}

static void
a_loss_that_is_allowed_is_a_warning(void **state)
{
    (void)state;
    summarize("L\nfoo\n1.0\n1\nallowed\nM\nfoo/_a.so\n");
    assert_string_equal(said,
                        "W foo 1.0: built without these extensions of the index's wheel (1 of 1):\n"
                        "  foo/_a.so\n");
}

static void
quiet_leaves_only_warnings(void **state)
{
    (void)state;
    summarize("Q\n");
    assert_true(ctx.quiet);
}

static void
a_result_that_is_cut_off_is_read_as_far_as_it_goes(void **state)
{
    static const char *const results[] = {
        "", "P", "P\nfoo", "P\nfoo\n1.0\nbuilt\nF\n/x", "F\nx\ny\n", "M\nx\n", "U", "Z\n", "E"};
    (void)state;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        summarize(results[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fat_extensions_are_counted),
        TEST(a_recorded_failure_is_the_reason),
        TEST(each_way_to_come_without_kiln_has_its_reason),
        TEST(a_package_that_is_fat_in_part_names_the_rest),
        TEST(long_lists_of_reasons_are_cut),
        TEST(libraries_and_text_files_are_no_extensions),
        TEST(a_damaged_section_is_a_reason_and_no_error),
        TEST(a_file_that_is_gone_is_a_reason),
        TEST(several_packages_have_a_total),
        TEST(a_failed_build_is_told),
        TEST(an_extension_that_a_build_left_out_is_an_error),
        TEST(a_loss_that_is_allowed_is_a_warning),
        TEST(quiet_leaves_only_warnings),
        TEST(a_result_that_is_cut_off_is_read_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
