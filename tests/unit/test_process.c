/* Running programs: streams, status, environment, and what cannot be run. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/process.h"
#include "context.h"

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    return 0;
}

static struct kiln_process
shell(const char *script)
{
    struct kiln_process process = {.out_mode = KILN_STREAM_CAPTURE,
                                   .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(&ctx.arena, &process.argv, "sh");
    kiln_strings_push(&ctx.arena, &process.argv, "-c");
    kiln_strings_push(&ctx.arena, &process.argv, script);
    return process;
}

static void
both_streams_are_captured_however_much_comes(void **state)
{
    (void)state;
    struct kiln_process process =
        shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3");
    assert_int_equal(kiln_process_run(&ctx, &process), 0);
    assert_int_equal(process.out.len, 300000);
    assert_int_equal(process.err.len, 300000);
    assert_int_equal(process.status, 3);
}

static void
input_reaches_the_child_and_may_be_left_unread(void **state)
{
    (void)state;
    char *text = kiln_arena_alloc(&ctx.arena, 1000000);
    struct kiln_process reader = shell("wc -c"), deaf = shell("exec true");
    reader.input = deaf.input = kiln_span_of(text, 1000000);
    assert_int_equal(kiln_process_run(&ctx, &reader), 0);
    assert_int_equal(strtol((const char *)reader.out.ptr, NULL, 10), 1000000);
    assert_int_equal(kiln_process_run(&ctx, &deaf), 0);
    assert_int_equal(deaf.status, 0);
}

static void
input_and_output_may_both_be_large(void **state)
{
    (void)state;
    char *text = kiln_arena_alloc(&ctx.arena, 1000000);
    struct kiln_process process = shell("exec cat");
    process.input = kiln_span_of(text, 1000000);
    alarm(20);
    assert_int_equal(kiln_process_run(&ctx, &process), 0);
    alarm(0);
    assert_int_equal(process.out.len, 1000000);
}

static void
a_program_left_behind_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct kiln_process process = shell("sleep 30 & echo $!");
    alarm(20);
    assert_int_equal(kiln_process_run(&ctx, &process), 0);
    alarm(0);
    kill((pid_t)strtol((const char *)process.out.ptr, NULL, 10), SIGKILL);
}

static void
the_environment_is_changed_and_names_removed(void **state)
{
    (void)state;
    setenv("KILN_TEST_A", "old", 1);
    setenv("KILN_TEST_B", "old", 1);
    struct kiln_process process = shell("echo \"$KILN_TEST_A-${KILN_TEST_B:-none}\"");
    kiln_strings_push(&ctx.arena, &process.setenv, "KILN_TEST_A=new");
    kiln_strings_push(&ctx.arena, &process.setenv, "KILN_TEST_B");
    assert_int_equal(kiln_process_run(&ctx, &process), 0);
    assert_string_equal((const char *)process.out.ptr, "new-none\n");
}

static void
a_signal_is_a_status_above_128(void **state)
{
    (void)state;
    struct kiln_process process = shell("kill -KILL $$");
    assert_int_equal(kiln_process_run(&ctx, &process), 0);
    assert_int_equal(process.status, 128 + 9);
}

static void
a_program_that_does_not_exist_is_an_error_naming_it(void **state)
{
    (void)state;
    struct kiln_process process = {0};
    kiln_strings_push(&ctx.arena, &process.argv, "/nonexistent/program");
    assert_int_equal(kiln_process_run(&ctx, &process), KILN_ERR_SYSTEM);
    assert_non_null(strstr(said, "/nonexistent/program"));
}

static void
a_failed_step_shows_the_last_lines_of_what_was_said(void **state)
{
    (void)state;
    struct kiln_process process = shell("seq 1000 >&2; exit 1");
    assert_int_equal(kiln_process_check(&ctx, &process, "cannot count"), KILN_ERR_TOOL);
    assert_non_null(strstr(said, "cannot count: sh exited with status 1:\n"));
    assert_non_null(strstr(said, "\n1000"));
    assert_null(strstr(said, "\n900\n"));
}

static void
a_command_is_taken_apart_unless_a_program_has_its_name(void **state)
{
    (void)state;
    struct kiln_strings words = {0};
    kiln_process_push_command(&ctx, "\tccache  gcc -m64 ", &words);
    assert_int_equal(words.count, 3);
    assert_string_equal(words.items[0], "ccache");
    assert_string_equal(words.items[2], "-m64");

    const char *dir = kiln_ctx_get_tmpdir(&ctx);
    const char *path = kiln_arena_printf(&ctx.arena, "%s/my cc", dir);
    assert_int_equal(symlink("/bin/true", path), 0);
    kiln_process_push_command(&ctx, path, &words);
    assert_int_equal(words.count, 4);
    assert_string_equal(words.items[3], path);
    kiln_process_push_command(&ctx, " ", &words);
    assert_int_equal(words.count, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_streams_are_captured_however_much_comes, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(input_reaches_the_child_and_may_be_left_unread, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(input_and_output_may_both_be_large, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(a_program_left_behind_keeps_nobody_waiting, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(the_environment_is_changed_and_names_removed, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(a_signal_is_a_status_above_128, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(a_program_that_does_not_exist_is_an_error_naming_it, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(a_failed_step_shows_the_last_lines_of_what_was_said, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(a_command_is_taken_apart_unless_a_program_has_its_name,
                                        set_up, test_context_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
