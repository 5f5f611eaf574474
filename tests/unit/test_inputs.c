/* Resolving the inputs of a combining: which files ld is given for the members that a link took. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "combine/inputs.h"
#include "context.h"
#include "object.h"

static struct kiln_combine in;
static struct kiln_combining run;

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    in = (struct kiln_combine){0};
    run = (struct kiln_combining){.ctx = &ctx, .in = &in, .tmpdir = kiln_ctx_get_tmpdir(&ctx)};
    return test_context_enter_tmpdir();
}

static void
make_object(const char *path)
{
    struct test_object object = test_make_object();
    test_make_file(path, test_object_bytes(&object));
}

static void
add(const char *path, const char *member)
{
    *KILN_ARENA_PUSH(&ctx.arena, &in.inputs) = (struct kiln_link_input){path, member};
}

/* The input INDEX is called NAME, can be read, and is MEMBER of an archive (NULL: of none). */
static void
expect(size_t index, const char *name, const char *member)
{
    assert_true(index < run.inputs.count);
    const struct kiln_input *input = &run.inputs.items[index];
    assert_string_equal(input->name, name);
    assert_int_equal(access(input->path, R_OK), 0);
    if (member == NULL) {
        assert_null(input->archive_member.path);
        return;
    }
    assert_int_equal(input->archive_member.path[0], '/');
    assert_string_equal(input->archive_member.member, member);
}

static void
test_members_are_written_out_in_the_order_of_the_link(void **state)
{
    (void)state;
    make_object("a.o");
    test_make_file("lib.a", test_make_archive(&ctx, "m.o n.o"));
    add("lib.a", "n.o");
    add("a.o", NULL);
    add("lib.a", "m.o");
    add("lib.a", "n.o");
    assert_int_equal(kiln_inputs_resolve(&run), 0);
    assert_int_equal(run.inputs.count, 3);
    expect(0, "lib.a(n.o)", "n.o");
    expect(1, "a.o", NULL);
    expect(2, "lib.a(m.o)", "m.o");
    assert_int_equal(run.archives.count, 1);
}

static void
test_members_of_one_name_are_all_taken_if_all_were_linked(void **state)
{
    (void)state;
    test_make_file("lib.a", test_make_archive(&ctx, "m.o n.o m.o"));
    add("lib.a", "m.o");
    add("lib.a", "n.o");
    add("lib.a", "m.o");
    assert_int_equal(kiln_inputs_resolve(&run), 0);
    assert_int_equal(run.inputs.count, 3);
    expect(0, "lib.a(m.o)", "m.o");
    expect(1, "lib.a(n.o)", "n.o");
    expect(2, "lib.a(m.o)", "m.o");
    assert_string_not_equal(run.inputs.items[0].path, run.inputs.items[2].path);
}

static void
test_an_archive_stands_for_members_of_one_name_if_some_were_linked(void **state)
{
    (void)state;
    test_make_file("lib.a", test_make_archive(&ctx, "m.o n.o m.o"));
    add("lib.a", "m.o");
    add("lib.a", "n.o");
    assert_int_equal(kiln_inputs_resolve(&run), 0);
    assert_int_equal(run.inputs.count, 1);
    expect(0, "lib.a", NULL);
    assert_int_equal(run.inputs.items[0].kind, KILN_OBJECT_ARCHIVE);
    assert_int_equal(run.archives.count, 0);
}

static void
test_members_of_a_thin_archive_are_files(void **state)
{
    (void)state;
    make_object("d/o/m.o");
    make_object("d/n.o");
    test_make_file("d/thin.a", kiln_span_of_string("!<thin>\n"));
    add("d/thin.a", "o/m.o");   /* as lld names it */
    add("d/thin.a", "d/n.o");   /* as gold and mold do */
    add("d/thin.a", "d/o/m.o"); /* another time */
    assert_int_equal(kiln_inputs_resolve(&run), 0);
    expect(0, "d/o/m.o", "m.o");
    expect(1, "d/n.o", "n.o");
}

static void
test_a_member_that_is_missing_is_an_error(void **state)
{
    (void)state;
    test_make_file("d/thin.a", kiln_span_of_string("!<thin>\n"));
    test_make_file("lib.a", test_make_archive(&ctx, "m.o"));
    add("d/thin.a", "gone.o");
    assert_int_equal(kiln_inputs_resolve(&run), KILN_ERR_SYSTEM);
    assert_non_null(strstr(said, "d/thin.a: member gone.o"));
    add("lib.a", "gone.o");
    assert_true(kiln_inputs_resolve(&run) < 0);
    assert_non_null(strstr(said, "lib.a(gone.o): the archive has no such member"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_context_end)
    const struct CMUnitTest tests[] = {
        TEST(test_members_are_written_out_in_the_order_of_the_link),
        TEST(test_members_of_one_name_are_all_taken_if_all_were_linked),
        TEST(test_an_archive_stands_for_members_of_one_name_if_some_were_linked),
        TEST(test_members_of_a_thin_archive_are_files),
        TEST(test_a_member_that_is_missing_is_an_error),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
