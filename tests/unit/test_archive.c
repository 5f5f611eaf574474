/* Archives that Kiln writes: what goes in comes out, aligned, and `ar` reads the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "elf/ar.h"

static struct kiln_ctx ctx;

static const struct {
    const char *name, *contents;
} MEMBERS[] = {
    {"short.o", "one"},         {"exactly-15-by.o", "two, which is longer"},
    {"sixteen-bytes-.o", ""},   {"a.package.with.a.long.name.o", "and something odd"},
    {"\xc3\xa9.o", "12345678"},
};
enum { COUNT = sizeof MEMBERS / sizeof MEMBERS[0] };

static const uint8_t *archive_start;

static int
compare_member(void *arg, const char *member, struct kiln_span contents)
{
    size_t *seen = arg;
    size_t len = strlen(MEMBERS[*seen].contents);
    assert_string_equal(member, MEMBERS[*seen].name);
    assert_true(contents.len >= len && contents.len < len + 8);
    assert_memory_equal(contents.ptr, MEMBERS[*seen].contents, len);
    assert_int_equal((contents.ptr - archive_start) % 8, 0);
    ++*seen;
    return 0;
}

static const char *
write_archive(size_t count)
{
    struct kiln_ar_member members[COUNT];
    for (size_t i = 0; i < count; i++) {
        members[i].name = MEMBERS[i].name;
        members[i].contents = kiln_span_of_string(MEMBERS[i].contents);
    }
    const char *path = kiln_arena_printf(&ctx.arena, "%s/x.a", kiln_ctx_get_tmpdir(&ctx));
    assert_int_equal(kiln_ar_write(&ctx, path, members, count), 0);
    return path;
}

static void
test_members_come_back_in_order_and_aligned(void **state)
{
    (void)state;
    struct kiln_file file;
    size_t seen = 0;
    assert_int_equal(kiln_file_map(&ctx, write_archive(COUNT), &file), 0);
    archive_start = file.bytes.ptr;
    assert_int_equal(kiln_ar_visit(&ctx, file.bytes, "x.a", compare_member, &seen), 0);
    assert_int_equal(seen, COUNT);
    kiln_file_release(&file);
}

static void
test_ar_lists_the_same(void **state)
{
    (void)state;
    struct kiln_process ar = {.out_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(&ctx.arena, &ar.argv, "ar");
    kiln_strings_push(&ctx.arena, &ar.argv, "t");
    kiln_strings_push(&ctx.arena, &ar.argv, write_archive(COUNT));
    assert_int_equal(kiln_process_run(&ctx, &ar), 0);
    assert_int_equal(ar.status, 0);
    const char *expected = "";
    for (size_t i = 0; i < COUNT; i++) {
        expected = kiln_arena_printf(&ctx.arena, "%s%s\n", expected, MEMBERS[i].name);
    }
    assert_string_equal((const char *)ar.out.ptr, expected);
}

static void
test_an_archive_may_be_empty(void **state)
{
    (void)state;
    struct kiln_file file;
    size_t seen = 0;
    assert_int_equal(kiln_file_map(&ctx, write_archive(0), &file), 0);
    assert_int_equal(kiln_ar_visit(&ctx, file.bytes, "x.a", compare_member, &seen), 0);
    assert_int_equal(seen, 0);
    kiln_file_release(&file);
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_members_come_back_in_order_and_aligned, tear_down),
        cmocka_unit_test_teardown(test_ar_lists_the_same, tear_down),
        cmocka_unit_test_teardown(test_an_archive_may_be_empty, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
