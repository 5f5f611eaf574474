/* The table: reading names, the perfect hash and its lookup, and the check of foreign bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "table/table.h"

/* All error messages of a test, each with a newline. */
static char said[4096];

static void
keep_message(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx;
    assert_int_equal(severity, KILN_ERROR);
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s\n", text);
}

static int
setup(void **state)
{
    struct kiln_ctx *ctx = calloc(1, sizeof *ctx);
    ctx->say = keep_message;
    said[0] = '\0';
    *state = ctx;
    return 0;
}

static int
teardown(void **state)
{
    kiln_ctx_release(*state);
    free(*state);
    return 0;
}

/* --- Helpers ---------------------------------------------------------------------------------- */

/* COUNT names of many lengths, in an order that looks random. */
static struct kiln_table_name *
make_names(struct kiln_ctx *ctx, size_t count)
{
    struct kiln_table_name *names = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        size_t number = i * 7919 % count; /* a prime that divides no count in use */
        names[i].name = kiln_arena_printf(&ctx->arena, "%.*sm%zu", (int)(number * 13 % 70),
                                          "abc.defgh.ijkl_mnop.qrstuvwxyz.abc.defgh.ijkl_mnop."
                                          "qrstuvwxyz.abc.defg.",
                                          number);
        names[i].symbol = kiln_arena_printf(&ctx->arena, "init_%zu", number);
        names[i].flags = number % 4;
    }
    return names;
}

static const struct kiln_table *
build(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count,
      struct kiln_table_image *image)
{
    assert_int_equal(kiln_table_sort(ctx, names, count), 0);
    assert_int_equal(kiln_table_build(ctx, image, names, count), 0);
    return (const void *)image->bytes.ptr;
}

static const struct kiln_table *
build_one(struct kiln_ctx *ctx, const char *name, struct kiln_table_image *image)
{
    struct kiln_table_name names[] = {{.name = name, .symbol = "s"}};
    return build(ctx, names, 1, image);
}

static size_t
sum_name_lengths(const struct kiln_table_name *names, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += strlen(names[i].name);
    }
    return sum;
}

static int
read_text(struct kiln_ctx *ctx, struct kiln_table_names *names, const char *text)
{
    return kiln_table_read(ctx, names, kiln_span_of_string(text), "list");
}

static char *
emit(struct kiln_ctx *ctx, struct kiln_table_name *names, size_t count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    assert_int_equal(kiln_table_emit(ctx, names, count, stream, NULL), 0);
    fclose(stream);
    return text;
}

/* --- Lookup ----------------------------------------------------------------------------------- */

static void
every_name_is_found_at_every_size_of_table(void **state)
{
    static const size_t extra[] = {300, 1000, 5000};
    for (size_t i = 0; i < 70 + 3; i++) {
        size_t count = i < 70 ? i : extra[i - 70];
        struct kiln_table_name *names = make_names(*state, count);
        struct kiln_table_image image;
        const struct kiln_table *table = build(*state, names, count, &image);
        assert_true(kiln_table_check(table));
        assert_int_equal(kiln_table_get_count(table), count);
        for (size_t n = 0; n < count; n++) {
            const struct kiln_table_entry *entry =
                kiln_table_find(table, names[n].name, strlen(names[n].name));
            assert_non_null(entry);
            assert_string_equal(kiln_table_get_name(entry), names[n].name);
            assert_int_equal(kiln_table_get_name_len(entry), strlen(names[n].name));
            assert_int_equal(kiln_table_get_flags(entry), names[n].flags);
        }
    }
}

static void
every_slot_belongs_to_one_name(void **state)
{
    enum { COUNT = 500 };
    struct kiln_table_name *names = make_names(*state, COUNT);
    struct kiln_table_image image;
    const struct kiln_table *table = build(*state, names, COUNT, &image);
    bool seen[COUNT] = {false};
    for (size_t slot = 0; slot < COUNT; slot++) {
        assert_false(seen[image.order[slot]]);
        seen[image.order[slot]] = true;
        const struct kiln_table_entry *entry = kiln_table_get_entry(table, slot);
        assert_string_equal(kiln_table_get_name(entry), names[image.order[slot]].name);
        assert_ptr_equal(
            kiln_table_find(table, kiln_table_get_name(entry), kiln_table_get_name_len(entry)),
            entry);
    }
}

