/* Memory that lives as long as one run of a command: allocated in pieces, freed at once.
 *
 * If the system refuses memory, the process ends with a message: no caller could continue without it.
 */
#ifndef KILN_BASE_ARENA_H
#define KILN_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct kiln_arena_block;

struct kiln_arena {
    struct kiln_arena_block *blocks; /* the newest first */
};

/* {0} is an empty arena. */
void kiln_arena_release(struct kiln_arena *arena);
/* Move all memory of OTHER to ARENA. OTHER is empty afterwards. */
void kiln_arena_adopt(struct kiln_arena *arena, struct kiln_arena *other);

/* SIZE zeroed bytes, aligned for any type. */
void *kiln_arena_alloc(struct kiln_arena *arena, size_t size);
char *kiln_arena_strdup(struct kiln_arena *arena, const char *text);
char *kiln_arena_strndup(struct kiln_arena *arena, const char *text, size_t len);
char *kiln_arena_printf(struct kiln_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *kiln_arena_vprintf(struct kiln_arena *arena, const char *format, va_list args);

/* Copy COUNT items of SIZE bytes to an array of twice the capacity. See KILN_ARENA_PUSH. The old array
 * stays in the arena. */
void *kiln_arena_grow(struct kiln_arena *arena, const void *items, size_t count, size_t size,
                      size_t *capacity);

/* A new zeroed last item of `list`, a struct with members {T *items; size_t count, capacity;}.
 * The value is a pointer to it. */
#define KILN_ARENA_PUSH(arena, list)                                                               \
    ((list)->items = (list)->count < (list)->capacity                                              \
                         ? (list)->items                                                           \
                         : kiln_arena_grow((arena), (list)->items, (list)->count,                  \
                                           sizeof *(list)->items, &(list)->capacity),              \
     &(list)->items[(list)->count++])

/* A list of strings, each borrowed or in the same arena. */
struct kiln_strings {
    const char **items;
    size_t count, capacity;
};

void kiln_strings_push(struct kiln_arena *arena, struct kiln_strings *list, const char *text);
void kiln_strings_push_all(struct kiln_arena *arena, struct kiln_strings *list,
                           const struct kiln_strings *more);
/* Push TEXT unless the list contains an equal string. */
void kiln_strings_add(struct kiln_arena *arena, struct kiln_strings *list, const char *text);
/* Whether LIST, which may be NULL, has a string equal to TEXT. */
bool kiln_strings_contain(const struct kiln_strings *list, const char *text);
/* LIST as an argv: its items, then NULL. */
char **kiln_strings_argv(struct kiln_arena *arena, const struct kiln_strings *list);

#endif
