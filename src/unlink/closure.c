/* Which objects are in the process: the program with the libraries that it starts with, and every
 * extension with what it needs. A library of a package becomes an image, one of the system is opened
 * when the program runs. */
#include "unlink/set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* The kernel lets a process have some 65,000 mappings. An extension that needs more libraries than this, or
 * by a longer chain, is none that was built to be used. */
enum { OBJECTS_MAX = 50000, SCOPE_MAX = 1024, CHAIN_MAX = 256 };

static void
push(struct kiln_set *set, struct kiln_object_list *list, struct kiln_object *object)
{
    *KILN_ARENA_PUSH(&set->ctx->arena, list) = object;
}

const char *
kiln_closure_get_place(struct kiln_set *set, const char *path)
{
    for (size_t i = 0; i < set->unlink->place_count; i++) {
        const struct kiln_unlink_place *place = &set->unlink->places[i];
        size_t len = strlen(place->directory);
        if (strncmp(path, place->directory, len) == 0 && path[len] == '/') {
            return kiln_arena_printf(&set->ctx->arena, "%s%s", place->place, path + len);
        }
    }
    return path;
}

static struct kiln_object *
add_object(struct kiln_set *set, enum kiln_object_origin origin, const char *path,
           struct kiln_object *loader)
{
    struct kiln_ctx *ctx = set->ctx;
    struct kiln_object *object = kiln_arena_alloc(&ctx->arena, sizeof *object);
    object->origin = origin;
    object->path = kiln_arena_strdup(&ctx->arena, path);
    object->directory = kiln_library_find_origin(ctx, path);
    object->loader = loader;
    push(set, &set->objects, object);
    return object;
}

/* Read the file of OBJECT; its reason is set if that fails. */
static void
read_object(struct kiln_set *set, struct kiln_object *object)
{
    struct kiln_ctx silent = {.quiet = true};
    struct stat st;
    if (stat(object->path, &st) < 0 || !S_ISREG(st.st_mode) ||
        kiln_file_map(&silent, object->path, &object->file) < 0)
    {
        object->reason = "it cannot be read";
    }
    else {
        struct kiln_object **bucket = &set->files[st.st_ino % KILN_SET_BUCKETS];
        object->device = st.st_dev;
        object->inode = st.st_ino;
        object->next_file = *bucket;
        *bucket = object;
        object->reason = kiln_dynobj_read(set->ctx, object->file.bytes, object->path, &object->dso);
        if (object->reason != NULL) {
            object->dso = (struct kiln_dynobj){.machine = object->dso.machine};
        }
    }
    if (object->reason == NULL && object->dso.machine != set->unlink->machine) {
        object->reason = kiln_arena_printf(&set->ctx->arena, "it is made for the machine %s",
                                           object->dso.machine->name);
    }
    kiln_ctx_release(&silent);
}

static struct kiln_object *
find_file(const struct kiln_set *set, const char *path)
{
    struct stat st;
    struct kiln_object *object = NULL;
    if (stat(path, &st) == 0) {
        object = set->files[st.st_ino % KILN_SET_BUCKETS];
        while (object != NULL && (object->device != st.st_dev || object->inode != st.st_ino)) {
            object = object->next_file;
        }
    }
    return object;
}

static bool
is_below_root(const struct kiln_set *set, const char *path)
{
    char *real = realpath(path, NULL);
    bool result = false;
    for (size_t i = 0; real != NULL && i < set->unlink->roots.count; i++) {
        char *root = realpath(set->unlink->roots.items[i], NULL);
        size_t len = root == NULL ? 0 : strlen(root);
        result = result || (len > 0 && strncmp(real, root, len) == 0 && real[len] == '/');
        free(root);
    }
    free(real);
    return result;
}

static void
add_alias(struct kiln_set *set, const char *path, const struct kiln_object *object)
{
    *KILN_ARENA_PUSH(&set->ctx->arena, &set->aliases) = (struct kiln_alias){path, object};
}

/* Take OBJECT, the last one, back. */
static void
remove_last(struct kiln_set *set, struct kiln_object *object)
{
    set->objects.count--;
    set->files[object->inode % KILN_SET_BUCKETS] = object->next_file;
    kiln_file_release(&object->file);
}

static const char *
get_real_path(struct kiln_set *set, const struct kiln_object *object)
{
    return kiln_arena_printf(&set->ctx->arena, "%s/%s", object->directory,
                             kiln_file_basename(object->path));
}

