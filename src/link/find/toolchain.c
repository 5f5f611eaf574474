/* The compiler driver and the linker of the final link. */
#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "link/bake.h"
#include "link/find/toolchain.h"

const char *
kiln_toolchain_find_library(struct kiln_ctx *ctx, const char *driver, const char *name)
{
    struct kiln_process process = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_DROP};
    kiln_process_push_command(ctx, driver, &process.argv);
    kiln_strings_push(&ctx->arena, &process.argv,
                      kiln_arena_printf(&ctx->arena, "-print-file-name=%s", name));
    struct kiln_ctx silent = {.quiet = true};
    int result = kiln_process_run(&silent, &process);
    const char *path = NULL;
    if (result == 0 && process.status == 0 && process.out.len > 0 && process.out.ptr[0] == '/') {
        const char *text = (const char *)process.out.ptr;
        path = kiln_arena_strndup(&ctx->arena, text, strcspn(text, "\n"));
    }
    kiln_ctx_release(&silent);
    return path;
}

int
kiln_toolchain_choose_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool is_cplusplus,
                             const char **out)
{
    const struct kiln_machine *machine = bake->python.machine;
    const char *variable = is_cplusplus ? "KILN_CXX" : "KILN_CC";
    const char *usual = is_cplusplus ? "g++" : "gcc", *chosen = getenv(variable);
    *out = chosen != NULL && *chosen != '\0'      ? chosen
           : machine != kiln_machine_get_native() ? kiln_machine_get_tool(ctx, machine, usual)
           : is_cplusplus                         ? "c++"
                                                  : "cc";
    struct kiln_strings words = {0};
    kiln_process_push_command(ctx, *out, &words);
    return words.count > 0 && kiln_process_find(ctx, words.items[0]) != NULL
               ? 0
               : kiln_fail(ctx, KILN_ERR_TOOL, "%s: no such compiler; install %s, or set %s", *out,
                           usual, variable);
}

int
kiln_toolchain_choose(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    int result = kiln_toolchain_choose_driver(ctx, bake, false, &bake->driver);
    bake->link_driver = bake->driver;
    if (result < 0) {
        return result;
    }

    static const struct {
        const char *name, *program;
    } linkers[] = {{"lld", "ld.lld"}, {"bfd", "ld.bfd"}, {"gold", "ld.gold"}, {"mold", "ld.mold"}};
    const char *wanted = bake->options->linker;
    bool native = bake->python.machine == kiln_machine_get_native();
    if (wanted == NULL && !native) {
        wanted = "bfd"; /* a cross gcc looks for linkers of its own name only */
    }
    size_t count = wanted == NULL ? 2 : 4; /* unasked: lld if present, else bfd */
    for (size_t i = 0; i < count && bake->linker == NULL; i++) {
        if ((wanted == NULL || strcmp(wanted, linkers[i].name) == 0) &&
            (!native || kiln_process_find(ctx, linkers[i].program) != NULL))
        {
            bake->linker = linkers[i].name;
        }
    }
    if (bake->linker == NULL) {
        return kiln_fail(ctx, KILN_ERR_TOOL, "no linker: install %s",
                         wanted == NULL ? "lld or binutils" : wanted);
    }
    return 0;
}
