/* Preparing images: words, imports, pages, failures, threads and fork(). */
#include "image_pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

/* The letters that /proc/self/maps has for the page at OFFSET of IMAGE. */
static const char *
get_rights(uint32_t image, uint32_t offset)
{
    static char rights[5];
    uintptr_t address = (uintptr_t)pool_get(image) + offset;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    unsigned long start, end;
    char line[1000];
    strcpy(rights, "");
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && start <= address &&
            address < end) {
            break;
        }
    }
    fclose(maps);
    return rights;
}

static int
has_rights(uint32_t image, const char *code, const char *relro, const char *data, const char *zeros)
{
    return strcmp(get_rights(image, 0), code) == 0 &&
           strcmp(get_rights(image, 0x1000), relro) == 0 &&
           strcmp(get_rights(image, 0x2000), data) == 0 &&
           strcmp(get_rights(image, POOL_ZEROS), zeros) == 0;
}

/* --- Words ---------------------------------------------------------------------------------------
 */

static void
relocate(const void *arg)
{
    (void)arg;
    uintptr_t start = (uintptr_t)pool_get(0);
    pool_records[0].relative =
        POOL_LIST(POOL_INIT_ARRAY, 5, POOL_DATA, 0x80000003, 0x80000003, POOL_DATA + 0x400, 3);
    pool_import(0);
    static const uint32_t moved[] = {0, 8, 8 * 31, 8 * 32, 8 * 62, 0x400, 0x408};
    for (uint32_t i = 0; i < sizeof moved / sizeof *moved; i++) {
        POOL_CHECK(pool_read(0, POOL_DATA + moved[i]) == start);
    }
    POOL_CHECK(pool_read(0, POOL_DATA + 16) == 0);
    POOL_CHECK(pool_read(0, POOL_DATA + 8 * 30) == 0);
    POOL_CHECK(pool_read(0, POOL_DATA + 8 * 63) == 0);
    POOL_CHECK(pool_read(0, POOL_INIT_ARRAY) == start + 0x140);
}

static void
relative_words_get_the_address(void **state)
{
    (void)state;
    pool_check(relocate, "+a -a ");
}

static uint32_t
import_named(uint32_t kind, const char *name, const char *version)
{
    return pool_add_import((struct kiln_image_import){
        .kind = kind,
        .index = KILN_IMAGE_NONE,
        .name = pool_add_string(name),
        .version = version == NULL ? KILN_IMAGE_NONE : pool_add_string(version),
    });
}

static void
patch(const void *arg)
{
    (void)arg;
    uint32_t call = import_named(KILN_IMPORT_CALL, "qsort", "GLIBC_2.2.5");
    uint32_t address = import_named(KILN_IMPORT_ADDRESS, "environ", NULL);
    uint32_t weak = import_named(KILN_IMPORT_ADDRESS | KILN_IMPORT_WEAK, "no_such_symbol", NULL);
    uint32_t other = pool_add_import(
        (struct kiln_image_import){.kind = KILN_IMPORT_IMAGE, .index = 1, .where = 0x2345});
    pool_create_graph("a:b");
    pool_records[0].imports = POOL_LIST(call, address, weak);
    pool_records[0].patches =
        POOL_PAIRS(POOL_ON_CONSTRUCTOR, 0, POOL_ON_DESTRUCTOR, 1, POOL_DATA, call, POOL_DATA + 13,
                   address, POOL_DATA + 0x20, weak, POOL_DATA + 0x28, other);
    pool_import(0);
    /* The sanitizer's, if there is one. */
    POOL_CHECK(pool_read(0, POOL_DATA) == (uintptr_t)dlsym(RTLD_NEXT, "qsort"));
    POOL_CHECK(pool_read(0, POOL_DATA + 13) == (uintptr_t)&environ);
    POOL_CHECK(pool_read(0, POOL_DATA + 0x20) == 0);
    POOL_CHECK(pool_read(0, POOL_DATA + 0x28) == (uintptr_t)pool_get(1) + 0x2345);
    POOL_CHECK(pool_slots[call] == (uintptr_t)dlsym(RTLD_NEXT, "qsort"));
}

static void
patches_get_the_values_of_imports(void **state)
{
    (void)state;
    pool_check(patch, "+b +a -a -b ");
}