/* The object at PATH, which OBJECT needs as NAME. */
static struct kiln_object *
add_library(struct kiln_set *set, struct kiln_object *object, const char *path, const char *name,
            bool is_cached)
{
    bool is_image = !is_cached && object->origin == KILN_ORIGIN_IMAGE && is_below_root(set, path);
    enum kiln_object_origin origin =
        is_image ? KILN_ORIGIN_IMAGE
        : object->origin == KILN_ORIGIN_PROGRAM || object->origin == KILN_ORIGIN_START
            ? KILN_ORIGIN_START
            : KILN_ORIGIN_SYSTEM;
    struct kiln_object *library = add_object(set, origin, path, object);
    library->open_name = is_cached ? kiln_arena_strdup(&set->ctx->arena, name) : library->path;
    read_object(set, library);
    struct kiln_object *equal = is_image ? kiln_namesakes_find_equal(set, library) : NULL;
    if (equal != NULL) {
        add_alias(set, library->path, equal);
        add_alias(set, get_real_path(set, library), equal);
        remove_last(set, library);
        library = equal;
    }
    return library;
}

/* Whether the dynamic loader of another processor might take another file than PATH. */
static bool
has_variants(struct kiln_ctx *ctx, const char *path)
{
    const char *dir =
        kiln_arena_printf(&ctx->arena, "%s/glibc-hwcaps", kiln_file_dirname(ctx, path));
    return access(dir, F_OK) == 0;
}

/* A library of the system is opened without what needs it, and so without the DT_RPATH of that. */
static void
check_own_path(struct kiln_set *set, struct kiln_object *object, const char *name)
{
    struct kiln_object *loader = object->loader;
    bool is_cached;
    object->loader = NULL;
    if (kiln_library_find(set->ctx, set->search, object, name, &is_cached) == NULL) {
        object->reason = kiln_arena_printf(
            &set->ctx->arena, "it needs the library %s, which the DT_RPATH of %s leads to", name,
            loader->path);
    }
    object->loader = loader;
}

/* The object that OBJECT needs as NAME; NULL: there is none. */
static struct kiln_object *
find_need(struct kiln_set *set, struct kiln_object *object, const char *name)
{
    struct kiln_object *found = kiln_namesakes_find(&set->global, name);
    if (found != NULL) {
        return found;
    }
    bool is_cached;
    const char *path = kiln_library_find(set->ctx, set->search, object, name, &is_cached);
    if (path == NULL) {
        return NULL;
    }
    if (object->origin == KILN_ORIGIN_SYSTEM && !is_cached && object->loader != NULL) {
        path = kiln_arena_strdup(&set->ctx->arena, path);
        check_own_path(set, object, name);
    }
    found = find_file(set, path);
    if (found != NULL) {
        return found;
    }
    size_t chain = 0;
    for (const struct kiln_object *from = object; from != NULL; from = from->loader) {
        chain++;
    }
    if (chain > CHAIN_MAX || set->objects.count > OBJECTS_MAX) {
        object->reason = "it needs too many libraries";
        return NULL;
    }
    found = add_library(set, object, path, name, is_cached);
    if (found->origin == KILN_ORIGIN_IMAGE && found->reason == NULL && has_variants(set->ctx, path))
    {
        found->reason = "there may be variants of it in glibc-hwcaps, for other processors";
    }
    return found;
}

static void
find_needs(struct kiln_set *set, struct kiln_object *object)
{
    for (size_t i = 0; object->reason == NULL && i < object->dso.needed.count; i++) {
        const char *name = object->dso.needed.items[i];
        struct kiln_object *need = find_need(set, object, name);
        if (need == NULL && object->reason == NULL) {
            object->is_missing = true;
            object->reason = kiln_arena_printf(&set->ctx->arena,
                                               "it needs the library %s, which is not found", name);
        }
        else if (need != NULL && need != object && !kiln_objects_contain(&object->needs, need)) {
            push(set, &object->needs, need);
            kiln_strings_push(&set->ctx->arena, &object->need_names, name);
        }
    }
}

int
kiln_closure_find_program(struct kiln_set *set)
{
    struct kiln_ctx *ctx = set->ctx;
    struct kiln_object *program = add_object(set, KILN_ORIGIN_PROGRAM, set->unlink->program, NULL);
    read_object(set, program);
    push(set, &set->global, program);
    for (size_t i = 0; i < set->global.count; i++) {
        struct kiln_object *object = set->global.items[i];
        find_needs(set, object);
        if (object->reason != NULL) {
            return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s", object->path, object->reason);
        }
        for (size_t k = 0; k < object->needs.count; k++) {
            if (!kiln_objects_contain(&set->global, object->needs.items[k])) {
                push(set, &set->global, object->needs.items[k]);
            }
        }
    }
    return 0;
}

