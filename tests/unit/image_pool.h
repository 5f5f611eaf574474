/* Images for unit tests of runtime/image: the tables of kiln/internal/images.h, to be filled in by the
 * test, and a pool of equal images that report what is called in them. */
#ifndef KILN_TESTS_IMAGE_POOL_H
#define KILN_TESTS_IMAGE_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "image/image.h"

/* An image is four pages: code; RELRO, with an array of one constructor and one of one destructor;
 * data; and zeros. Each of its functions passes the image's address to the function whose address is
 * among the data. */
enum {
    POOL_IMAGES = 64,
    POOL_IMAGE_SIZE = 0x4000,
    POOL_SPARE = 0x100000, /* bytes after the images, for a test that brings a larger one */
    POOL_INIT = 0x100,
    POOL_FINI = 0x120,
    POOL_RESOLVER = 0x180,
    POOL_CALL = 0x1a0, /* calls ON_CALL with its own arguments */
    POOL_INIT_ARRAY = 0x1000,
    POOL_FINI_ARRAY = 0x1010,
    POOL_ON_INIT = 0x2100,
    POOL_ON_FINI = 0x2108,
    POOL_ON_CONSTRUCTOR = 0x2110,
    POOL_ON_DESTRUCTOR = 0x2118,
    POOL_ON_RESOLVER = 0x2120,
    POOL_ON_CALL = 0x2128,
    POOL_DATA = 0x2200,
    POOL_ZEROS = 0x3000,
};

#define POOL_FUNCTION(data)                                                                        \
    "leaq 1b(%rip), %rdi\n"                                                                        \
    "jmpq *1b+" data "(%rip)\n"                                                                    \
    ".balign 32\n"

__asm__(".pushsection .kiln_image, \"ax\", @progbits\n"
        ".balign 4096\n"
        ".globl pool_memory\n"
        "pool_memory:\n"
        ".rept 64\n"
        "1: .ascii \"\\177ELF\"\n"
        ".zero 0xfc\n" /* clang-format off */
        POOL_FUNCTION("0x2100")
        POOL_FUNCTION("0x2108")
        POOL_FUNCTION("0x2110")
        POOL_FUNCTION("0x2118")
        POOL_FUNCTION("0x2120") /* clang-format on */
        "subq $8, %rsp\n"
        "callq *1b+0x2128(%rip)\n"
        "addq $8, %rsp\n"
        "ret\n"
        ".balign 32\n"
        ".zero 0x1000 - 0x100 - 6 * 32\n"
        ".quad 0x140, 0, 0x160\n"
        ".zero 0x3000 - 3 * 8\n"
        ".endr\n"
        ".zero 0x100000\n"
        ".popsection\n");
extern char pool_memory[];

/* The tables are constant for the runtime only. */
#define POOL_TABLE(type, table, name, bytes)                                                       \
    __asm__(".pushsection .bss\n"                                                                  \
            ".balign 16\n"                                                                         \
            ".weak kiln_image" name "\n"                                                           \
            ".globl pool" name "\n"                                                                \
            ".hidden kiln_image" name ", pool" name "\n"                                           \
            "kiln_image" name ":\n"                                                                \
            "pool" name ": .zero " bytes "\n"                                                      \
            ".popsection");                                                                        \
    extern type table __attribute__((visibility("hidden")))

_Static_assert(sizeof(struct kiln_image) == 148 && sizeof(struct kiln_image_import) == 20,
               "the tables have room for 64 and 256 of them");
POOL_TABLE(struct kiln_images, pools, "s", "12");
POOL_TABLE(struct kiln_image, pool_records[], "_records", "148 * 64");
POOL_TABLE(struct kiln_image_import, pool_imports[], "_imports", "20 * 256");
POOL_TABLE(uint32_t, pool_libraries[], "_libraries", "4 * 16");
POOL_TABLE(uint32_t, pool_words[], "_words", "4 * 8192");
POOL_TABLE(char, pool_strings[], "_strings", "16384");
POOL_TABLE(uintptr_t, pool_slots[], "_slots", "8 * 256");
POOL_TABLE(unsigned char, pool_states[], "_states", "64");
POOL_TABLE(unsigned char, pool_import_states[], "_import_states", "256");

/* What has been called, in this process or in a child. */
static char *pool_log;

static inline void
pool_say(const char *text)
{
    strcat(pool_log, text);
}

static uint32_t pool_words_used;
static uint32_t pool_strings_used;

static inline uint32_t
pool_add_string(const char *text)
{
    uint32_t offset = pool_strings_used;
    strcpy(pool_strings + offset, text);
    pool_strings_used += (uint32_t)strlen(text) + 1;
    return offset;
}

/* A list of words that are appended by pool_add_words() until the next list begins. */
static inline struct kiln_image_list
pool_add_words(uint32_t items, uint32_t count, const uint32_t *words)
{
    struct kiln_image_list list = {pool_words_used, items};
    memcpy(pool_words + pool_words_used, words, count * sizeof *words);
    pool_words_used += count;
    return list;
}

#define POOL_LIST(...)                                                                             \
    pool_add_words(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                           \
                   sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                           \
                   (uint32_t[]){__VA_ARGS__})
#define POOL_PAIRS(...)                                                                            \
    pool_add_words(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t) / 2,                       \
                   sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                           \
                   (uint32_t[]){__VA_ARGS__})
#define POOL_TRIPLES(...)                                                                          \
    pool_add_words(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t) / 3,                       \
                   sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                           \
                   (uint32_t[]){__VA_ARGS__})

