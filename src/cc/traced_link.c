/* Runs a link again for its trace: the same driver and arguments, but all outputs go to a private
 * directory, nothing is printed, and the toolchain's own start files and libraries are left out
 * (-nostdlib), so that the trace lists only what belongs to the extension.
 *
 * Sources among the inputs are compiled again; -save-temps keeps their objects. */
#include "cc/cc.h"

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

static void
push(struct kiln_ctx *ctx, struct kiln_strings *argv, const char *arg)
{
    kiln_strings_push(&ctx->arena, argv, arg);
}

/* Pushes ARGS, in a file if the first link had one: they may be too many for an argv. */
static int
push_args(struct kiln_ctx *ctx, const char *tmpdir, bool as_file, const struct kiln_strings *args,
          struct kiln_strings *argv)
{
    if (!as_file) {
        kiln_strings_push_all(&ctx->arena, argv, args);
        return 0;
    }
    const char *path = kiln_arena_printf(&ctx->arena, "%s/arguments", tmpdir);
    push(ctx, argv, kiln_arena_printf(&ctx->arena, "@%s", path));
    return kiln_response_write(ctx, path, args);
}

/* Pushes the C library, after an empty linker script that marks its place in the trace. Returns the path
 * of the script. */
static const char *
push_libc(struct kiln_ctx *ctx, const char *tmpdir, struct kiln_strings *args)
{
    const char *mark = kiln_arena_printf(&ctx->arena, "%s/end.ld", tmpdir);
    push(ctx, args, "-fuse-ld=bfd");
    push(ctx, args, mark);
    push(ctx, args, "-lm");
    push(ctx, args, "-lc");
    return kiln_file_write(ctx, mark, kiln_span_of_string("/* the end */\n")) < 0 ? NULL : mark;
}

/* Removes MARK and everything after it from TRACE. */
static int
cut(struct kiln_ctx *ctx, struct kiln_trace *trace, const char *mark)
{
    for (size_t i = 0; i < trace->count; i++) {
        if (strcmp(trace->items[i].path, mark) == 0) {
            trace->count = i;
            return 0;
        }
    }
    return kiln_fail(ctx, KILN_ERR_TOOL, "the linker's trace does not list %s", mark);
}

/* Runs the traced link; with LIBC, against the C library as well. */
static int
run(struct kiln_ctx *ctx, const struct kiln_compiler *compiler,
    const struct kiln_command_line *line, const char *linker, bool libc, struct kiln_trace *out)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    struct kiln_strings args = {0};
    kiln_strings_push_all(&ctx->arena, &args, &line->trace);
    if (linker != NULL) {
        push(ctx, &args, linker);
    }
    if (line->has_sources) {
        push(ctx, &args, "-save-temps=obj");
    }
    push(ctx, &args, "-o");
    push(ctx, &args, kiln_arena_printf(&ctx->arena, "%s/traced.so", tmpdir));
    push(ctx, &args, "-nostdlib");
    push(ctx, &args, "-Wl,--unresolved-symbols=ignore-all");
    /* Objects with C++ destructors refer to this symbol of the start files. It is hidden, so GNU ld
     * would not leave it unresolved. Any address inside the output will do. */
    push(ctx, &args, "-Wl,--defsym=__dso_handle=_DYNAMIC");
    push(ctx, &args, "-Wl,--trace"); /* twice: GNU ld then lists archive members */
    push(ctx, &args, "-Wl,--trace");
    const char *mark = libc ? push_libc(ctx, tmpdir, &args) : NULL;

    struct kiln_process process = {
        .out_mode = KILN_STREAM_CAPTURE,
        .err_mode = KILN_STREAM_CAPTURE,
    };
    kiln_strings_push_all(&ctx->arena, &process.argv, &compiler->words);
    int result = push_args(ctx, tmpdir, line->has_response, &args, &process.argv);
    /* gcc writes dependencies to the files that these name. */
    push(ctx, &process.setenv, "DEPENDENCIES_OUTPUT");
    push(ctx, &process.setenv, "SUNPRO_DEPENDENCIES");
    push(ctx, &process.setenv, kiln_arena_printf(&ctx->arena, "TMPDIR=%s", tmpdir));
    if (result == 0) {
        result = kiln_process_check(ctx, &process, "cannot repeat the link for its trace");
    }
    if (result == 0) {
        result = kiln_trace_parse(ctx, process.out, out);
    }
    return result == 0 && mark != NULL ? cut(ctx, out, mark) : result;
}

