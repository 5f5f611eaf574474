/* The order of constructors (+) and destructors (-). Expectations are what glibc 2.36 does with shared
 * objects of these dependencies, opened in this order. */
#include "image_pool.h"

#include <errno.h>

struct graph {
    const char *dependencies, *roots, *log;
};

static void
import_roots(const void *arg)
{
    const struct graph *graph = arg;
    pool_create_graph(graph->dependencies);
    for (const char *root = graph->roots; *root != '\0'; root++) {
        pool_import((uint32_t)(*root - 'a'));
    }
}

static void
order_is_that_of_the_dynamic_loader(void **state)
{
    static const struct graph graphs[] = {
        {"a:b b:c", "a", "+c +b +a -a -b -c "},
        {"a:bc b:d c: d:", "a", "+d +c +b +a -a -b -c -d "},
        {"a:bc b: c:", "bca", "+b +c +a -a -c -b "},
        {"a:bcd b: c: d:b", "a", "+b +d +c +a -a -c -d -b "},
        {"a:b b:c c:a", "a", "+c +b +a -c -a -b "},
        {"a:bc b:d c:b d:c", "dca", "+b +c +d +a -a -d -c -b "},
        {"a: b: c:", "abc", "+a +b +c -a -b -c "},
        {"a:c b:c c:", "ab", "+c +a +b -a -b -c "},
        {"a:bcd b: c: d:b e:ab", "bea", "+b +d +c +a +e -e -a -c -d -b "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        assert_int_equal(pool_run(import_roots, &graphs[i]), 0);
        assert_string_equal(pool_log, graphs[i].log);
    }
}

/* What an image is bound to matters for destructors only. */
static void
relocation_dependencies_do_not_change_the_order_of_others(void **state)
{
    static const struct graph graphs[] = {
        {"a:bc b:/c", "a", "+c +b +a -a -b -c "},
        {"a:cb b: c:/b", "a", "+b +c +a -a -c -b "},
        {"a:bc b: c:/b", "a", "+c +b +a -a -c -b "},
        {"a:cge b:c c:d d:e e:gf f:/d g:", "aed", "+f +g +e +d +c +a -a -c -d -e -f -g "},
        {"a:bgde b:/a c:f d:f/g e:g/b f:/b g:/e", "afb", "+f +g +e +d +b +a -a -b -d -f -e -g "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        assert_int_equal(pool_run(import_roots, &graphs[i]), 0);
        assert_string_equal(pool_log, graphs[i].log);
    }
}

static void
import_with_functions(const void *arg)
{
    (void)arg;
    pool_records[0].init = POOL_INIT;
    pool_records[0].fini = POOL_FINI;
    pool_import(0);
    pool_import(0);
}

static void
init_comes_before_the_array_and_fini_after_it(void **state)
{
    (void)state;
    assert_int_equal(pool_run(import_with_functions, NULL), 0);
    assert_string_equal(pool_log, "(a +a -a )a ");
}

/* --- Constructors that come back ------------------------------------------------------------------
 */

static void
import_next(uint32_t image)
{
    if (image == 1) {
        pool_import(0);
        pool_say(". ");
        pool_import(3);
    }
}

static void
import_with_nesting(const void *graph)
{
    pool_create_graph(graph);
    pool_constructor = import_next;
    pool_import(0);
    POOL_CHECK(!kiln_image_is(3, KILN_IMAGE_READY));
    pool_import(3);
    POOL_CHECK(kiln_image_is(3, KILN_IMAGE_READY));
}

/* a is under way, and nothing happens. d needs it, and c. */
static void
constructors_may_import_others(void **state)
{
    (void)state;
    assert_int_equal(pool_run(import_with_nesting, "a:cb d:ca"), 0);
    assert_string_equal(pool_log, "+b . +c +a +d -d -a -b -c ");
}

static int got_argc;
static char **got_argv, **got_envp;

static void
keep_arguments(int argc, char **argv, char **envp)
{
    got_argc = argc;
    got_argv = argv;
    got_envp = envp;
}

static void
import_with_arguments(const void *arg)
{
    (void)arg;
    pool_records[0].relative.count = 0;
    pool_records[0].fini_array_size = 0;
    pool_records[0].init_array = POOL_DATA;
    pool_records[0].patches = POOL_PAIRS(POOL_DATA, pool_add_target((uintptr_t)keep_arguments));
    pool_import(0);
    POOL_CHECK(got_argc == 1);
    POOL_CHECK(strcmp(got_argv[0], program_invocation_name) == 0);
    POOL_CHECK(got_envp == environ);
}

static void
constructors_have_the_arguments_of_main(void **state)
{
    (void)state;
    assert_int_equal(pool_run(import_with_arguments, NULL), 0);
    assert_string_equal(pool_log, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_the_dynamic_loader),
        cmocka_unit_test(relocation_dependencies_do_not_change_the_order_of_others),
        cmocka_unit_test(init_comes_before_the_array_and_fini_after_it),
        cmocka_unit_test(constructors_may_import_others),
        cmocka_unit_test(constructors_have_the_arguments_of_main),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
