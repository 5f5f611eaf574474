/* Work in parallel: everything is done once, messages come in order, memory outlives the threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/parallel.h"

enum { COUNT = 1000 };

static struct kiln_ctx ctx;
static char said[COUNT * 16];
static size_t steps; /* of progress that were shown */

static void
remember(struct kiln_ctx *context, enum kiln_severity severity, const char *text)
{
    (void)context, (void)severity;
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s\n", text);
}

static void
count_steps(struct kiln_ctx *context, const char *what, size_t done, size_t total,
            const char *detail)
{
    (void)context, (void)detail;
    assert_string_equal(what, "test");
    assert_true(done <= total);
    steps++;
}

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){.say = remember, .progress = count_steps};
    said[0] = '\0';
    steps = 0;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

static int
name_it(struct kiln_ctx *own, size_t index, void *arg)
{
    const char **names = arg;
    assert_null(names[index]);
    names[index] = kiln_arena_printf(&own->arena, "thing %zu", index);
    return 0;
}

static void
test_every_thing_is_done_once_and_stays(void **state)
{
    (void)state;
    const char *names[COUNT] = {0};
    assert_int_equal(kiln_parallel_run(&ctx, "test", COUNT, name_it, names), 0);
    for (size_t i = 0; i < COUNT; i++) {
        char expected[20];
        snprintf(expected, sizeof expected, "thing %zu", i);
        assert_string_equal(names[i], expected);
    }
    assert_true(steps >= 2 && steps <= 102);
    kiln_arena_alloc(&ctx.arena, 100); /* the arena goes on with its own block */
}

static int
complain(struct kiln_ctx *own, size_t index, void *arg)
{
    (void)arg;
    if (index % 100 == 7) {
        kiln_say(own, KILN_NOTE, "note %zu", index);
        return kiln_fail(own, index == 907 ? KILN_ERR_TOOL : KILN_ERR_INPUT, "error %zu", index);
    }
    return 0;
}

static void
test_messages_come_in_the_order_of_the_things(void **state)
{
    (void)state;
    char expected[sizeof said] = "";
    for (size_t i = 7; i < COUNT; i += 100) {
        size_t len = strlen(expected);
        snprintf(expected + len, sizeof expected - len, "note %zu\nerror %zu\n", i, i);
    }
    assert_int_equal(kiln_parallel_run(&ctx, "test", COUNT, complain, NULL), KILN_ERR_TOOL);
    assert_string_equal(said, expected);
    assert_int_equal(ctx.errors, COUNT / 100);
}

static void
test_nothing_to_do_is_done(void **state)
{
    (void)state;
    assert_int_equal(kiln_parallel_run(&ctx, "test", 0, complain, NULL), 0);
    assert_string_equal(said, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_thing_is_done_once_and_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_messages_come_in_the_order_of_the_things, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_do_is_done, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