static void
names_that_are_not_there_are_not_found(void **state)
{
    struct kiln_table_name *names = make_names(*state, 1000);
    struct kiln_table_image image;
    const struct kiln_table *table = build(*state, names, 1000, &image);
    for (size_t i = 0; i < 1000; i++) {
        char other[128];
        size_t len = (size_t)snprintf(other, sizeof other, "%s", names[i].name);
        assert_null(kiln_table_find(table, other, 1)); /* every name ends in a digit */
        other[len] = 'x';
        assert_null(kiln_table_find(table, other, len + 1));
        other[len - 1] = '\xff';
        assert_null(kiln_table_find(table, other, len));
    }
}

static void
a_name_with_a_nul_is_not_its_beginning(void **state)
{
    struct kiln_table_image image;
    const struct kiln_table *table = build_one(*state, "ab", &image);
    assert_non_null(kiln_table_find(table, "ab\0c", 2));
    assert_null(kiln_table_find(table, "ab\0c", 3));
    assert_null(kiln_table_find(table, "ab\0c", 4));
    assert_null(kiln_table_find(table, "a\0", 2));
    assert_null(kiln_table_find(table, "\0", 1));
    assert_null(kiln_table_find(table, "\0ab\0", 4));
}

static void
the_empty_name_is_not_found_and_not_read(void **state)
{
    struct kiln_table_image image;
    assert_null(kiln_table_find(build_one(*state, "ab", &image), NULL, 0));
}

static void
the_name_need_not_end_in_nul(void **state)
{
    /* Lengths around the hash's steps; the sanitizer sees a byte too many. */
    for (size_t len = 1; len < 70; len++) {
        char *name = malloc(len + 1);
        memset(name, 'n', len);
        name[len] = '\0';
        struct kiln_table_image image;
        const struct kiln_table *table = build_one(*state, name, &image);
        char *exact = malloc(len);
        memcpy(exact, name, len);
        assert_non_null(kiln_table_find(table, exact, len));
        free(exact);
        free(name);
    }
}

static void
an_empty_table_has_nothing(void **state)
{
    struct kiln_table_image image;
    const struct kiln_table *table = build(*state, NULL, 0, &image);
    assert_true(kiln_table_check(table));
    assert_int_equal(kiln_table_get_count(table), 0);
    assert_null(kiln_table_find(table, "a", 1));
    assert_null(kiln_table_find(table, "", 0));
    assert_int_equal(image.bytes.len, 40);
}

static void
a_module_takes_eleven_bytes_besides_its_name(void **state)
{
    static const size_t counts[] = {64, 1000, 4000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct kiln_table_name *names = make_names(*state, counts[i]);
        struct kiln_table_image image;
        build(*state, names, counts[i], &image);
        assert_int_equal(image.bytes.len - sum_name_lengths(names, counts[i]), 40 + 11 * counts[i]);
    }
}

static void
the_order_of_the_names_makes_no_difference(void **state)
{
    struct kiln_table_name *names = make_names(*state, 700), *other = make_names(*state, 700);
    for (size_t i = 0; i < 350; i++) {
        struct kiln_table_name swap = other[i];
        other[i] = other[699 - i];
        other[699 - i] = swap;
    }
    char *first = emit(*state, names, 700), *second = emit(*state, other, 700);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

/* The hash is part of the layout: whoever changes it must count KILN_TABLE_VERSION up. */
static void
the_hash_is_the_one_of_layout_version_1(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t hash;
    } cases[] = {
        {"", UINT64_C(0x842c105825a71a5b)},
        {"a", UINT64_C(0x38f65194db256b59)},
        {"abc", UINT64_C(0xb2b94962c4e2ccd2)},
        {"json", UINT64_C(0xcd8adcb195d69d56)},
        {"pkg.sub", UINT64_C(0xcaf80817658bbf4f)},
        {"package.module_", UINT64_C(0x8cb4b3d537f3cdf9)},
        {"a.b.c.d.e.f.g.h.", UINT64_C(0xe57221ae51e40830)},
        {"company.team.project._speedups", UINT64_C(0xbfef4f8646344921)},
        {"\xc3\xa9", UINT64_C(0x40a7d14f0c045ee0)},
    };
    assert_int_equal(KILN_TABLE_VERSION, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kiln_table_hash(i, cases[i].name, strlen(cases[i].name)), cases[i].hash);
    }
    assert_int_equal(kiln_table_displace(UINT64_C(0x0123456789abcdef), 5, 1000), 369);
}

