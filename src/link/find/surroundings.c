/* What is around an extension: the process before it, other files, the compiler's own libraries. */
#include "link/find/surroundings.h"

#include "base/text.h"
#include "elf/ar.h"
#include "elf/elf.h"
#include "link/bake.h"
#include "link/find/toolchain.h"

/* --- Shared objects ---------------------------------------------------------------------------- */

int
kiln_surroundings_read_process(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                               struct kiln_set **out)
{
    struct kiln_set *process = kiln_arena_alloc(&ctx->arena, sizeof *process);
    process->ctx = ctx;
    process->unlink = kiln_arena_alloc(&ctx->arena, sizeof *process->unlink);
    process->unlink->machine = bake->python.machine;
    process->unlink->program = bake->program;
    process->search = kiln_library_search_new(ctx, bake->python.machine);
    *out = process;
    return kiln_closure_find_program(process);
}

void
kiln_surroundings_release_process(struct kiln_set *process)
{
    for (size_t i = 0; process != NULL && i < process->objects.count; i++) {
        kiln_file_release(&process->objects.items[i]->file);
    }
    if (process != NULL) {
        kiln_library_search_release(process->search);
    }
}

int
kiln_surroundings_read_cplusplus(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                 struct kiln_object_list *out)
{
    static const char *const names[] = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1"};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof names / sizeof names[0]; i++) {
        const char *path = kiln_toolchain_find_library(ctx, bake->driver, names[i]);
        struct kiln_object *object = kiln_arena_alloc(&ctx->arena, sizeof *object);
        result = path == NULL ? 0 : kiln_file_map(ctx, path, &object->file);
        if (result == 0 && path != NULL &&
            kiln_dynobj_read(ctx, object->file.bytes, path, &object->dso) == NULL)
        {
            object->path = path;
            *KILN_ARENA_PUSH(&ctx->arena, out) = object;
        }
    }
    return result;
}

/* --- Names --------------------------------------------------------------------------------------- */

/* What is read to see what a file needs. */
struct reading {
    struct kiln_ctx *ctx;
    const struct kiln_set *process;
    struct kiln_object_list libraries; /* each once */
    struct kiln_strings *needed, *lacking;
};

/* Read PATH, of which BYTES may be at hand already. */
static bool
read_object(struct reading *reading, struct kiln_object *object, const char *path,
            struct kiln_span bytes)
{
    struct kiln_ctx *ctx = reading->ctx;
    struct kiln_ctx silent = {.quiet = true};
    object->path = path;
    object->directory = kiln_library_find_origin(ctx, path);
    if (bytes.ptr == NULL && kiln_file_is_regular(path) &&
        kiln_file_map(&silent, path, &object->file) == 0)
    {
        bytes = object->file.bytes;
    }
    bool result = bytes.ptr != NULL && kiln_dynobj_read(ctx, bytes, path, &object->dso) == NULL;
    if (!result) {
        kiln_file_release(&object->file);
    }
    kiln_ctx_release(&silent);
    return result;
}

/* The library NAME that OBJECT needs; NULL if it is not found. */
static struct kiln_object *
get_library(struct reading *reading, struct kiln_object *object, const char *name)
{
    struct kiln_ctx *ctx = reading->ctx;
    bool is_cached;
    const char *path = kiln_library_find(ctx, reading->process->search, object, name, &is_cached);
    for (size_t i = 0; path != NULL && i < reading->libraries.count; i++) {
        if (strcmp(reading->libraries.items[i]->path, path) == 0) {
            return reading->libraries.items[i];
        }
    }
    struct kiln_object *library = kiln_arena_alloc(&ctx->arena, sizeof *library);
    library->loader = object;
    if (path == NULL ||
        !read_object(reading, library, kiln_arena_strdup(&ctx->arena, path), (struct kiln_span){0}))
    {
        return NULL;
    }
    *KILN_ARENA_PUSH(&ctx->arena, &reading->libraries) = library;
    return library;
}

