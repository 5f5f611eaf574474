/* Parts: what is written is read back, other bytes are refused, and untrusted objects identified. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "combine/parts.h"
#include "object.h"

static struct kiln_ctx ctx;

static struct kiln_span
format(void)
{
    struct kiln_part_list parts = {0};
    static const struct kiln_part items[] = {
        {.archive = 0, .name = "/build/own.o", .bytes = {(const uint8_t *)"own", 3}},
        {.archive = 2, .name = "12345678", .bytes = {(const uint8_t *)"0123456789", 10}},
        {.archive = 1, .name = "empty.o", .bytes = {NULL, 0}},
    };
    for (size_t i = 0; i < 3; i++) {
        *KILN_ARENA_PUSH(&ctx.arena, &parts) = items[i];
    }
    return kiln_parts_format(&parts, &ctx.arena);
}

static void
test_what_is_written_is_read_back(void **state)
{
    (void)state;
    struct kiln_part_list parts = {0};
    struct kiln_span bytes = format();
    assert_true(kiln_parts_parse(&ctx, bytes, 2, &parts));
    assert_int_equal(parts.count, 3);
    assert_string_equal(parts.items[0].name, "/build/own.o");
    assert_int_equal(parts.items[0].archive, 0);
    assert_true(kiln_span_equal(parts.items[0].bytes, kiln_span_of_string("own")));
    assert_string_equal(parts.items[1].name, "12345678");
    assert_int_equal(parts.items[1].archive, 2);
    assert_true(kiln_span_equal(parts.items[1].bytes, kiln_span_of_string("0123456789")));
    assert_string_equal(parts.items[2].name, "empty.o");
    assert_int_equal(parts.items[2].bytes.len, 0);
    for (size_t i = 0; i < parts.count; i++) { /* as ELF wants its bytes */
        assert_int_equal((size_t)(parts.items[i].bytes.ptr - bytes.ptr) % 8, 0);
    }
}

static void
test_an_archive_that_is_not_there_is_refused(void **state)
{
    (void)state;
    struct kiln_part_list parts = {0};
    assert_false(kiln_parts_parse(&ctx, format(), 1, &parts));
}

static void
test_bytes_that_end_anywhere_are_refused_or_fewer_parts(void **state)
{
    (void)state;
    struct kiln_span bytes = format();
    for (size_t len = 0; len < bytes.len; len++) {
        struct kiln_part_list parts = {0};
        if (kiln_parts_parse(&ctx, kiln_span_of(bytes.ptr, len), 2, &parts)) {
            assert_true(parts.count <= 3);
        }
    }
    struct kiln_part_list parts = {0};
    assert_false(kiln_parts_parse(&ctx, kiln_span_of(bytes.ptr, 20), 2, &parts));
}

static void
test_sizes_beyond_the_bytes_are_refused(void **state)
{
    (void)state;
    struct kiln_span bytes = format();
    for (size_t at = 4; at < 16; at++) {
        uint8_t *copy = kiln_arena_alloc(&ctx.arena, bytes.len);
        memcpy(copy, bytes.ptr, bytes.len);
        copy[at] = 0xff;
        struct kiln_part_list parts = {0};
        assert_false(kiln_parts_parse(&ctx, kiln_span_of(copy, bytes.len), 2, &parts));
    }
}

/* The test object, with its type and the symbol of its relocation changed, is identified, or refused
 * as no ELF file that can be read. */
static void
identify(uint16_t type, uint64_t symbol, bool accepted)
{
    struct test_object object = test_make_object();
    struct kiln_elf elf;
    object.header.e_type = type;
    object.rela[0].r_info = ELF64_R_INFO(symbol, R_X86_64_PLT32);
    assert_int_equal(kiln_elf_init(&ctx, test_object_bytes(&object), "part.o", &elf) == 0,
                     accepted);
    if (accepted) {
        kiln_part_identify(&elf);
        assert_int_equal(kiln_elf_count_relocations(&elf, TEST_RELA), type == ET_REL);
    }
}

static void
test_relocations_are_read_only_where_they_were_checked(void **state)
{
    (void)state;
    static const uint64_t symbols[] = {TEST_SYMBOLS, 0x7fffffff, UINT32_MAX};
    identify(ET_REL, TEST_SYMBOLS - 1, true);
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        identify(ET_REL, symbols[i], false);
        identify(ET_NONE, symbols[i], false);
        identify(ET_LOOS, symbols[i], false);
        identify(ET_EXEC, symbols[i], true);
        identify(ET_DYN, symbols[i], true);
        identify(ET_CORE, symbols[i], true);
    }
}

static int
release(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    ctx = (struct kiln_ctx){0};
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, release)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_written_is_read_back),
        TEST(test_an_archive_that_is_not_there_is_refused),
        TEST(test_bytes_that_end_anywhere_are_refused_or_fewer_parts),
        TEST(test_sizes_beyond_the_bytes_are_refused),
        TEST(test_relocations_are_read_only_where_they_were_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
