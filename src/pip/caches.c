/* Compiler caches: ccache and sccache, of whoever runs them in a build.
 *
 * They take kiln-cc for the compiler, and its file does not change when the compiler behind it does. So ccache is told
 * to ask the compiler for its version, which kiln-cc passes on, and sccache is given a hash of all compilers that the
 * links stand for. */
#include "pip/pip.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/text.h"

static void
hash_file(const char *path, XXH3_state_t *state)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    if (kiln_file_is_regular(path) && access(path, X_OK) == 0 &&
        kiln_file_map(&silent, path, &file) == 0)
    {
        XXH3_64bits_update(state, file.bytes.ptr, file.bytes.len);
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
}

/* Hash the programs that the links in COMPILERS stand for. All on PATH of their names: the first may be a link to a
 * cache, which runs the next. */
static void
hash_path(struct kiln_ctx *ctx, const char *compilers, XXH3_state_t *state)
{
    struct kiln_strings path = kiln_process_get_path(ctx);
    struct dirent **links;
    int count = scandir(compilers, &links, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; links[i]->d_name[0] != '.' && k < path.count; k++) {
            hash_file(kiln_arena_printf(&ctx->arena, "%s/%s", path.items[k], links[i]->d_name),
                      state);
        }
        free(links[i]);
    }
    if (count >= 0) {
        free(links);
    }
}

/* Hash the programs of COMMAND, which is a value of KILN_CC or KILN_CXX. */
static void
hash_command(struct kiln_ctx *ctx, const char *command, XXH3_state_t *state)
{
    struct kiln_strings words = {0};
    kiln_process_push_command(ctx, command, &words);
    for (size_t i = 0; i < words.count; i++) {
        const char *path = kiln_process_find(ctx, words.items[i]);
        if (path != NULL) {
            hash_file(path, state);
        }
    }
}

void
kiln_pip_set_caches(struct kiln_ctx *ctx, const char *compilers, struct kiln_strings *out)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    hash_path(ctx, compilers, state);
    static const char *const names[] = {"KILN_CC", "KILN_CXX"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *prefix = kiln_arena_printf(&ctx->arena, "%s=", names[i]);
        const char *command = getenv(names[i]);
        for (size_t k = 0; k < out->count; k++) {
            command =
                kiln_starts_with(out->items[k], prefix) ? out->items[k] + strlen(prefix) : command;
        }
        if (command != NULL) {
            hash_command(ctx, command, state);
        }
    }
    unsigned long long hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);

    const char *users = getenv("SCCACHE_C_CUSTOM_CACHE_BUSTER");
    kiln_strings_push(&ctx->arena, out,
                      kiln_arena_printf(&ctx->arena, "SCCACHE_C_CUSTOM_CACHE_BUSTER=%s%016llx",
                                        users == NULL ? "" : users, hash));
    if (getenv("CCACHE_COMPILERCHECK") == NULL) {
        kiln_strings_push(&ctx->arena, out, "CCACHE_COMPILERCHECK=%compiler% --version");
    }
}
