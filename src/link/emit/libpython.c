/* Static or shared libpython, position-independent or not: decided by linking a python without extensions
 * and running it. That program shows later passes what is in the process before any extension. The recorded configuration is wrong for some distributions' archives, which are not
 * PIC, or lack objects. */
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cache.h"
#include "base/file.h"
#include "base/process.h"
#include "kiln/version.h"
#include "link/emit/emit.h"

static const char TRIAL[] =
    "int Py_BytesMain(int, char **);\n"
    "__attribute__((visibility(\"hidden\"))) int main(int argc, char **argv)\n"
    "{ return Py_BytesMain(argc, argv); }\n";

/* Link a python without extensions, in the form that BAKE says. Sets *works to whether that links; else
 * *why tells why not. */
static int
link_program(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool *works, const char **why)
{
    struct kiln_arena *arena = &ctx->arena;
    struct kiln_process link = {.input = kiln_span_of_string(TRIAL),
                                .out_mode = KILN_STREAM_DROP,
                                .err_mode = KILN_STREAM_CAPTURE};
    kiln_process_push_command(ctx, bake->driver, &link.argv);
    const char *argv[] = {"-x",
                          "c",
                          "-",
                          "-x",
                          "none",
                          "-o",
                          bake->program,
                          bake->pie ? "-pie" : "-no-pie",
                          kiln_arena_printf(arena, "-fuse-ld=%s", bake->linker)};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(arena, &link.argv, argv[i]);
    }
    if (bake->pie) {
        kiln_strings_push(arena, &link.argv, "-fPIE");
    }
    kiln_link_args_push_archive(ctx, bake, &link.argv);
    kiln_link_args_push_libraries(ctx, bake, &link.argv);
    int result = kiln_process_run(ctx, &link);
    *works = result == 0 && link.status == 0;
    if (result == 0 && link.status != 0) {
        const char *text = (const char *)link.err.ptr;
        if (kiln_link_args_is_disk_full(text)) {
            return kiln_fail(ctx, KILN_ERR_SYSTEM,
                             "%s: cannot write: the disk is probably full (set TMPDIR)",
                             kiln_ctx_get_tmpdir(ctx));
        }
        *why = kiln_arena_printf(arena, "it does not link: %.*s", (int)strcspn(text, "\n"), text);
    }
    return result;
}

/* Link and run the program. *why is the reason if it failed. */
static int
try_link(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool *works, const char **why)
{
    struct kiln_arena *arena = &ctx->arena;
    int result = link_program(ctx, bake, works, why);
    if (result < 0 || !*works) {
        return result;
    }
    if (bake->python.machine != kiln_machine_get_native()) {
        *works = true; /* it cannot be run here */
        return 0;
    }

    struct kiln_process run = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(arena, &run.argv, bake->program);
    kiln_strings_push(arena, &run.argv, "-I");
    kiln_strings_push(arena, &run.argv, "-S");
    kiln_strings_push(arena, &run.argv, "-c");
    kiln_strings_push(arena, &run.argv, "import sys");
    result = kiln_process_run(ctx, &run);
    *works = result == 0 && run.status == 0;
    *why = "a program linked with it does not run";
    return result;
}

/* Try the possible forms until one works, and set it in BAKE. */
static int
choose(struct kiln_ctx *ctx, struct kiln_bake *bake, bool fixed)
{
    const struct kiln_python *python = &bake->python;
    enum kiln_libpython wanted = bake->options->libpython;

    /* Static before shared; for each, the form of the interpreter itself first. */
    const char *reason = NULL;
    for (int shared = 0; shared < 2; shared++) {
        const char *library = shared ? python->shared_library : python->static_library;
        if (wanted == (shared ? KILN_LIBPYTHON_STATIC : KILN_LIBPYTHON_SHARED) || library == NULL) {
            continue;
        }
        for (int other = 0; other < 2; other++) {
            bool works = false;
            const char *why = NULL;
            bake->shared_libpython = shared;
            bake->pie = other ? !python->pie : python->pie;
            if ((bake->pie && (fixed || bake->options->pie == KILN_PIE_NO)) ||
                (!bake->pie && bake->options->pie == KILN_PIE_YES))
            {
                continue;
            }
            int result = try_link(ctx, bake, &works, &why);
            if (result < 0) {
                return result;
            }
            if (works) {
                if (reason != NULL && shared) {
                    kiln_say(ctx, KILN_NOTE, "using the shared libpython; %s", reason);
                }
                return 0;
            }
            reason =
                reason != NULL ? reason : kiln_arena_printf(&ctx->arena, "%s: %s", library, why);
        }
    }
    return kiln_fail(ctx, KILN_ERR_INPUT,
                     "no %slibpython to link with: %s; install the development files of Python %s",
                     wanted == KILN_LIBPYTHON_STATIC   ? "static "
                     : wanted == KILN_LIBPYTHON_SHARED ? "shared "
                                                       : "",
                     reason != NULL ? reason : "it is not installed", python->version);
}

