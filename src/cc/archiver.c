/* The archivers that can read a compiler's LTO objects: gcc-ar, llvm-ar, and their ranlibs.
 *
 * CMake takes the "kiln-" of kiln-cc for the prefix of a toolchain, and looks for kiln-gcc-ar. That is a link to
 * kiln-cc, which becomes the tool that belongs to the real compiler: x86_64-linux-gnu-gcc-12 has
 * x86_64-linux-gnu-gcc-ar-12 beside it. */
#include "cc/cc.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

const char *
kiln_archiver_get_tool(const char *program)
{
    static const char *const tools[] = {"gcc-ar", "gcc-ranlib", "llvm-ar", "llvm-ranlib"};
    const char *name = kiln_file_basename(program);
    for (size_t i = 0; kiln_starts_with(name, "kiln-") && i < sizeof tools / sizeof tools[0]; i++) {
        if (strcmp(name + strlen("kiln-"), tools[i]) == 0) {
            return tools[i];
        }
    }
    return NULL;
}

/* Returns the path of TOOL in the directory of the compiler DRIVER, with the target and the version of its name,
 * or NULL if there is none. */
static const char *
find_beside(struct kiln_ctx *ctx, const char *driver, const char *tool)
{
    static const char *const compilers[] = {"cc", "gcc", "clang"};
    const char *name = kiln_file_basename(driver);
    for (const char *word = name; *word != '\0'; word += *word == '-') {
        size_t len = strcspn(word, "-");
        for (size_t i = 0; i < sizeof compilers / sizeof compilers[0]; i++) {
            if (strlen(compilers[i]) == len && strncmp(word, compilers[i], len) == 0) {
                const char *path =
                    kiln_arena_printf(&ctx->arena, "%s/%.*s%s%s", kiln_file_dirname(ctx, driver),
                                      (int)(word - name), name, tool, word + len);
                return access(path, X_OK) == 0 ? path : NULL;
            }
        }
        word += len;
    }
    return NULL;
}

const char *
kiln_archiver_find(struct kiln_ctx *ctx, const char *tool, const char *driver)
{
    /* The compiler's own name tells more than that of a link to it (cc), but it may be ccache's. */
    const char *path = NULL;
    char *real = driver == NULL ? NULL : realpath(driver, NULL);
    if (real != NULL) {
        path = find_beside(ctx, real, tool);
        free(real);
    }
    if (path == NULL && driver != NULL) {
        path = find_beside(ctx, driver, tool);
    }
    path = path == NULL ? kiln_process_find(ctx, tool) : path;
    /* CMake uses llvm-ar for every archive if it finds one: those without LTO need no more than ar. */
    return path == NULL ? kiln_process_find(ctx, strchr(tool, '-') + 1) : path;
}
