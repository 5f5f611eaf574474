/* The compiler driver and the linker of the final link. */
#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "link/bake.h"

/* A driver that adds the C++ run-time library by itself: its name says so. */
static bool
is_cplusplus(const char *driver)
{
    return strstr(kiln_file_basename(driver), "++") != NULL;
}

static bool
needs_cplusplus(const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (is_cplusplus(bake->modules.items[i].fat.driver)) {
            return true;
        }
    }
    return false;
}

int
kiln_bake_toolchain(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    bool cplusplus = needs_cplusplus(bake);
    const char *chosen = getenv(cplusplus ? "KILN_CXX" : "KILN_CC");
    bake->driver = chosen != NULL && *chosen != '\0' ? chosen : cplusplus ? "c++" : "cc";
    if (kiln_process_find(ctx, bake->driver, NULL) == NULL) {
        return kiln_fail(ctx, KILN_ERR_TOOL, "%s: no such compiler; install it (%s), or set %s",
                         bake->driver, cplusplus ? "g++" : "gcc",
                         cplusplus ? "KILN_CXX" : "KILN_CC");
    }

    static const struct {
        const char *name, *program;
    } linkers[] = {{"lld", "ld.lld"}, {"bfd", "ld.bfd"}, {"gold", "ld.gold"}, {"mold", "ld.mold"}};
    const char *wanted = bake->options->linker;
    size_t count = wanted == NULL ? 2 : 4; /* unasked: lld if present, else bfd */
    for (size_t i = 0; i < count && bake->linker == NULL; i++) {
        if ((wanted == NULL || strcmp(wanted, linkers[i].name) == 0) &&
            kiln_process_find(ctx, linkers[i].program, NULL) != NULL)
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
