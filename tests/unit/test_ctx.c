/* Messages of a context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/ctx.h"

static size_t count;

static void
count_message(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx, (void)severity, (void)text;
    count++;
}

static void
say_twice(struct kiln_ctx *ctx, enum kiln_severity severity, size_t expected)
{
    count = 0;
    kiln_say(ctx, severity, "the same");
    kiln_say(ctx, severity, "the same");
    assert_int_equal(count, expected);
}

static void
what_is_done_again_warns_once(void **state)
{
    (void)state;
    struct kiln_strings warned = {0}, noted = {0};
    struct kiln_ctx ctx = {.say = count_message};
    say_twice(&ctx, KILN_WARNING, 2);
    ctx.once = &warned;
    say_twice(&ctx, KILN_WARNING, 1);
    ctx.once = &noted;
    say_twice(&ctx, KILN_NOTE, 1);
    say_twice(&ctx, KILN_ERROR, 2);
    kiln_ctx_release(&ctx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_done_again_warns_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
