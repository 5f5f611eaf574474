/* Isolating the extensions: each relocatable is decompressed and isolated under the module's dotted
 * name, and the result is written for the linker, on every core.
 *
 * Small objects, of which there may be thousands, go into archives, one for each run of neighbours: the
 * linker opens a hundred files, not ten thousand. */
#include "base/parallel.h"
#include "elf/ar.h"
#include "elf/elf.h"
#include "link/bake.h"

enum {
    RUN = 64,           /* extensions that one worker takes at a time, and that share an archive */
    SMALL = 128 * 1024, /* bytes of a relocatable */
};

/* The files with the objects of a run. */
struct run {
    const char *archive; /* NULL if it has no small objects */
    struct kiln_strings files;
};

struct isolation {
    struct kiln_bake *bake;
    const char *tmpdir;
    struct run *runs;
};

/* A run at work. */
struct worker {
    struct kiln_ctx *ctx;
    struct isolation *isolation;
    size_t number;             /* of the run */
    struct kiln_arena scratch; /* holds the objects */
    struct kiln_ar_member members[RUN];
    size_t member_count;
};

/* Add the facts about LIBRARY, which MODULE shares, to MODULE's. */
static void
add_facts(struct kiln_ctx *ctx, const struct kiln_isolated *library, struct kiln_isolated *module)
{
    for (size_t i = 0; i < library->undefined.count; i++) {
        kiln_strings_add(&ctx->arena, &module->undefined, library->undefined.items[i]);
    }
    module->read_only_address =
        module->read_only_address == NULL ? library->read_only_address : module->read_only_address;
}

/* Write BYTES, an isolated object, to a file of its own. */
static int
write_object(struct worker *worker, struct kiln_span bytes)
{
    struct run *run = &worker->isolation->runs[worker->number];
    const char *path =
        kiln_arena_printf(&worker->ctx->arena, "%s/m%zu-%zu.o", worker->isolation->tmpdir,
                          worker->number, run->files.count);
    kiln_strings_push(&worker->ctx->arena, &run->files, path);
    return kiln_file_write(worker->ctx, path, bytes);
}

/* Isolate EXTENSION without the libraries that it shares. */
static int
isolate_sharing(struct worker *worker, struct kiln_baked *extension,
                const struct kiln_isolation *as)
{
    struct kiln_ctx *ctx = worker->ctx;
    const struct kiln_sharing *sharing = extension->sharing;
    struct kiln_file file;
    struct kiln_span bytes;
    int result = kiln_file_map(ctx, sharing->object, &file);
    if (result == 0) {
        result = kiln_isolate(ctx, file.bytes, as, &extension->isolated, &worker->scratch, &bytes);
    }
    if (result == 0) {
        add_facts(ctx, &worker->isolation->bake->common_libs.items[sharing->common].isolated,
                  &extension->isolated);
        result = write_object(worker, bytes);
    }
    kiln_file_release(&file);
    return result;
}

/* A context that keeps the first error, and passes on what is none. */
struct listener {
    struct kiln_ctx ctx, *outer;
    const char *error;
};

static void
listen(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    struct listener *listener = (struct listener *)ctx;
    if (severity != KILN_ERROR) {
        kiln_say(listener->outer, severity, "%s", text);
    }
    else if (listener->error == NULL) {
        listener->error = kiln_arena_strdup(&ctx->arena, text);
    }
}

/* Let EXTENSION, whose objects cannot be isolated, go another way: the others are linked all the same. */
static void
send_away(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_baked *extension,
          const char *error)
{
    extension->not_objects = error == NULL ? "its objects cannot be isolated" : error;
    extension->is_plain = bake->options->from == KILN_FROM_AUTO;
    extension->reason = extension->not_objects;
    kiln_say(ctx, KILN_DETAIL, "%s is not baked from its objects: %s", extension->found->name,
             extension->reason);
}

static int
isolate_whole(struct worker *worker, struct kiln_baked *extension, const struct kiln_isolation *as)
{
    struct kiln_ctx *ctx = worker->ctx;
    const struct kiln_found *found = extension->found;
    struct kiln_span object, bytes;
    int result = kiln_fat_decompress(ctx, &extension->fat, found->path, &worker->scratch, &object);
    if (result < 0) {
        return result;
    }
    struct listener listener = {
        .ctx = {.say = listen, .verbose = ctx->verbose, .quiet = ctx->quiet}, .outer = ctx};
    result =
        kiln_isolate(&listener.ctx, object, as, &extension->isolated, &worker->scratch, &bytes);
    kiln_arena_adopt(&ctx->arena, &listener.ctx.arena);
    kiln_ctx_release(&listener.ctx);
    if (result < 0) {
        send_away(ctx, worker->isolation->bake, extension, listener.error);
        return 0;
    }
    if (extension->fat.object_size >= SMALL) {
        return write_object(worker, bytes);
    }
    worker->members[worker->member_count++] = (struct kiln_ar_member){
        .name = kiln_arena_printf(&ctx->arena, "%s.o", found->name), .contents = bytes};
    return 0;
}

static int
isolate(struct worker *worker, struct kiln_baked *extension)
{
    const struct kiln_bake *bake = worker->isolation->bake;
    const struct kiln_isolation as = {
        .name = extension->found->name,
        .init = bake->python.init,
        .absent = &extension->absent,
        .bound = extension->sharing == NULL ? NULL : &extension->sharing->bound,
        .exports = &bake->options->exports,
    };
    return extension->sharing == NULL ? isolate_whole(worker, extension, &as)
                                      : isolate_sharing(worker, extension, &as);
}

static int
isolate_run(struct kiln_ctx *ctx, size_t number, void *arg)
{
    struct isolation *isolation = arg;
    struct kiln_baked_list *extensions = &isolation->bake->extensions;
    struct worker worker = {.ctx = ctx, .isolation = isolation, .number = number};
    int result = 0;
    for (size_t i = number * RUN; i < extensions->count && i < (number + 1) * RUN; i++) {
        struct kiln_baked *extension = &extensions->items[i];
        int failed = extension->reason != NULL ? 0 : isolate(&worker, extension);
        result = failed < 0 ? failed : result;
    }
    if (result == 0 && worker.member_count > 0) {
        struct run *run = &isolation->runs[number];
        run->archive =
            kiln_arena_printf(&ctx->arena, "%s/modules-%zu.a", isolation->tmpdir, number);
        result = kiln_ar_write(ctx, run->archive, worker.members, worker.member_count);
    }
    kiln_arena_release(&worker.scratch);
    return result;
}

int
kiln_bake_isolate(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct isolation isolation = {.bake = bake, .tmpdir = kiln_ctx_get_tmpdir(ctx)};
    if (isolation.tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    size_t run_count = (bake->extensions.count + RUN - 1) / RUN;
    isolation.runs = kiln_arena_alloc(&ctx->arena, (run_count + 1) * sizeof *isolation.runs);
    /* In front, so that the linker takes their inline functions. */
    for (size_t i = 0; i < bake->common_libs.count; i++) {
        kiln_strings_push(&ctx->arena, &bake->objects, bake->common_libs.items[i].object);
    }
    int result = kiln_parallel_run(ctx, "isolate", run_count, isolate_run, &isolation);
    for (size_t i = 0; i < run_count; i++) {
        if (isolation.runs[i].archive != NULL) {
            kiln_strings_push(&ctx->arena, &bake->objects, isolation.runs[i].archive);
        }
        kiln_strings_push_all(&ctx->arena, &bake->objects, &isolation.runs[i].files);
    }
    return result;
}
