/* The main path of `kiln link`: the passes in the order in which they run, each of which leaves the bake
 * in the state that the next one needs. Read this file first. */
#include "link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "link/bake.h"
#include "link/check/check.h"
#include "link/emit/emit.h"
#include "link/find/toolchain.h"
#include "link/share/share.h"
#include "unlink/unlink.h"

static void
say_result(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    const char *output = bake->options->output;
    struct stat st;
    double size = stat(output, &st) == 0 ? (double)st.st_size / 1e6 : 0;
    size_t count = 0, images = 0;
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        count += !module->found->is_standard;
        images += !module->found->is_standard && module->is_image;
    }
    size_t standard = bake->modules.count - count;
    const char *how = images == 0 ? ""
                      : images == count
                          ? ", unlinked"
                          : kiln_arena_printf(&ctx->arena, ", %zu of them unlinked", images);
    const char *more =
        standard == 0
            ? ""
            : kiln_arena_printf(&ctx->arena, ", with %zu of the standard library", standard);
    kiln_bake_say_kept(ctx, bake);
    kiln_say(
        ctx, KILN_NOTE,
        "%s: %zu extension%s baked%s, %zu left as files%s, %.1f MB (Python %s, %s libpython%s)",
        output, count, count == 1 ? "" : "s", how, bake->kept, more, size, bake->python.version,
        bake->shared_libpython ? "shared" : "static", bake->pie ? ", PIE" : "");
}

static void
list_extensions(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->found.count; i++) {
        *KILN_ARENA_PUSH(&ctx->arena, &bake->extensions) =
            (struct kiln_baked){.found = &bake->found.items[i]};
    }
}

/* Those of the standard library can only be unlinked. */
static bool
wants_standard(const struct kiln_bake *bake)
{
    return bake->options->from != KILN_FROM_OBJECTS && kiln_unlink_supports(bake->python.machine);
}

/* PASS, unless an earlier one has failed. */
#define RUN(result, pass) ((result) < 0 ? (result) : (pass))

/* Learn now, rather than after the link, if PATH cannot be written. */
static int
check_place(struct kiln_ctx *ctx, const char *path)
{
    struct stat st;
    if (path == NULL) {
        return 0;
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    return access(kiln_file_dirname(ctx, path), W_OK) == 0 ||
                   (errno == EACCES && access(path, W_OK) == 0)
               ? 0
               : kiln_fail_errno(ctx, "%s: cannot write", path);
}

/* Nothing is written to the file that the user has named unless the executable is there. */
static int
write_bindings(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    return bake->bindings == NULL || access(bake->bindings, F_OK) < 0
               ? 0
               : kiln_file_copy(ctx, bake->bindings, bake->options->bindings);
}

static int
run_passes(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const struct kiln_link_options *options = bake->options;
    const char *command = options->python == NULL ? "python3" : options->python;

    /* Ask the interpreter where its headers, libraries and packages are. */
    int result = kiln_python_ask(ctx, command, &bake->python);

    /* Find every extension that this interpreter could import from the paths and its standard library.
     * From here on a module is known by the dotted name under which it would be imported. */
    result = RUN(result, kiln_search(ctx, &bake->python, &options->paths, wants_standard(bake),
                                     &bake->found));
    list_extensions(ctx, bake);

    /* Find the distribution of each. The importer compares its version with the installed one. */
    result = RUN(result, kiln_distributions_find(ctx, bake));

    /* Open each file, once, and read its record. From here on it is known which extensions hold a
     * relocatable. */
    result = RUN(result, kiln_bake_open(ctx, bake));

    /* Choose the compiler driver and the linker, then the form of libpython that they can link. A program
     * without extensions shows what is in the process before any of them. */
    result = RUN(result, kiln_toolchain_choose(ctx, bake));
    result = RUN(result, kiln_bake_libpython(ctx, bake));

    /* Bake an extension from its objects only if nothing can tell that it has no scope of its own; unlink
     * it otherwise. */
    result = RUN(result, kiln_bake_choose_ways(ctx, bake));

    /* Take the static libraries of --share out of their users: each becomes an object of its own. */
    result = RUN(result, kiln_bake_share(ctx, bake));

    /* Isolate the relocatables: each exports its init symbol, and nothing that another could meet. From
     * here on they can be linked in any number and order. */
    result = RUN(result, kiln_bake_isolate(ctx, bake));

    /* Extensions with a relocatable become modules; others stay files. */
    result = RUN(result, kiln_bake_select(ctx, bake));

    /* Unlink the rest: with the libraries that their packages bring, they become images, and modules. What
     * cannot be unlinked stays a file. */
    result = RUN(result, kiln_bake_unlink(ctx, bake));
    result = RUN(result, bake->refused > 0 ? KILN_ERR_INPUT : 0);

    /* The symbols of --export must not be those of the process. */
    result = RUN(result, kiln_bake_check_exports(ctx, bake));

    /* Make what is not an extension: the importer, and the table in which it looks modules up. */
    result = RUN(result, kiln_bake_runtime(ctx, bake));
    result = RUN(result, kiln_bake_data(ctx, bake));

    /* Link. The executable is written under another name and renamed when it is complete. */
    result = RUN(result, kiln_bake_output(ctx, bake));
    if (result < 0) {
        return result;
    }
    say_result(ctx, bake);
    result = write_bindings(ctx, bake);
    return RUN(result, kiln_bake_report(ctx, bake));
}

/* Make the temporary directory that of the programs that are run, too: a compiler that is interrupted
 * leaves files in it. */
static int
set_tmpdir(struct kiln_ctx *ctx)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    return setenv("TMPDIR", tmpdir, 1) == 0 ? 0 : kiln_fail_errno(ctx, "TMPDIR: cannot set");
}

int
kiln_link(struct kiln_ctx *ctx, const struct kiln_link_options *options)
{
    struct kiln_link_options complete = *options;
    complete.output = options->output == NULL ? "python" : options->output;
    struct kiln_bake bake = {.options = &complete};
    int result = set_tmpdir(ctx);
    result = RUN(result, check_place(ctx, options->report));
    result = RUN(result, check_place(ctx, options->bindings));
    if (result == 0 && options->bindings != NULL) {
        bake.bindings = kiln_arena_printf(&ctx->arena, "%s/bindings", kiln_ctx_get_tmpdir(ctx));
    }
    result = RUN(result, run_passes(ctx, &bake));
    kiln_bake_close(&bake);
    return result;
}
