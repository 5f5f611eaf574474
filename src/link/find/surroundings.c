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

static void
add_needed(struct kiln_ctx *ctx, struct kiln_span bytes, const char *path, struct kiln_strings *out)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_dynobj dso;
    if (kiln_dynobj_read(&silent, bytes, path, &dso) == NULL) {
        for (size_t i = 0; i < dso.needed.count; i++) {
            const char *name = kiln_file_basename(dso.needed.items[i]);
            kiln_strings_push(&ctx->arena, out, kiln_arena_strdup(&ctx->arena, name));
        }
    }
    kiln_ctx_release(&silent);
}

static void
add_needed_of_file(struct kiln_ctx *ctx, const char *path, struct kiln_strings *out)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    if (kiln_file_is_regular(path) && kiln_file_map(&silent, path, &file) == 0) {
        add_needed(ctx, file.bytes, path, out);
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
}

void
kiln_surroundings_list_needed(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                              struct kiln_strings *out)
{
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->file.bytes.ptr != NULL) {
            add_needed(ctx, extension->file.bytes, extension->found->path, out);
        }
        else {
            add_needed_of_file(ctx, extension->found->path, out);
        }
    }
    for (size_t i = 0; i < bake->libraries.count; i++) {
        add_needed_of_file(ctx, bake->libraries.items[i], out);
    }
    kiln_strings_sort(out);
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
