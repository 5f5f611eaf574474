/* The cache of isolated objects: what is kept is found, what is damaged is not, and what has been out
 * of use for longest goes when there is too much, but not while somebody uses the cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "link/cache.h"

static struct kiln_ctx ctx;
static const struct kiln_isolation as = {.name = "pkg.m"};

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){0};
    const char *dir = kiln_ctx_get_tmpdir(&ctx);
    setenv("XDG_CACHE_HOME", dir, 1);
    unsetenv("KILN_CACHE_SIZE");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

static struct kiln_cache_key
make_key(const struct kiln_cache *cache, const char *frame)
{
    return kiln_cache_make_key(cache, kiln_span_of_string(frame), &as);
}

static struct kiln_isolated
make_isolated(void)
{
    struct kiln_isolated isolated = {.symbol = "kiln_init_pkg_dm",
                                     .init = "PyInit_m",
                                     .suffix = ".pkg_dm",
                                     .size = (uint64_t)1 << 40,
                                     .constructors = 3,
                                     .asks_dladdr = true};
    kiln_strings_push(&ctx.arena, &isolated.undefined, "malloc");
    kiln_strings_push(&ctx.arena, &isolated.undefined, "strange=name");
    return isolated;
}

static const char *
keep(struct kiln_cache *cache, const char *frame, const char *object)
{
    struct kiln_isolated isolated = make_isolated();
    struct kiln_cache_key key = make_key(cache, frame);
    return kiln_cache_keep(&ctx, cache, &key, kiln_span_of_string(object), &isolated);
}

static const char *
find(struct kiln_cache *cache, const char *frame)
{
    struct kiln_isolated isolated;
    struct kiln_cache_key key = make_key(cache, frame);
    return kiln_cache_find(&ctx, cache, &key, &isolated);
}

static void
test_what_was_kept_is_found_by_a_later_run(void **state)
{
    (void)state;
    struct kiln_cache cache;
    struct kiln_isolated got;
    kiln_cache_open(&ctx, &cache);
    struct kiln_cache_key key = make_key(&cache, "frame");
    assert_null(kiln_cache_find(&ctx, &cache, &key, &got));
    assert_non_null(keep(&cache, "frame", "the object"));
    kiln_cache_close(&cache);

    kiln_cache_open(&ctx, &cache);
    const char *path = kiln_cache_find(&ctx, &cache, &key, &got);
    assert_non_null(path);
    struct kiln_file file;
    assert_int_equal(kiln_file_map(&ctx, path, &file), 0);
    assert_true(kiln_span_starts_with(file.bytes, "the object", 10));
    kiln_file_release(&file);
    assert_string_equal(got.symbol, "kiln_init_pkg_dm");
    assert_string_equal(got.init, "PyInit_m");
    assert_string_equal(got.suffix, ".pkg_dm");
    assert_null(got.not_pic);
    assert_true(got.size == (uint64_t)1 << 40);
    assert_int_equal(got.constructors, 3);
    assert_int_equal(got.destructors, 0);
    assert_true(got.asks_dladdr);
    assert_int_equal(got.undefined.count, 2);
    assert_string_equal(got.undefined.items[1], "strange=name");
    kiln_cache_close(&cache);
}

static void
test_other_content_and_other_names_are_other_entries(void **state)
{
    (void)state;
    struct kiln_cache cache;
    kiln_cache_open(&ctx, &cache);
    struct kiln_span frame = kiln_span_of_string("frame");
    const struct kiln_isolation others[] = {
        {.name = "pkg.n"}, {.name = "pkg.m", .init = "PyInit_m"}, {.name = "pkg.mP"}};
    struct kiln_cache_key key = make_key(&cache, "frame"), other = make_key(&cache, "frames");
    assert_string_not_equal(key.text, other.text);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        other = kiln_cache_make_key(&cache, frame, &others[i]);
        assert_string_not_equal(key.text, other.text);
    }
    cache.maker++; /* another build of Kiln */
    other = make_key(&cache, "frame");
    assert_string_not_equal(key.text, other.text);
    kiln_cache_close(&cache);
}