/* GNU ld does not leave a reference to a version of a symbol (memcpy@GLIBC_2.2.5, by .symver)
 * unresolved, so a link that fails without the C library is tried again with it. */
static int
run_either_way(struct kiln_ctx *ctx, const struct kiln_compiler *compiler,
               const struct kiln_command_line *line, struct kiln_trace *out)
{
    void (*say)(struct kiln_ctx *, enum kiln_severity, const char *) = ctx->say;
    ctx->say = NULL;
    int result = run(ctx, compiler, line, NULL, false, out);
    if (result < 0) {
        result = run(ctx, compiler, line, NULL, true, out);
    }
    ctx->say = say;
    return result < 0 ? run(ctx, compiler, line, NULL, false, out) : result; /* for the message */
}

/* Returns whether TRACE has the file PATH. The search starts at *CURSOR, where it usually is. */
static bool
find_file(const struct kiln_trace *trace, const char *path, size_t *cursor)
{
    for (int by_name = 1; by_name >= 0; by_name--) {
        for (size_t n = 0; n < trace->count; n++) {
            size_t i = (*cursor + n) % trace->count;
            const struct kiln_link_input *item = &trace->items[i];
            if (item->member == NULL &&
                (by_name ? strcmp(item->path, path) == 0 : kiln_file_is_same(item->path, path)))
            {
                *cursor = i + 1;
                return true;
            }
        }
    }
    return false;
}

/* Returns the first object of the command line that TRACE lacks, or NULL. (gold does not list objects
 * that it passes to an LTO plugin.) */
static const char *
find_missing(const struct kiln_command_line *line, const struct kiln_trace *trace)
{
    size_t cursor = 0;
    for (size_t i = 0; i < line->objects.count; i++) {
        if (!find_file(trace, line->objects.items[i], &cursor)) {
            return line->objects.items[i];
        }
    }
    return NULL;
}

static bool
has_members(const struct kiln_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) {
        if (trace->items[i].member != NULL) {
            return true;
        }
    }
    return false;
}

int
kiln_traced_link_run(struct kiln_ctx *ctx, const struct kiln_compiler *compiler,
                     const struct kiln_command_line *line, struct kiln_trace *out)
{
    if (line->obstacle != NULL) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "%s", line->obstacle);
    }
    int result = run_either_way(ctx, compiler, line, out);
    if (result < 0) {
        return result;
    }
    /* It takes others than GNU ld does: a strong definition of a later archive in the place of a weak one. */
    if (out->is_mold && has_members(out)) {
        return kiln_fail(ctx, KILN_ERR_TOOL,
                         "mold does not tell which members of static libraries it took: link with "
                         "GNU ld, gold or lld");
    }
    const char *missing = find_missing(line, out);
    if (missing == NULL) {
        return 0;
    }

    /* GNU ld, which must be there for combining, gives an exact trace. */
    struct kiln_trace exact;
    void (*say)(struct kiln_ctx *, enum kiln_severity, const char *) = ctx->say;
    ctx->say = NULL;
    result = run(ctx, compiler, line, "-fuse-ld=bfd", false, &exact);
    ctx->say = say;
    if (result == 0 && find_missing(line, &exact) == NULL) {
        *out = exact;
        return 0;
    }
    return kiln_fail(ctx, KILN_ERR_TOOL,
                     "the linker's trace does not list %s, which it was given: link with GNU ld or "
                     "lld, or without -flto",
                     missing);
}