/* Fill the scope of OBJECT, breadth first, without what is in the process. False if a library is not found. */
static bool
fill_scope(struct reading *reading, struct kiln_object *object)
{
    struct kiln_arena *arena = &reading->ctx->arena;
    bool result = true;
    *KILN_ARENA_PUSH(arena, &object->scope) = object;
    for (size_t i = 0; i < object->scope.count; i++) {
        struct kiln_object *from = object->scope.items[i];
        for (size_t k = 0; k < from->dso.needed.count; k++) {
            const char *name = from->dso.needed.items[k];
            if (kiln_namesakes_find(&reading->process->global, name) != NULL) {
                continue;
            }
            kiln_strings_push(arena, reading->needed,
                              kiln_arena_strdup(arena, kiln_file_basename(name)));
            struct kiln_object *library = get_library(reading, from, name);
            if (library == NULL) {
                result = false;
            }
            else if (!kiln_objects_contain(&object->scope, library)) {
                *KILN_ARENA_PUSH(arena, &object->scope) = library;
            }
        }
    }
    return result;
}

static void
add_file(struct reading *reading, const char *path, struct kiln_span bytes)
{
    struct kiln_object *object = kiln_arena_alloc(&reading->ctx->arena, sizeof *object);
    if (!read_object(reading, object, path, bytes)) {
        return;
    }
    bool is_complete = fill_scope(reading, object);
    const char *name;
    for (size_t i = 0; is_complete && (name = kiln_objects_next_lacking(&reading->process->global,
                                                                        object, &i)) != NULL;)
    {
        kiln_strings_push(&reading->ctx->arena, reading->lacking,
                          kiln_arena_strdup(&reading->ctx->arena, name));
    }
    kiln_file_release(&object->file);
}

void
kiln_surroundings_list_needed(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                              struct kiln_strings *needed, struct kiln_strings *lacking)
{
    struct reading reading = {
        .ctx = ctx, .process = bake->process, .needed = needed, .lacking = lacking};
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        add_file(&reading, extension->found->path, extension->file.bytes);
    }
    for (size_t i = 0; i < bake->libraries.count; i++) {
        add_file(&reading, bake->libraries.items[i], (struct kiln_span){0});
    }
    for (size_t i = 0; i < reading.libraries.count; i++) {
        kiln_file_release(&reading.libraries.items[i]->file);
    }
    kiln_strings_sort(needed);
    kiln_strings_sort(lacking);
}

struct adding {
    struct kiln_ctx *ctx;
    struct kiln_strings *out;
};

static int
add_member(void *arg, const char *member, struct kiln_span contents)
{
    const struct adding *adding = arg;
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    if (kiln_elf_init(&silent, contents, member, &elf) == 0) {
        size_t table = kiln_elf_find_type(&elf, SHT_SYMTAB);
        size_t count = table == 0 ? 0 : kiln_elf_count_symbols(&elf, table);
        for (size_t i = 1; i < count; i++) {
            struct kiln_elf_symbol symbol;
            kiln_elf_get_symbol(&elf, table, i, &symbol);
            if (kiln_elf_is_exported(&symbol)) {
                kiln_strings_push(&adding->ctx->arena, adding->out,
                                  kiln_arena_strdup(&adding->ctx->arena, symbol.name));
            }
        }
        kiln_elf_release(&elf);
    }
    kiln_ctx_release(&silent);
    return 0;
}

void
kiln_surroundings_list_archived(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                                struct kiln_strings *out)
{
    static const char *const archives[] = {"libgcc.a", "libc_nonshared.a"};
    struct kiln_ctx silent = {.quiet = true};
    struct adding adding = {ctx, out};
    for (size_t i = 0; i < sizeof archives / sizeof archives[0]; i++) {
        const char *path = kiln_toolchain_find_library(ctx, bake->driver, archives[i]);
        struct kiln_file file;
        if (path != NULL && kiln_file_map(&silent, path, &file) == 0) {
            kiln_ar_visit(&silent, file.bytes, path, add_member, &adding);
            kiln_file_release(&file);
        }
    }
    kiln_ctx_release(&silent);
    kiln_strings_sort(out);
}
