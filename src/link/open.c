/* Opening the extensions: each file is mapped once, for the whole link, and its record is read once, on
 * every core. The passes that follow use the mapping and the record. */
#include "base/parallel.h"
#include "base/text.h"
#include "elf/elf.h"
#include "link/bake.h"
#include "link/find/libraries.h"
#include "link/find/surroundings.h"

/* Whether the standard library has a module of this NAME. */
static bool
is_reserved(const struct kiln_python *python, const char *name)
{
    size_t len = strcspn(name, ".");
    for (size_t i = 0; i < python->reserved.count; i++) {
        const char *reserved = python->reserved.items[i];
        if (strncmp(reserved, name, len) == 0 && reserved[len] == '\0') {
            return true;
        }
    }
    return false;
}

/* Whether EXTENSION is a library that has the name of an extension by chance. Files with a suffix of
 * Python's own ("_x.abi3.so") do not have it by chance. */
static bool
is_library(const struct kiln_python *python, const struct kiln_baked *extension)
{
    for (size_t i = 0; i < python->suffixes.count; i++) {
        const char *suffix = python->suffixes.items[i];
        if (strcmp(suffix, ".so") != 0 && kiln_ends_with(extension->found->path, suffix)) {
            return false;
        }
    }
    return kiln_libraries_is_one(extension->file.bytes);
}

/* A context that keeps the first message. */
struct listener {
    struct kiln_ctx ctx;
    char *text;
};

static void
keep_first(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    struct listener *listener = (struct listener *)ctx;
    if (severity == KILN_ERROR && listener->text == NULL) {
        listener->text = kiln_arena_strdup(&ctx->arena, text);
    }
}

/* Map the file of EXTENSION and read its record. Returns NULL, or what is wrong with them. */
static const char *
read_record(struct kiln_ctx *ctx, struct kiln_baked *extension, bool *is_fat)
{
    const char *path = extension->found->path;
    struct listener listener = {.ctx = {.say = keep_first}};
    int result = kiln_file_map(&listener.ctx, path, &extension->file);
    if (result == 0) {
        result = kiln_fat_read(&listener.ctx, extension->file.bytes, path, &extension->fat, is_fat);
    }
    kiln_arena_adopt(&ctx->arena, &listener.ctx.arena);
    kiln_ctx_release(&listener.ctx);
    if (result == 0) {
        return NULL;
    }
    const char *text = listener.text == NULL ? "it cannot be read" : listener.text;
    size_t len = strlen(path);
    return strncmp(text, path, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2
                                                                              : text;
}

/* Whether the module NAME is OTHER, or in the package OTHER. */
static bool
is_in(const char *name, const char *other)
{
    size_t len = strlen(other);
    return strncmp(name, other, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

/* Whether the user wants the extension NAME, or a package that it is in, to stay a file. */
static bool
is_kept(const struct kiln_link_options *options, const char *name)
{
    bool result = false;
    for (size_t i = 0; !result && i < options->keeps.count; i++) {
        result = is_in(name, options->keeps.items[i]);
    }
    return result;
}

/* Returns why the extension NAME must not be in the executable, as it has turned out; NULL if it may. */
static const char *
find_unfit(const struct kiln_bake *bake, const char *name)
{
    for (size_t i = 0; i < bake->unfit->count; i++) {
        if (strcmp(bake->unfit->items[i].name, name) == 0) {
            return bake->unfit->items[i].reason;
        }
    }
    return NULL;
}

static int
open_extension(struct kiln_ctx *ctx, size_t index, void *arg)
{
    struct kiln_bake *bake = arg;
    struct kiln_baked *extension = &bake->extensions.items[index];
    const struct kiln_found *found = extension->found;
    const struct kiln_machine *machine = bake->python.machine;
    extension->reason = found->reason;
    if (extension->reason == NULL && !found->is_standard && is_reserved(&bake->python, found->name))
    {
        extension->reason = "the standard library has a module of this name, which Python prefers";
    }
    const char *unfit = find_unfit(bake, found->name);
    if (unfit != NULL) {
        extension->reason = unfit;
        return 0;
    }
    if (is_kept(bake->options, found->name)) {
        extension->is_kept = true;
        extension->reason = "--keep says so";
        return 0;
    }
    bool is_fat = false, wants_objects = bake->options->from == KILN_FROM_OBJECTS;
    const char *damage = read_record(ctx, extension, &is_fat);
    if (damage == NULL && !is_fat && is_library(&bake->python, extension)) {
        extension->is_library = true;
        extension->reason = "it is a library, without an init function (PyInit_...)";
        return 0;
    }
    if (extension->reason != NULL) {
        return 0;
    }
    extension->reason = damage;
    if (extension->reason == NULL && extension->fat.machine != machine) {
        extension->reason =
            kiln_arena_printf(&ctx->arena, "it is made for the machine %s, and the Python for %s",
                              extension->fat.machine->name, machine->name);
        return 0;
    }
    if (extension->reason == NULL && !is_fat) {
        extension->reason = "it was built without Kiln (see `kiln help pip`)";
    }
    else if (extension->reason == NULL) {
        extension->reason = extension->fat.failure;
    }
    extension->fault = damage != NULL || is_fat ? extension->reason : NULL;
    if (extension->reason == NULL && bake->options->from == KILN_FROM_WHEELS) {
        extension->reason = "--from wheels says so";
    }
    extension->is_plain =
        extension->reason != NULL && extension->file.bytes.ptr != NULL && !wants_objects;
    extension->not_objects = extension->reason;
    return 0;
}

/* The shared libraries below the directories that were searched, also those with names of extensions. */
static void
find_libraries(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct kiln_strings roots = {0}, known = {0};
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        kiln_strings_push(&ctx->arena, &known, extension->found->path);
        if (!extension->found->is_explicit) {
            kiln_strings_add(&ctx->arena, &roots, extension->found->root);
            if (extension->is_library) {
                kiln_strings_push(&ctx->arena, &bake->libraries, extension->found->path);
            }
        }
    }
    kiln_strings_sort(&known);
    for (size_t i = 0; i < roots.count; i++) {
        kiln_libraries_find(ctx, roots.items[i], &known, &bake->libraries);
    }
}

/* What is to stay a file is there. */
static int
check_keeps(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    int result = 0;
    for (size_t i = 0; i < bake->options->keeps.count; i++) {
        const char *keep = bake->options->keeps.items[i];
        bool is_there = false;
        for (size_t k = 0; !is_there && k < bake->found.count; k++) {
            is_there = is_in(bake->found.items[k].name, keep);
        }
        if (!is_there) {
            result = kiln_fail(
                ctx, KILN_ERR_INPUT,
                "--keep %s: no extension that was found is or is in a module of this name", keep);
        }
    }
    return result;
}

int
kiln_bake_open(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    int result = check_keeps(ctx, bake);
    if (result == 0) {
        result = kiln_parallel_run(ctx, "open", bake->extensions.count, open_extension, bake);
    }
    if (result == 0) {
        find_libraries(ctx, bake);
    }
    return result;
}

void
kiln_bake_close(struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->extensions.count; i++) {
        kiln_file_release(&bake->extensions.items[i].file);
    }
    kiln_surroundings_release_process(bake->process);
}
