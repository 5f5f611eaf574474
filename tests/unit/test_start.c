/* What the start of an executable tells of its modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "context.h"
#include "link/check/check.h"

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    return test_context_enter_tmpdir();
}

/* Writes a program whose interpreter runs COMMAND, and checks it. PROGRAM is the one without extensions. */
static const char *
check_with(const char *interpreter, const char *command, mode_t mode, const char *program)
{
    struct kiln_bake bake = {.program = program};
    bake.python.machine = kiln_machine_get_native();
    const char *text = kiln_arena_printf(&ctx.arena, "#!%s\n%s\n", interpreter, command);
    test_make_file("./app", kiln_span_of_string(text));
    assert_int_equal(chmod("./app", mode), 0);
    int result = kiln_bake_check_start(&ctx, &bake, "./app");
    assert_int_equal(result, bake.not_started == NULL ? 0 : KILN_ERR_TOOL);
    return bake.not_started;
}

static const char *
check(const char *command, mode_t mode, const char *program)
{
    return check_with("/bin/sh", command, mode, program);
}

static void
one_that_starts_tells_nothing(void **state)
{
    (void)state;
    assert_null(check("exit 0", 0700, "/bin/true"));
}

static void
one_that_does_not_is_told_with_its_last_line(void **state)
{
    (void)state;
    assert_string_equal(check("echo no >&2; exit 3", 0700, "/bin/true"), "status 3, no");
    assert_string_equal(check("kill -SEGV $$", 0700, "/bin/true"),
                        "signal 11 (Segmentation fault)");
}

static void
one_without_its_loader_is_told(void **state)
{
    (void)state;
    assert_string_equal(check_with("/nowhere", "", 0700, "/bin/true"), "it cannot be run");
}

static void
symbols_are_bound_at_the_start(void **state)
{
    (void)state;
    assert_null(check("test \"$LD_BIND_NOW\" = 1", 0700, "/bin/true"));
}

static void
modules_are_not_to_blame_if_python_alone_does_not_start(void **state)
{
    (void)state;
    assert_null(check("exit 3", 0700, "/bin/false"));
}

static void
modules_are_not_to_blame_where_no_program_can_be_run(void **state)
{
    (void)state;
    assert_null(check("exit 0", 0600, "/bin/true"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_starts_tells_nothing, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(one_that_does_not_is_told_with_its_last_line, set_up,
                                        test_context_end),
        cmocka_unit_test_setup_teardown(one_without_its_loader_is_told, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(symbols_are_bound_at_the_start, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(modules_are_not_to_blame_if_python_alone_does_not_start,
                                        set_up, test_context_end),
        cmocka_unit_test_setup_teardown(modules_are_not_to_blame_where_no_program_can_be_run,
                                        set_up, test_context_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
