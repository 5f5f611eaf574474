/* Whether the executable will start: the dynamic loader lists the libraries that it would load.
 *
 * The file of an extension whose library is not found cannot be imported; an executable with that
 * extension inside does not start at all. The library may be on the machine where the executable is
 * going to run, so this is not an error. */
#include "base/process.h"
#include "link/check/check.h"

/* The names of the libraries that TEXT reports missing: "libx.so.1 => not found". */
static const char *
list_missing(struct kiln_ctx *ctx, const char *text)
{
    static const char sign[] = " => not found";
    const char *list = NULL;
    for (const char *hit = text; (hit = strstr(hit, sign)) != NULL; hit++) {
        const char *name = hit;
        while (name > text && name[-1] != '\n' && name[-1] != '\t') {
            name--;
        }
        name = kiln_arena_strndup(&ctx->arena, name, (size_t)(hit - name));
        list = list == NULL ? name : kiln_arena_printf(&ctx->arena, "%s, %s", list, name);
    }
    return list;
}

void
kiln_bake_check_loading(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path)
{
    if (bake->python.machine != kiln_machine_get_native()) {
        return;
    }
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_process program = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_DROP};
    kiln_strings_push(&silent.arena, &program.argv, kiln_file_absolute(ctx, path));
    /* ld.so(8): it then lists the libraries, and runs nothing of the program. A loader that does not
     * know this runs it, but no further than its version. */
    kiln_strings_push(&silent.arena, &program.argv, "--version");
    kiln_strings_push(&silent.arena, &program.setenv, "LD_TRACE_LOADED_OBJECTS=1");
    if (kiln_process_run(&silent, &program) == 0) {
        const char *missing = list_missing(ctx, (const char *)program.out.ptr);
        if (missing != NULL) {
            kiln_say(
                ctx, KILN_WARNING,
                "%s: the dynamic loader does not find what it needs (%s), and does not start it "
                "without: install that, name its directory in LD_LIBRARY_PATH, or leave out the "
                "extensions that need it (--report tells which are linked against what)",
                bake->options->output, missing);
        }
    }
    kiln_ctx_release(&silent);
}