/* Sees words of its own image, which depends on the one that calls it. */
static uintptr_t
on_resolver(const char *start)
{
    pool_report('?', start);
    POOL_CHECK(pool_read(1, POOL_ON_CONSTRUCTOR) == (uintptr_t)pool_on_constructor);
    POOL_CHECK(pool_read(0, POOL_ON_CONSTRUCTOR) == (uintptr_t)pool_on_constructor);
    return 42;
}

static void
patch_ifuncs(const void *arg)
{
    (void)arg;
    uint32_t target = pool_add_target((uintptr_t)on_resolver);
    uint32_t ifunc = pool_add_import(
        (struct kiln_image_import){.kind = KILN_IMPORT_IFUNC, .index = 1, .where = POOL_RESOLVER});
    pool_create_graph("a:b b:a");
    pool_records[0].patches =
        POOL_PAIRS(POOL_ON_CONSTRUCTOR, 0, POOL_ON_DESTRUCTOR, 1, POOL_DATA, ifunc);
    pool_records[1].patches = POOL_PAIRS(POOL_ON_CONSTRUCTOR, 0, POOL_ON_DESTRUCTOR, 1,
                                         POOL_ON_RESOLVER, target, POOL_DATA + 8, ifunc);
    pool_import(0);
    POOL_CHECK(pool_read(0, POOL_DATA) == 42);
    POOL_CHECK(pool_read(1, POOL_DATA + 8) == 42);
}

static void
ifuncs_are_resolved_last_and_once(void **state)
{
    (void)state;
    pool_check(patch_ifuncs, "?b +b +a -b -a ");
}

/* --- Thread-local variables of libraries ----------------------------------------------------------
 */

static void
import_tls(const void *arg)
{
    (void)arg;
    uint32_t fixed = import_named(KILN_IMPORT_TLS_STATIC, "errno", "GLIBC_PRIVATE");
    uint32_t module = import_named(KILN_IMPORT_TLS_MODULE, "errno", "GLIBC_PRIVATE");
    uint32_t offset = import_named(KILN_IMPORT_TLS_OFFSET, "errno", "GLIBC_PRIVATE");
    pool_records[0].imports = POOL_LIST(fixed, module, offset);
    pool_import(0);
    POOL_CHECK(kiln_thread_pointer() + pool_slots[fixed] == (char *)&errno);
    const struct kiln_tls_pair pair = {pool_slots[module], pool_slots[offset]};
    POOL_CHECK(kiln_tls_get_addr(&pair) == &errno);
}

static void
thread_local_variables_of_libraries_are_found(void **state)
{
    (void)state;
    pool_check(import_tls, "+a -a ");
}

/* --- Pages ---------------------------------------------------------------------------------------
 */

static void
change_pages(const void *arg)
{
    (void)arg;
    POOL_CHECK(has_rights(0, "r-xp", "r-xp", "r-xp", "r-xp"));
    pool_import(0);
    POOL_CHECK(has_rights(0, "r-xp", "r--p", "rw-p", "rw-p"));
    POOL_CHECK(has_rights(1, "r-xp", "r-xp", "r-xp", "r-xp"));
}

static void
change_constant_pages(const void *arg)
{
    (void)arg;
    pool_records[0].protections =
        POOL_TRIPLES(0x1000, 0x1000, KILN_IMAGE_RELRO, 0x2000, 0x1000, KILN_IMAGE_WRITABLE, 0x3000,
                     0x1000, KILN_IMAGE_CONSTANT);
    pool_import(0);
    POOL_CHECK(has_rights(0, "r-xp", "r--p", "rw-p", "r--p"));
}

static void
constants_lose_the_right_to_be_executed(void **state)
{
    (void)state;
    pool_check(change_constant_pages, "+a -a ");
}

static void
pages_get_their_rights(void **state)
{
    (void)state;
    pool_check(change_pages, "+a -a ");
}

static void
change_pages_under_mdwe(const void *arg)
{
    if (prctl(PR_SET_MDWE, 1UL, 0UL, 0UL, 0UL) != 0) {
        pool_say("+a -a "); /* an old kernel */
        return;
    }
    change_pages(arg);
}

