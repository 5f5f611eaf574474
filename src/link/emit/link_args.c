/* Arguments of a link that the trial of a libpython and the final link have in common. */
#include <string.h>

#include "base/text.h"
#include "link/emit/emit.h"

/* Whether the dynamic loader searches DIR by default (ld.so(8)), the directories of multiarch
 * included. */
static bool
is_default_library_dir(const char *dir)
{
    static const char *const dirs[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        size_t len = strlen(dirs[i]);
        if (kiln_starts_with(dir, dirs[i]) &&
            (dir[len] == '\0' || (dir[len] == '/' && strstr(dir + len, "-linux-") != NULL)))
        {
            return true;
        }
    }
    return false;
}

/* Push the arguments that add DIR to the search path of the dynamic loader, whatever characters are in
 * it. */
static void
push_rpath(struct kiln_ctx *ctx, const char *dir, struct kiln_strings *argv)
{
    /* -Wl, would split a path at its commas. */
    const char *const args[] = {"-Xlinker", "-rpath", "-Xlinker", dir};
    for (size_t i = 0; i < sizeof args / sizeof args[0]; i++) {
        kiln_strings_push(&ctx->arena, argv, args[i]);
    }
}

void
kiln_link_args_push_archive(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                            struct kiln_strings *argv)
{
    if (!bake->shared_libpython) {
        /* Whole, and its symbols exported: extension files need any of its API. */
        kiln_strings_push(&ctx->arena, argv, "-Wl,--whole-archive");
        kiln_strings_push(&ctx->arena, argv, bake->python.static_library);
        kiln_strings_push(&ctx->arena, argv, "-Wl,--no-whole-archive");
        kiln_strings_push(&ctx->arena, argv, "-Wl,--export-dynamic");
    }
}

void
kiln_link_args_push_libraries(struct kiln_ctx *ctx, const struct kiln_bake *bake,
                              struct kiln_strings *argv)
{
    if (!bake->shared_libpython) {
        kiln_strings_push_all(&ctx->arena, argv, &bake->python.libs);
        return;
    }
    const char *dir = kiln_file_dirname(ctx, bake->python.shared_library);
    kiln_strings_push(&ctx->arena, argv, bake->python.shared_library);
    if (!is_default_library_dir(dir)) {
        push_rpath(ctx, dir, argv);
    }
}

/* The words are those of bfd and gold, of mold, and of the driver of lld, which writes to a mapping
 * and gets a signal. */
bool
kiln_link_args_is_disk_full(const char *text)
{
    return strstr(text, "No space left") != NULL || strstr(text, "Disk full") != NULL ||
           strstr(text, "Bus error") != NULL;
}
