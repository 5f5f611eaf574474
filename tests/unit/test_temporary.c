/* A directory that a killed run has left goes; the one that another run makes in its place stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/temporary.h"
#include "context.h"

#define LEFT "out.kiln-0"

static bool is_other_faster;

static int
set_up(void **state)
{
    (void)state;
    is_other_faster = false;
    test_context_start();
    return test_context_enter_tmpdir();
}

static void
leave(const char *file)
{
    const char *files[] = {LEFT "/.kiln-lock", file};
    assert_int_equal(mkdir(LEFT, 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        int fd = open(files[i], O_CREAT | O_EXCL | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
}

/* In place of the C library's: another run may be at work when this one has opened the lock and does not hold it yet. */
int
flock(int fd, int operation)
{
    if (is_other_faster && (operation & LOCK_NB) != 0) {
        is_other_faster = false;
        assert_int_equal(unlink(LEFT "/stale") + unlink(LEFT "/.kiln-lock") + rmdir(LEFT), 0);
        leave(LEFT "/new");
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static void
what_a_killed_run_has_left_goes(void **state)
{
    (void)state;
    leave(LEFT "/stale");
    const char *dir = kiln_temporary_make_dir_for(&ctx.arena, "out");
    assert_string_equal(dir, LEFT);
    assert_int_equal(access(LEFT "/stale", F_OK), -1);
    kiln_temporary_remove(dir);
    assert_int_equal(access(LEFT, F_OK), -1);
}

static void
what_another_run_has_made_in_its_place_stays(void **state)
{
    (void)state;
    leave(LEFT "/stale");
    is_other_faster = true;
    const char *dir = kiln_temporary_make_dir_for(&ctx.arena, "out");
    assert_string_equal(dir, "out.kiln-1");
    assert_false(is_other_faster);
    assert_int_equal(access(LEFT "/new", F_OK), 0);
    kiln_temporary_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_killed_run_has_left_goes, set_up, test_context_end),
        cmocka_unit_test_setup_teardown(what_another_run_has_made_in_its_place_stays, set_up,
                                        test_context_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
