/* What the files of runtime/image share. Nothing of it is visible outside the executable. */
#ifndef KILN_RUNTIME_IMAGE_H
#define KILN_RUNTIME_IMAGE_H

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kiln/internal/images.h"

/* Flags of an image in kiln_image_states. Written with the lock held; READY is read without it. */
enum kiln_image_state {
    KILN_IMAGE_FILLED = 1,   /* its words have their values; they must not be added to again */
    KILN_IMAGE_PREPARED = 2, /* its pages have their final protection, too */
    KILN_IMAGE_STARTED = 4,  /* its constructors have run or are running; its destructors are due */
    KILN_IMAGE_ASKED = 8,    /* it was asked for, and those of all it depends on are seen to */
    KILN_IMAGE_READY = 16,   /* and have run */
    KILN_IMAGE_SEEN = 32,    /* in the tree that is being collected or sorted */
    KILN_IMAGE_STAYS =
        64, /* the dynamic loader would not unload it before others: it has a variable
                              * that the process has one of */
};

static inline bool
kiln_image_is(uint32_t image, enum kiln_image_state flag)
{
    return (__atomic_load_n(&kiln_image_states[image], __ATOMIC_ACQUIRE) & flag) != 0;
}

static inline void
kiln_image_set(uint32_t image, enum kiln_image_state flag)
{
    __atomic_fetch_or(&kiln_image_states[image], (unsigned char)flag, __ATOMIC_RELEASE);
}

static inline void
kiln_image_unset(uint32_t image, enum kiln_image_state flag)
{
    __atomic_fetch_and(&kiln_image_states[image], (unsigned char)~flag, __ATOMIC_RELEASE);
}

static inline char *
kiln_image_get_start(uint32_t image)
{
    const int32_t *field = &kiln_image_records[image].start;
    return (char *)((uintptr_t)field + (uintptr_t)(intptr_t)*field);
}

static inline const char *
kiln_image_get_path(uint32_t image)
{
    return kiln_image_strings + kiln_image_records[image].path;
}

/* The entry with TAG of a dynamic section, which may be NULL; NULL if there is none. */
static inline const ElfW(Dyn) * kiln_find_dynamic(const ElfW(Dyn) * entry, ElfW(Sxword) tag)
{
    while (entry != NULL && entry->d_tag != tag) {
        entry = entry->d_tag == DT_NULL ? NULL : entry + 1;
    }
    return entry;
}

/* The address that the thread's variables in static TLS count from. */
static inline char *
kiln_thread_pointer(void)
{
#ifdef __x86_64__
    char *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
#else
    return __builtin_thread_pointer();
#endif
}

/* The dl functions of the C library, even if the executable exports others of the same name. */
struct kiln_libc {
    void *(*dlopen)(const char *, int);
    void *(*dlsym)(void *, const char *);
    void *(*dlvsym)(void *, const char *, const char *);
    int (*dlclose)(void *);
    char *(*dlerror)(void);
    int (*dlinfo)(void *, int, void *);
    int (*dladdr)(const void *, Dl_info *);
    int (*dladdr1)(const void *, Dl_info *, void **, int);
    int (*dl_iterate_phdr)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
};
const struct kiln_libc *kiln_libc_get(void);

