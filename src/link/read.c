/* From the extension files to objects that can be linked together: each file is looked at once, its
 * record is read, its relocatable decompressed and isolated under the module's dotted name, and the
 * result written, on every core.
 *
 * Large results are kept in the cache, where the linker reads them; a second run only reads their
 * notes. Small ones, of which there may be thousands, are made faster than they are looked up, and
 * go, a run of neighbours at a time, into one archive: a linker opens a hundred files, not ten
 * thousand. */
#include "base/file.h"
#include "base/parallel.h"
#include "elf/ar.h"
#include "elf/elf.h"
#include "link/bake.h"
#include "names/init_symbol.h"

enum {
    RUN = 64,           /* extensions that are one worker's at a time, and share an archive */
    SMALL = 128 * 1024, /* bytes of a relocatable */
};

/* What a run of neighbours comes to. */
struct run {
    const char *archive; /* NULL: it has nothing small */
    struct kiln_strings files;
};

struct reading {
    struct kiln_bake *bake;
    const char *tmpdir;
    struct run *runs;
};

/* A run in the making. */
struct making {
    struct kiln_ctx *ctx;
    struct reading *reading;
    size_t number;
    struct kiln_arena scratch; /* its objects */
    struct kiln_ar_member members[RUN];
    size_t member_count;
};

bool
kiln_bake_is_reserved(const struct kiln_bake *bake, const char *name)
{
    const struct kiln_python *python = &bake->python;
    size_t len = strcspn(name, ".");
    for (size_t i = 0; i < python->reserved.count; i++) {
        const char *reserved = python->reserved.items[i];
        if (strncmp(reserved, name, len) == 0 && reserved[len] == '\0') {
            return true;
        }
    }
    return false;
}

/* What is said of MODULE holds with what it shares. */
static void
add_shared_facts(struct kiln_ctx *ctx, const struct kiln_isolated *shared,
                 struct kiln_isolated *module)
{
    for (size_t i = 0; i < shared->undefined.count; i++) {
        kiln_strings_add(&ctx->arena, &module->undefined, shared->undefined.items[i]);
    }
    module->asks_dladdr |= shared->asks_dladdr;
    module->not_pic = module->not_pic == NULL ? shared->not_pic : module->not_pic;
}

/* Isolate what is left of EXTENSION without the libraries that it shares. */
static int
isolate_sharing(struct making *making, struct kiln_baked *extension,
                const struct kiln_isolation *as)
{
    struct kiln_ctx *ctx = making->ctx;
    const struct kiln_sharing *sharing = extension->sharing;
    struct run *run = &making->reading->runs[making->number];
    struct kiln_file file;
    struct kiln_span bytes;
    int result = kiln_file_map(ctx, sharing->object, &file);
    if (result == 0) {
        result = kiln_isolate(ctx, file.bytes, as, &extension->isolated, &making->scratch, &bytes);
    }
    if (result == 0) {
        const char *path = kiln_arena_printf(&ctx->arena, "%s/m%zu-%zu.o", making->reading->tmpdir,
                                             making->number, run->files.count);
        add_shared_facts(ctx, &making->reading->bake->shared.items[sharing->shared].isolated,
                         &extension->isolated);
        kiln_strings_push(&ctx->arena, &run->files, path);
        result = kiln_file_write(ctx, path, bytes);
    }
    kiln_file_release(&file);
    return result;
}

/* Isolate the relocatable of EXTENSION, or find the result in the cache, and put it where the
 * linker will look. */
static int
isolate(struct making *making, struct kiln_baked *extension)
{
    struct kiln_ctx *ctx = making->ctx;
    struct kiln_cache *cache = &making->reading->bake->cache;
    struct run *run = &making->reading->runs[making->number];
    struct kiln_strings exports = {0};
    kiln_strings_push_all(&ctx->arena, &exports, &making->reading->bake->options->exports);
    kiln_strings_push_all(&ctx->arena, &exports, &extension->looked_for);
    const struct kiln_isolation as = {
        .name = extension->found->name,
        .init = making->reading->bake->python.init,
        .distribution = kiln_baked_get_distribution(ctx, extension),
        .own = &extension->own,
        .bound = extension->sharing == NULL ? NULL : &extension->sharing->bound,
        .exports = &exports,
    };
    if (extension->sharing != NULL) {
        return isolate_sharing(making, extension, &as);
    }
    bool is_small = extension->fat.object_size < SMALL;
    struct kiln_cache_key key = {0};
    struct kiln_span object, bytes;

    if (!is_small && cache->dir != NULL) {
        key = kiln_cache_make_key(cache, extension->fat.frame, &as);
        const char *path = kiln_cache_find(ctx, cache, &key, &extension->isolated);
        if (path != NULL) {
            kiln_strings_push(&ctx->arena, &run->files, path);
            return 0;
        }
    }
    int result = kiln_fat_decompress(ctx, &extension->fat, extension->found->path, &making->scratch,
                                     &object);
    if (result < 0) {
        return result;
    }
    result = kiln_isolate(ctx, object, &as, &extension->isolated, &making->scratch, &bytes);
    if (result < 0) {
        return kiln_fail(ctx, result, "%s: %s cannot be isolated; rebuild it, or leave it out",
                         extension->found->path, extension->found->name);
    }
    if (is_small) {
        making->members[making->member_count++] = (struct kiln_ar_member){
            .name = kiln_arena_printf(&ctx->arena, "%s.o", extension->found->name),
            .contents = bytes};
        return 0;
    }
    const char *path = kiln_cache_keep(ctx, cache, &key, bytes, &extension->isolated);
    if (path == NULL) {
        path = kiln_arena_printf(&ctx->arena, "%s/m%zu-%zu.o", making->reading->tmpdir,
                                 making->number, run->files.count);
        result = kiln_file_write(ctx, path, bytes);
    }
    kiln_strings_push(&ctx->arena, &run->files, path);
    return result;
}

