/* Where a library is found: by the rules of ld.so(8), in a directory of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "dso.h"
#include "unlink/set.h"

static struct kiln_ctx ctx;
static struct kiln_library_search *search;
static struct kiln_object object;
static const char *dir; /* has a, b, and lib, with libtest.so in each */

static const char *
join(const char *a, const char *b)
{
    return kiln_arena_printf(&ctx.arena, "%s/%s", a, b);
}

static void
make_library(const char *path, unsigned machine)
{
    struct test_dso dso;
    test_dso_init(&dso, NULL);
    dso.header.e_machine = (Elf64_Half)machine;
    assert_int_equal(kiln_file_write(&ctx, path, test_dso_bytes(&dso)), 0);
}

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){0};
    dir = kiln_ctx_get_tmpdir(&ctx);
    search = kiln_library_search_new(&ctx, kiln_machine_find(EM_X86_64));
    object = (struct kiln_object){.directory = dir};
    static const char *const subs[] = {"a", "b", "lib"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mkdir(join(dir, subs[i]), 0755), 0);
        make_library(join(join(dir, subs[i]), "libtest.so"), EM_X86_64);
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_library_search_release(search);
    kiln_ctx_release(&ctx);
    return 0;
}

/* EXPECTED: a directory below DIR, or NULL. */
static void
assert_found(const char *name, const char *expected)
{
    bool is_cached = false;
    const char *path = kiln_library_find(&ctx, search, &object, name, &is_cached);
    if (expected == NULL) {
        assert_null(path);
        return;
    }
    assert_non_null(path);
    assert_string_equal(path, join(join(dir, expected), kiln_file_basename(name)));
    assert_false(is_cached);
}

static void
test_runpath_and_rpath_are_searched_in_their_order(void **state)
{
    (void)state;
    object.dso.runpath = "/nonexistent:$ORIGIN/b:$ORIGIN/a";
    assert_found("libtest.so", "b");
    object.dso.rpath = "$ORIGIN/a"; /* not looked at beside DT_RUNPATH */
    assert_found("libtest.so", "b");
    object.dso.runpath = NULL;
    assert_found("libtest.so", "a");
    object.dso.rpath = "::${ORIGIN}/b:"; /* empty ones are not the working directory's */
    assert_found("libtest.so", "b");
}

static void
test_tokens_are_expanded(void **state)
{
    (void)state;
    object.dso.runpath = "$ORIGIN/a";
    assert_found("libtest.so", "a");
    object.dso.runpath = "${ORIGIN}/b";
    assert_found("libtest.so", "b");
    object.dso.runpath = "$ORIGIN/$UNKNOWN:$ORIGIN/a"; /* one that is not known is passed over */
    assert_found("libtest.so", "a");
    assert_found("$ORIGIN/b/libtest.so", "b");
}

static void
test_rpath_of_those_that_loaded_it_holds_too(void **state)
{
    (void)state;
    struct kiln_object loader = {.directory = dir, .dso.rpath = "$ORIGIN/a"};
    object.loader = &loader;
    assert_found("libtest.so", "a");
    object.dso.rpath = "$ORIGIN/b"; /* its own first */
    assert_found("libtest.so", "b");
    object.dso.rpath = NULL;
    object.dso.runpath = "/nonexistent"; /* DT_RUNPATH ends that */
    assert_found("libtest.so", NULL);
    object.dso.runpath = NULL;
    loader.dso.runpath = "$ORIGIN/a"; /* which is for the loader's own needs only */
    loader.dso.rpath = NULL;
    assert_found("libtest.so", NULL);
}

static void
test_what_is_no_library_of_this_machine_is_passed_over(void **state)
{
    (void)state;
    object.dso.runpath = "$ORIGIN/a:$ORIGIN/b";
    make_library(join(dir, "a/libtest.so"), EM_AARCH64);
    assert_found("libtest.so", "b");
    assert_int_equal(kiln_file_write(&ctx, join(dir, "a/libtest.so"), kiln_span_of("", 0)), 0);
    assert_found("libtest.so", "b");
    assert_int_equal(remove(join(dir, "a/libtest.so")), 0);
    assert_int_equal(mkfifo(join(dir, "a/libtest.so"), 0644), 0);
    assert_found("libtest.so", "b");
    assert_int_equal(remove(join(dir, "a/libtest.so")), 0);
    assert_int_equal(mkdir(join(dir, "a/libtest.so"), 0755), 0);
    assert_found("libtest.so", "b");
}

static void
test_the_loaders_cache_and_directories_come_last(void **state)
{
    (void)state;
    bool is_cached = false;
    const char *path = kiln_library_find(&ctx, search, &object, "libc.so.6", &is_cached);
    assert_non_null(path);
    assert_true(is_cached);
    object.dso.runpath = "$ORIGIN/a";
    make_library(join(dir, "a/libc.so.6"), EM_X86_64);
    assert_found("libc.so.6", "a");
    assert_null(kiln_library_find(&ctx, search, &object, "libnothing.so.99", &is_cached));
}

/* A name of this length would be copied for each of its tokens. */
static void
test_a_path_that_grows_beyond_all_paths_is_none(void **state)
{
    (void)state;
    size_t count = 200000;
    char *path = kiln_arena_alloc(&ctx.arena, count * 7 + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(path + i * 7, "$ORIGIN", 7);
    }
    object.dso.runpath = path;
    assert_found("libtest.so", NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runpath_and_rpath_are_searched_in_their_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_tokens_are_expanded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rpath_of_those_that_loaded_it_holds_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_library_of_this_machine_is_passed_over,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_loaders_cache_and_directories_come_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_path_that_grows_beyond_all_paths_is_none, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
