/* Arena allocation: a list of blocks, the newest of which is filled from its start. Larger requests
 * than a block get one of their own. Nothing is freed before kiln_arena_release(). */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

struct kiln_arena_block {
    struct kiln_arena_block *next;
    size_t used, size; /* bytes of data */
    alignas(max_align_t) unsigned char data[];
};

static _Noreturn void
out_of_memory(void)
{
    fputs("kiln: out of memory\n", stderr);
    exit(1);
}

void
kiln_arena_release(struct kiln_arena *arena)
{
    struct kiln_arena_block *block = arena->blocks;
    while (block != NULL) {
        struct kiln_arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
}

void
kiln_arena_adopt(struct kiln_arena *arena, struct kiln_arena *other)
{
    struct kiln_arena_block **end = &arena->blocks; /* the block being filled stays in front */
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = other->blocks;
    other->blocks = NULL;
}

void *
kiln_arena_alloc(struct kiln_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        out_of_memory();
    }
    size = (size + align - 1) & ~(align - 1);

    struct kiln_arena_block *block = arena->blocks;
    if (block == NULL || size > block->size - block->used) {
        size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = calloc(1, sizeof *block + capacity);
        if (block == NULL) {
            out_of_memory();
        }
        block->size = capacity;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = block->data + block->used;
    block->used += size;
    return result;
}

char *
kiln_arena_strndup(struct kiln_arena *arena, const char *text, size_t len)
{
    char *copy = kiln_arena_alloc(arena, len + 1);
    memcpy(copy, text, len);
    return copy;
}

char *
kiln_arena_strdup(struct kiln_arena *arena, const char *text)
{
    return kiln_arena_strndup(arena, text, strlen(text));
}

char *
kiln_arena_vprintf(struct kiln_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *text = kiln_arena_alloc(arena, (size_t)(len < 0 ? 0 : len) + 1);
    if (len > 0) {
        vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text;
}

char *
kiln_arena_printf(struct kiln_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = kiln_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void *
kiln_arena_grow(struct kiln_arena *arena, const void *items, size_t count, size_t size,
                size_t *capacity)
{
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    if (*capacity > SIZE_MAX / 2 / size) {
        out_of_memory();
    }
    void *copy = kiln_arena_alloc(arena, *capacity * size);
    if (count > 0) {
        memcpy(copy, items, count * size);
    }
    return copy;
}

void
kiln_strings_push(struct kiln_arena *arena, struct kiln_strings *list, const char *text)
{
    *KILN_ARENA_PUSH(arena, list) = text;
}

void
kiln_strings_push_all(struct kiln_arena *arena, struct kiln_strings *list,
                      const struct kiln_strings *more)
{
    for (size_t i = 0; i < more->count; i++) {
        kiln_strings_push(arena, list, more->items[i]);
    }
}

void
kiln_strings_add(struct kiln_arena *arena, struct kiln_strings *list, const char *text)
{
    if (!kiln_strings_contain(list, text)) {
        kiln_strings_push(arena, list, text);
    }
}

bool
kiln_strings_contain(const struct kiln_strings *list, const char *text)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

char **
kiln_strings_argv(struct kiln_arena *arena, const struct kiln_strings *list)
{
    char **argv = kiln_arena_alloc(arena, (list->count + 1) * sizeof *argv);
    for (size_t i = 0; i < list->count; i++) {
        argv[i] = kiln_arena_strdup(arena, list->items[i]);
    }
    return argv;
}
