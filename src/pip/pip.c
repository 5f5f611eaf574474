/* The steps of `kiln pip`: find the Python and its pip; make the stand-ins for the compilers; run pip
 * under driver.py, which makes it prefer source to a wheel that holds extension modules; report what
 * is fat.
 *
 * Otherwise pip is unchanged. It resolves, builds and caches as usual, in a cache of Kiln's, so that
 * every wheel in it was built with Kiln. */
#include "pip/pip.h"

#include <unistd.h>

#include "base/file.h"

static int
summarize(struct kiln_ctx *ctx, const char *path)
{
    struct kiln_file result;
    if (access(path, F_OK) < 0) {
        return 0; /* a command that installs nothing */
    }
    int status = kiln_file_map(ctx, path, &result);
    if (status == 0) {
        status = kiln_pip_summarize(ctx, result.bytes);
    }
    kiln_file_release(&result);
    return status;
}

int
kiln_pip_run(struct kiln_ctx *ctx, const char *command, const struct kiln_strings *args,
             int *status)
{
    struct kiln_pip_python python;
    int result = kiln_pip_find_python(ctx, command, &python);
    if (result != 0) {
        return result;
    }
    const char *compilers = kiln_pip_make_compilers(ctx);
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (compilers == NULL || tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }

    const char *result_path = kiln_arena_printf(&ctx->arena, "%s/result", tmpdir);
    const char *driver[] = {python.executable, "-c", kiln_pip_driver, "pip", python.other_pip,
                            result_path,       NULL};
    struct kiln_process pip = {.inherit_input = true};
    for (size_t i = 0; driver[i] != NULL; i++) {
        kiln_strings_push(&ctx->arena, &pip.argv, driver[i]);
    }
    kiln_strings_push_all(&ctx->arena, &pip.argv, args);
    result = kiln_pip_set_environment(ctx, compilers, &python, &pip.setenv);
    if (result == 0) {
        result = kiln_process_run(ctx, &pip);
    }
    if (result == 0) {
        *status = pip.status;
        result = summarize(ctx, result_path);
    }
    return result;
}