static void
test_a_damaged_entry_is_not_found_and_goes(void **state)
{
    (void)state;
    struct kiln_cache cache;
    kiln_cache_open(&ctx, &cache);
    for (int where = 0; where < 3; where++) {
        const char *path = keep(&cache, "frame", "the object");
        assert_non_null(find(&cache, "frame"));
        int fd = open(path, O_RDWR);
        struct stat st;
        fstat(fd, &st);
        if (where == 2) {
            assert_int_equal(ftruncate(fd, st.st_size / 2), 0);
        }
        else {
            assert_int_equal(pwrite(fd, "?", 1, where == 0 ? 2 : st.st_size - 20), 1);
        }
        close(fd);
        assert_null(find(&cache, "frame"));
        assert_int_not_equal(access(path, F_OK), 0);
    }
    kiln_cache_close(&cache);
}

static void
test_an_entry_under_the_name_of_another_is_not_found(void **state)
{
    (void)state;
    struct kiln_cache cache;
    kiln_cache_open(&ctx, &cache);
    const char *one = keep(&cache, "one", "the object"), *other = keep(&cache, "other", "another");
    assert_int_equal(rename(one, other), 0);
    assert_null(find(&cache, "other"));
    assert_int_not_equal(access(other, F_OK), 0);
    kiln_cache_close(&cache);
}

/* An entry of about 1000 bytes that was used AGE seconds ago. */
static const char *
keep_old(struct kiln_cache *cache, const char *frame, int age)
{
    char object[1001];
    memset(object, 'x', 1000);
    object[1000] = '\0';
    const char *path = keep(cache, frame, object);
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= age;
    times[1] = times[0];
    utimensat(AT_FDCWD, path, times, 0);
    return path;
}

static void
test_beyond_the_limit_the_longest_unused_goes(void **state)
{
    (void)state;
    struct kiln_cache cache;
    setenv("KILN_CACHE_SIZE", "3K", 1);
    kiln_cache_open(&ctx, &cache);
    const char *second = keep_old(&cache, "second", 200), *first = keep_old(&cache, "first", 300);
    const char *third = keep_old(&cache, "third", 100);
    assert_non_null(find(&cache, "first")); /* so it is used now */
    kiln_cache_close(&cache);
    assert_int_equal(access(first, F_OK), 0);
    assert_int_not_equal(access(second, F_OK), 0);
    assert_int_equal(access(third, F_OK), 0);
}

static void
test_nothing_goes_while_another_run_uses_the_cache(void **state)
{
    (void)state;
    struct kiln_cache cache, other;
    setenv("KILN_CACHE_SIZE", "1K", 1);
    kiln_cache_open(&ctx, &other);
    kiln_cache_open(&ctx, &cache);
    const char *path = keep_old(&cache, "one", 100);
    keep_old(&cache, "two", 100);
    kiln_cache_close(&cache);
    assert_int_equal(access(path, F_OK), 0);

    keep_old(&other, "three", 50);
    kiln_cache_close(&other);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void
test_without_a_place_nothing_is_kept_and_nothing_fails(void **state)
{
    (void)state;
    struct kiln_cache cache;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    kiln_cache_open(&ctx, &cache);
    assert_null(cache.dir);
    assert_null(keep(&cache, "frame", "object"));
    assert_null(find(&cache, "frame"));
    kiln_cache_close(&cache);
    kiln_cache_close(&cache);
    assert_int_equal(ctx.errors, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_kept_is_found_by_a_later_run),
        TEST(test_other_content_and_other_names_are_other_entries),
        TEST(test_a_damaged_entry_is_not_found_and_goes),
        TEST(test_an_entry_under_the_name_of_another_is_not_found),
        TEST(test_beyond_the_limit_the_longest_unused_goes),
        TEST(test_nothing_goes_while_another_run_uses_the_cache),
        TEST(test_without_a_place_nothing_is_kept_and_nothing_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
