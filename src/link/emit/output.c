/* The final link: of the modules, the runtime, libpython, and what the interpreter itself is linked with.
 * Its arguments are in a response file, as there can be thousands of objects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "base/response.h"
#include "base/temporary.h"
#include "base/text.h"
#include "link/check/check.h"
#include "link/emit/emit.h"

/* Push the isolated objects. The archives among them have no index and are linked whole. */
static void
push_objects(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_strings *argv)
{
    kiln_strings_push(&ctx->arena, argv, "-Wl,--whole-archive");
    kiln_strings_push_all(&ctx->arena, argv, &bake->objects);
    kiln_strings_push(&ctx->arena, argv, "-Wl,--no-whole-archive");
}

static bool
has_exports(const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (bake->modules.items[i].isolated.exported.count > 0) {
            return true;
        }
    }
    return false;
}

static int
run_linker(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *output)
{
    struct kiln_arena *arena = &ctx->arena;
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    struct kiln_strings args = {0};
    const char *const first[] = {"-o",
                                 output,
                                 bake->pie ? "-pie" : "-no-pie",
                                 kiln_arena_printf(arena, "-fuse-ld=%s", bake->linker),
                                 "-Wl,-z,noexecstack",
                                 "-Wl,--no-demangle"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        kiln_strings_push(arena, &args, first[i]);
    }
    if (bake->options->split_debug) {
        kiln_strings_push(arena, &args, "-Wl,--build-id=sha1");
    }
    else if (bake->options->strip) {
        kiln_strings_push(arena, &args, "-Wl,--strip-all");
    }
    if (strcmp(bake->linker, "lld") == 0) {
        /* Keep sections that are found by __start_ and __stop_ symbols. */
        kiln_strings_push(arena, &args, "-Wl,-z,nostart-stop-gc");
        kiln_strings_push(arena, &args, "-Wl,--error-limit=0");
        /* Allow relocations in read-only sections, of assembly as a rule, as the other linkers do. A program
         * that is not position-independent has none, but lld would make some, in place of references to
         * copies of variables. */
        if (bake->pie && kiln_bake_find_fixed(bake) != NULL) {
            kiln_strings_push(arena, &args, "-Wl,-z,notext");
        }
    }
    if (strcmp(bake->linker, "lld") == 0 || strcmp(bake->linker, "mold") == 0) {
        /* Keep apart what a profile has found to run often, as bfd and gold do: a start reads less. */
        kiln_strings_push(arena, &args, "-Wl,-z,keep-text-section-prefix");
    }
    kiln_link_args_push_archive(ctx, bake, &args);
    push_objects(ctx, bake, &args);
    if (has_exports(bake)) {
        kiln_strings_push(arena, &args, "-Wl,--export-dynamic");
    }
    kiln_strings_push(arena, &args, bake->data);
    kiln_strings_push(arena, &args, bake->runtime);
    kiln_link_args_push_libraries(ctx, bake, &args);
    if (bake->linked.count > 0) {
        kiln_strings_push(arena, &args, "-Wl,--push-state,--no-as-needed");
        kiln_strings_push_all(arena, &args, &bake->linked);
        kiln_strings_push(arena, &args, "-Wl,--pop-state");
    }

    const char *response = kiln_arena_printf(arena, "%s/link.rsp", tmpdir);
    int result = kiln_response_write(ctx, response, &args);
    if (result < 0) {
        return result;
    }
    struct kiln_process linker = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    kiln_process_push_command(ctx, bake->link_driver, &linker.argv);
    kiln_strings_push(arena, &linker.argv, kiln_arena_printf(arena, "@%s", response));
    result = kiln_process_run(ctx, &linker);
    if (result == 0 && linker.status != 0 &&
        kiln_link_args_is_disk_full((const char *)linker.err.ptr)) {
        result = kiln_fail(ctx, KILN_ERR_SYSTEM, "%s: cannot write: the disk is probably full",
                           bake->options->output);
    }
    else if (result == 0 && linker.status != 0) {
        result = kiln_fail(ctx, KILN_ERR_TOOL, "%s: the final link failed:\n%s",
                           bake->options->output, (const char *)linker.err.ptr);
    }
    return result;
}

static int
move_file(struct kiln_ctx *ctx, const char *from, const char *to)
{
    return rename(from, to) == 0 ? 0 : kiln_fail_errno(ctx, "%s: cannot write", to);
}

/* Put the directory FROM in the place of TO, if there is one, which goes to OLD. */
static int
move_directory(struct kiln_ctx *ctx, const char *from, const char *to, const char *old)
{
    if (rename(to, old) < 0 && errno != ENOENT) {
        return kiln_fail_errno(ctx, "%s: cannot write", to);
    }
    int result = move_file(ctx, from, to);
    if (result < 0) {
        rename(old, to);
    }
    return result;
}

/* Split off the debug information of the program ASIDE, and move all that it is in to its place beside OUTPUT. Before
 * the program: a debugger ignores what does not match it. */
static int
split_debug(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *aside, const char *output)
{
    int result = kiln_bake_split_debug(ctx, bake, aside);
    if (result == 0) {
        result = kiln_bake_split_images(ctx, bake, aside);
    }
    if (result == 0 && bake->debug_images > 0) {
        result = move_directory(ctx, kiln_bake_get_debug_dir(ctx, aside),
                                kiln_bake_get_debug_dir(ctx, output),
                                kiln_arena_printf(&ctx->arena, "%s.old", aside));
    }
    if (result == 0 && bake->debug_images > 0) {
        result = move_file(ctx, kiln_bake_get_debug_script(ctx, aside),
                           kiln_bake_get_debug_script(ctx, output));
    }
    if (result == 0) {
        result = move_file(ctx, kiln_bake_get_debug_path(ctx, aside),
                           kiln_bake_get_debug_path(ctx, output));
    }
    return result;
}

/* Link in a private directory beside OUTPUT: on the same file system, so that the result can be
 * renamed, and apart from it, so that whatever a linker leaves is removed with the directory. */
static int
link_aside(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *output)
{
    const char *dir = kiln_temporary_make_dir_for(&ctx->arena, output);
    if (dir == NULL) {
        return kiln_fail_errno(ctx, "%s: cannot write", output);
    }
    const char *aside = kiln_arena_printf(&ctx->arena, "%s/%s", dir, kiln_file_basename(output));
    int result = run_linker(ctx, bake, aside);
    if (result == 0) {
        result = kiln_bake_check_result(ctx, bake, aside);
    }
    if (result == 0) {
        result = kiln_bake_check_start(ctx, bake, aside);
    }
    if (result == 0 && bake->options->split_debug) {
        result = split_debug(ctx, bake, aside, output);
    }
    if (result == 0) {
        kiln_file_rewrite(aside);
        result = move_file(ctx, aside, output);
    }
    kiln_temporary_remove(dir);
    return result;
}

int
kiln_bake_output(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *output = bake->options->output;
    struct stat st;
    if (*output == '\0') {
        return kiln_fail(ctx, KILN_ERR_INPUT, "cannot write: the name of the output is empty");
    }
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode)) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: cannot write: it exists and is not a regular file", output);
    }
    if (kiln_file_is_same(output, bake->python.executable)) {
        return kiln_fail(
            ctx, KILN_ERR_INPUT,
            "%s: cannot write: it is the Python that the executable is for, and starts as", output);
    }
    kiln_progress(ctx, "link", 0, 1, output);
    int result = link_aside(ctx, bake, output);
    kiln_progress(ctx, "link", 1, 1, NULL);
    return result;
}