/* Whether the executable cannot be position-independent: gold relocates absolute symbols (the size of a
 * file that was made an object) and undefined weak ones in a PIE as well. */
static bool
has_fixed_place(const struct kiln_bake *bake)
{
    return strcmp(bake->linker, "gold") == 0;
}

/* Returns the key of the outcome of the trials: a hash of everything known to affect it. */
static const char *
make_key(struct kiln_ctx *ctx, const struct kiln_bake *bake, bool fixed)
{
    const struct kiln_python *python = &bake->python;
    struct kiln_strings files = {0};
    kiln_process_push_command(ctx, bake->driver, &files);
    for (size_t i = 0; i < files.count; i++) {
        files.items[i] = kiln_process_find(ctx, files.items[i]);
    }
    kiln_strings_push(&ctx->arena, &files, python->static_library);
    kiln_strings_push(&ctx->arena, &files, python->shared_library);
    const char *text = kiln_arena_printf(
        &ctx->arena, KILN_VERSION " %s %s %s %d %d %d %d", python->identity, bake->driver,
        bake->linker, (int)bake->options->libpython, fixed, python->pie, (int)bake->options->pie);
    for (size_t i = 0; i < files.count; i++) {
        struct stat st;
        if (files.items[i] != NULL && stat(files.items[i], &st) == 0) {
            text = kiln_arena_printf(&ctx->arena, "%s %s %lld %lld.%ld", text, files.items[i],
                                     (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                                     st.st_mtim.tv_nsec);
        }
    }
    return kiln_arena_printf(&ctx->arena, "%016llx",
                             (unsigned long long)XXH3_64bits(text, strlen(text)));
}

static bool
recall(struct kiln_ctx *ctx, const char *key, struct kiln_bake *bake)
{
    struct kiln_span text;
    bool known = kiln_cache_load(ctx, "trials", key, &text) && text.len == 2;
    if (known) {
        bake->shared_libpython = text.ptr[0] == '1';
        bake->pie = text.ptr[1] == '1';
    }
    return known;
}

static void
say_choice(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    kiln_say(ctx, KILN_DETAIL, "linking %s with %s and %s by %s, %s", bake->options->output,
             bake->shared_libpython ? bake->python.shared_library : bake->python.static_library,
             bake->pie ? "-pie" : "-no-pie", bake->driver, bake->linker);
}

int
kiln_bake_libpython(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    if (kiln_ctx_get_tmpdir(ctx) == NULL) {
        return KILN_ERR_SYSTEM;
    }
    bool fixed = has_fixed_place(bake), works = false;
    if (fixed && bake->options->pie == KILN_PIE_YES) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "--pie: %s relocates absolute symbols, which a position-independent "
                         "executable needs as they are; take another linker",
                         bake->linker);
    }
    const char *key = make_key(ctx, bake, fixed), *why = NULL;
    bake->program = kiln_arena_printf(&ctx->arena, "%s/program", kiln_ctx_get_tmpdir(ctx));
    if (recall(ctx, key, bake)) {
        say_choice(ctx, bake);
        int result = link_program(ctx, bake, &works, &why);
        if (result < 0 || works) {
            return result;
        }
    }
    int result = choose(ctx, bake, fixed);
    if (result == 0) {
        say_choice(ctx, bake);
    }
    /* Not if the static library does not link: what it lacks may be installed later. */
    bool settled = !bake->shared_libpython || bake->python.static_library == NULL ||
                   bake->options->libpython == KILN_LIBPYTHON_SHARED;
    if (result == 0 && settled) {
        const char text[] = {bake->shared_libpython ? '1' : '0', bake->pie ? '1' : '0'};
        kiln_cache_store(ctx, "trials", key, kiln_span_of(text, sizeof text));
    }
    return result;
}