static void
pages_need_no_right_to_become_executable(void **state)
{
    (void)state;
    pool_check(change_pages_under_mdwe, "+a -a ");
}

/* --- Failures ------------------------------------------------------------------------------------
 */

static void
check_unchanged(uint32_t image)
{
    POOL_CHECK(memcmp(pool_get(image), pool_get(POOL_IMAGES - 1), POOL_IMAGE_SIZE) == 0);
    POOL_CHECK(has_rights(image, "r-xp", "r-xp", "r-xp", "r-xp"));
    POOL_CHECK(pool_states[image] == 0);
}

static void
miss_symbol(const void *arg)
{
    (void)arg;
    uint32_t plain = import_named(KILN_IMPORT_CALL, "no_such_symbol", NULL);
    uint32_t versioned = import_named(KILN_IMPORT_CALL, "strverscmp", "VERS_1");
    pool_create_graph("a:b");
    pool_records[1].imports = POOL_LIST(plain);
    pool_import(0);
    pool_say("; ");
    pool_records[1].imports = POOL_LIST(versioned);
    pool_import(0);
    check_unchanged(0);
    check_unchanged(1);
    pool_say("; ");
    pool_records[1].imports.count = 0;
    pool_import(0);
}

static void
a_missing_symbol_changes_nothing(void **state)
{
    (void)state;
    pool_check(miss_symbol,
               "/pool/b.so: undefined symbol: no_such_symbol; "
               "/pool/b.so: undefined symbol: strverscmp, version VERS_1; +b +a -a -b ");
}

static void
miss_library(const void *arg)
{
    (void)arg;
    pools.library_count = 1;
    pool_libraries[0] = pool_add_string("libnosuch.so.1");
    pool_records[0].libraries = POOL_LIST(0);
    pool_import(0);
    check_unchanged(0);
    pool_say("; ");
    pool_libraries[0] = pool_add_string("libm.so.6");
    uint32_t import = import_named(KILN_IMPORT_CALL, "erf", "GLIBC_2.2.5");
    pool_imports[import].index = 0;
    pool_records[0].imports = POOL_LIST(import);
    pool_import(0);
    POOL_CHECK(pool_slots[import] == (uintptr_t)dlsym(dlopen("libm.so.6", RTLD_NOW), "erf"));
}

static void
a_missing_library_changes_nothing(void **state)
{
    (void)state;
    pool_check(miss_library,
               "libnosuch.so.1: cannot open shared object file: No such file or directory; "
               "+a -a ");
}

static void
fail_to_open_pages(const void *arg)
{
    (void)arg;
    struct kiln_image_list good = pool_records[1].protections;
    pool_create_graph("a:b");
    pool_records[1].protections =
        POOL_TRIPLES(0x2000, 0x1000, KILN_IMAGE_WRITABLE, 0xfffff000, 0x1000, KILN_IMAGE_WRITABLE);
    pool_import(0);
    POOL_CHECK(pool_states[0] == 0 && pool_states[1] == 0);
    pool_say("; ");
    pool_records[1].protections = good;
    pool_import(0);
}

static void
pages_that_cannot_be_opened_are_tried_again(void **state)
{
    (void)state;
    pool_check(fail_to_open_pages, "/pool/b.so: cannot change memory protections; +b +a -a -b ");
}

static struct kiln_image_list bad_protections;

static uintptr_t
break_protections(const char *start)
{
    (void)start;
    pool_records[1].protections = bad_protections;
    return 0;
}

static void
fail_to_close_pages(const void *arg)
{
    (void)arg;
    struct kiln_image_list good = pool_records[1].protections;
    uint32_t target = pool_add_target((uintptr_t)break_protections);
    uint32_t ifunc = pool_add_import(
        (struct kiln_image_import){.kind = KILN_IMPORT_IFUNC, .index = 1, .where = POOL_RESOLVER});
    pool_create_graph("a:b");
    pool_records[1].patches = POOL_PAIRS(POOL_ON_CONSTRUCTOR, 0, POOL_ON_DESTRUCTOR, 1,
                                         POOL_ON_RESOLVER, target, POOL_DATA, ifunc);
    bad_protections = POOL_TRIPLES(0xfffff000, 0x1000, KILN_IMAGE_RELRO);
    pool_import(0);
    POOL_CHECK(!kiln_image_is(0, KILN_IMAGE_PREPARED) && !kiln_image_is(1, KILN_IMAGE_PREPARED));
    pool_say("; ");
    pool_records[1].protections = good;
    pool_import(0);
    POOL_CHECK(pool_read(1, POOL_INIT_ARRAY) == (uintptr_t)pool_get(1) + 0x140);
    POOL_CHECK(has_rights(1, "r-xp", "r--p", "rw-p", "rw-p"));
}

