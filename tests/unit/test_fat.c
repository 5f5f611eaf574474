/* The `.kiln` section: what is written is read back, what was in the file stays, and each way in
 * which a section can be damaged has its message. The ELF file is this test program itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "context.h"
#include "elf/elf.h"
#include "fat/format.h"

static const char *path;

static int
set_up(void **state)
{
    (void)state;
    test_context_start();
    path = kiln_arena_printf(&ctx.arena, "%s/x.so", kiln_ctx_get_tmpdir(&ctx));
    return kiln_file_copy(&ctx, kiln_file_get_program(&ctx), path);
}

static struct kiln_fat
make_fat(void)
{
    struct kiln_fat fat = {.driver = "/usr/bin/g++", .output = "/x/y.so"};
    kiln_strings_push(&ctx.arena, &fat.inits, "PyInit_a");
    kiln_strings_push(&ctx.arena, &fat.inits, "PyInit_b");
    return fat;
}

static struct kiln_span
make_object(void)
{
    uint8_t *bytes = kiln_arena_alloc(&ctx.arena, 100000);
    for (size_t i = 0; i < 100000; i++) {
        bytes[i] = (uint8_t)(i * i >> 5);
    }
    return kiln_span_of(bytes, 100000);
}

static struct kiln_span
read_file(void)
{
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    uint8_t *copy = kiln_arena_alloc(&ctx.arena, file.bytes.len);
    memcpy(copy, file.bytes.ptr, file.bytes.len);
    size_t len = file.bytes.len;
    kiln_file_release(&file);
    return kiln_span_of(copy, len);
}

static void
assert_strings(const struct kiln_strings *a, const struct kiln_strings *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i], b->items[i]);
    }
}

static void
test_what_is_written_is_read_back(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat(), got;
    struct kiln_span object = make_object(), bytes, again;
    bool found;
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, object), 0);
    bytes = read_file();
    assert_int_equal(kiln_fat_read(&ctx, bytes, path, &got, &found), 0);
    assert_true(found);
    assert_string_equal(got.driver, fat.driver);
    assert_string_equal(got.output, fat.output);
    assert_strings(&got.inits, &fat.inits);
    assert_null(got.failure);
    assert_int_equal(got.object_size, object.len);
    assert_int_equal(kiln_fat_decompress(&ctx, &got, path, &ctx.arena, &again), 0);
    assert_true(kiln_span_equal(object, again));
}

/* Parts that are mostly the object. */
static struct kiln_span
make_parts(void)
{
    struct kiln_span object = make_object();
    uint8_t *bytes = kiln_arena_alloc(&ctx.arena, object.len + 5);
    memcpy(bytes, "parts", 5);
    memcpy(bytes + 5, object.ptr, object.len);
    return kiln_span_of(bytes, object.len + 5);
}

static void
test_parts_are_written_and_read_back_and_cost_little(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat(), got;
    struct kiln_span object = make_object(), again, parts;
    bool found;
    kiln_strings_push(&ctx.arena, &fat.archives, "/build/libx.a");
    kiln_strings_push(&ctx.arena, &fat.combine, "--undefined=x");
    fat.parts = make_parts();
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, object), 0);
    assert_int_equal(kiln_fat_read(&ctx, read_file(), path, &got, &found), 0);
    assert_strings(&got.archives, &fat.archives);
    assert_strings(&got.combine, &fat.combine);
    assert_int_equal(got.parts_size, fat.parts.len);
    assert_true(got.parts_frame.len < 200);
    assert_int_equal(kiln_fat_decompress(&ctx, &got, path, &ctx.arena, &again), 0);
    assert_true(kiln_span_equal(object, again));
    assert_int_equal(kiln_fat_decompress_parts(&ctx, &got, path, object, &ctx.arena, &parts), 0);
    assert_true(kiln_span_equal(parts, fat.parts));
}

