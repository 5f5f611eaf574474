/* The importer for one Python: compiled from the sources that come with Kiln against that Python's
 * headers, on every core, and kept in the cache under a hash of all inputs. What is linked is a copy in the temporary
 * directory, which nobody else can write. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cache.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/process.h"
#include "base/text.h"
#include "kiln/version.h"
#include "link/emit/emit.h"
#include "link/find/toolchain.h"

/* Kiln's own files: beside the program in a build tree, under the prefix when installed. */
struct sources {
    const char *runtime;             /* directory of the runtime's floors */
    const char *include;             /* directory that holds kiln/ */
    struct kiln_strings files;       /* .c and .h, the public headers included */
    struct kiln_strings translation; /* those to compile */
    struct kiln_strings objects;     /* the names of their objects: "core-mutex.o" */
};

static int
select_source(const struct dirent *entry)
{
    return kiln_ends_with(entry->d_name, ".c") || kiln_ends_with(entry->d_name, ".h");
}

static int
select_floor(const struct dirent *entry)
{
    return strchr(entry->d_name, '.') == NULL;
}

/* Push the entries of DIR that SELECT takes, sorted, as paths. */
static int
list_directory(struct kiln_ctx *ctx, const char *dir, int (*select)(const struct dirent *),
               struct kiln_strings *out)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, select, alphasort);
    if (count < 0) {
        return kiln_fail_errno(ctx, "%s: cannot read Kiln's own files; install Kiln again", dir);
    }
    for (int i = 0; i < count; i++) {
        kiln_strings_push(&ctx->arena, out,
                          kiln_arena_printf(&ctx->arena, "%s/%s", dir, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* Add the files in DIR, a floor of the runtime. Two floors may have files of one name. */
static int
add_floor(struct kiln_ctx *ctx, struct sources *out, const char *dir)
{
    struct kiln_strings files = {0};
    int result = list_directory(ctx, dir, select_source, &files);
    for (size_t i = 0; result == 0 && i < files.count; i++) {
        const char *file = files.items[i], *base = kiln_file_basename(file);
        kiln_strings_push(&ctx->arena, &out->files, file);
        if (kiln_ends_with(base, ".c")) {
            kiln_strings_push(&ctx->arena, &out->translation, file);
            kiln_strings_push(&ctx->arena, &out->objects,
                              kiln_arena_printf(&ctx->arena, "%s-%.*so", kiln_file_basename(dir),
                                                (int)strlen(base) - 1, base));
        }
    }
    return result;
}

static int
find_sources(struct kiln_ctx *ctx, struct sources *out)
{
    const char *program = kiln_file_get_program(ctx);
    if (program == NULL) {
        return KILN_ERR_SYSTEM;
    }
    const char *root = kiln_file_dirname(ctx, kiln_file_dirname(ctx, program));
    const char *installed = kiln_arena_printf(&ctx->arena, "%s/share/kiln/runtime", root);
    out->runtime = access(installed, R_OK) == 0
                       ? installed
                       : kiln_arena_printf(&ctx->arena, "%s/runtime", root);
    out->include = kiln_arena_printf(&ctx->arena, "%s/include", root);
    struct kiln_strings floors = {0};
    int result = list_directory(ctx, out->runtime, select_floor, &floors);
    for (size_t i = 0; result == 0 && i < floors.count; i++) {
        result = add_floor(ctx, out, floors.items[i]);
    }
    const char *headers[] = {"kiln", "kiln/internal"};
    for (size_t i = 0; result == 0 && i < sizeof headers / sizeof headers[0]; i++) {
        const char *dir = kiln_arena_printf(&ctx->arena, "%s/%s", out->include, headers[i]);
        result = list_directory(ctx, dir, select_source, &out->files);
    }
    return result;
}

static int
hash_inputs(struct kiln_ctx *ctx, const struct kiln_bake *bake, const struct sources *sources,
            const char *cc, const char **out)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    const char *words[] = {KILN_VERSION, cc, bake->python.identity, bake->python.include};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        XXH3_64bits_update(state, words[i], strlen(words[i]) + 1);
    }
    int result = 0;
    for (size_t i = 0; i < sources->files.count && result == 0; i++) {
        struct kiln_file file;
        result = kiln_file_map(ctx, sources->files.items[i], &file);
        if (result == 0) {
            XXH3_64bits_update(state, file.bytes.ptr, file.bytes.len);
        }
        kiln_file_release(&file);
    }
    *out = kiln_arena_printf(&ctx->arena, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
    XXH3_freeState(state);
    return result;
}

struct compilation {
    const struct kiln_bake *bake;
    const struct sources *sources;
    const char *cc, *dir;
};

static int
compile_file(struct kiln_ctx *ctx, size_t index, void *arg)
{
    const struct compilation *compilation = arg;
    const struct sources *sources = compilation->sources;
    struct kiln_process compiler = {.cwd = compilation->dir, .err_mode = KILN_STREAM_CAPTURE};
    kiln_process_push_command(ctx, compilation->cc, &compiler.argv);
    /* Each time the same bytes, wherever the temporary directory is. */
    const char *map = kiln_arena_printf(&ctx->arena, "-fdebug-prefix-map=%s=.", compilation->dir);
    const char *argv[] = {"-std=c11",
                          "-D_GNU_SOURCE",
                          "-O2",
                          "-g",
                          "-fPIC",
                          "-fvisibility=hidden",
                          map,
                          "-I",
                          sources->runtime,
                          "-I",
                          sources->include,
                          "-I",
                          compilation->bake->python.include,
                          "-c",
                          sources->translation.items[index],
                          "-o",
                          sources->objects.items[index]};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &compiler.argv, argv[i]);
    }
    return kiln_process_check(ctx, &compiler, "cannot compile the importer");
}

