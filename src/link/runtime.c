/* The importer for one Python: compiled from the sources that come with Kiln against that Python's
 * headers, and kept in the cache under a hash of everything that went into it. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/process.h"
#include "kiln/version.h"
#include "link/bake.h"

/* Where Kiln's own files are: beside the program in a build tree, under the prefix when installed.
 */
struct sources {
    const char *runtime; /* directory of the runtime's .c and .h files */
    const char *include; /* directory that holds kiln/ */
    struct kiln_strings files;
};

static int
select_source(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 2 && entry->d_name[len - 2] == '.' &&
           (entry->d_name[len - 1] == 'c' || entry->d_name[len - 1] == 'h');
}

static int
add_files(struct kiln_ctx *ctx, const char *dir, struct kiln_strings *files)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, select_source, alphasort);
    if (count < 0) {
        return kiln_fail_errno(ctx, "%s: cannot read Kiln's own files; install Kiln again", dir);
    }
    for (int i = 0; i < count; i++) {
        kiln_strings_push(&ctx->arena, files,
                          kiln_arena_printf(&ctx->arena, "%s/%s", dir, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return 0;
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
    int result = add_files(ctx, out->runtime, &out->files);
    return result < 0 ? result
                      : add_files(ctx, kiln_arena_printf(&ctx->arena, "%s/kiln", out->include),
                                  &out->files);
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

static int
compile(struct kiln_ctx *ctx, const struct kiln_bake *bake, const struct sources *sources,
        const char *cc, const char *library)
{
    struct kiln_arena *arena = &ctx->arena;
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    const char *dir = kiln_arena_printf(arena, "%s/runtime", tmpdir);
    int result = kiln_file_make_dirs(ctx, dir);
    struct kiln_process compiler = {.cwd = dir, .err_mode = KILN_STREAM_CAPTURE};
    const char *argv[] = {cc,
                          "-std=c11",
                          "-D_GNU_SOURCE",
                          "-O2",
                          "-g",
                          "-fPIC",
                          "-fvisibility=hidden",
                          "-I",
                          sources->include,
                          "-I",
                          bake->python.include,
                          "-c"};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(arena, &compiler.argv, argv[i]);
    }
    struct kiln_process ar = {.cwd = dir, .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(arena, &ar.argv, kiln_machine_get_tool(ctx, bake->python.machine, "ar"));
    kiln_strings_push(arena, &ar.argv, "rcD");
    kiln_strings_push(arena, &ar.argv, "libkiln.a");
    for (size_t i = 0; i < sources->files.count; i++) {
        const char *file = sources->files.items[i];
        size_t len = strlen(file);
        if (file[len - 1] == 'c') {
            const char *base = kiln_file_basename(file);
            kiln_strings_push(arena, &compiler.argv, file);
            kiln_strings_push(arena, &ar.argv,
                              kiln_arena_printf(arena, "%.*so", (int)strlen(base) - 1, base));
        }
    }
    if (result == 0) {
        result = kiln_process_check(ctx, &compiler, "cannot compile the importer");
    }
    if (result == 0) {
        result = kiln_process_check(ctx, &ar, "cannot collect the importer");
    }
    return result < 0 ? result
                      : kiln_file_copy(ctx, kiln_arena_printf(arena, "%s/libkiln.a", dir), library);
}

int
kiln_bake_runtime(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *cc = kiln_bake_get_driver(ctx, bake, false);
    const char *cache = kiln_file_get_cache_dir(ctx);
    struct sources sources = {0};
    const char *hash = NULL;
    if (cache == NULL) {
        return KILN_ERR_SYSTEM;
    }
    int result = find_sources(ctx, &sources);
    if (result == 0) {
        result = hash_inputs(ctx, bake, &sources, cc, &hash);
    }
    if (result < 0) {
        return result;
    }
    const char *dir = kiln_arena_printf(&ctx->arena, "%s/runtime", cache);
    bake->runtime = kiln_arena_printf(&ctx->arena, "%s/libkiln-%s.a", dir, hash);
    if (access(bake->runtime, R_OK) == 0) {
        return 0;
    }
    kiln_say(ctx, KILN_DETAIL, "compiling the importer for Python %s", bake->python.version);
    result = kiln_file_make_dirs(ctx, dir);
    return result < 0 ? result : compile(ctx, bake, &sources, cc, bake->runtime);
}