static void
a_table_of_another_version_is_no_table_for_this_header(void **state)
{
    struct kiln_table_image image;
    build_one(*state, "a", &image);
    struct kiln_table_header *header = (void *)(uintptr_t)image.bytes.ptr;
    assert_true(kiln_table_check((const void *)header));
    header->version++;
    assert_false(kiln_table_check((const void *)header));
    header->version--;
    header->magic[7] = '2';
    assert_false(kiln_table_check((const void *)header));
}

/* --- Names ------------------------------------------------------------------------------------ */

static void
a_line_is_a_name_a_symbol_and_perhaps_package(void **state)
{
    struct kiln_table_names names = {0};
    assert_int_equal(read_text(*state, &names,
                               "# modules\n\n"
                               "a.b kiln_init_a_db\n"
                               "  \t pkg\tPyInit_pkg   package  # its __init__\r\n"
                               "new PyModExport_new\n"
                               "new.sub kiln_export_new_dsub package#x\n"
                               "last x"),
                     KILN_ERR_INPUT);
    names = (struct kiln_table_names){0};
    assert_int_equal(read_text(*state, &names,
                               "# modules\n\n"
                               "a.b kiln_init_a_db\n"
                               "  \t pkg\tPyInit_pkg   package  # its __init__\r\n"
                               "new PyModExport_new\n"
                               "new.sub kiln_export_new_dsub package\n"
                               "last x"),
                     0);
    static const struct kiln_table_name expected[] = {
        {"a.b", "kiln_init_a_db", 0, "list", 3},
        {"pkg", "PyInit_pkg", KILN_MODULE_PACKAGE, "list", 4},
        {"new", "PyModExport_new", KILN_MODULE_EXPORT, "list", 5},
        {"new.sub", "kiln_export_new_dsub", KILN_MODULE_EXPORT | KILN_MODULE_PACKAGE, "list", 6},
        {"last", "x", 0, "list", 7},
    };
    assert_int_equal(names.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(names.items[i].name, expected[i].name);
        assert_string_equal(names.items[i].symbol, expected[i].symbol);
        assert_int_equal(names.items[i].flags, expected[i].flags);
        assert_int_equal(names.items[i].line, expected[i].line);
    }
}

static void
every_unreadable_line_is_reported(void **state)
{
    struct kiln_table_names names = {0};
    static const char text[] = "alone\nfine x\na b pakage\nx\0 y\n\0";
    assert_int_equal(kiln_table_read(*state, &names, kiln_span_of(text, sizeof text - 1), "list"),
                     KILN_ERR_INPUT);
    assert_int_equal(names.count, 1);
    assert_non_null(strstr(said, "list:1: the symbol is missing after \"alone\""));
    assert_non_null(strstr(said, "list:3: \"pakage\" is not known"));
    assert_non_null(strstr(said, "list:4: a NUL byte"));
    assert_non_null(strstr(said, "list:5: a NUL byte"));
}

