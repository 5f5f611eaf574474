/* Dotted names and the symbols made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "names/dotted_name.h"
#include "names/init_symbol.h"
#include "names/module_symbol.h"

static char last_message[512];

static void
keep_message(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx;
    assert_int_equal(severity, KILN_ERROR);
    snprintf(last_message, sizeof last_message, "%s", text);
}

static int
setup(void **state)
{
    struct kiln_ctx *ctx = calloc(1, sizeof *ctx);
    ctx->say = keep_message;
    last_message[0] = '\0';
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

static void
ordinary_names_are_accepted(void **state)
{
    static const char *const names[] = {
        "a",     "_",
        "a.b",   "pkg.core._speedups",
        "1a.2b", "\xc3\xa9.\xce\xb1",
        "a._.b", "\xf4\x8f\xbf\xbf",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(kiln_dotted_name_check(*state, names[i]), 0);
    }
}

static void
a_wrong_name_is_told_with_its_fault(void **state)
{
    static const struct {
        const char *name, *fault;
    } cases[] = {
        {"", "it is empty"},           {".", "a component is empty"}, {".a", "component is empty"},
        {"a.", "component is empty"},  {"a..b", "is empty"},          {"a-b", "only letters"},
        {"a b", "only letters"},       {"a/b", "only letters"},       {"a\n", "only letters"},
        {"a\x7f", "only letters"},     {"\x80", "not UTF-8"},         {"\xc0\xaf", "not UTF-8"},
        {"\xe0\x80\x80", "UTF-8"},     {"\xed\xa0\x80", "not UTF-8"}, {"\xf4\x90\x80\x80", "UTF-8"},
        {"\xf0\x8f\xbf\xbf", "UTF-8"}, {"a\xc3", "not UTF-8"},        {"\xff", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kiln_dotted_name_check(*state, cases[i].name), KILN_ERR_INPUT);
        assert_non_null(strstr(last_message, cases[i].fault));
    }
}

static void
a_nul_is_no_part_of_a_name(void **state)
{
    (void)state;
    assert_non_null(kiln_dotted_name_find_problem(kiln_span_of("a\0b", 3)));
}

static void
symbols_are_spelt_as_documented(void **state)
{
    assert_string_equal(kiln_module_symbol_make(*state, "PyInit_c", "a_b.c"), "kiln_init_a__b_dc");
    assert_string_equal(kiln_module_symbol_make(*state, "PyInit_b_c", "a.b_c"),
                        "kiln_init_a_db__c");
    assert_string_equal(kiln_module_symbol_make(*state, "PyInitU_tda", "\xc3\xa9"),
                        "kiln_init__xc3_xa9");
    assert_string_equal(kiln_module_symbol_make(*state, "PyModExport_c", "a.c"),
                        "kiln_export_a_dc");
}

/* The second column is Python's own: name.encode("punycode"). */
static void
init_symbols_are_those_that_python_looks_for(void **state)
{
    static const char *const cases[][2] = {
        {"gr\xc3\xb6\xc3\x9f"
         "e",
         "gre_6ka8i"},
        {"\xd0\xb6", "f1a"},
        {"\xe5\x8f\x98\xe9\x87\x8f", "vory55l"},
        {"\xc3\xa9_x1", "_x1_9la"},
        {"\xc3\xbcn\xc3\xaf"
         "c\xc3\xb6"
         "d\xc3\xa9_n\xc3\xa4m\xc3\xa9",
         "ncd_nm_fua1be6c7d6c"},
        {"x\xcc\x81y", "xy_8tb"},
        {"a\xf0\x9f\x98\x80z", "az_no82a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64], wanted[64];
        snprintf(name, sizeof name, "pkg.%s", cases[i][0]);
        snprintf(wanted, sizeof wanted, "PyInitU_%s", cases[i][1]);
        assert_string_equal(kiln_init_symbol_make(*state, "PyInit", name), wanted);
    }
    assert_string_equal(kiln_init_symbol_make(*state, "PyModExport", "\xd0\xb6.m"),
                        "PyModExport_m");
    assert_string_equal(kiln_init_symbol_make(*state, "PyModExport", "\xd0\xb6"),
                        "PyModExportU_f1a");
}

static void
init_symbols_are_known(void **state)
{
    (void)state;
    assert_true(kiln_init_symbol_is_valid("PyInit_m"));
    assert_true(kiln_init_symbol_is_valid("PyInitU_m_9ja"));
    assert_true(kiln_init_symbol_is_valid("PyModExport_m"));
    assert_true(kiln_init_symbol_is_valid("PyModExportU_m_9ja"));
    assert_false(kiln_init_symbol_is_valid("PyInit_"));
    assert_false(kiln_init_symbol_is_valid("my_PyInit_m"));
    assert_false(kiln_init_symbol_is_valid("PyInit_m.cold"));
    assert_false(kiln_init_symbol_is_valid("PyInit_m\n.err"));
}

static void
symbols_of_export_hooks_are_known(void **state)
{
    (void)state;
    assert_true(kiln_module_symbol_is_export("kiln_export_a"));
    assert_true(kiln_module_symbol_is_export("PyModExport_a"));
    assert_true(kiln_module_symbol_is_export("PyModExportU_f1a"));
    assert_false(kiln_module_symbol_is_export("kiln_init_a"));
    assert_false(kiln_module_symbol_is_export("PyInit_a"));
}

static void
ids_of_libraries_are_no_modules(void **state)
{
    assert_string_equal(kiln_module_symbol_make_library_id(*state, "libx.a", 1), "libx_da_l");
    assert_string_equal(kiln_module_symbol_make_library_id(*state, "libx.a", 2), "libx_da_l2");
}

static void
names_that_look_alike_have_different_symbols(void **state)
{
    static const char *const pairs[][2] = {
        {"a_b.c", "a.b_c"}, {"foo_.bar", "foo._bar"},
        {"a__b", "a_b"},    {"a_db", "a.b"},
        {"a.d", "a_d"},     {"_xc3_xa9", "\xc3\xa9"},
        {"_d", "."},        {"__", "_"},
        {"A", "a"},         {"_x2e", "."},
        {"a._", "a_."},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_string_not_equal(kiln_module_symbol_make(*state, "PyInit_x", pairs[i][0]),
                                kiln_module_symbol_make(*state, "PyInit_x", pairs[i][1]));
    }
}

/* What kiln_module_symbol_make() has encoded. */
static void
decode(const char *symbol, char *out)
{
    for (const char *p = symbol + strlen("kiln_init_"); *p != '\0'; p++) {
        if (*p != '_') {
            *out++ = *p;
            continue;
        }
        p++;
        if (*p == 'x') {
            char digits[3] = {p[1], p[2], '\0'};
            *out++ = (char)strtoul(digits, NULL, 16);
            p += 2;
        }
        else {
            *out++ = *p == 'd' ? '.' : *p;
        }
    }
    *out = '\0';
}

static void
every_symbol_can_be_read_back_and_is_an_identifier(void **state)
{
    static const char alphabet[] = "ab_d.x0c3\xc3\xa9-";
    uint32_t random = 1;
    for (size_t round = 0; round < 20000; round++) {
        char name[16] = "", decoded[16];
        for (size_t i = 0; i < sizeof name - 1; i++) {
            random = random * 1664525 + 1013904223;
            /* The alphabet's NUL ends the name. */
            name[i] = alphabet[(random >> 16) % sizeof alphabet];
        }
        const char *symbol = kiln_module_symbol_make(*state, "PyInit_x", name);
        assert_int_equal(strspn(symbol, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789_"),
                         strlen(symbol));
        decode(symbol, decoded);
        assert_string_equal(decoded, name);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ordinary_names_are_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_name_is_told_with_its_fault, setup, teardown),
        cmocka_unit_test(a_nul_is_no_part_of_a_name),
        cmocka_unit_test_setup_teardown(symbols_are_spelt_as_documented, setup, teardown),
        cmocka_unit_test_setup_teardown(init_symbols_are_those_that_python_looks_for, setup,
                                        teardown),
        cmocka_unit_test(init_symbols_are_known),
        cmocka_unit_test(symbols_of_export_hooks_are_known),
        cmocka_unit_test_setup_teardown(ids_of_libraries_are_no_modules, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_look_alike_have_different_symbols, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_symbol_can_be_read_back_and_is_an_identifier, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
