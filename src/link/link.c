/* The main path of `kiln link`: one pass after the other, each of which leaves the bake in the
 * state that the next one needs. Read this file first. */
#include "link/link.h"

#include <sys/stat.h>

#include "base/file.h"
#include "link/bake.h"

static void
say_result(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    const char *output = bake->options->output;
    struct stat st;
    double size = stat(output, &st) == 0 ? (double)st.st_size / 1e6 : 0;
    kiln_say(ctx, KILN_NOTE,
             "%s: %zu extension%s baked, %zu left as files, %.1f MB (Python %s, %s libpython)",
             output, bake->modules.count, bake->modules.count == 1 ? "" : "s", bake->kept, size,
             bake->python.version, bake->shared_libpython ? "shared" : "static");
}

static void
list_extensions(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->found.count; i++) {
        *KILN_ARENA_PUSH(&ctx->arena, &bake->extensions) =
            (struct kiln_baked){.found = &bake->found.items[i]};
    }
}

static int
run_passes(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const struct kiln_link_options *options = bake->options;
    int result;

    /* The interpreter itself knows best where its headers, libraries and packages are. */
    result =
        kiln_python_ask(ctx, options->python == NULL ? "python3" : options->python, &bake->python);
    if (result < 0) {
        return result;
    }

    /* Every extension that this interpreter could import from the paths, under the name by which it
     * would: from here on a module is known by its dotted name. */
    result = kiln_search(ctx, &bake->python, &options->paths, &bake->found);
    if (result < 0) {
        return result;
    }

    /* Which version of which distribution each belongs to: it will not be mixed with another one
     * where the executable runs, and shares with its own distribution what a process has one of. */
    list_extensions(ctx, bake);
    result = kiln_bake_distributions(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* A library that several are to have together becomes a thing of its own. */
    result = kiln_bake_share(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* One look at each: what it holds, and, isolated, its relocatable, with one exported symbol and
     * nothing else that another module could meet. From here on these can be linked in any number
     * and order. */
    result = kiln_bake_read(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* Fat extensions are baked; all others stay files, and their reasons are said. */
    result = kiln_bake_select(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* Modules have one scope from here on. What was each one's own is by now, but for the shared
     * libraries that they are linked against. */
    result = kiln_bake_check_sonames(ctx, bake);
    if (result == 0) {
        result = kiln_bake_check_scope(ctx, bake);
    }
    if (result < 0) {
        return result;
    }

    /* Which compiler driver and linker join them, and to which form of libpython. */
    result = kiln_bake_toolchain(ctx, bake);
    if (result < 0) {
        return result;
    }
    result = kiln_bake_libpython(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* Extensions that were built without Kiln are input of the linker, too, with the libraries that their
     * packages bring. */
    result = kiln_bake_unlink(ctx, bake);
    if (result < 0) {
        return result;
    }

    result = kiln_bake_check_exports(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* What is not an extension: the importer, and the table it looks modules up in. */
    result = kiln_bake_runtime(ctx, bake);
    if (result < 0) {
        return result;
    }
    result = kiln_bake_data(ctx, bake);
    if (result < 0) {
        return result;
    }

    /* The executable comes into being under another name and takes its own when it is whole. */
    result = kiln_bake_output(ctx, bake);
    if (result < 0) {
        return result;
    }
    say_result(ctx, bake);

    /* What the executable needs of this system is the dynamic loader's to say. */
    kiln_bake_check_loading(ctx, bake);
    return kiln_bake_report(ctx, bake);
}

int
kiln_link(struct kiln_ctx *ctx, const struct kiln_link_options *options)
{
    struct kiln_link_options settled = *options;
    settled.output = options->output == NULL ? "python" : options->output;
    struct kiln_bake bake = {.options = &settled};
    /* Open until the linker has read what came out of it. */
    kiln_cache_open(ctx, &bake.cache);
    int result = run_passes(ctx, &bake);
    kiln_cache_close(&bake.cache);
    return result;
}