static void
add_module(struct kiln_set *set, struct kiln_unlink_module *module)
{
    struct kiln_object *object = find_file(set, module->path);
    if (object != NULL && object->module == NULL && object->origin == KILN_ORIGIN_IMAGE) {
        object->module = module; /* a library of another extension */
    }
    else if (object != NULL) { /* the dynamic loader would have one copy for both */
        module->reason = object->reason = "its file is that of another module, too";
    }
    else {
        object = add_object(set, KILN_ORIGIN_IMAGE, module->path, NULL);
        object->module = module;
        read_object(set, object);
    }
}

/* A library that may be opened by its path; its file may be known by another one. */
static void
add_opened(struct kiln_set *set, const char *path)
{
    struct kiln_object *object = find_file(set, path);
    if (object == NULL) {
        object = add_object(set, KILN_ORIGIN_IMAGE, path, NULL);
        read_object(set, object);
        object->is_opened = true;
        struct kiln_object *equal = kiln_namesakes_find_equal(set, object);
        if (equal != NULL) {
            add_alias(set, get_real_path(set, object), equal);
            remove_last(set, object);
        }
    }
    if (object->origin == KILN_ORIGIN_IMAGE && strcmp(object->path, path) != 0) {
        add_alias(set, path, object);
    }
}

static const char *
check_versions(struct kiln_set *set, const struct kiln_object *object)
{
    const struct kiln_dynobj_version *missing =
        kiln_objects_find_missing_version(&set->global, &object->dso);
    if (missing == NULL) {
        missing = kiln_objects_find_missing_version(&object->needs, &object->dso);
    }
    return missing == NULL ? NULL
                           : kiln_arena_printf(&set->ctx->arena, "version `%s' of %s not found",
                                               missing->name, missing->file);
}

static void
find_needs_from(struct kiln_set *set, size_t next)
{
    for (; next < set->objects.count; next++) {
        struct kiln_object *object = set->objects.items[next];
        find_needs(set, object);
        if (object->module != NULL && object->module->reason != NULL) {
            object->reason = object->module->reason;
        }
        if (object->origin == KILN_ORIGIN_IMAGE && object->reason == NULL) {
            object->reason = kiln_refuse(set->ctx, object);
        }
        if (object->origin == KILN_ORIGIN_IMAGE && object->reason == NULL) {
            object->reason = check_versions(set, object);
        }
    }
}

/* OBJECT needs a library that is nowhere: but a program may open one of that name by its path before, and
 * then the dynamic loader has to know it. */
static void
keep_preloaded(struct kiln_set *set, struct kiln_object *object)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *library = set->objects.items[i];
        for (size_t k = 0; k < object->dso.needed.count; k++) {
            if (library->origin == KILN_ORIGIN_IMAGE && library->module == NULL &&
                library->reason == NULL &&
                kiln_namesakes_is_named(library, object->dso.needed.items[k]) &&
                !kiln_objects_contain(&object->needs, library))
            {
                library->reason = kiln_arena_printf(
                    &set->ctx->arena, "%s, which stays a file, needs it by its name", object->path);
                object->is_helped = true;
            }
        }
    }
}

void
kiln_closure_find_images(struct kiln_set *set)
{
    size_t first = set->objects.count;
    for (size_t i = 0; i < set->unlink->module_count; i++) {
        add_module(set, &set->unlink->modules[i]);
    }
    find_needs_from(set, first);
    size_t opened = set->objects.count;
    for (size_t i = 0; i < set->unlink->libraries.count; i++) {
        add_opened(set, set->unlink->libraries.items[i]);
    }
    find_needs_from(set, opened);
    for (size_t i = first; i < set->objects.count; i++) {
        if (set->objects.items[i]->is_missing) {
            keep_preloaded(set, set->objects.items[i]);
        }
    }
    kiln_namesakes_check(set);
    for (size_t i = first; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        const char *real = get_real_path(set, object);
        for (size_t k = 0; k < object->needs.count; k++) {
            object->needs.items[k]->is_opened = false;
        }
        if (object->origin == KILN_ORIGIN_IMAGE && strcmp(real, object->path) != 0) {
            add_alias(set, real, object);
        }
    }
}

/* OBJECT and what it needs, breadth first; without the program's own libraries, which are asked before.
 */
