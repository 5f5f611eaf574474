/* Spans: no accessor reads outside the bytes, whatever offset and length it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/span.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 'a', 'b', 0, 'c'};

static struct kiln_span
all(void)
{
    return kiln_span_of(bytes, sizeof bytes);
}

static void
a_slice_lies_inside(void **state)
{
    (void)state;
    struct kiln_span out;
    assert_true(kiln_span_slice(all(), 2, 3, &out));
    assert_ptr_equal(out.ptr, bytes + 2);
    assert_int_equal(out.len, 3);
    assert_true(kiln_span_slice(all(), sizeof bytes, 0, &out));
    assert_int_equal(out.len, 0);
}

static void
a_slice_that_does_not_fit_is_refused_and_leaves_the_result_alone(void **state)
{
    (void)state;
    struct kiln_span out = kiln_span_of(bytes + 1, 1);
    assert_false(kiln_span_slice(all(), 10, 3, &out));
    assert_false(kiln_span_slice(all(), 13, 0, &out));
    assert_false(kiln_span_slice(all(), UINT64_MAX, 1, &out));
    assert_false(kiln_span_slice(all(), 4, UINT64_MAX - 2, &out)); /* the sum overflows */
    assert_ptr_equal(out.ptr, bytes + 1);
}

static void
integers_are_little_endian_and_need_no_alignment(void **state)
{
    (void)state;
    uint32_t small;
    uint64_t large;
    assert_true(kiln_span_get_u32(all(), 1, &small));
    assert_int_equal(small, 0x05040302);
    assert_true(kiln_span_get_u64(all(), 0, &large));
    assert_true(large == UINT64_C(0x0807060504030201));
    assert_false(kiln_span_get_u32(all(), 9, &small));
    assert_false(kiln_span_get_u64(all(), UINT64_MAX - 3, &large));
}

static void
a_string_ends_inside_or_is_none(void **state)
{
    (void)state;
    assert_string_equal(kiln_span_get_string(all(), 8), "ab");
    assert_string_equal(kiln_span_get_string(all(), 10), "");
    assert_null(kiln_span_get_string(all(), 11));
    assert_null(kiln_span_get_string(all(), sizeof bytes));
    assert_null(kiln_span_get_string(kiln_span_of(NULL, 0), 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_lies_inside),
        cmocka_unit_test(a_slice_that_does_not_fit_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(integers_are_little_endian_and_need_no_alignment),
        cmocka_unit_test(a_string_ends_inside_or_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
