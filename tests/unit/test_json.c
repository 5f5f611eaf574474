/* JSON strings: quotes, control characters, and bytes that are not UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/json.h"

static void
expect(const char *text, const char *json)
{
    char *out = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&out, &len);
    assert_non_null(stream);
    kiln_json_string(stream, text);
    fclose(stream);
    assert_string_equal(out, json);
    free(out);
}

static void
quotes_and_control_characters_are_escaped(void **state)
{
    (void)state;
    expect("a\"b\\c\n\x01", "\"a\\\"b\\\\c\\u000a\\u0001\"");
    expect("\x7f\xc2\x9b\xc2\xa0", "\"\\u007f\\u009b\xc2\xa0\"");
}

static void
utf8_stays(void **state)
{
    (void)state;
    expect("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

/* As os.fsdecode() does. */
static void
other_bytes_are_surrogates(void **state)
{
    (void)state;
    expect("caf\xe9", "\"caf\\udce9\"");
    expect("\xc3", "\"\\udcc3\"");
    expect("\xc0\xaf", "\"\\udcc0\\udcaf\"");                       /* overlong */
    expect("\xe0\x80\x80", "\"\\udce0\\udc80\\udc80\"");            /* overlong */
    expect("\xed\xa0\x80", "\"\\udced\\udca0\\udc80\"");            /* a surrogate */
    expect("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\""); /* beyond Unicode */
    expect("\xff\xfe", "\"\\udcff\\udcfe\"");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_and_control_characters_are_escaped),
        cmocka_unit_test(utf8_stays),
        cmocka_unit_test(other_bytes_are_surrogates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
