/* Thread-local variables of images. */
#include "image_pool.h"

#include <pthread.h>
#include <semaphore.h>

/* The initial data are an image's arrays of functions, which are relocated. */
static void
create_variables(void)
{
    pool_records[0].tls = (struct kiln_image_tls){
        .offset = POOL_FINI_ARRAY, .file_size = 16, .size = 96, .align = 64};
    pool_records[1].tls = (struct kiln_image_tls){
        .offset = POOL_INIT_ARRAY, .file_size = 16, .size = 96, .align = 4096};
}

static uintptr_t *
get_variable(uint32_t image, unsigned long offset)
{
    const struct kiln_tls_pair pair = {KILN_TLS_IMAGE | image, offset};
    return kiln_tls_get_addr(&pair);
}

static void
check_initial_data(void)
{
    POOL_CHECK(*get_variable(0, 0) == (uintptr_t)pool_get(0) + 0x160);
    POOL_CHECK(*get_variable(0, 16) == 0 && *get_variable(0, 88) == 0);
    POOL_CHECK((uintptr_t)get_variable(0, 0) % 64 == POOL_FINI_ARRAY % 64);
    POOL_CHECK(*get_variable(1, 0) == (uintptr_t)pool_get(1) + 0x140);
    POOL_CHECK((uintptr_t)get_variable(1, 0) % 4096 == 0);
}

static sem_t is_imported;

static void *
use_variables(void *arg)
{
    sem_wait(&is_imported);
    sem_post(&is_imported);
    check_initial_data();
    *get_variable(0, 16) = (uintptr_t)arg;
    for (int i = 0; i < 1000; i++) {
        POOL_CHECK(*get_variable(0, 16) == (uintptr_t)arg);
    }
    return NULL;
}

static void
use_variables_in_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[8];
    create_variables();
    sem_init(&is_imported, 0, 0);
    for (size_t i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, use_variables, (void *)(i + 1));
    }
    pool_import(0);
    pool_import(1);
    sem_post(&is_imported);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    check_initial_data();
}

static void
threads_have_blocks_with_the_initial_data(void **state)
{
    (void)state;
    pool_check(use_variables_in_threads, "+a +b -a -b ");
}

/* --- The end of a thread --------------------------------------------------------------------------
 */

static pthread_key_t keys[2];

static void
use_in_destructor(void *arg)
{
    POOL_CHECK(*get_variable(0, 16) == 42);
    pool_say(arg);
    if (strcmp(arg, "late ") == 0) {
        pthread_setspecific(keys[1], "later ");
    }
    else if (strcmp(arg, "later ") == 0) {
        pthread_setspecific(keys[1], "last ");
    }
}

static void *
leave_values(void *arg)
{
    pthread_setspecific(keys[0], "early ");
    *get_variable(0, 16) = 42;
    pthread_setspecific(keys[1], "late ");
    return arg;
}

static void
use_in_destructors(const void *arg)
{
    (void)arg;
    pthread_t thread;
    create_variables();
    pool_import(0);
    pthread_key_create(&keys[0], use_in_destructor);
    *get_variable(0, 16) = 1;
    pthread_key_create(&keys[1], use_in_destructor);
    pthread_create(&thread, NULL, leave_values, NULL);
    pthread_join(thread, NULL);
    POOL_CHECK(*get_variable(0, 16) == 1);
}

/* The sanitizer tells of blocks that are not freed. */
static void
blocks_outlive_other_destructors(void **state)
{
    (void)state;
    pool_check(use_in_destructors, "+a early late later last -a ");
}

/* --- Static variables -----------------------------------------------------------------------------
 */

static _Thread_local uintptr_t variable = 7;

static uintptr_t
call_descriptor(const uintptr_t descriptor[2])
{
    uintptr_t result = (uintptr_t)descriptor, rcx = 1, rdx = 2;
    __asm__("call *(%%rax)" : "+a"(result), "+c"(rcx), "+d"(rdx) : : "memory", "cc");
    return rcx == 1 && rdx == 2 ? result : 0;
}

static void
static_variables_are_at_an_offset(void **state)
{
    (void)state;
    uintptr_t offset = (uintptr_t)&variable - (uintptr_t)kiln_thread_pointer();
    const struct kiln_tls_pair pair = {KILN_TLS_STATIC, offset};
    assert_ptr_equal(kiln_tls_get_addr(&pair), &variable);
    const uintptr_t descriptor[2] = {(uintptr_t)kiln_tlsdesc_static, offset};
    assert_int_equal(call_descriptor(descriptor), offset);
}

/* As code of GCC before 4.9 does it (bug 58066). */
static __attribute__((noinline)) void *
call_misaligned(const struct kiln_tls_pair *pair)
{
    uintptr_t argument = (uintptr_t)pair, function = (uintptr_t)kiln_tls_get_addr;
    void *result;
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "andq $-16, %%rsp\n\t"
                     "subq $136, %%rsp\n\t"
                     "call *%%rdx\n\t"
                     "movq %%rbx, %%rsp"
                     : "=a"(result), "+D"(argument), "+d"(function)
                     : "m"(*pair)
                     : "rbx", "rcx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return result;
}

static void
call_with_a_misaligned_stack(const void *arg)
{
    (void)arg;
    create_variables();
    pool_import(0);
    const struct kiln_tls_pair pair = {KILN_TLS_IMAGE | 0, 0};
    void *address = call_misaligned(&pair);
    POOL_CHECK(address == get_variable(0, 0));
}

static void
the_stack_may_be_misaligned(void **state)
{
    (void)state;
    pool_check(call_with_a_misaligned_stack, "+a -a ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_have_blocks_with_the_initial_data),
        cmocka_unit_test(blocks_outlive_other_destructors),
        cmocka_unit_test(static_variables_are_at_an_offset),
        cmocka_unit_test(the_stack_may_be_misaligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
