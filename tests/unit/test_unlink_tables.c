/* The tables of an image: the coding of relative words comes out as it went in; pages are protected as the
 * dynamic loader would leave them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "unlink/object.h"

static struct kiln_ctx ctx;
static struct kiln_unlink settings;
static struct kiln_set set;
static struct kiln_object image;
static struct kiln_words words;
static struct kiln_tables tables;

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){0};
    settings = (struct kiln_unlink){.pie = true};
    set = (struct kiln_set){.ctx = &ctx, .unlink = &settings};
    image = (struct kiln_object){.path = "test.so"};
    words = (struct kiln_words){0};
    tables = (struct kiln_tables){0};
    const struct kiln_import import = {.kind = KILN_IMPORT_ADDRESS, .name = "malloc"};
    kiln_import_intern(&set, &import);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_buffer_release(&tables.records);
    kiln_buffer_release(&tables.words);
    kiln_buffer_release(&tables.strings);
    kiln_ctx_release(&ctx);
    return 0;
}

static void
add_word(uint64_t offset, enum kiln_word_kind kind)
{
    *KILN_ARENA_PUSH(&ctx.arena, &words) = (struct kiln_word){.offset = offset, .kind = kind};
}

/* -- Relative words -- */

/* What kiln/internal/images.h says of `relative`, and no more. */
static size_t
decode(const struct kiln_image *record, uint32_t *out, size_t capacity)
{
    const uint32_t *entries =
        (const uint32_t *)(const void *)tables.words.bytes + record->relative.first;
    uint32_t last = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < record->relative.count; i++) {
        if (entries[i] % 2 == 0) {
            last = entries[i];
            assert_true(count < capacity);
            out[count++] = last;
            continue;
        }
        for (uint32_t bit = 1; bit < 32; bit++) {
            if (entries[i] >> bit & 1) {
                assert_true(count < capacity);
                out[count++] = last + bit * 8;
            }
        }
        last += 31 * 8;
    }
    return count;
}

static void
assert_comes_out(void)
{
    struct kiln_image record;
    size_t count = 0;
    uint32_t *out = malloc((words.count + 1) * sizeof *out);
    assert_non_null(out);
    kiln_tables_add(&set, &tables, &image, &words);
    memcpy(&record, tables.records.bytes + (tables.count - 1) * sizeof record, sizeof record);
    size_t decoded = decode(&record, out, words.count + 1);
    for (size_t i = 0; i < words.count; i++) {
        if (words.items[i].kind == KILN_WORD_RELATIVE) {
            assert_true(count < decoded);
            assert_int_equal(out[count++], words.items[i].offset);
        }
    }
    assert_int_equal(count, decoded);
    free(out);
}

static void
test_relative_words_at_the_borders_of_bitmaps_come_out(void **state)
{
    (void)state;
    static const uint32_t gaps[] = {8, 16, 31 * 8, 32 * 8, 33 * 8, 62 * 8, 63 * 8, 64 * 8, 4096};
    for (size_t i = 0; i < 9 * 9 * 9; i++) {
        words.count = 0;
        uint64_t at = i % 2 == 0 ? 0 : 4096;
        add_word(at, KILN_WORD_RELATIVE);
        add_word(at += gaps[i % 9], KILN_WORD_RELATIVE);
        add_word(at += gaps[i / 9 % 9], KILN_WORD_RELATIVE);
        add_word(at += gaps[i / 81], KILN_WORD_RELATIVE);
        assert_comes_out();
    }
}

/* A packed struct can have a function's address anywhere. */
static void
test_a_word_that_is_not_aligned_may_stand_between_relative_ones(void **state)
{
    (void)state;
    add_word(8, KILN_WORD_RELATIVE);
    add_word(16, KILN_WORD_RELATIVE);
    add_word(28, KILN_WORD_PATCH);
    add_word(40, KILN_WORD_RELATIVE);
    add_word(48, KILN_WORD_RELATIVE);
    assert_comes_out();
}

