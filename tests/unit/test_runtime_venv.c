/* Virtual environments: the pyvenv.cfg of an executable. */
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

#include "core/pycompat.h"
#include "home/venv.h"

static char root[64];

/* Writes TEXT to the file PATH below root. */
static void
write_file(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", root, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int
setup(void **state)
{
    (void)state;
    char path[256];
    strcpy(root, "/tmp/kiln-venv-XXXXXX");
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    static const char *const directories[] = {"venv", "venv/bin", "home"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", root, directories[i]);
        mkdir(path, 0700);
    }
    write_file("venv/bin/app", "");
    write_file("home/python3", "");
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static struct kiln_venv
find(const char *configuration)
{
    char path[256];
    struct kiln_venv venv;
    write_file("venv/pyvenv.cfg", configuration);
    snprintf(path, sizeof path, "%s/venv/bin/app", root);
    assert_true(kiln_venv_find(&venv, path));
    snprintf(path, sizeof path, "%s/venv", root);
    assert_string_equal(venv.prefix, path);
    return venv;
}

static void
keys_are_found_in_any_order_and_case(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "home = /a/b\n",
        "HOME=/a/b",
        "executable = /x\nhome = /a/b\n",
        "=\n\n# home\nhome\n  home  =  /a/b  \n",
        "version = 3\nhome = /a/b\nhome = /c\n",
        "home = /a/b\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_string_equal(find(texts[i]).home, "/a/b");
    }
    assert_string_equal(find("").home, "");
    assert_string_equal(find("home = a=b\n").home, "a=b");
}

static void
a_value_that_is_too_long_is_ignored(void **state)
{
    (void)state;
    char text[PATH_MAX + 64];
    int start = snprintf(text, sizeof text, "home = ");
    memset(text + start, 'x', PATH_MAX);
    strcpy(text + start + PATH_MAX, "\nhome = /short\n");
    assert_string_equal(find(text).home, "/short");
}

/* The environment's executable is a copy, and no file in home has its name. */
static void
the_base_of_a_copy_is_the_executable_of_the_configuration(void **state)
{
    (void)state;
    char text[256], base[256];
    snprintf(base, sizeof base, "%s/%s", root,
             KILN_BASE_OF_COPY_IS_IN_HOME ? "home/python3" : "venv/bin/app");
    snprintf(text, sizeof text, "home = %s/home\nexecutable = %s/home/python3\n", root, root);
    assert_string_equal(find(text).base, base);
    snprintf(text, sizeof text, "executable = %s/home/python3\nhome = %s/home\n", root, root);
    assert_string_equal(find(text).base, base);
}

static void
the_base_of_a_link_is_its_target(void **state)
{
    (void)state;
    char link[256], target[256];
    snprintf(link, sizeof link, "%s/venv/bin/link", root);
    snprintf(target, sizeof target, "%s/home/python3", root);
    assert_int_equal(symlink(target, link), 0);
    struct kiln_venv venv;
    write_file("venv/pyvenv.cfg", "home = /nowhere\n");
    assert_true(kiln_venv_find(&venv, link));
    assert_string_equal(venv.base, target);
}

static void
an_executable_elsewhere_is_in_no_environment(void **state)
{
    (void)state;
    struct kiln_venv venv;
    assert_false(kiln_venv_find(&venv, "/nowhere/bin/app"));
    assert_false(kiln_venv_find(&venv, "/app"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_in_any_order_and_case),
        cmocka_unit_test(a_value_that_is_too_long_is_ignored),
        cmocka_unit_test(the_base_of_a_copy_is_the_executable_of_the_configuration),
        cmocka_unit_test(the_base_of_a_link_is_its_target),
        cmocka_unit_test(an_executable_elsewhere_is_in_no_environment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
