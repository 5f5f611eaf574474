/* Which names are compiler drivers, and what stands in for a compiler in the environment of pip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "pip/pip.h"

/* A directory with "links" (gcc, kiln-cc, kiln-c++), "bin" (gcc, odd) on PATH, and "far" (gcc). */
struct fixture {
    struct kiln_ctx ctx;
    const char *root, *links;
};

static const char *
join(struct fixture *f, const char *name)
{
    return kiln_arena_printf(&f->ctx.arena, "%s/%s", f->root, name);
}

static void
make_program(struct fixture *f, const char *name)
{
    const char *path = join(f, name);
    assert_int_equal(kiln_file_make_dirs(&f->ctx, kiln_file_dirname(&f->ctx, path)), 0);
    assert_int_equal(kiln_file_write(&f->ctx, path, kiln_span_of_string("#!/bin/sh\n")), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static int
setup(void **state)
{
    static const char *const unset[] = {"CC",
                                        "CXX",
                                        "LDSHARED",
                                        "KILN_CC",
                                        "KILN_CXX",
                                        "CCACHE_COMPILERCHECK",
                                        "SCCACHE_C_CUSTOM_CACHE_BUSTER"};
    static const char *const programs[] = {"links/gcc", "links/kiln-cc", "links/kiln-c++",
                                           "bin/gcc",   "bin/odd",       "bin/ccache",
                                           "far/gcc"};
    struct fixture *f = calloc(1, sizeof *f);
    f->root = kiln_ctx_get_tmpdir(&f->ctx);
    f->links = join(f, "links");
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        make_program(f, programs[i]);
    }
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) {
        unsetenv(unset[i]);
    }
    setenv("PATH", join(f, "bin"), 1);
    setenv("XDG_CACHE_HOME", f->root, 1);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    kiln_ctx_release(&f->ctx);
    free(f);
    return 0;
}

static void
drivers_are_known_by_name(void **state)
{
    static const char *const names[] = {
        "cc",         "c++",       "gcc",       "g++",
        "gcc-12",     "clang",     "clang++",   "clang++-14",
        "gfortran-9", "gcc-4.9.2", "clang-3.8", "x86_64-linux-gnu-gcc",
        "gfortran",   "g++-12",    "cc-1",      "aarch64-unknown-linux-gnu-g++-12",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_true(kiln_pip_is_driver(names[i]));
    }
}

static void
other_tools_are_no_drivers(void **state)
{
    static const char *const names[] = {
        "",       "gcc-ar",       "gcc-ar-12", "clang-format", "clang-cpp-14", "cpp",
        "ccache", "gcc-",         "gcc-x",     "-linux-gcc",   "c++filt",      "clang-tidy",
        "ld",     "git-clang-14", "gccgo",     "x-linux-gcc",  "clangd",       "x-linux-gnu-ar",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(kiln_pip_is_driver(names[i]));
    }
}

static void
check(struct fixture *f, const char *command, const char *expected, const char *expected_real)
{
    const char *real;
    const char *result = kiln_pip_stand_in(&f->ctx, f->links, command, false, &real);
    assert_string_equal(result, expected);
    if (expected_real == NULL) {
        assert_null(real);
    }
    else {
        assert_string_equal(real, expected_real);
    }
}

static void
a_driver_on_path_becomes_its_link(void **state)
{
    check(*state, "gcc", join(*state, "links/gcc"), NULL);
}

static void
flags_stay(void **state)
{
    check(*state, "gcc -pthread -m64",
          kiln_arena_printf(&((struct fixture *)*state)->ctx.arena, "%s -pthread -m64",
                            join(*state, "links/gcc")),
          NULL);
}

static void
a_driver_with_its_directory_becomes_its_link(void **state)
{
    check(*state, join(*state, "bin/gcc"), join(*state, "links/gcc"), NULL);
}

static void
a_driver_that_path_does_not_find_is_told_to_kiln_cc(void **state)
{
    check(*state, join(*state, "far/gcc"), join(*state, "links/kiln-cc"), join(*state, "far/gcc"));
}

static void
a_driver_of_unknown_name_is_told_to_kiln_cc(void **state)
{
    check(*state, "odd", join(*state, "links/kiln-cc"), join(*state, "bin/odd"));
}

static void
a_launcher_stays_in_front(void **state)
{
    struct fixture *f = *state;
    check(f, "ccache gcc", kiln_arena_printf(&f->ctx.arena, "ccache %s/gcc", f->links), NULL);
}

static void
a_driver_that_does_not_exist_has_no_stand_in(void **state)
{
    struct fixture *f = *state;
    const char *real;
    assert_null(kiln_pip_stand_in(&f->ctx, f->links, "nosuch -g", false, &real));
    assert_null(kiln_pip_stand_in(&f->ctx, f->links, "/nosuch/gcc", false, &real));
    assert_null(kiln_pip_stand_in(&f->ctx, f->links, "", false, &real));
    assert_null(kiln_pip_stand_in(&f->ctx, f->links, "ccache", false, &real));
}

/* The value that the environment gets for NAME, NULL if none. */
static const char *
get_set(struct fixture *f, const struct kiln_pip_python *python, const char *name)
{
    struct kiln_strings out = {0};
    size_t len = strlen(name);
    assert_int_equal(kiln_pip_set_environment(&f->ctx, f->links, python, &out), 0);
    for (size_t i = 0; i < out.count; i++) {
        if (strncmp(out.items[i], name, len) == 0 && out.items[i][len] == '=') {
            return out.items[i] + len + 1;
        }
    }
    return NULL;
}

static struct kiln_pip_python
built_with(struct fixture *f, const char *cc, const char *ldshared)
{
    struct kiln_pip_python python;
    kiln_pip_parse_python(&f->ctx, kiln_span_of_string(""), &python);
    python.cc = cc;
    python.ldshared = ldshared;
    return python;
}