static void
every_name_and_symbol_that_cannot_be_is_reported(void **state)
{
    struct kiln_table_names names = {0};
    assert_int_equal(read_text(*state, &names,
                               "a..b x\nfine x\nc 1x\nd a-b\ne x@plt\nf $x\ng .x\nh \"\n"
                               "i kiln_table\nj \xc3\xa9\n\xff x\n"),
                     0);
    assert_int_equal(kiln_table_sort(*state, names.items, names.count), KILN_ERR_INPUT);
    static const char *const expected[] = {
        "list:1: \"a..b\" is not the name of a module: a component is empty",
        "list:3: \"1x\" is not a symbol (module c)",
        "list:4: \"a-b\" is not a symbol",
        "list:5: \"x@plt\" is not a symbol",
        "list:6: \"$x\" is not a symbol",
        "list:7: \".x\" is not a symbol",
        "list:8: \"\"\" is not a symbol",
        "list:9: the symbol kiln_table (module i) is the table itself",
        "list:10: \"\xc3\xa9\" is not a symbol",
        "list:11: \"\xff\" is not the name of a module: it is not UTF-8",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_non_null(strstr(said, expected[i]));
    }
    struct kiln_ctx *ctx = *state;
    assert_int_equal(ctx->errors, sizeof expected / sizeof expected[0]);
}

static void
a_duplicate_is_reported_with_both_lines(void **state)
{
    struct kiln_table_names names = {0};
    assert_int_equal(read_text(*state, &names, "b y\na x\nb z\na x\na w\n"), 0);
    assert_int_equal(kiln_table_sort(*state, names.items, names.count), KILN_ERR_INPUT);
    assert_string_equal(
        said, "list:4: the module a is listed twice, with the symbols x and x; the first is at "
              "list:2\n"
              "list:5: the module a is listed twice, with the symbols x and w; the first is at "
              "list:2\n"
              "list:3: the module b is listed twice, with the symbols y and z; the first is at "
              "list:1\n");
}

static void
names_from_no_file_are_reported_without_one(void **state)
{
    struct kiln_table_name names[] = {{.name = "a", .symbol = "x"}, {.name = "a", .symbol = "y"}};
    assert_int_equal(kiln_table_emit(*state, names, 2, NULL, NULL), KILN_ERR_INPUT);
    assert_string_equal(said, "the module a is listed twice, with the symbols x and y\n");
}

/* --- Assembly --------------------------------------------------------------------------------- */

static void
the_assembly_has_distances_and_no_addresses(void **state)
{
    struct kiln_table_name names[] = {
        {.name = "\xc3\xa9.1", .symbol = "unix", .flags = KILN_MODULE_PACKAGE}};
    char *text = emit(*state, names, 1);
    assert_non_null(strstr(text, "\t.section .kiln_table,\"a\",%progbits\n"));
    assert_non_null(strstr(text, "\t.4byte \"unix\"-.\n"));
    assert_non_null(strstr(text, "\t.ascii \"\\001\\303\\251.1\\000\"\n"));
    assert_null(strstr(text, "quad"));
    free(text);
}

static void
a_stream_that_takes_nothing_is_an_error(void **state)
{
    struct kiln_table_name *names = make_names(*state, 1000);
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL) {
        skip(); /* no /dev/full */
    }
    assert_int_equal(kiln_table_emit(*state, names, 1000, full, NULL), KILN_ERR_SYSTEM);
    assert_non_null(strstr(said, "cannot write the table"));
    fclose(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_name_is_found_at_every_size_of_table),
        TEST(every_slot_belongs_to_one_name),
        TEST(names_that_are_not_there_are_not_found),
        TEST(a_name_with_a_nul_is_not_its_beginning),
        TEST(the_empty_name_is_not_found_and_not_read),
        TEST(the_name_need_not_end_in_nul),
        TEST(an_empty_table_has_nothing),
        TEST(a_module_takes_eleven_bytes_besides_its_name),
        TEST(the_order_of_the_names_makes_no_difference),
        TEST(the_hash_is_the_one_of_layout_version_1),
        TEST(a_table_of_another_version_is_no_table_for_this_header),
        TEST(a_line_is_a_name_a_symbol_and_perhaps_package),
        TEST(every_unreadable_line_is_reported),
        TEST(every_name_and_symbol_that_cannot_be_is_reported),
        TEST(a_duplicate_is_reported_with_both_lines),
        TEST(names_from_no_file_are_reported_without_one),
        TEST(the_assembly_has_distances_and_no_addresses),
        TEST(a_stream_that_takes_nothing_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