static void
test_damaged_parts_are_refused_and_the_object_is_not(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat(), got;
    struct kiln_fat_section section;
    struct kiln_span object = make_object(), bytes, parts;
    fat.parts = make_parts();
    assert_int_equal(kiln_fat_encode(&ctx, &fat, object, &bytes), 0);
    uint8_t *copy = kiln_arena_alloc(&ctx.arena, bytes.len);
    memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len - 3] ^= 1;
    bytes = kiln_span_of(copy, bytes.len);
    assert_int_equal(kiln_fat_parse_section(&ctx, bytes, "bad.so", &section), 0);
    assert_int_equal(kiln_fat_parse_record(&ctx, &section, &got), 0);
    assert_int_equal(kiln_fat_decompress_parts(&ctx, &got, "bad.so", object, &ctx.arena, &parts),
                     KILN_ERR_FORMAT);
    assert_non_null(strstr(said, "wrong checksum of its parts"));
    copy[50] ^= 1; /* the size of their frame */
    assert_int_equal(kiln_fat_parse_section(&ctx, bytes, "bad.so", &section), KILN_ERR_FORMAT);
}

static void
test_a_failure_stands_in_for_the_object(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat(), got;
    struct kiln_span object;
    bool found;
    fat.failure = "no objects today";
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, kiln_span_of(NULL, 0)), 0);
    assert_int_equal(kiln_fat_read(&ctx, read_file(), path, &got, &found), 0);
    assert_string_equal(got.failure, "no objects today");
    assert_int_equal(got.object_size, 0);
    assert_int_equal(kiln_fat_decompress(&ctx, &got, path, &ctx.arena, &object), 0);
    assert_int_equal(object.len, 0);
}

static void
test_a_file_without_the_section_is_no_error(void **state)
{
    (void)state;
    struct kiln_fat fat;
    bool found = true;
    assert_int_equal(kiln_fat_read(&ctx, read_file(), path, &fat, &found), 0);
    assert_false(found);
}

static void
test_the_old_file_is_kept_to_the_byte(void **state)
{
    (void)state;
    struct kiln_span before = read_file(), after;
    struct kiln_fat fat = make_fat();
    struct kiln_elf old, new;
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, make_object()), 0);
    after = read_file();
    assert_int_equal(kiln_elf_init(&ctx, before, "old", &old), 0);
    assert_int_equal(kiln_elf_init(&ctx, after, "new", &new), 0);
    assert_int_equal(new.section_count, old.section_count + 1);
    assert_int_equal(old.header.e_phnum, new.header.e_phnum);
    assert_int_equal(old.header.e_phoff, new.header.e_phoff);
    for (size_t i = 1; i < old.section_count; i++) {
        Elf64_Shdr a, b;
        kiln_elf_get_section(&old, i, &a);
        kiln_elf_get_section(&new, i, &b);
        assert_string_equal(kiln_elf_get_section_name(&old, i), kiln_elf_get_section_name(&new, i));
        if (i != old.header.e_shstrndx) {
            assert_memory_equal(&a, &b, sizeof a);
            assert_true(
                kiln_span_equal(kiln_elf_get_contents(&old, i), kiln_elf_get_contents(&new, i)));
        }
    }
    for (size_t i = 0; i < old.header.e_phnum; i++) {
        Elf64_Phdr segment;
        struct kiln_span a = {0}, b = {0};
        assert_true(kiln_span_read(before, old.header.e_phoff + i * sizeof segment, &segment,
                                   sizeof segment));
        /* e_shoff and e_shnum, in the header, have changed. */
        size_t from = segment.p_offset == 0 && segment.p_filesz > 0 ? sizeof(Elf64_Ehdr) : 0;
        assert_true(kiln_span_slice(before, segment.p_offset + from, segment.p_filesz - from, &a));
        assert_true(kiln_span_slice(after, segment.p_offset + from, segment.p_filesz - from, &b));
        assert_true(kiln_span_equal(a, b));
    }
    Elf64_Shdr section;
    kiln_elf_get_section(&new, kiln_elf_find_section(&new, ".kiln"), &section);
    assert_int_equal(section.sh_flags, 0);
    assert_int_equal(section.sh_type, SHT_PROGBITS);
    kiln_elf_release(&old);
    kiln_elf_release(&new);
}

