/* `--split-debug`: the debug information in a file of its own beside the executable.
 *
 * objcopy copies it out and strips it; the executable keeps the name and a checksum of that file
 * (`.gnu_debuglink`), and both have one build ID, by either of which debuggers find it. The
 * executable keeps its symbols, which profilers and backtraces want, unless --strip takes these, too:
 * they are in the file then. The manifest stays in the executable alone. */
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
    return kiln_process_check(ctx, &objcopy, "cannot split the debug information off");
}

int
kiln_bake_split_debug(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path)
{
    /* By their last components: that of the debug file is what the executable will say. */
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
