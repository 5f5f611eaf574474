/* The compiler driver and the linker of the final link. */
#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "link/bake.h"
#include "link/find/toolchain.h"

bool
kiln_toolchain_is_cplusplus(const char *driver)
{
    /* Its name says so. */
    return strstr(kiln_file_basename(driver), "++") != NULL;
}

const char *
kiln_toolchain_find_library(struct kiln_ctx *ctx, const char *driver, const char *name)
{
    struct kiln_process process = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_DROP};
    kiln_strings_push(&ctx->arena, &process.argv, driver);
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

static bool
needs_cplusplus(const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (kiln_toolchain_is_cplusplus(bake->modules.items[i].fat.driver)) {
            return true;
        }
    }
    return false;
}

const char *
kiln_toolchain_get_driver(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool cplusplus)
{
    const struct kiln_machine *machine = bake->python.machine;
    const char *chosen = getenv(cplusplus ? "KILN_CXX" : "KILN_CC");
    if (chosen != NULL && *chosen != '\0') {
        return chosen;
    }
    return machine == kiln_machine_get_native()
               ? (cplusplus ? "c++" : "cc")
               : kiln_machine_get_tool(ctx, machine, cplusplus ? "g++" : "gcc");
}

int
kiln_toolchain_choose(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    bool cplusplus = needs_cplusplus(bake);
    bake->driver = kiln_toolchain_get_driver(ctx, bake, cplusplus);
    if (kiln_process_find(ctx, bake->driver) == NULL) {
        return kiln_fail(ctx, KILN_ERR_TOOL, "%s: no such compiler; install it (%s), or set %s",
                         bake->driver, cplusplus ? "g++" : "gcc",
                         cplusplus ? "KILN_CXX" : "KILN_CC");
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
