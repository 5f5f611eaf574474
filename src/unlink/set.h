/* What the passes of unlink.c share: the objects of one process in the making, and what becomes of
 * them. */
#ifndef KILN_UNLINK_SET_H
#define KILN_UNLINK_SET_H

#include <sys/types.h>

#include "base/file.h"
#include "unlink/dynobj.h"
#include "unlink/unlink.h"

enum kiln_object_origin {
    KILN_ORIGIN_PROGRAM, /* the executable */
    KILN_ORIGIN_START,   /* a library that is there when it starts */
    KILN_ORIGIN_SYSTEM,  /* a library that the runtime opens */
    KILN_ORIGIN_IMAGE,   /* an extension, or a library of a package */
};

struct kiln_object {
    enum kiln_object_origin origin;
    const char *path;
    const char *directory; /* for $ORIGIN */
    const char *open_name; /* SYSTEM: what the runtime gives to dlopen() */
    struct kiln_file file;
    dev_t device;
    ino_t inode;
    struct kiln_object *next_file; /* in the set's `files` */
    struct kiln_dynobj dso;
    struct kiln_object *loader; /* the first that needed it: its DT_RPATH holds here, too */
    struct kiln_object_list {
        struct kiln_object **items;
        size_t count, capacity;
    } needs;                        /* in the order of DT_NEEDED, each once */
    struct kiln_strings need_names; /* the first name of each there */
    struct kiln_object_list scope;  /* itself and what it needs, breadth first */
    struct kiln_object_list roots;  /* the extensions that reach it, itself if it is one */
    struct kiln_object_list
        openers; /* IMAGE: those that may be opened and bring it, itself included */
    struct kiln_unlink_module *module; /* NULL: it is a library */
    bool
        is_opened; /* IMAGE: a library that nothing needs, and that is opened by its path at most */
    bool is_missing;    /* it needs a library that is nowhere: nothing is loaded with it, */
    bool is_helped;     /* ... unless its package opens a library of that name before */
    const char *reason; /* IMAGE: why it stays a file */
    bool is_searched;   /* what it looks for from anywhere is known */
    const struct kiln_object
        *cause;     /* another one that stays a file by itself, and this therefore */
    bool is_marked; /* for walks */
    bool has_tls_addresses,
        is_tls_known; /* of its initial thread-local data; the second: of the first */

    /* IMAGE, when it is written. */
    size_t number;                 /* its index; SYSTEM: its index among the libraries */
    uint64_t function;             /* of the module, in the section of instructions */
    uint64_t init;                 /* the address of its init function, of an extension */
    uint64_t start;                /* its address 0 in the section of images */
    size_t choice_count;           /* of all its references that are KILN_TARGET_CHOICE */
    bool has_static_tls;           /* its thread-local variables have places from the start */
    uint64_t tls_start;            /* of its block in .tdata or .tbss, then */
    bool is_used;                  /* SYSTEM: something is bound to it */
    struct kiln_target **bound[2]; /* by symbol, once they are known; for addresses, for calls */
};

/* Where a reference leads. */
enum kiln_target_kind {
    KILN_TARGET_NONE, /* weak, and nobody's: 0 */
    KILN_TARGET_ABSOLUTE,
    KILN_TARGET_IMAGE,   /* address `value` of `object` */
    KILN_TARGET_IFUNC,   /* what the resolver there returns */
    KILN_TARGET_PROGRAM, /* a symbol of the executable */
    KILN_TARGET_RUNTIME, /* the same, of the runtime: `name` */
    KILN_TARGET_LIBRARY, /* `name` with `version` of `object` */
    KILN_TARGET_CHOICE,  /* one of `choices`: it depends on what the image is prepared for */
    KILN_TARGET_UNIQUE, /* the variable of that name at address `value` of the first image that has been
                          * prepared; `object` if that is the first */
};

struct kiln_target {
    enum kiln_target_kind kind;
    struct kiln_object *object;
    uint64_t value; /* thread-local: in the object's block */
    const char *name, *version;
    bool is_weak; /* the reference */
    bool is_thread_local;
    bool
        is_shared; /* thread-local, and one for the process: `object` need not be prepared for it */
    struct kiln_choices *choices;
};

/* What a reference may lead to. */
struct kiln_choices {
    struct kiln_choice {
        const struct kiln_object *opener; /* if the image is prepared for that, ... */
        struct kiln_target target;        /* this, and */
    } * items;
    size_t count, capacity;
    struct kiln_target usual; /* ... for any other, that */
};

/* A variable that the process has one of (STB_GNU_UNIQUE), see unique.c. */
struct kiln_unique {
    const char *name;
    /* The images that define it and to which something is bound; one that is there twice is not alone. */
    struct kiln_object_list definers;
    bool is_thread_local;
    bool is_unequal;      /* the definitions of a thread-local one differ; is never forgotten */
    uint64_t value, size; /* of a thread-local one: in the block of the first definer */
    size_t import;        /* the first of its imports, and 1; 0: not known */
};

enum { KILN_SET_BUCKETS = 4096 };