static void
test_any_relative_words_come_out(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 300; round++) {
        words.count = 0;
        uint64_t at = 0;
        for (int i = 0; i < 200; i++) {
            random = random * 1664525 + 1013904223;
            unsigned choice = random >> 24;
            at = (at + 7) / 8 * 8 + (choice % 5 == 0 ? (choice / 5) * UINT64_C(16) : 0);
            if (choice % 7 == 0) {
                add_word(at + choice % 8, KILN_WORD_PATCH);
                at += choice % 8;
            }
            else {
                add_word(at, choice % 3 == 0 ? KILN_WORD_BYTES : KILN_WORD_RELATIVE);
            }
            at += 8;
        }
        assert_comes_out();
    }
}

/* -- Pages -- */

/* A segment R-X of two pages, one RW- from 0x2100 to 0x5100, of which the file has up to 0x3100. */
static void
make_segments(void)
{
    image.dso.load_count = 2;
    image.dso.size = 0x5100;
    image.dso.loads[0] =
        (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 0x2000, .p_memsz = 0x2000};
    image.dso.loads[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                                      .p_flags = PF_R | PF_W,
                                      .p_vaddr = 0x2100,
                                      .p_offset = 0x2100,
                                      .p_filesz = 0x1000,
                                      .p_memsz = 0x3000};
}

static void
assert_protections(bool separate_code, const uint32_t (*expected)[3], size_t count)
{
    struct kiln_buffer protections = {0};
    kiln_pages_protect(&image, &words, separate_code, &protections);
    assert_int_equal(protections.len, count * sizeof expected[0]);
    assert_memory_equal(protections.bytes, expected, protections.len);
    kiln_buffer_release(&protections);
}

static void
test_pages_of_a_writable_segment_become_writable(void **state)
{
    (void)state;
    make_segments();
    static const uint32_t expected[][3] = {{0x2000, 0x4000, KILN_IMAGE_WRITABLE}};
    assert_protections(false, expected, 1);
    static const uint32_t separate[][3] = {{0, 0x2000, KILN_IMAGE_CONSTANT},
                                           {0x2000, 0x4000, KILN_IMAGE_WRITABLE}};
    assert_protections(true, separate, 2);
}

static void
test_relro_is_writable_only_while_words_are_filled_in(void **state)
{
    (void)state;
    make_segments();
    image.dso.relro = (Elf64_Phdr){.p_type = PT_GNU_RELRO, .p_vaddr = 0x2100, .p_memsz = 0xf00};
    static const uint32_t none[][3] = {{0x3000, 0x3000, KILN_IMAGE_WRITABLE}};
    assert_protections(false, none, 1);
    add_word(0x2ff8, KILN_WORD_IMAGE); /* the linker's */
    assert_protections(false, none, 1);
    add_word(0x2100, KILN_WORD_PATCH);
    static const uint32_t filled[][3] = {{0x2000, 0x1000, KILN_IMAGE_RELRO},
                                         {0x3000, 0x3000, KILN_IMAGE_WRITABLE}};
    assert_protections(false, filled, 2);
    image.dso.relro.p_memsz = 0xeff; /* not to the end of its page: none */
    static const uint32_t part[][3] = {{0x2000, 0x4000, KILN_IMAGE_WRITABLE}};
    assert_protections(false, part, 1);
}

static void
test_many_zeros_are_a_mapping_of_their_own(void **state)
{
    (void)state;
    make_segments();
    image.dso.loads[1].p_memsz = 0x100000;
    static const uint32_t zeros[][3] = {{0x2000, 0x2000, KILN_IMAGE_WRITABLE},
                                        {0x4000, 0xff000, KILN_IMAGE_ZEROS}};
    assert_protections(false, zeros, 2);
    add_word(0x50000, KILN_WORD_IMAGE); /* zeros that are none */
    static const uint32_t word[][3] = {{0x2000, 0x4f000, KILN_IMAGE_WRITABLE},
                                       {0x51000, 0xb2000, KILN_IMAGE_ZEROS}};
    assert_protections(false, word, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_relative_words_at_the_borders_of_bitmaps_come_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_word_that_is_not_aligned_may_stand_between_relative_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_relative_words_come_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages_of_a_writable_segment_become_writable, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_relro_is_writable_only_while_words_are_filled_in,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_zeros_are_a_mapping_of_their_own, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