static void
test_writing_again_gives_the_same_bytes(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat(), failed = make_fat();
    failed.failure = "a longer or shorter text";
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, make_object()), 0);
    struct kiln_span first = read_file();
    assert_int_equal(kiln_fat_write(&ctx, path, &failed, kiln_span_of(NULL, 0)), 0);
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, make_object()), 0);
    assert_true(kiln_span_equal(first, read_file()));
}

static void
test_mode_and_symbolic_link_stay(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat();
    struct stat st;
    const char *link = kiln_arena_printf(&ctx.arena, "%s/link.so", kiln_ctx_get_tmpdir(&ctx));
    assert_int_equal(symlink("x.so", link), 0);
    assert_int_equal(chmod(path, 0751), 0);
    assert_int_equal(kiln_fat_write(&ctx, link, &fat, make_object()), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0751);
}

static void
test_the_program_still_runs(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat();
    assert_int_equal(kiln_fat_write(&ctx, path, &fat, make_object()), 0);
    assert_int_equal(chmod(path, 0755), 0);
    const char *command = kiln_arena_printf(&ctx.arena, "%s --nothing", path);
    assert_int_equal(WEXITSTATUS(system(command)), 77);
}

static void
test_what_is_no_elf_file_is_left_alone(void **state)
{
    (void)state;
    struct kiln_fat fat = make_fat();
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of_string("text")), 0);
    assert_true(kiln_fat_write(&ctx, path, &fat, make_object()) < 0);
    assert_non_null(strstr(said, "x.so"));
    assert_int_equal(read_file().len, 4);
}

/* -- Damage -- */

static uint8_t *
encode(struct kiln_span *out)
{
    struct kiln_fat fat = make_fat();
    struct kiln_span bytes;
    assert_int_equal(kiln_fat_encode(&ctx, &fat, make_object(), &bytes), 0);
    uint8_t *copy = kiln_arena_alloc(&ctx.arena, bytes.len + 8);
    memcpy(copy, bytes.ptr, bytes.len);
    *out = kiln_span_of(copy, bytes.len);
    return copy;
}

static void
assert_damaged(struct kiln_span bytes, const char *text)
{
    struct kiln_fat_section section;
    struct kiln_fat fat;
    struct kiln_span object;
    said[0] = '\0';
    int result = kiln_fat_parse_section(&ctx, bytes, "bad.so", &section);
    result = result < 0 ? result : kiln_fat_parse_record(&ctx, &section, &fat);
    result = result < 0 ? result : kiln_fat_decompress(&ctx, &fat, "bad.so", &ctx.arena, &object);
    assert_int_equal(result, KILN_ERR_FORMAT);
    if (strstr(said, text) == NULL || strncmp(said, "bad.so: ", 8) != 0) {
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    }
}

static void
test_every_shorter_section_is_refused(void **state)
{
    (void)state;
    struct kiln_span bytes;
    encode(&bytes);
    for (size_t len = 0; len < bytes.len; len += len < 400 ? 1 : 97) {
        assert_damaged(kiln_span_of(bytes.ptr, len), "damaged .kiln section");
    }
    assert_damaged(kiln_span_of(bytes.ptr, bytes.len + 1), "the sizes in its header");
}

static void
test_every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct kiln_span bytes;
    uint8_t *copy = encode(&bytes);
    for (size_t i = 0; i < bytes.len; i += i < 400 ? 1 : 89) {
        copy[i] ^= 0x40;
        assert_damaged(bytes, i >= 8 && i < 12 ? "newer kiln" : "damaged .kiln section");
        copy[i] ^= 0x40;
    }
    copy[KILN_FAT_HEADER_SIZE] ^= 1;
    assert_damaged(bytes, "wrong checksum");
}