static int
compile(struct kiln_ctx *ctx, const struct kiln_bake *bake, const struct sources *sources,
        const char *cc, const char *dir)
{
    struct compilation compilation = {.bake = bake, .sources = sources, .cc = cc, .dir = dir};
    int result =
        kiln_parallel_run(ctx, "compile", sources->translation.count, compile_file, &compilation);
    if (result == 0) {
        struct kiln_process ar = {.cwd = dir, .err_mode = KILN_STREAM_CAPTURE};
        kiln_strings_push(&ctx->arena, &ar.argv,
                          kiln_machine_get_tool(ctx, bake->python.machine, "ar"));
        kiln_strings_push(&ctx->arena, &ar.argv, "qcD");
        kiln_strings_push(&ctx->arena, &ar.argv, "libkiln.a");
        kiln_strings_push_all(&ctx->arena, &ar.argv, &sources->objects);
        result = kiln_process_check(ctx, &ar, "cannot collect the importer");
    }
    return result;
}

/* Keep the library at PATH. */
static int
store(struct kiln_ctx *ctx, const char *path, const char *key)
{
    struct kiln_file file;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        kiln_cache_store(ctx, "runtime", key, file.bytes);
    }
    kiln_file_release(&file);
    return result;
}

int
kiln_bake_runtime(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx), *hash = NULL;
    struct sources sources = {0};
    struct kiln_span library;
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    const char *dir = kiln_arena_printf(&ctx->arena, "%s/runtime", tmpdir);
    bake->runtime = kiln_arena_printf(&ctx->arena, "%s/libkiln.a", dir);
    int result = find_sources(ctx, &sources);
    if (result == 0) {
        result = hash_inputs(ctx, bake, &sources, bake->driver, &hash);
    }
    if (result == 0) {
        result = kiln_file_make_dirs(ctx, dir);
    }
    if (result < 0) {
        return result;
    }
    if (kiln_cache_load(ctx, "runtime", hash, &library)) {
        return kiln_file_write(ctx, bake->runtime, library);
    }
    kiln_say(ctx, KILN_DETAIL, "compiling the importer for Python %s", bake->python.version);
    result = compile(ctx, bake, &sources, bake->driver, dir);
    return result < 0 ? result : store(ctx, bake->runtime, hash);
}
