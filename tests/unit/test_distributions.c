/* The prefixes that lead to distributions, and what is read of metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "link/emit/distributions.h"
#include "link/find/metadata.h"

static const struct kiln_installed A = {.name = "a"}, B = {.name = "b"};

/* The prefixes of MODULES as "text=origin" with "!" for exact ones, separated by blanks. */
static void
expect(const struct kiln_named_distribution *modules, size_t count, const char *expected)
{
    struct kiln_ctx ctx = {0};
    struct kiln_prefix_list prefixes = {0};
    char text[1000] = "";
    kiln_prefixes_find(&ctx, modules, count, &prefixes);
    for (size_t i = 0; i < prefixes.count; i++) {
        const struct kiln_prefix *prefix = &prefixes.items[i];
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s=%s%s", i == 0 ? "" : " ", prefix->text,
                 prefix->distribution->name, prefix->exact ? "!" : "");
    }
    assert_string_equal(text, expected);
    kiln_ctx_release(&ctx);
}
#define EXPECT(expected, ...)                                                                      \
    expect((const struct kiln_named_distribution[]){__VA_ARGS__},                                  \
           sizeof((const struct kiln_named_distribution[]){__VA_ARGS__}) /                         \
               sizeof(struct kiln_named_distribution),                                             \
           expected)

static void
test_a_distribution_has_one_prefix(void **state)
{
    (void)state;
    EXPECT("num=a xml=b", {"num._core._x", &A}, {"num.fft._y", &A}, {"num.z", &A}, {"xml.e", &B});
}

static void
test_a_distribution_of_several_packages_has_a_prefix_for_each(void **state)
{
    (void)state;
    EXPECT("_front=a front=a", {"_front", &A}, {"front._x", &A}, {"front._y", &A});
}

static void
test_prefixes_are_whole_components(void **state)
{
    (void)state;
    EXPECT("num=a numb=b", {"num._x", &A}, {"numb._x", &B});
}

static void
test_distributions_in_one_namespace_have_longer_prefixes(void **state)
{
    (void)state;
    EXPECT("ns.a=a ns.b=b ns.c._x=a ns.c._y=b", {"ns.a._x", &A}, {"ns.a._y", &A}, {"ns.b._x", &B},
           {"ns.c._x", &A}, {"ns.c._y", &B});
}

static void
test_modules_of_unknown_origin_have_none(void **state)
{
    (void)state;
    EXPECT("num._x=a num._z=b", {"num._x", &A}, {"num._y", NULL}, {"num._z", &B}, {"xml", NULL});
}

static void
test_a_package_and_what_is_below_it_may_be_of_two_distributions(void **state)
{
    (void)state;
    EXPECT("num=a! num._x=b num._y=a", {"num", &A}, {"num._x", &B}, {"num._y", &A});
    EXPECT("num=a!", {"num", &A}, {"num._x", NULL});
    EXPECT("num._x=a", {"num", NULL}, {"num._x", &A});
}

static void
test_no_modules_have_no_prefixes(void **state)
{
    (void)state;
    expect(NULL, 0, "");
}

static struct kiln_span
get(const char *metadata, const char *key)
{
    return kiln_metadata_get(kiln_span_of_string(metadata), key);
}

static void
assert_span(struct kiln_span span, const char *expected)
{
    assert_true(kiln_span_equal(span, kiln_span_of_string(expected)));
}

static void
test_a_header_is_found_in_any_case_before_the_first_empty_line(void **state)
{
    (void)state;
    assert_span(get("A: 1\r\nname:\t x y \r\n\r\nVersion: 2\r\n", "Name"), "x y");
    assert_span(get("A: 1\nName: x\n\nVersion: 2\n", "Version"), "");
    assert_span(get("Names: 1\nName", "Name"), "");
    assert_span(get("Name:", "Name"), "");
}

static void
test_the_paths_of_a_record_are_its_first_fields(void **state)
{
    (void)state;
    struct kiln_span record = kiln_span_of_string("a/b.so,sha256=x,1\r\n\n\"c,d\",,\ne.so"), path;
    assert_true(kiln_metadata_next_path(&record, &path));
    assert_span(path, "a/b.so");
    assert_true(kiln_metadata_next_path(&record, &path));
    assert_span(path, "e.so");
    assert_false(kiln_metadata_next_path(&record, &path));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_distribution_has_one_prefix),
        cmocka_unit_test(test_a_distribution_of_several_packages_has_a_prefix_for_each),
        cmocka_unit_test(test_prefixes_are_whole_components),
        cmocka_unit_test(test_distributions_in_one_namespace_have_longer_prefixes),
        cmocka_unit_test(test_modules_of_unknown_origin_have_none),
        cmocka_unit_test(test_a_package_and_what_is_below_it_may_be_of_two_distributions),
        cmocka_unit_test(test_no_modules_have_no_prefixes),
        cmocka_unit_test(test_a_header_is_found_in_any_case_before_the_first_empty_line),
        cmocka_unit_test(test_the_paths_of_a_record_are_its_first_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