static inline uint32_t
pool_add_import(struct kiln_image_import import)
{
    pool_imports[pools.import_count] = import;
    return pools.import_count++;
}

/* An import whose value is the address of something in the test. */
static inline uint32_t
pool_add_target(uintptr_t target)
{
    struct kiln_image_import *import = &pool_imports[pools.import_count];
    *import = (struct kiln_image_import){
        .kind = KILN_IMPORT_DISTANCE,
        .where = (int32_t)(target - (uintptr_t)&import->where),
    };
    return pools.import_count++;
}

static inline char *
pool_get(uint32_t image)
{
    return pool_memory + (size_t)image * POOL_IMAGE_SIZE;
}

static inline uintptr_t
pool_read(uint32_t image, uint32_t offset)
{
    uintptr_t word;
    memcpy(&word, pool_get(image) + offset, sizeof word);
    return word;
}

static inline uint32_t
pool_get_index(const char *start)
{
    return (uint32_t)((start - pool_memory) / POOL_IMAGE_SIZE);
}

static inline void
pool_report(char kind, const char *start)
{
    char text[] = {kind, (char)('a' + pool_get_index(start)), ' ', '\0'};
    pool_say(text);
}

/* What a test does in a constructor, if anything. */
static void (*pool_constructor)(uint32_t image);

static inline void
pool_on_constructor(const char *start)
{
    pool_report('+', start);
    if (pool_constructor != NULL) {
        pool_constructor(pool_get_index(start));
    }
}

static inline void
pool_on_destructor(const char *start)
{
    pool_report('-', start);
}

static inline void
pool_on_init(const char *start)
{
    pool_report('(', start);
}

static inline void
pool_on_fini(const char *start)
{
    pool_report(')', start);
}

enum { POOL_CONSTRUCTOR_IMPORT, POOL_DESTRUCTOR_IMPORT, POOL_INIT_IMPORT, POOL_FINI_IMPORT };

/* Image 0 is /pool/a.so, and so on. */
static inline void
pool_create_image(uint32_t image)
{
    char name[20];
    struct kiln_image *record = &pool_records[image];
    snprintf(name, sizeof name, "/pool/%c.so", 'a' + (int)image);
    uint32_t path = pool_add_string(name);
    *record = (struct kiln_image){
        .start = (int32_t)(pool_get(image) - (char *)record),
        .size = POOL_IMAGE_SIZE,
        .path = path,
        .soname = path + 6,
        .init_array = POOL_INIT_ARRAY,
        .init_array_size = 8,
        .fini_array = POOL_FINI_ARRAY,
        .fini_array_size = 8,
    };
    record->relative = POOL_LIST(POOL_INIT_ARRAY, 5);
    record->patches = POOL_PAIRS(POOL_ON_CONSTRUCTOR, POOL_CONSTRUCTOR_IMPORT, POOL_ON_DESTRUCTOR,
                                 POOL_DESTRUCTOR_IMPORT, POOL_ON_INIT, POOL_INIT_IMPORT,
                                 POOL_ON_FINI, POOL_FINI_IMPORT);
    record->protections = POOL_TRIPLES(0x1000, 0x1000, KILN_IMAGE_RELRO, 0x2000, 0x1000,
                                       KILN_IMAGE_WRITABLE, 0x3000, 0x1000, KILN_IMAGE_ZEROS);
}

static inline void
pool_create(void)
{
    pool_log = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pool_words_used = pool_strings_used = 0;
    pools = (struct kiln_images){.image_count = POOL_IMAGES};
    pool_add_target((uintptr_t)pool_on_constructor);
    pool_add_target((uintptr_t)pool_on_destructor);
    pool_add_target((uintptr_t)pool_on_init);
    pool_add_target((uintptr_t)pool_on_fini);
    for (uint32_t i = 0; i < POOL_IMAGES; i++) {
        pool_create_image(i);
    }
}

/* "a:bc" makes a depend on b and c; "a:b/c" has a bound to c. */
static inline void
pool_create_graph(const char *graph)
{
    for (const char *at = graph; *at != '\0';) {
        uint32_t items[POOL_IMAGES] = {0}, count = 0, flag = 0;
        uint32_t image = (uint32_t)(*at - 'a');
        for (at += 2; *at != '\0' && *at != ' '; at++) {
            if (*at == '/') {
                flag = KILN_IMAGE_BOUND;
            }
            else {
                items[count++] = (uint32_t)(*at - 'a') | flag;
            }
        }
        pool_records[image].dependencies = pool_add_words(count, count, items);
        at += *at == ' ';
    }
}

static char pool_text[1000];

static inline const char *
pool_prepare(uint32_t image)
{
    return kiln_image_prepare(image, pool_text, sizeof pool_text);
}

/* Prepare IMAGE in a test that expects no failure. */
static inline void
pool_import(uint32_t image)
{
    const char *error = pool_prepare(image);
    if (error != NULL) {
        pool_say(error);
    }
}

/* Run BODY in a child that exits, with the pool untouched. Returns the child's status. */
static inline int
pool_run(void (*body)(const void *), const void *arg)
{
    pool_create();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        body(arg);
        exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

/* BODY in such a child says LOG and succeeds. */
static inline void
pool_check(void (*body)(const void *), const char *log)
{
    int status = pool_run(body, NULL);
    assert_string_equal(pool_log, log);
    assert_int_equal(status, 0);
}

/* Checks of the child, which the log tells of. */
#define POOL_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            pool_say(#condition "? ");                                                             \
        }                                                                                          \
    } while (0)

#endif