static void
the_users_compiler_comes_before_the_pythons(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "gcc", "gcc -shared");
    assert_string_equal(get_set(f, &python, "CC"), join(f, "links/gcc"));
    setenv("CC", join(f, "far/gcc"), 1);
    assert_string_equal(get_set(f, &python, "CC"), join(f, "links/kiln-cc"));
    assert_string_equal(get_set(f, &python, "KILN_CC"), join(f, "far/gcc"));
}

static void
a_python_whose_compiler_is_gone_gets_what_there_is(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "/nosuch/clang", "/nosuch/clang -shared");
    assert_string_equal(get_set(f, &python, "CC"), join(f, "links/gcc"));
}

static void
kiln_cc_chosen_by_the_user_is_the_compiler(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "gcc", "gcc -shared");
    setenv("KILN_CC", join(f, "far/gcc"), 1);
    assert_string_equal(get_set(f, &python, "CC"), join(f, "links/kiln-cc"));
    assert_null(get_set(f, &python, "KILN_CC"));
}

static void
a_linker_with_its_directory_is_replaced(void **state)
{
    struct fixture *f = *state;
    const char *ldshared = kiln_arena_printf(&f->ctx.arena, "%s -shared -O1", join(f, "bin/gcc"));
    struct kiln_pip_python python = built_with(f, "gcc", ldshared);
    assert_string_equal(get_set(f, &python, "LDSHARED"),
                        kiln_arena_printf(&f->ctx.arena, "%s/gcc -shared -O1", f->links));
}

static void
a_linker_that_follows_cc_is_left_to_distutils(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "gcc -pthread", "gcc -pthread -shared");
    assert_null(get_set(f, &python, "LDSHARED"));
}

static void
ccache_asks_the_compiler_behind_a_link_unless_the_user_knows_better(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "gcc", "gcc -shared");
    assert_string_equal(get_set(f, &python, "CCACHE_COMPILERCHECK"), "%compiler% --version");
    setenv("CCACHE_COMPILERCHECK", "none", 1);
    assert_null(get_set(f, &python, "CCACHE_COMPILERCHECK"));
}

static void
sccache_sees_another_compiler_behind_a_link(void **state)
{
    static const char *const programs[] = {"bin/gcc", "far/gcc"};
    struct fixture *f = *state;
    struct kiln_pip_python python = built_with(f, "gcc", "gcc -shared");
    setenv("KILN_CXX", kiln_arena_printf(&f->ctx.arena, "ccache %s", join(f, "far/gcc")), 1);
    const char *name = "SCCACHE_C_CUSTOM_CACHE_BUSTER", *before = get_set(f, &python, name);
    assert_string_equal(get_set(f, &python, name), before);
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        assert_int_equal(
            kiln_file_write(&f->ctx, join(f, programs[i]), kiln_span_of_string("#!/bin/sh -e\n")),
            0);
        assert_int_equal(chmod(join(f, programs[i]), 0755), 0);
        const char *after = get_set(f, &python, name);
        assert_string_not_equal(after, before);
        before = after;
    }
    setenv(name, "mine", 1);
    assert_string_equal(get_set(f, &python, name),
                        kiln_arena_printf(&f->ctx.arena, "mine%s", before));
}

static void
the_answer_of_a_python_is_read(void **state)
{
    struct fixture *f = *state;
    struct kiln_pip_python python;
    kiln_pip_parse_python(&f->ctx,
                          kiln_span_of_string("some banner\nexecutable=/a=b/python\nCC=gcc -g\n"
                                              "CCX=no\n=\npip_version=23.0.1"),
                          &python);
    assert_string_equal(python.executable, "/a=b/python");
    assert_string_equal(python.cc, "gcc -g");
    assert_string_equal(python.pip_version, "23.0.1");
    assert_string_equal(python.base, "");
}

static void
old_versions_of_pip_are_refused(void **state)
{
    (void)state;
    assert_true(kiln_pip_is_usable_version("20.3"));
    assert_true(kiln_pip_is_usable_version("20.3.4"));
    assert_true(kiln_pip_is_usable_version("26.3"));
    assert_true(kiln_pip_is_usable_version("100"));
    assert_false(kiln_pip_is_usable_version("20.2.9"));
    assert_false(kiln_pip_is_usable_version("9.0.1"));
    assert_false(kiln_pip_is_usable_version("19.2.3"));
    assert_false(kiln_pip_is_usable_version(""));
    assert_false(kiln_pip_is_usable_version("unknown"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drivers_are_known_by_name),
        TEST(other_tools_are_no_drivers),
        TEST(a_driver_on_path_becomes_its_link),
        TEST(flags_stay),
        TEST(a_driver_with_its_directory_becomes_its_link),
        TEST(a_driver_that_path_does_not_find_is_told_to_kiln_cc),
        TEST(a_driver_of_unknown_name_is_told_to_kiln_cc),
        TEST(a_launcher_stays_in_front),
        TEST(a_driver_that_does_not_exist_has_no_stand_in),
        TEST(the_users_compiler_comes_before_the_pythons),
        TEST(a_python_whose_compiler_is_gone_gets_what_there_is),
        TEST(kiln_cc_chosen_by_the_user_is_the_compiler),
        TEST(a_linker_with_its_directory_is_replaced),
        TEST(a_linker_that_follows_cc_is_left_to_distutils),
        TEST(ccache_asks_the_compiler_behind_a_link_unless_the_user_knows_better),
        TEST(sccache_sees_another_compiler_behind_a_link),
        TEST(the_answer_of_a_python_is_read),
        TEST(old_versions_of_pip_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