/* Whether BYTES, a shared object without a `.kiln` section, export no init function: a library, which
 * has the name of an extension by chance. What cannot be read may be anything. */
static bool
is_library(struct kiln_span bytes)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    bool result = kiln_elf_classify(bytes) == KILN_OBJECT_SHARED &&
                  kiln_elf_init(&silent, bytes, "", &elf) == 0 &&
                  !kiln_init_symbol_is_exported(&elf);
    kiln_ctx_release(&silent);
    return result;
}

/* What the file, as it is installed, says of its libraries: their names, and where they are, may have
 * been changed since it was linked. */
static void
read_needed(struct kiln_ctx *ctx, struct kiln_span bytes, struct kiln_baked *extension)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    struct kiln_elf_dynamic dynamic;
    if (extension->fat.dsos.count > 0 &&
        kiln_elf_init(&silent, bytes, extension->found->path, &elf) == 0)
    {
        kiln_elf_read_dynamic(ctx, &elf, &dynamic);
        extension->needed = dynamic.needed;
        extension->fat.rpaths = dynamic.rpaths;
        extension->is_rpath = dynamic.is_rpath;
    }
    kiln_ctx_release(&silent);
}

static int
read_extension(struct making *making, struct kiln_baked *extension)
{
    struct kiln_ctx *ctx = making->ctx;
    const struct kiln_found *found = extension->found;
    extension->reason = found->reason;
    if (extension->reason == NULL && kiln_bake_is_reserved(making->reading->bake, found->name)) {
        extension->reason = "the standard library has a module of this name, which Python prefers";
    }
    if (extension->reason != NULL) {
        return 0;
    }
    bool is_fat = false;
    struct kiln_file file;
    int result = kiln_file_map(ctx, found->path, &file);
    if (result == 0) {
        result = kiln_fat_read(ctx, file.bytes, found->path, &extension->fat, &is_fat);
    }
    if (result == 0 && !is_fat && is_library(file.bytes)) {
        extension->is_library = true;
        extension->reason = "it is a library, without an init function (PyInit_...)";
    }
    const struct kiln_machine *machine = making->reading->bake->python.machine;
    if (result == 0 && !extension->is_library && extension->fat.machine != machine) {
        result =
            kiln_fail(ctx, KILN_ERR_INPUT,
                      "%s: made for the machine %s, but the Python for %s: compile it for that",
                      found->path, extension->fat.machine->name, machine->name);
    }
    if (result == 0 && !extension->is_library) {
        extension->reason =
            !is_fat ? "it was built without Kiln (see `kiln help pip`)" : extension->fat.failure;
        if (extension->reason == NULL) {
            read_needed(ctx, file.bytes, extension);
            result = isolate(making, extension);
        }
        if (extension->reason == NULL && result == 0) {
            const struct kiln_isolated *isolated = &extension->isolated;
            kiln_say(ctx, KILN_DETAIL, "%s: %s, %llu bytes, %zu constructors deferred, from %s",
                     found->name, isolated->init, (unsigned long long)isolated->size,
                     isolated->constructors, found->path);
        }
    }
    extension->fat.frame = kiln_span_of(NULL, 0);
    kiln_file_release(&file);
    return result;
}

static int
read_run(struct kiln_ctx *ctx, size_t number, void *arg)
{
    struct reading *reading = arg;
    struct kiln_baked_list *extensions = &reading->bake->extensions;
    struct making making = {.ctx = ctx, .reading = reading, .number = number};
    int result = 0;
    for (size_t i = number * RUN; i < extensions->count && i < (number + 1) * RUN; i++) {
        int failed = read_extension(&making, &extensions->items[i]);
        result = failed < 0 ? failed : result;
    }
    if (result == 0 && making.member_count > 0) {
        struct run *run = &reading->runs[number];
        run->archive = kiln_arena_printf(&ctx->arena, "%s/modules-%zu.a", reading->tmpdir, number);
        result = kiln_ar_write(ctx, run->archive, making.members, making.member_count);
    }
    kiln_arena_release(&making.scratch);
    return result;
}

static int
read_all(struct kiln_ctx *ctx, struct reading *reading)
{
    struct kiln_bake *bake = reading->bake;
    size_t run_count = (bake->extensions.count + RUN - 1) / RUN;
    reading->runs = kiln_arena_alloc(&ctx->arena, (run_count + 1) * sizeof *reading->runs);
    bake->objects.count = 0;
    for (size_t i = 0; i < bake->shared.count; i++) { /* first: their inline functions are taken */
        kiln_strings_push(&ctx->arena, &bake->objects, bake->shared.items[i].object);
    }
    int result = kiln_parallel_run(ctx, "isolate", run_count, read_run, reading);
    for (size_t i = 0; i < run_count; i++) {
        if (reading->runs[i].archive != NULL) {
            kiln_strings_push(&ctx->arena, &bake->objects, reading->runs[i].archive);
        }
        kiln_strings_push_all(&ctx->arena, &bake->objects, &reading->runs[i].files);
    }
    return result;
}

int
kiln_bake_read(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct reading reading = {.bake = bake, .tmpdir = kiln_ctx_get_tmpdir(ctx)};
    if (reading.tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    int result = read_all(ctx, &reading);
    bool again = result == 0 && kiln_bake_find_conflicts(ctx, bake), found = false;
    if (result == 0) {
        result = kiln_bake_find_looked_for(ctx, bake, &found);
    }
    return result == 0 && (again || found) ? read_all(ctx, &reading) : result;
}