static void
fill_scope(struct kiln_set *set, struct kiln_object *object)
{
    object->scope.count = 0;
    push(set, &object->scope, object);
    object->is_marked = true;
    for (size_t i = 0; i < object->scope.count; i++) {
        const struct kiln_object_list *needs = &object->scope.items[i]->needs;
        if (object->scope.count > SCOPE_MAX) {
            object->reason = "it needs too many libraries";
            break;
        }
        for (size_t k = 0; k < needs->count; k++) {
            if (!needs->items[k]->is_marked) {
                needs->items[k]->is_marked = true;
                push(set, &object->scope, needs->items[k]);
            }
        }
    }
    for (size_t i = 0; i < object->scope.count; i++) {
        object->scope.items[i]->is_marked = false;
    }
}

void
kiln_closure_walk(struct kiln_set *set)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        set->objects.items[i]->roots.count = 0;
        set->objects.items[i]->openers.count = 0;
    }
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        if ((object->origin != KILN_ORIGIN_IMAGE && object->origin != KILN_ORIGIN_SYSTEM) ||
            object->reason != NULL)
        {
            continue;
        }
        fill_scope(set, object);
        bool is_root = object->module != NULL || object->is_opened;
        for (size_t k = 0; is_root && k < object->scope.count; k++) {
            push(set, &object->scope.items[k]->roots, object);
        }
        for (size_t k = 0; object->origin == KILN_ORIGIN_IMAGE && k < object->scope.count; k++) {
            push(set, &object->scope.items[k]->openers, object);
        }
    }
}

/* Let TO stay a file, as FROM does, which it needs or is needed by. */
static void
spread_reason(struct kiln_set *set, struct kiln_object *to, const char *how,
              const struct kiln_object *from)
{
    const char *because = "", *cause = "";
    to->cause = from->cause == NULL ? from : from->cause;
    if (to->cause != from) {
        because = ", because of ";
        cause = to->cause->path;
    }
    to->reason = kiln_arena_printf(&set->ctx->arena, "it %s %s, which stays a file%s%s: %s", how,
                                   from->path, because, cause, to->cause->reason);
}

static void
keep_definers(struct kiln_set *set, const struct kiln_object *file, const char *name)
{
    const struct kiln_dynobj_wanted wanted = {.name = name, .is_call = true};
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        struct kiln_dynobj_symbol symbol;
        if (object->origin == KILN_ORIGIN_IMAGE && object->reason == NULL &&
            kiln_dynobj_find(&object->dso, &wanted, &symbol))
        {
            object->reason = kiln_arena_printf(
                &set->ctx->arena, "it defines %s, which %s, a file, needs from anywhere", name,
                file->path);
        }
    }
}

/* An extension that stays a file may look for symbols that nothing has of what it needs: some package opens
 * whoever has them with RTLD_GLOBAL, which makes them everybody's. That works between files only. */
static void
keep_needed_from_anywhere(struct kiln_set *set, struct kiln_object *file)
{
    fill_scope(set, file);
    bool is_missing = false;
    for (size_t i = 0; i < file->scope.count; i++) {
        is_missing = is_missing || file->scope.items[i]->is_missing;
    }
    const char *name;
    for (size_t i = 0;
         !is_missing && (name = kiln_objects_next_lacking(&set->global, file, &i)) != NULL;)
    {
        keep_definers(set, file, name);
    }
}

void
kiln_closure_spread_reasons(struct kiln_set *set)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        if (object->module != NULL && object->reason != NULL && !object->is_searched) {
            object->is_searched = true;
            keep_needed_from_anywhere(set, object);
        }
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < set->objects.count; i++) {
            struct kiln_object *object = set->objects.items[i];
            for (size_t k = 0; k < object->needs.count; k++) {
                struct kiln_object *need = object->needs.items[k];
                if (object->origin != KILN_ORIGIN_IMAGE && need->origin == KILN_ORIGIN_IMAGE &&
                    need->reason == NULL)
                {
                    need->reason = kiln_arena_printf(
                        &set->ctx->arena, "it is needed by %s, which the dynamic loader opens",
                        object->path);
                    again = true;
                }
                else if (object->reason == NULL && need->reason != NULL) {
                    spread_reason(set, object, "needs", need);
                    again = true;
                }
                else if (object->reason != NULL && need->reason == NULL &&
                         need->origin == KILN_ORIGIN_IMAGE && !object->is_missing)
                {
                    spread_reason(set, need, "is needed by", object);
                    again = true;
                }
            }
        }
    }
}
