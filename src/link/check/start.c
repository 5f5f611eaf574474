/* Starting the executable before it gets its name. The dynamic loader binds all symbols that the modules from objects
 * refer to at once (LD_BIND_NOW), which it would otherwise do at their first use. What images refer to has been bound by
 * Kiln. */
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "link/check/check.h"

/* Returns why PROGRAM does not start, or NULL. */
static const char *
start(struct kiln_ctx *ctx, const char *program)
{
    struct kiln_process run = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    const char *argv[] = {program, "-I", "-S", "-c", "pass"};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &run.argv, argv[i]);
    }
    kiln_strings_push(&ctx->arena, &run.setenv, "LD_BIND_NOW=1");
    struct kiln_ctx silent = {.quiet = true};
    bool ran = kiln_process_run(&silent, &run) == 0;
    const char *why = NULL;
    if (!ran) {
        why = "it cannot be run";
    }
    else if (run.status > 128) {
        why = kiln_arena_printf(&ctx->arena, "signal %d (%s)", run.status - 128,
                                strsignal(run.status - 128));
    }
    else if (run.status != 0) {
        const char *line = kiln_process_get_last_line(&silent, run.err);
        why = kiln_arena_printf(&ctx->arena, "status %d%s%s", run.status, *line == '\0' ? "" : ", ",
                                line);
    }
    kiln_ctx_release(&silent);
    return why;
}

int
kiln_bake_check_start(struct kiln_ctx *ctx, struct kiln_bake *bake, const char *path)
{
    if (bake->python.machine != kiln_machine_get_native() || access(path, X_OK) < 0) {
        return 0; /* nothing of that machine, or on that file system (noexec), can be run here */
    }
    const char *why = start(ctx, path);
    if (why == NULL || start(ctx, bake->program) != NULL) {
        return 0; /* or it is not for the modules that it does not start */
    }
    bake->not_started = why;
    return KILN_ERR_TOOL;
}