struct kiln_set {
    struct kiln_ctx *ctx;
    struct kiln_unlink *unlink;
    struct kiln_object_list objects;   /* all there are */
    struct kiln_object_list global;    /* the program and what it starts with, breadth first */
    struct kiln_object_list images;    /* those that are written, in the order of their numbers */
    struct kiln_object_list libraries; /* SYSTEM, those that something is bound to */
    struct kiln_unique_list {
        struct kiln_unique *items;
        size_t count, capacity;
    } uniques;
    uint64_t static_tls;      /* bytes of blocks that every thread has from its start */
    uint32_t *unique_buckets; /* open addressing: index + 1 */
    size_t unique_bucket_count;
    struct kiln_import_list {
        struct kiln_import *items;
        size_t count, capacity;
    } imports;
    uint32_t *import_buckets; /* open addressing: index + 1 */
    size_t import_bucket_count, stub_count;
    struct kiln_alias_list {
        struct kiln_alias {
            const char *path;
            const struct kiln_object *object;
        } * items;
        size_t count, capacity;
    } aliases;                  /* other paths of files that are images */
    struct kiln_arena bindings; /* what kiln_bind() remembers */
    struct kiln_library_search *search;
    struct kiln_object *files[KILN_SET_BUCKETS]; /* chains by inode */
};

/* objects.c: lists of objects, and scopes. */
bool kiln_objects_contain(const struct kiln_object_list *list, const struct kiln_object *object);
/* The first of LIST that answers WANTED, with its *SYMBOL; NULL: none does. */
struct kiln_object *
kiln_objects_find(const struct kiln_object_list *list, const struct kiln_dynobj_wanted *wanted,
                  struct kiln_dynobj_symbol *symbol);
/* The name of a symbol of OBJECT that it must have, and that neither PROCESS nor its scope has; NULL: there are no
 * more. *INDEX is where to go on; 0 at first. */
const char *kiln_objects_next_lacking(const struct kiln_object_list *process,
                                      const struct kiln_object *object, size_t *index);

/* A version that DSO wants of one of LIBRARIES, and that this has not: the dynamic loader loads no such object
 * (_dl_check_map_versions()). NULL: there is none. */
const struct kiln_dynobj_version *
kiln_objects_find_missing_version(const struct kiln_object_list *libraries,
                                  const struct kiln_dynobj *dso);

/* closure.c: find the program's objects, then the modules and all that they need. */
int kiln_closure_find_program(struct kiln_set *set);
/* What PATH is to be called in the executable. */
const char *kiln_closure_get_place(struct kiln_set *set, const char *path);
void kiln_closure_find_images(struct kiln_set *set);
/* Fill the scopes and roots of all images and of the system's libraries, anew. */
void kiln_closure_walk(struct kiln_set *set);
/* Let what needs, or is needed by, an image that stays a file stay one, too. */
void kiln_closure_spread_reasons(struct kiln_set *set);

/* namesakes.c: whether the dynamic loader knows OBJECT as NAME, and the first of LIST that it does. */
bool kiln_namesakes_is_named(const struct kiln_object *object, const char *name);
struct kiln_object *kiln_namesakes_find(const struct kiln_object_list *list, const char *name);
/* The library, an image, that OBJECT is a copy of; NULL: none. */
struct kiln_object *
kiln_namesakes_find_equal(const struct kiln_set *set, const struct kiln_object *object);
/* Let different libraries of one name stay files, if something needs one by that name. */
void kiln_namesakes_check(struct kiln_set *set);

/* library.c: where the dynamic loader finds a library. NULL: nowhere. */
struct kiln_library_search *
kiln_library_search_new(struct kiln_ctx *ctx, const struct kiln_machine *machine);
void kiln_library_search_release(struct kiln_library_search *search);
/* $ORIGIN of the file at PATH: where it is, links of its directory resolved (ld.so's l_origin). */
const char *kiln_library_find_origin(struct kiln_ctx *ctx, const char *path);
/* *is_cached is set if it is by the system's own paths. Borrowed until the next call. */
const char *kiln_library_find(struct kiln_ctx *ctx, struct kiln_library_search *search,
                              const struct kiln_object *object, const char *name, bool *is_cached);

/* refuse.c: what is not understood or not possible of one image: a reason, or NULL. */
const char *kiln_refuse(struct kiln_ctx *ctx, const struct kiln_object *image);

/* bind.c: where the reference of IMAGE to its symbol INDEX leads. NULL if nowhere: then the image's reason
 * is set. Remembered until kiln_bind_forget(). */
const struct kiln_target *
kiln_bind(struct kiln_set *set, struct kiln_object *image, uint64_t index, bool is_call);
void kiln_bind_forget(struct kiln_set *set);
/* The functions of libc that the runtime has in its place, for everybody: INDEX < KILN_ANSWERED. */
enum { KILN_ANSWERED = 8 };
const char *kiln_bind_get_answered(size_t index, const char **runtime);

/* unique.c: a reference is bound to the variable NAME of OBJECT, which is not thread-local. */
void kiln_unique_note(struct kiln_set *set, struct kiln_object *object, const char *name);
/* A reference is bound to TARGET, a thread-local one of SIZE bytes: it becomes that of the first definer, whose
 * block every thread has from its start. False if the definitions differ: then all definers stay files. */
