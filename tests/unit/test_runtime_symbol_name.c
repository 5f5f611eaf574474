/* The symbols of dotted names, in both forms of Kiln_LookupSymbols(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "find/symbol_name.h"

struct example {
    const char *name;
    const char *symbol; /* NULL: it has none */
    bool doubled, in_package;
};

static void
names_have_the_symbols_that_are_documented(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"flat", "flat", false, false},
        {"pkg.foo_bar", "pkg_dfoo__bar", false, false},
        {"pkg", "pkg_d____init____", false, true},
        {"a_.b", "a___db", false, false},
        {"a._b", "a_d__b", false, false},
        {"\xc3\xa9", "_xc3_xa9", false, false},
        {"pkg.foo_bar", "pkg_foo__bar", true, false},
        {"pkg", "pkg_____init____", true, true},
        {"a._b", "a___b", true, false},
        {"a.b_", "a_b__", true, false},
        {"a_.b", NULL, true, false},
        {"a_", NULL, true, true},
        {"\xc3\xa9", NULL, true, false},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *example = &examples[i];
        char symbol[KILN_SYMBOL_MAX];
        bool found = kiln_symbol_encode(symbol, example->name, strlen(example->name),
                                        example->doubled, example->in_package);
        assert_int_equal(found, example->symbol != NULL);
        if (found) {
            assert_string_equal(symbol, example->symbol);
        }
    }
}

static void
what_is_no_dotted_name_has_no_symbol(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "a.", ".a", "a..b", "a b", "a-b", "a\x7f"};
    char symbol[KILN_SYMBOL_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int form = 0; form < 4; form++) {
            assert_false(
                kiln_symbol_encode(symbol, names[i], strlen(names[i]), form & 1, form & 2));
        }
    }
}

static void
a_name_that_is_too_long_has_no_symbol(void **state)
{
    (void)state;
    char name[KILN_SYMBOL_MAX + 1], symbol[KILN_SYMBOL_MAX];
    bool found = true;
    size_t longest = 0;
    for (size_t len = 1; len <= KILN_SYMBOL_MAX; len++) {
        memset(name, 'x', len);
        name[len] = '\0';
        bool fits = kiln_symbol_encode(symbol, name, len, false, false);
        assert_true(found || !fits);
        longest = fits ? strlen(symbol) : longest;
        found = fits;
    }
    assert_int_equal(longest, KILN_SYMBOL_MAX - 4);
    assert_false(kiln_symbol_encode(symbol, name, longest, false, true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_the_symbols_that_are_documented),
        cmocka_unit_test(what_is_no_dotted_name_has_no_symbol),
        cmocka_unit_test(a_name_that_is_too_long_has_no_symbol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
