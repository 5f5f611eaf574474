/* Thread-local variables of images, as their code asks for them.
 *
 * Most are static: at a fixed distance from the thread pointer, in the executable's own block. An
 * image with many bytes of them has blocks of its own instead, which are made when a thread first
 * asks: so they have the initial data in threads older than the import, too.
 *
 * A thread's blocks are freed by a destructor of thread-specific data. It puts itself off as often as
 * it can, because other destructors, of any order, use the variables. */
#include "image/image.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What destructors of thread-specific data are called for, at most. */
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS };

struct blocks {
    char **items; /* by image; NULL: not made yet. With what first_byte() says in front */
    uint32_t count;
    int round;
};

static _Thread_local struct blocks blocks __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static bool has_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* The variables count from an address that is as well aligned as the initial data's is not. */
static size_t
first_byte(const struct kiln_image_tls *tls)
{
    return tls->align == 0 ? 0 : tls->offset % tls->align;
}

static void
free_blocks(void *arg)
{
    struct blocks *mine = arg;
    if (++mine->round < ROUNDS) {
        pthread_setspecific(key, mine);
        return;
    }
    for (uint32_t i = 0; i < mine->count; i++) {
        if (mine->items[i] != NULL) {
            free(mine->items[i] - first_byte(&kiln_image_records[i].tls));
        }
    }
    free(mine->items);
    *mine = (struct blocks){0};
}

static void
create_key(void)
{
    has_key = pthread_key_create(&key, free_blocks) == 0;
}

/* The dynamic loader ends the process then, too: there is no way to report it. */
static void
check_memory(bool is_allocated)
{
    if (!is_allocated) {
        fputs("cannot allocate memory for thread-local data: ABORT\n", stderr);
        abort();
    }
}

static void
grow(uint32_t count)
{
    if (blocks.items == NULL) {
        pthread_once(&key_once, create_key);
        if (has_key) { /* else they are not freed */
            pthread_setspecific(key, &blocks);
        }
    }
    char **items = realloc(blocks.items, count * sizeof *items);
    check_memory(items != NULL);
    memset(items + blocks.count, 0, (count - blocks.count) * sizeof *items);
    blocks.items = items;
    blocks.count = count;
}

static char *
create_block(uint32_t image)
{
    const struct kiln_image_tls *tls = &kiln_image_records[image].tls;
    size_t align = tls->align < sizeof(void *) ? sizeof(void *) : tls->align;
    void *memory;
    check_memory(posix_memalign(&memory, align, first_byte(tls) + tls->size) == 0);
    char *block = (char *)memory + first_byte(tls);
    memcpy(block, kiln_image_get_start(image) + tls->offset, tls->file_size);
    memset(block + tls->file_size, 0, tls->size - tls->file_size);
    return block;
}

static char *
get_block(uint32_t image)
{
    if (image >= blocks.count) {
        grow(image + 1);
    }
    if (blocks.items[image] == NULL) {
        blocks.items[image] = create_block(image);
    }
    return blocks.items[image];
}

/* Old compilers call it with the stack not aligned (GCC bug 58066). */
#ifdef __x86_64__
__attribute__((force_align_arg_pointer))
#endif
void *
kiln_tls_get_addr(const struct kiln_tls_pair *pair)
{
    if ((pair->module & KILN_TLS_STATIC) != 0) {
        return kiln_thread_pointer() + pair->offset;
    }
    if ((pair->module & KILN_TLS_IMAGE) != 0) {
        return get_block((uint32_t)pair->module) + pair->offset;
    }
    extern void *__tls_get_addr(const struct kiln_tls_pair *);
    return __tls_get_addr(pair);
}

/* The descriptor is at %rax, and so is the result; nothing else changes (ELF Handling for
 * Thread-Local Storage, and the psABI's TLSDESC). */
#ifdef __x86_64__
__asm__(".pushsection .text\n"
        ".globl kiln_tlsdesc_static\n"
        ".hidden kiln_tlsdesc_static\n"
        ".type kiln_tlsdesc_static, @function\n"
        ".balign 16\n"
        "kiln_tlsdesc_static:\n"
        "    endbr64\n"
        "    movq 8(%rax), %rax\n"
        "    ret\n"
        ".size kiln_tlsdesc_static, . - kiln_tlsdesc_static\n"
        ".popsection");
#endif
