/* Deferred constructors in a forked child: its parent's threads are not there to release the lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kiln/internal/constructors.h"

typedef void constructor(void);

static int32_t
get_distance(const int32_t *field, const void *target)
{
    return (int32_t)((const char *)target - (const char *)field);
}

static void
fill(struct kiln_constructors *record, constructor *const *start, constructor *const *end)
{
    record->constructors = get_distance(&record->constructors, start);
    record->constructors_end = get_distance(&record->constructors_end, end);
    record->destructors = get_distance(&record->destructors, start);
    record->destructors_end = get_distance(&record->destructors_end, start);
}

static struct kiln_constructors slow, quick, forking;
static int started[2], finish[2]; /* pipes */
static int runs;

static void
wait_for_the_parent(void)
{
    char byte = 0;
    assert_int_equal(write(started[1], &byte, 1), 1);
    assert_int_equal(read(finish[0], &byte, 1), 1);
}

static void
count(void)
{
    runs++;
}

static void *
run_slow(void *arg)
{
    kiln_run_constructors(&slow);
    return arg;
}

/* Returns the exit status of a child that calls BODY; -1 if it does not end in time. */
static int
run_child(int (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(body());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
run_quick(void)
{
    kiln_run_constructors(&quick);
    return runs;
}

static void
a_child_can_run_constructors_while_a_thread_of_its_parent_does(void **state)
{
    (void)state;
    static constructor *const slow_array[] = {wait_for_the_parent};
    static constructor *const quick_array[] = {count};
    fill(&slow, slow_array, slow_array + 1);
    fill(&quick, quick_array, quick_array + 1);
    assert_int_equal(pipe(started) + pipe(finish), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_slow, NULL), 0);
    char byte = 0;
    assert_int_equal(read(started[0], &byte, 1), 1);
    assert_int_equal(run_child(run_quick), 1);
    assert_int_equal(write(finish[1], &byte, 1), 1);
    pthread_join(thread, NULL);
}

static pthread_t waiting;
static int is_done, has_waited;

static void *
run_forking(void *arg)
{
    kiln_run_constructors(&forking);
    return __atomic_load_n(&is_done, __ATOMIC_ACQUIRE) ? arg : NULL;
}

static int
run_thread(void)
{
    if (pthread_create(&waiting, NULL, run_forking, &has_waited) != 0) {
        return 2;
    }
    usleep(50000); /* the thread has no reason to return yet */
    kiln_run_constructors(&quick);
    return runs;
}

static pid_t forked;

static void
fork_in_constructor(void)
{
    forked = fork();
    if (forked == 0) {
        alarm(10);
        runs = 0;
        if (run_thread() != 1) {
            _exit(3);
        }
        __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
    }
}

static void
a_constructor_that_forks_goes_on_in_the_child_with_the_lock(void **state)
{
    (void)state;
    static constructor *const array[] = {fork_in_constructor}, *const counting[] = {count};
    fill(&forking, array, array + 1);
    memset(&quick, 0, sizeof quick);
    fill(&quick, counting, counting + 1);
    kiln_run_constructors(&forking);
    if (forked == 0) {
        void *result;
        pthread_join(waiting, &result);
        _exit(result == &has_waited ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(forked, &status, 0), forked);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_can_run_constructors_while_a_thread_of_its_parent_does),
        cmocka_unit_test(a_constructor_that_forks_goes_on_in_the_child_with_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
