/* `--split-debug`: the debug information in a file of its own beside the executable.
 *
 * objcopy copies it out and strips it. Debuggers find the file by its name and checksum, which the
 * executable keeps (`.gnu_debuglink`), or by the build ID that both have. The executable keeps its
 * symbols, for profilers and backtraces, unless --strip moves these into the file as well. The
 * manifest stays in the executable alone. */
#include "base/file.h"
#include "base/process.h"
#include "elf/machine.h"
#include "fat/fat.h"
#include "link/emit/emit.h"

const char *
kiln_bake_get_debug_path(struct kiln_ctx *ctx, const char *output)
{
    return kiln_arena_printf(&ctx->arena, "%s.debug", output);
}

/* Run objcopy with OPTIONS in DIR. */
static int
run_objcopy(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *dir,
            const char *const options[4])
{
    struct kiln_process objcopy = {
        .cwd = dir, .out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(&ctx->arena, &objcopy.argv,
                      kiln_machine_get_tool(ctx, bake->python.machine, "objcopy"));
    for (size_t i = 0; i < 4; i++) {
        kiln_strings_push(&ctx->arena, &objcopy.argv, options[i]);
    }
    return kiln_process_check(ctx, &objcopy, "cannot split off the debug information");
}

int
kiln_bake_split_debug(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path)
{
    /* By their last components: .gnu_debuglink holds that of the debug file. */
    const char *dir = kiln_file_dirname(ctx, path);
    const char *program = kiln_arena_printf(&ctx->arena, "./%s", kiln_file_basename(path));
    const char *debug = kiln_bake_get_debug_path(ctx, program);
    const char *const copy[] = {"--only-keep-debug", "--remove-section=" KILN_FAT_SECTION, program,
                                debug};
    int result = run_objcopy(ctx, bake, dir, copy);
    if (result < 0) {
        return result;
    }
    const char *const strip[] = {
        bake->options->strip ? "--strip-all" : "--strip-debug", "--keep-section=" KILN_FAT_SECTION,
        kiln_arena_printf(&ctx->arena, "--add-gnu-debuglink=%s", debug), program};
    return run_objcopy(ctx, bake, dir, strip);
}