bool kiln_unique_note_tls(struct kiln_set *set, struct kiln_target *target, uint64_t size);
/* A library of the system that defines WANTED for the process and is in the scope of every extension that
 * reaches IMAGE; NULL if there is none. */
struct kiln_object *
kiln_unique_find_library(const struct kiln_set *set, const struct kiln_object *image,
                         const struct kiln_dynobj_wanted *wanted,
                         struct kiln_dynobj_symbol *symbol);
/* The variable NAME, which has been noted. Borrowed until the next is. */
struct kiln_unique *kiln_unique_get(struct kiln_set *set, const char *name);
/* Let images stay files whose variables the dynamic loader may find in what it opens, too. Requires that all have
 * been bound. */
void kiln_unique_check(struct kiln_set *set);
void kiln_unique_forget(struct kiln_set *set);

/* interpose.c: let images stay files that a library of the system would be bound to, had it been loaded with
 * them. Requires scopes and roots. */
void kiln_interpose_check(struct kiln_set *set);

/* bindings.c: what everything is bound to, as text in the file at PATH. Requires that all images have been
 * bound. */
int kiln_bindings_write(struct kiln_set *set, const char *path);

/* cplusplus.c: whether only the implementation of C++ may define NAME: it is of namespace std, or of the ABI.
 * All definitions of such a name do the same. */
bool kiln_cplusplus_is_own(const char *name);
/* Whether NAME is one that the ABI gives only to what any number of objects may define, all the same (one
 * definition rule), whatever binding a linker has given it. */
bool kiln_cplusplus_is_vague(const char *name);

/* words.c: what becomes of a word of an image that the dynamic loader would fill in. */
enum kiln_word_kind {
    KILN_WORD_BYTES,    /* it is `addend` */
    KILN_WORD_IMAGE,    /* the rest are `addend` and: address `value` of `object` */
    KILN_WORD_SYMBOL,   /* `name`, a symbol of the executable */
    KILN_WORD_STUB,     /* the stub of the import `value` */
    KILN_WORD_TPOFF,    /* the offset from the thread pointer of `value` in the block of `object` */
    KILN_WORD_RELATIVE, /* the image's own address, added when the program runs */
    KILN_WORD_PATCH,    /* the import `value`, added when the program runs */
};

struct kiln_word {
    uint64_t offset;
    enum kiln_word_kind kind;
    int64_t addend;
    struct kiln_object *object;
    const char *name;
    uint64_t value;
};

struct kiln_words {
    struct kiln_word *items;
    size_t count, capacity;
    /* What the image is bound to that it does not need itself, in the order of its relocations, each once: of
     * an object's variables that the process has one of, these may be its own. */
    struct kiln_bound_list {
        struct kiln_bound {
            const struct kiln_object *object; /* or, if that is NULL, ... */
            const struct kiln_choices
                *choices;   /* ... what these are when the program runs, or a ... */
            size_t import;  /* ... variable: the import that tells */
            bool is_unique; /* by a variable that the process has one of */
        } * items;
        size_t count, capacity;
    } bound;
};

/* Fill OUT, in ARENA, in ascending order of offsets. False if IMAGE has to stay a file: its reason is
 * set. What is referred to thread-locally by a fixed offset gets static places. */
bool kiln_words_make(struct kiln_set *set, struct kiln_object *image, struct kiln_arena *arena,
                     struct kiln_words *out);

/* imports.c: the import that is like LIKE, made if there is none; its index. */
struct kiln_import {
    uint32_t kind;                    /* enum kiln_image_import_kind, and KILN_IMPORT_WEAK */
    const struct kiln_object *object; /* the image, or the library; NULL: of the start */
    uint64_t value;                   /* an address in the image */
    const char *name, *version;       /* version NULL: none */
    bool has_stub;
    size_t stub; /* its number among the stubs */
    /* KILN_IMPORT_CHOICE: what to choose among, and an import, or SIZE_MAX, for each of these and then the usual
     * one. */
    const struct kiln_choices *choices;
    const size_t *imports;
};
size_t kiln_import_intern(struct kiln_set *set, const struct kiln_import *like);
/* Forget all imports, and their stubs. */
void kiln_imports_forget(struct kiln_set *set);

/* relocate.c */
struct kiln_relocation {
    uint64_t offset; /* address in the image */
    uint32_t type, symbol;
    int64_t addend;
};
/* Calls VISIT for each relocation of DSO but relative ones in DT_RELR, for which see the next. False if
 * VISIT returned false, or the tables are damaged: then *REASON. */
bool kiln_relocations_visit(const struct kiln_dynobj *dso,
                            bool (*visit)(void *arg, const struct kiln_relocation *relocation),
                            void *arg, const char **reason);
/* The same for each word that DT_RELR names: relative, the addend is what the word has. */
bool kiln_relocations_visit_relr(const struct kiln_dynobj *dso,
                                 bool (*visit)(void *arg, const struct kiln_relocation *relocation),
                                 void *arg, const char **reason);

#endif
