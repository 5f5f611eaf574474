/* Reading a linker's trace, and selecting from it what is combined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cc/cc.h"
#include "context.h"
#include "object.h"

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    return test_context_enter_tmpdir();
}

static void
make_object(const char *path)
{
    struct test_object object = test_make_object();
    test_make_file(path, test_object_bytes(&object));
}

static void
make_archive(const char *path, const char *names)
{
    test_make_file(path, test_make_archive(&ctx, names));
}

static const char *
parse(const char *text)
{
    struct kiln_trace trace;
    const char *result = "";
    assert_int_equal(kiln_trace_parse(&ctx, kiln_span_of_string(text), &trace), 0);
    for (size_t i = 0; i < trace.count; i++) {
        const struct kiln_link_input *item = &trace.items[i];
        result = kiln_arena_printf(&ctx.arena, "%s%s%s%s%s", result, i == 0 ? "" : "|", item->path,
                                   item->member == NULL ? "" : ":",
                                   item->member == NULL ? "" : item->member);
    }
    return result;
}

static void
test_each_linkers_format_is_read(void **state)
{
    (void)state;
    make_object("a.o");
    make_archive("d/lib.a", "m.o n.o");
    assert_string_equal(parse("a.o\nd/lib.a\n(d/lib.a)m.o\n"), "a.o|d/lib.a|d/lib.a:m.o");
    assert_string_equal(parse("a.o\nd/lib.a(m.o)\nd/lib.a(n.o)"), "a.o|d/lib.a:m.o|d/lib.a:n.o");
    assert_string_equal(parse("trace: a.o\ntrace: d/lib.a(n.o)\n"), "a.o|d/lib.a:n.o");
    assert_string_equal(parse("-lx (a.o)\n"), "a.o");
    assert_string_equal(parse(""), "");
    assert_string_equal(parse("\n\n"), "");
}

static void
test_names_may_have_parentheses_and_spaces(void **state)
{
    (void)state;
    make_object("(a) b(c).o");
    make_archive("x (1)/lib(2).a", "m.o");
    assert_string_equal(parse("(a) b(c).o\n"), "(a) b(c).o");
    assert_string_equal(parse("(x (1)/lib(2).a)m.o\n"), "x (1)/lib(2).a:m.o");
    assert_string_equal(parse("x (1)/lib(2).a(m.o)\n"), "x (1)/lib(2).a:m.o");
    assert_string_equal(parse("x (1)/lib(2).a(m(3).o)\n"), "x (1)/lib(2).a:m(3).o");
}

static void
test_what_lto_made_is_left_out(void **state)
{
    (void)state;
    make_object("a.o");
    make_object("x.so.ltrans0.ltrans.o");
    assert_string_equal(parse("a.o\n/tmp/ccAbC.ltrans0.ltrans.o\nx.so.ltrans0.ltrans.o\n"
                              "/tmp/lto-llvm-1f.o\nx.so.lto.o\n"),
                        "a.o");
}

static void
test_a_line_that_names_no_file_is_an_error(void **state)
{
    (void)state;
    struct kiln_trace trace;
    assert_int_equal(kiln_trace_parse(&ctx, kiln_span_of_string("gone.o\n"), &trace),
                     KILN_ERR_FORMAT);
    assert_non_null(strstr(said, "\"gone.o\""));
}

/* -- Selecting -- */

static struct kiln_link_inputs inputs;

static int
select_inputs(const char *text)
{
    struct kiln_trace trace;
    inputs = (struct kiln_link_inputs){0};
    assert_int_equal(kiln_trace_parse(&ctx, kiln_span_of_string(text), &trace), 0);
    return kiln_link_inputs_select(&ctx, &trace, &inputs);
}

/* The input INDEX is MEMBER of the file at PATH (NULL: the file as a whole). */
static void
expect_input(size_t index, const char *path, const char *member)
{
    assert_true(index < inputs.count);
    assert_string_equal(inputs.items[index].path, path);
    if (member == NULL) {
        assert_null(inputs.items[index].member);
    }
    else {
        assert_string_equal(inputs.items[index].member, member);
    }
}

static void
test_objects_and_members_are_selected_once_and_shared_objects_are_not(void **state)
{
    (void)state;
    make_object("a.o");
    make_archive("lib.a", "m.o n.o");
    test_make_file("libm.so", kiln_span_of_string("GROUP ( libm.so.6 )"));
    assert_int_equal(kiln_file_copy(&ctx, kiln_file_get_program(&ctx), "libm.so.6"), 0);
    assert_int_equal(select_inputs("a.o\nlib.a\n(lib.a)n.o\nlibm.so\nlibm.so.6\na.o\n"), 0);
    assert_int_equal(inputs.count, 2);
    expect_input(0, "a.o", NULL);
    expect_input(1, "lib.a", "n.o");
}

static void
make_thin_archive(const char *path, const char *member)
{
    const char *name =
        kiln_arena_printf(&ctx.arena, "%s/\n%s", member, strlen(member) % 2 == 0 ? "" : "\n");
    test_make_file(path, kiln_span_of_string(
                             kiln_arena_printf(&ctx.arena, "!<thin>\n%-48s%-10zu`\n%s%-48s%-10d`\n",
                                               "//", strlen(name), name, "/0", 8)));
}

static void
test_members_of_a_thin_archive_are_known_as_files(void **state)
{
    (void)state;
    make_object("d/o/m.o");
    make_object("o/m.o");
    make_thin_archive("d/thin.a", "o/m.o");
    assert_int_equal(select_inputs("d/thin.a(o/m.o)\n"), 0);
    expect_input(0, "d/thin.a", "o/m.o");
    assert_int_equal(select_inputs("d/thin.a\nd/o/m.o\no/m.o\n"), 0);
    assert_int_equal(inputs.count, 2);
    expect_input(0, "d/thin.a", "o/m.o");
    expect_input(1, "o/m.o", NULL);

    const char *path = kiln_file_absolute(&ctx, "d/o/m.o"),
               *thin = kiln_file_absolute(&ctx, "d/t.a");
    make_thin_archive(thin, path);
    assert_int_equal(select_inputs(kiln_arena_printf(&ctx.arena, "%s\n%s\n", thin, path)), 0);
    expect_input(0, thin, path);
}

static void
test_a_script_with_a_layout_is_refused(void **state)
{
    (void)state;
    make_object("a.o");
    test_make_file("x.ld", kiln_span_of_string("SECTIONS { .x : { *(.x) } }"));
    assert_int_equal(select_inputs("a.o\nx.ld\n"), KILN_ERR_INPUT);
    assert_non_null(strstr(said, "x.ld: a linker script"));
}

static void
test_a_trace_without_objects_is_refused(void **state)
{
    (void)state;
    assert_int_equal(select_inputs(""), KILN_ERR_INPUT);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_context_end)
    const struct CMUnitTest tests[] = {
        TEST(test_each_linkers_format_is_read),
        TEST(test_names_may_have_parentheses_and_spaces),
        TEST(test_what_lto_made_is_left_out),
        TEST(test_a_line_that_names_no_file_is_an_error),
        TEST(test_objects_and_members_are_selected_once_and_shared_objects_are_not),
        TEST(test_members_of_a_thin_archive_are_known_as_files),
        TEST(test_a_script_with_a_layout_is_refused),
        TEST(test_a_trace_without_objects_is_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