static void
test_a_newer_version_asks_for_an_upgrade(void **state)
{
    (void)state;
    struct kiln_span bytes;
    uint8_t *copy = encode(&bytes);
    copy[8] = KILN_FAT_VERSION + 1;
    assert_damaged(bytes, "built by a newer kiln (format 3, this one reads up to 2): upgrade kiln");
}

static void
test_an_implausible_size_is_refused_before_memory_is_asked_for(void **state)
{
    (void)state;
    struct kiln_span bytes;
    uint8_t *copy = encode(&bytes);
    copy[16 + 5] = 0xff; /* the size is not under the checksum: petabytes */
    assert_damaged(bytes, "the size of its object is wrong");
    assert_true(kiln_fat_is_plausible(64 << 20, 1));
    assert_false(kiln_fat_is_plausible((64 << 20) + 1024, 1));
    assert_false(kiln_fat_is_plausible(UINT64_MAX, 1 << 30));
    assert_true(kiln_fat_is_plausible((uint64_t)1 << 32, 1 << 22));
}

/* Parses a record that begins with the entries MORE. */
static void
parse_after(const void *more, size_t len)
{
    struct kiln_span bytes;
    struct kiln_fat_section section;
    struct kiln_fat fat;
    encode(&bytes);
    assert_int_equal(kiln_fat_parse_section(&ctx, bytes, "x.so", &section), 0);
    uint8_t *record = kiln_arena_alloc(&ctx.arena, section.record.len + len);
    memcpy(record, more, len);
    memcpy(record + len, section.record.ptr, section.record.len);
    section.record = kiln_span_of(record, section.record.len + len);
    assert_int_equal(kiln_fat_parse_record(&ctx, &section, &fat), 0);
    assert_string_equal(fat.driver, "/usr/bin/g++");
    assert_string_equal(fat.output, "/x/y.so");
    assert_int_equal(fat.inits.count, 2);
    assert_int_equal(fat.archives.count, 0);
    assert_int_equal(fat.combine.count, 0);
    assert_null(fat.failure);
}

static void
test_unknown_entries_of_the_record_are_passed_over(void **state)
{
    (void)state;
    static const uint8_t more[] = {99, 0, 0, 0, 2, 0, 0, 0, 'h', 'i'};
    parse_after(more, sizeof more);
}

/* What the final link repeated: arguments (4), an rpath (5) and a shared object (6). */
static void
test_an_older_record_is_read_without_what_was_to_be_repeated(void **state)
{
    (void)state;
    static const char more[] = "\4\0\0\0\3\0\0\0-lm"
                               "\4\0\0\0\0\0\0\0"
                               "\5\0\0\0\2\0\0\0/r"
                               "\6\0\0\0\5\0\0\0/m.so";
    parse_after(more, sizeof more - 1);
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--nothing") == 0) {
        return 77;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, test_context_end)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_written_is_read_back),
        TEST(test_parts_are_written_and_read_back_and_cost_little),
        TEST(test_damaged_parts_are_refused_and_the_object_is_not),
        TEST(test_a_failure_stands_in_for_the_object),
        TEST(test_a_file_without_the_section_is_no_error),
        TEST(test_the_old_file_is_kept_to_the_byte),
        TEST(test_writing_again_gives_the_same_bytes),
        TEST(test_mode_and_symbolic_link_stay),
        TEST(test_the_program_still_runs),
        TEST(test_what_is_no_elf_file_is_left_alone),
        TEST(test_every_shorter_section_is_refused),
        TEST(test_every_changed_byte_is_noticed),
        TEST(test_a_newer_version_asks_for_an_upgrade),
        TEST(test_an_implausible_size_is_refused_before_memory_is_asked_for),
        TEST(test_unknown_entries_of_the_record_are_passed_over),
        TEST(test_an_older_record_is_read_without_what_was_to_be_repeated),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
