/* Versions of distributions, from the names and the content of their metadata. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "skew/dist_info.h"

static char root[64], prefix[66];

/* What `kiln link` writes. */
static struct {
    struct kiln_distribution record;
    char directory[64], name[32], version[32];
} baked;

static void
bake(const char *directory, const char *name, const char *version)
{
    snprintf(baked.directory, sizeof baked.directory, "%s", directory);
    snprintf(baked.name, sizeof baked.name, "%s", name);
    snprintf(baked.version, sizeof baked.version, "%s", version);
    baked.record.directory = (int32_t)((char *)baked.directory - (char *)&baked.record.directory);
    baked.record.name = (int32_t)((char *)baked.name - (char *)&baked.record.name);
    baked.record.version = (int32_t)((char *)baked.version - (char *)&baked.record.version);
}

static int
setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/kiln-dist-XXXXXX");
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    snprintf(prefix, sizeof prefix, "%s/", root);
    bake("PyYAML-6.0.3.dist-info", "PyYAML", "6.0.3");
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

/* Makes the directory NAME, with TEXT in its FILE, unless that is NULL. */
static void
install(const char *name, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", prefix, name);
    assert_int_equal(mkdir(path, 0700), 0);
    if (file != NULL) {
        snprintf(path, sizeof path, "%s%s/%s", prefix, name, file);
        FILE *stream = fopen(path, "w");
        assert_non_null(stream);
        fputs(text, stream);
        fclose(stream);
    }
}

/* Asserts that a search finds VERSION, another one. NULL: no other, and RESULT is what it returns. */
static void
expect(int result, const char *version)
{
    struct kiln_verdict *other = NULL;
    assert_int_equal(kiln_dist_info_search(prefix, &baked.record, &other), result);
    assert_int_equal(other != NULL, version != NULL);
    if (other != NULL) {
        assert_string_equal(other->version, version);
        assert_int_equal(strncmp(other->path, prefix, strlen(prefix)), 0);
        free(other);
    }
}

static void
the_version_that_was_baked_is_found_by_its_directory(void **state)
{
    (void)state;
    assert_false(kiln_dist_info_exists(prefix, &baked.record));
    expect(0, NULL);
    install("PyYAML-6.0.3.dist-info", NULL, NULL);
    assert_true(kiln_dist_info_exists(prefix, &baked.record));
    expect(1, NULL);
}

static void
other_spellings_of_the_name_are_the_same_name(void **state)
{
    (void)state;
    bake("my_great_dist-1.0.dist-info", "My-Great.Dist", "1.0");
    install("My.Great__dist-1.0.dist-info", NULL, NULL);
    assert_false(kiln_dist_info_exists(prefix, &baked.record));
    expect(1, NULL);
}

/* Lets NAME have been written at that TIME. */
static void
set_time(const char *name, time_t time)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", prefix, name);
    const struct timespec times[] = {{.tv_sec = time}, {.tv_sec = time}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
of_several_versions_the_one_that_was_installed_last_counts(void **state)
{
    (void)state;
    install("PyYAML-5.1.dist-info", NULL, NULL);
    install("pyyaml-5.4-py3.11.egg-info", NULL, NULL);
    install("PyYAMLx-9.dist-info", NULL, NULL);
    install("PyYAML-7.txt", NULL, NULL);
    set_time("PyYAML-5.1.dist-info", 1000);
    set_time("pyyaml-5.4-py3.11.egg-info", 1000);
    expect(0, "5.4");
    set_time("PyYAML-5.1.dist-info", 1001);
    expect(0, "5.1");
    install("PyYAML-6.0.3.dist-info", NULL, NULL);
    set_time("PyYAML-6.0.3.dist-info", 1001);
    expect(0, "5.1");
    set_time("PyYAML-6.0.3.dist-info", 1002);
    expect(1, NULL);
}

static void
many_names_are_read_and_again_when_there_are_others(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        char name[64];
        snprintf(name, sizeof name, "package%d-1.0.dist-info", i);
        install(name, NULL, NULL);
    }
    expect(0, NULL);
    install("PyYAML-5.1.dist-info", NULL, NULL);
    expect(0, "5.1");
}

static void
metadata_without_a_version_in_their_name_are_read(void **state)
{
    (void)state;
    install("PyYAML.egg-info", "PKG-INFO", "Name: PyYAML\nversion:\t 5.0rc1 \nVersion: 9\n");
    expect(0, "5.0rc1");
}

static void
headers_end_at_the_empty_line(void **state)
{
    (void)state;
    install("PyYAML.egg-info", "PKG-INFO", "Name: PyYAML\n\nVersion: 9\n");
    expect(0, NULL);
}

static void
a_directory_that_cannot_be_read_has_nothing(void **state)
{
    (void)state;
    struct kiln_verdict *other;
    assert_int_equal(kiln_dist_info_search("/nowhere/", &baked.record, &other), 0);
    assert_null(other);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_version_that_was_baked_is_found_by_its_directory),
        TEST(other_spellings_of_the_name_are_the_same_name),
        TEST(of_several_versions_the_one_that_was_installed_last_counts),
        TEST(many_names_are_read_and_again_when_there_are_others),
        TEST(metadata_without_a_version_in_their_name_are_read),
        TEST(headers_end_at_the_empty_line),
        TEST(a_directory_that_cannot_be_read_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