static void
pages_that_cannot_be_closed_are_not_filled_again(void **state)
{
    (void)state;
    pool_check(fail_to_close_pages, "/pool/b.so: cannot change memory protections; +b +a -a -b ");
}

/* --- Threads and fork() ---------------------------------------------------------------------------
 */

static void *
import_from_thread(void *arg)
{
    for (uint32_t i = 0; i < 20; i++) {
        pool_import((i + *(uint32_t *)arg) % 20);
    }
    return NULL;
}

static void
import_from_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[8];
    uint32_t first[8];
    pool_create_graph("a:bcdefghijklmnopqrst b:a");
    for (uint32_t i = 0; i < 8; i++) {
        first[i] = i;
        pthread_create(&threads[i], NULL, import_from_thread, &first[i]);
    }
    for (uint32_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    POOL_CHECK(strlen(pool_log) == 20 * strlen("+a "));
    _exit(0);
}

static void
constructors_run_once_for_all_threads(void **state)
{
    (void)state;
    int status = pool_run(import_from_threads, NULL);
    assert_null(strchr(pool_log, '?'));
    assert_int_equal(status, 0);
}

static sem_t is_in_constructor, may_leave;

static void
wait_in_constructor(uint32_t image)
{
    if (image == 1) {
        sem_post(&is_in_constructor);
        sem_wait(&may_leave);
    }
}

static void *
import_first(void *arg)
{
    pool_import(0);
    return arg;
}

/* The child finds b's constructor under way, and takes it as it is, as with the dynamic loader. */
static void
fork_meanwhile(const void *arg)
{
    (void)arg;
    pthread_t thread;
    pool_create_graph("a:cb d:b");
    pool_constructor = wait_in_constructor;
    sem_init(&is_in_constructor, 0, 0);
    sem_init(&may_leave, 0, 0);
    pthread_create(&thread, NULL, import_first, NULL);
    sem_wait(&is_in_constructor);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        pool_import(3);
        pool_import(0);
        kiln_image_finish();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    POOL_CHECK(status == 0);
    pool_say("| ");
    sem_post(&may_leave);
    pthread_join(thread, NULL);
}

static void
a_child_goes_on_where_another_thread_was(void **state)
{
    (void)state;
    pool_check(fork_meanwhile, "+b +d +c +a -a -c -d -b | +c +a -a -c -b ");
}

static void
fork_in_constructor(uint32_t image)
{
    if (image == 1) {
        pid_t child = fork();
        if (child != 0) {
            waitpid(child, NULL, 0);
        }
    }
}

static void
import_forking(const void *arg)
{
    (void)arg;
    pool_create_graph("a:b");
    pool_constructor = fork_in_constructor;
    pool_import(0);
}

static void
a_constructor_may_fork(void **state)
{
    (void)state;
    pool_check(import_forking, "+b +a -a -b +a -a -b ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relative_words_get_the_address),
        cmocka_unit_test(patches_get_the_values_of_imports),
        cmocka_unit_test(ifuncs_are_resolved_last_and_once),
        cmocka_unit_test(thread_local_variables_of_libraries_are_found),
        cmocka_unit_test(pages_get_their_rights),
        cmocka_unit_test(constants_lose_the_right_to_be_executed),
        cmocka_unit_test(pages_need_no_right_to_become_executable),
        cmocka_unit_test(a_missing_symbol_changes_nothing),
        cmocka_unit_test(a_missing_library_changes_nothing),
        cmocka_unit_test(pages_that_cannot_be_opened_are_tried_again),
        cmocka_unit_test(pages_that_cannot_be_closed_are_not_filled_again),
        cmocka_unit_test(constructors_run_once_for_all_threads),
        cmocka_unit_test(a_child_goes_on_where_another_thread_was),
        cmocka_unit_test(a_constructor_may_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
