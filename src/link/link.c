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

int
kiln_link(struct kiln_ctx *ctx, const struct kiln_link_options *options)
{
    struct kiln_link_options settled = *options;
    settled.output = options->output == NULL ? "python" : options->output;
    struct kiln_bake bake = {.options = &settled};
    int result;

    /* The interpreter itself knows best where its headers, libraries and packages are. */
    result =
        kiln_python_ask(ctx, options->python == NULL ? "python3" : options->python, &bake.python);
    if (result < 0) {
        return result;
    }

    /* Every extension that this interpreter could import from the paths, under the name by which it
     * would: from here on a module is known by its dotted name. */
    result = kiln_search(ctx, &bake.python, &settled.paths, &bake.found);
    if (result < 0) {
        return result;
    }

    /* Fat extensions can be baked; all others stay files, and their reasons are said. */
    result = kiln_bake_select(ctx, &bake);
    if (result < 0) {
        return result;
    }

    /* From here on it is known which version of which distribution a module belongs to, so that it
     * will not be mixed with another one where the executable runs. */
    result = kiln_bake_distributions(ctx, &bake);
    if (result < 0) {
        return result;
    }

    /* Give each module its relocatable: one exported symbol, and nothing else that another module
     * could meet. From here on modules can be linked in any number and order. */
    result = kiln_bake_isolate(ctx, &bake);
    if (result < 0) {
        return result;
    }

    /* Which compiler driver and linker join them, and to which form of libpython. */
    result = kiln_bake_toolchain(ctx, &bake);
    if (result < 0) {
        return result;
    }
    result = kiln_bake_libpython(ctx, &bake);
    if (result < 0) {
        return result;
    }

    /* What is not an extension: the importer, and the table it looks modules up in. */
    result = kiln_bake_runtime(ctx, &bake);
    if (result < 0) {
        return result;
    }
    result = kiln_bake_data(ctx, &bake);
    if (result < 0) {
        return result;
    }

    /* The executable comes into being under another name and takes its own when it is whole. */
    result = kiln_bake_output(ctx, &bake);
    if (result < 0) {
        return result;
    }
    say_result(ctx, &bake);
    return 0;
}
