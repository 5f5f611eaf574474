/* Outputs come into being whole or not at all, and leave nothing else behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "context.h"

static const char *dir;

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    dir = kiln_ctx_get_tmpdir(&ctx);
    return dir == NULL ? -1 : 0;
}

static const char *
in_dir(const char *name)
{
    return kiln_arena_printf(&ctx.arena, "%s/%s", dir, name);
}

static size_t
count_entries(void)
{
    size_t count = 0;
    DIR *stream = opendir(dir);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(stream);
    return count;
}

static void
assert_contents(const char *path, const char *text)
{
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    assert_true(kiln_span_equal(file.bytes, kiln_span_of_string(text)));
    kiln_file_release(&file);
}

static void
an_output_appears_at_commit(void **state)
{
    (void)state;
    struct kiln_output out;
    const char *path = in_dir("out");
    assert_int_equal(kiln_output_init(&ctx, path, 0666, &out), 0);
    assert_int_equal(kiln_output_write(&ctx, &out, kiln_span_of_string("new")), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(kiln_output_commit(&ctx, &out), 0);
    kiln_output_release(&out);
    assert_contents(path, "new");
    assert_int_equal(count_entries(), 1);
}

static void
an_output_given_up_leaves_the_old_file(void **state)
{
    (void)state;
    struct kiln_output out;
    const char *path = in_dir("out");
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of_string("old")), 0);
    assert_int_equal(kiln_output_init(&ctx, path, 0666, &out), 0);
    assert_int_equal(kiln_output_write(&ctx, &out, kiln_span_of_string("new")), 0);
    kiln_output_release(&out);
    assert_contents(path, "old");
    assert_int_equal(count_entries(), 1);
}

static void
an_output_where_none_can_be_is_an_error_naming_it(void **state)
{
    (void)state;
    const char *path = in_dir("missing/out");
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of_string("x")), KILN_ERR_SYSTEM);
    assert_non_null(strstr(said, path));
    assert_int_equal(ctx.errors, 1);
}

static void
a_directory_is_no_input(void **state)
{
    (void)state;
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, dir, &file), KILN_ERR_INPUT);
    assert_non_null(strstr(said, dir));
}

static void
an_empty_file_is_an_empty_span(void **state)
{
    (void)state;
    assert_int_equal(kiln_file_write(&ctx, in_dir("empty"), kiln_span_of(NULL, 0)), 0);
    assert_contents(in_dir("empty"), "");
}

static void
directories_are_made_with_those_above(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(kiln_file_make_dirs(&ctx, in_dir("a/b/c")), 0);
    assert_int_equal(kiln_file_make_dirs(&ctx, in_dir("a/b/c")), 0);
    assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void
paths_are_taken_apart(void **state)
{
    (void)state;
    assert_string_equal(kiln_file_basename("/a/b"), "b");
    assert_string_equal(kiln_file_basename("b"), "b");
    assert_string_equal(kiln_file_dirname(&ctx, "/a/b"), "/a");
    assert_string_equal(kiln_file_dirname(&ctx, "/b"), "/");
    assert_string_equal(kiln_file_dirname(&ctx, "b"), ".");
}

static void
writing_a_file_anew_keeps_what_is_in_it(void **state)
{
    (void)state;
    enum { SIZE = 1024 * 1024 };
    const char *path = kiln_arena_printf(&ctx.arena, "%s/sparse", dir);
    uint8_t *bytes = kiln_arena_alloc(&ctx.arena, SIZE);
    bytes[0] = 1;
    bytes[300 * 1024 + 7] = 2; /* two holes, neither of which begins or ends with the file */
    bytes[SIZE - 1] = 3;
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of(bytes, SIZE)), 0);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(chmod(path, 0751), 0);
    kiln_file_rewrite(path);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, SIZE);
    assert_int_equal(after.st_mode & 07777, 0751);
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    assert_memory_equal(file.bytes.ptr, bytes, SIZE);
    kiln_file_release(&file);
    if (after.st_blocks != before.st_blocks) { /* the file system can */
        assert_true(after.st_blocks * 512 <= 64 * 1024);
    }
    kiln_file_rewrite("/nowhere/at/all");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_output_appears_at_commit, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(an_output_given_up_leaves_the_old_file, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(an_output_where_none_can_be_is_an_error_naming_it, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(a_directory_is_no_input, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(an_empty_file_is_an_empty_span, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(directories_are_made_with_those_above, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(paths_are_taken_apart, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(writing_a_file_anew_keeps_what_is_in_it, set_up,
                                        test_context_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