/* Where a message goes. Returns -1. */
struct kiln_image_error {
    char *text;
    size_t size;
};
int kiln_image_fail(const struct kiln_image_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- lock.c --------------------------------------------------------------------------------------
 */

void kiln_image_lock(void);
/* Returns true if the thread does not hold the lock any more. */
bool kiln_image_unlock(void);
/* Returns true if the lock is held once, not from within a constructor. */
bool kiln_image_is_outermost(void);
/* fork() in any thread waits from the first call to the second. */
void kiln_image_hold_forks(void);
void kiln_image_let_forks(void);
/* Call once, before there are threads. */
void kiln_image_lock_start(void);

/* --- tree.c: requires the lock, except for the functions that say otherwise ----------------------
 */

struct kiln_image_tree {
    uint32_t *images; /* breadth first */
    size_t count, capacity;
    uint32_t *sorted; /* the same, dependents first; memory for that before */
    bool is_kept;     /* that stays for good */
};
/* Collect IMAGE and all that it depends on. Returns 0, or -1 if memory is short. */
int kiln_image_tree_collect(struct kiln_image_tree *tree, uint32_t image);
/* Set SORTED to the order of the dynamic loader, which calls constructors from the last to the first, and remember
 * that the root was asked for: once for each. IS_NEW: it was not loaded before. Requires
 * kiln_image_tree_reserve(). */
void kiln_image_tree_sort(struct kiln_image_tree *tree, bool is_new);
void kiln_image_tree_release(struct kiln_image_tree *tree);
/* Make room to remember every image. Returns 0, or -1 if memory is short. */
int kiln_image_tree_reserve(void);
/* Remember that IMAGE is loaded for ROOT, after those that are loaded already. */
void kiln_image_tree_add(uint32_t image, uint32_t root);
/* The images that were asked for and that bring IMAGE, one by one; KILN_IMAGE_NONE: there are no more. The first
 * is what IMAGE has been loaded for; itself if it has not been. */
uint32_t kiln_image_tree_get_root(uint32_t image, size_t index);
/* Remember that IMAGE has found a symbol of OTHER from anywhere, for the order of destructors. */
void kiln_image_tree_note_found(uint32_t image, uint32_t other);
/* The images that are loaded, in the order of loading. Any thread may call it without the lock, and
 * the list grows at the end only. */
const uint32_t *kiln_image_tree_get_loaded(size_t *count);
/* All of them in the order in which their destructors run. The caller frees it; NULL: none, or no
 * memory. */
uint32_t *kiln_image_tree_get_final(size_t *count);

/* --- imports.c: requires the lock ----------------------------------------------------------------
 */

void kiln_image_imports_start(void);
/* Call before and after several kiln_image_resolve(); and the second if one of them fails: what has been
 * opened for them is closed again. */
void kiln_image_imports_begin(void);
/* From here on, imports are for IMAGE and what it depends on. Returns which image they were for. */
uint32_t kiln_image_imports_set_root(uint32_t image);
void kiln_image_imports_abandon(void);
/* Open the libraries of IMAGE and find the values of its imports. Returns 0 or -1. */
int kiln_image_resolve(uint32_t image, const struct kiln_image_error *error);
/* The value of an import that is resolved, or that needs no resolving. */
uintptr_t kiln_image_get_value(uint32_t import);
/* The image that the value of IMPORT is in, for what is prepared with ROOT; KILN_IMAGE_NONE: in none. *IS_UNIQUE is
 * set if it is of a variable that the process has one of. */
uint32_t kiln_image_get_definer(uint32_t import, uint32_t root, bool *is_unique);
/* Returns whether an import is an ifunc, or a choice with one. */
bool kiln_image_may_be_ifunc(uint32_t import);

/* --- pages.c, words.c: requires the lock ---------------------------------------------------------
 */

/* Make the pages that are to be written writable. Safe to repeat until words are filled in. */
int kiln_image_open_pages(uint32_t image, const struct kiln_image_error *error);
/* Make those read-only that are not to be written from now on. Safe to repeat. */
int kiln_image_close_pages(uint32_t image, const struct kiln_image_error *error);
/* Fill in all words but those that may be of ifuncs, and those. Each only once. */
void kiln_image_fill(uint32_t image);
void kiln_image_fill_ifuncs(uint32_t image);

/* --- init.c --------------------------------------------------------------------------------------
 */

/* Keep what constructors get as arguments. */
void kiln_image_init_start(int argc, char **argv);
void kiln_image_call_init(uint32_t image);
/* Call the destructors of all images: at the end of the process. */
void kiln_image_finish(void);

/* --- tls.c ---------------------------------------------------------------------------------------
 */

struct kiln_tls_pair {
    unsigned long module, offset;
};
/* __tls_get_addr() for images. */
void *kiln_tls_get_addr(const struct kiln_tls_pair *pair);
/* Resolver of TLS descriptors whose argument is an offset from the thread pointer. It has a calling
 * convention of its own and is not for calling from C. */
void kiln_tlsdesc_static(void);

/* --- symbols.c: the dynamic symbols of an image --------------------------------------------------
 */

/* A definition of NAME that others see; VERSION: NULL for the default one. Returns NULL if there is
 * none. */
const ElfW(Sym) * kiln_image_find_symbol(uint32_t image, const char *name, const char *version);
/* The one with ADDRESS in it; NULL if there is none. */
const ElfW(Sym) * kiln_image_find_symbol_at(uint32_t image, uintptr_t address);
/* Its address; of an ifunc, what the resolver returns. */
void *kiln_image_get_symbol_address(uint32_t image, const ElfW(Sym) * symbol);

/* --- find.c --------------------------------------------------------------------------------------
 */

/* The image that ADDRESS is in, loaded or not; or KILN_IMAGE_NONE. */
uint32_t kiln_image_find_at(uintptr_t address);
/* The image of the file PATH, which is absolute; or KILN_IMAGE_NONE. */
uint32_t kiln_image_find_path(const char *path);
/* A handle is the address of the image's link map. NULL if memory is short. */
struct link_map *kiln_image_get_map(uint32_t image);
/* The image of a handle; or KILN_IMAGE_NONE if it is the C library's. */
uint32_t kiln_image_get_by_handle(const void *handle);

/* --- file.c --------------------------------------------------------------------------------------
 */

/* The image of the file at PATH; KILN_IMAGE_NONE if there is none, or another file is there than the one that it was
 * made of. */
uint32_t kiln_image_find_file(const char *path);

/* --- give_way.c ----------------------------------------------------------------------------------
 */

/* Call before there are threads. */
void kiln_image_give_way_start(void);
/* LD_LIBRARY_PATH as the dynamic loader has it; NULL: it is not set. */
const char *kiln_image_get_search_path(void);
/* Whether the dynamic loader is to open the file of IMAGE instead. */
bool kiln_image_gives_way(uint32_t image);

/* --- dl*.c: what images call in place of the C library's functions -------------------------------
 */

/* dlerror.c: forget this thread's last message, the C library's too; set another. The first forgets only
 * that of this code, as before a call of the C library's, which forgets its own: dlerror() would
 * translate it, and call free(). */
void kiln_image_drop_message(void);
void kiln_image_clear_message(void);
void kiln_image_set_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *kiln_image_dlopen(const char *file, int mode);
void *kiln_image_dlsym(void *handle, const char *name);
void *kiln_image_dlvsym(void *handle, const char *name, const char *version);
int kiln_image_dlclose(void *handle);
char *kiln_image_dlerror(void);
int kiln_image_dlinfo(void *handle, int request, void *result);
int kiln_image_dladdr(const void *address, Dl_info *info);
int kiln_image_dladdr1(const void *address, Dl_info *info, void **extra, int flags);
int kiln_image_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data);

#endif
