/* The main path of `kiln link`: the passes in the order in which they run, each of which leaves the bake
 * in the state that the next one needs. Read this file first. */
#include "link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
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
        struct kiln_found *found = &bake->found.items[i];
        const char *place = kiln_file_absolute(ctx, found->place);
        const char *mapped = kiln_text_map_path(&ctx->arena, &bake->options->path_maps, place);
        found->place = mapped == place ? found->place : mapped;
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

    /* Link. The executable is written under another name, started, and renamed. */
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

/* Link with the modules before number END only. Returns false if that fails in another way than by a program that does
 * not start, which *starts tells. */
static bool
try_some(struct kiln_ctx *ctx, const struct kiln_bake *whole, size_t end, bool *starts)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_unfit_list unfit = {0};
    struct kiln_link_options options = *whole->options;
    struct kiln_bake bake = {.options = &options, .unfit = &unfit};
    options.output = kiln_arena_printf(&silent.arena, "%s/trial", kiln_ctx_get_tmpdir(ctx));
    options.report = options.bindings = NULL;
    options.split_debug = options.strict = false;
    for (size_t i = 0; i < whole->unfit->count; i++) {
        *KILN_ARENA_PUSH(&silent.arena, &unfit) = whole->unfit->items[i];
    }
    for (size_t i = end; i < whole->modules.count; i++) {
        *KILN_ARENA_PUSH(&silent.arena, &unfit) =
            (struct kiln_unfit){.name = whole->modules.items[i].found->name, .reason = "trial"};
    }
    int result = run_passes(&silent, &bake);
    *starts = result == 0;
    bool tells = result == 0 || bake.not_started != NULL;
    kiln_bake_close(&bake);
    kiln_ctx_release(&silent);
    return tells;
}

/* Returns the first module with which, and all before it, the executable does not start; or NULL. */
static const struct kiln_baked *
find_culprit(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    size_t good = 0, bad = bake->modules.count;
    while (bad - good > 1) {
        size_t middle = good + (bad - good) / 2;
        bool starts;
        kiln_progress(ctx, "start", good, bad, bake->modules.items[middle].found->name);
        if (!try_some(ctx, bake, middle, &starts)) {
            return NULL;
        }
        good = starts ? middle : good;
        bad = starts ? bad : middle;
    }
    kiln_progress(ctx, "start", bad, bad, NULL);
    return bad == 0 ? NULL : &bake->modules.items[bad - 1];
}

/* The executable does not start. Add the module for which it does not to UNFIT. */
static int
note_culprit(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_unfit_list *unfit)
{
    enum { MANY = 8 }; /* so many are not at fault */
    const struct kiln_baked *culprit = unfit->count < MANY ? find_culprit(ctx, bake) : NULL;
    if (culprit == NULL) {
        return kiln_fail(ctx, KILN_ERR_TOOL, "%s: the executable does not start: %s",
                         bake->options->output, bake->not_started);
    }
    *KILN_ARENA_PUSH(&ctx->arena, unfit) = (struct kiln_unfit){
        .name = culprit->found->name,
        .reason = kiln_arena_printf(&ctx->arena, "the executable does not start with it: %s",
                                    bake->not_started),
    };
    return 0;
}

int
kiln_link(struct kiln_ctx *ctx, const struct kiln_link_options *options)
{
    struct kiln_link_options complete = *options;
    complete.output = options->output == NULL ? "python" : options->output;
    struct kiln_unfit_list unfit = {0};
    struct kiln_strings notes = {0};
    const char *bindings = NULL;
    bool again = true;
    ctx->once = &notes;
    int result = set_tmpdir(ctx);
    result = RUN(result, check_place(ctx, options->report));
    result = RUN(result, check_place(ctx, options->bindings));
    if (result == 0 && options->bindings != NULL) {
        bindings = kiln_arena_printf(&ctx->arena, "%s/bindings", kiln_ctx_get_tmpdir(ctx));
    }
    while (result == 0 && again) {
        struct kiln_bake bake = {.options = &complete, .unfit = &unfit, .bindings = bindings};
        result = run_passes(ctx, &bake);
        again = bake.not_started != NULL;
        result = again ? note_culprit(ctx, &bake, &unfit) : result;
        kiln_bake_close(&bake);
    }
    ctx->once = NULL;
    return result;
}
