/* The context: passes messages to the tool's listener, counts errors, and makes the temporary
 * directory when it is first needed. */
#include "base/ctx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/temporary.h"

void
kiln_ctx_release(struct kiln_ctx *ctx)
{
    if (ctx->tmpdir != NULL) {
        kiln_temporary_remove(ctx->tmpdir);
        ctx->tmpdir = NULL;
    }
    kiln_arena_release(&ctx->arena);
}

static void
say(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    if (severity == KILN_ERROR) {
        ctx->errors++;
    }
    if (ctx->subject != NULL && severity <= KILN_WARNING &&
        strncmp(text, ctx->subject, strlen(ctx->subject)) != 0)
    {
        text = kiln_arena_printf(&ctx->arena, "%s: %s", ctx->subject, text);
    }
    if ((severity == KILN_WARNING || severity == KILN_NOTE) && ctx->once != NULL) {
        size_t before = ctx->once->count;
        kiln_strings_add(&ctx->arena, ctx->once, text);
        if (ctx->once->count == before) {
            return;
        }
    }
    if (ctx->say != NULL) {
        ctx->say(ctx, severity, text);
    }
}

int
kiln_fail(struct kiln_ctx *ctx, enum kiln_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(ctx, KILN_ERROR, kiln_arena_vprintf(&ctx->arena, format, args));
    va_end(args);
    return err;
}

int
kiln_fail_errno(struct kiln_ctx *ctx, const char *format, ...)
{
    const char *reason = strerror(errno);
    va_list args;
    va_start(args, format);
    const char *text = kiln_arena_vprintf(&ctx->arena, format, args);
    va_end(args);
    say(ctx, KILN_ERROR, kiln_arena_printf(&ctx->arena, "%s: %s", text, reason));
    return KILN_ERR_SYSTEM;
}

void
kiln_say(struct kiln_ctx *ctx, enum kiln_severity severity, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(ctx, severity, kiln_arena_vprintf(&ctx->arena, format, args));
    va_end(args);
}

void
kiln_progress(struct kiln_ctx *ctx, const char *what, size_t done, size_t total, const char *detail)
{
    if (ctx->progress != NULL) {
        ctx->progress(ctx, what, done, total, detail);
    }
}

const char *
kiln_ctx_get_tmpdir(struct kiln_ctx *ctx)
{
    if (ctx->tmpdir == NULL) {
        const char *parent = getenv("TMPDIR");
        if (parent == NULL || *parent == '\0') {
            parent = "/tmp";
        }
        kiln_temporary_sweep(&ctx->arena, parent, "kiln-");
        char *path = kiln_arena_printf(&ctx->arena, "%s/kiln-XXXXXX", parent);
        if (!kiln_temporary_make_dir(path)) {
            kiln_fail_errno(ctx, "%s: cannot make a temporary directory (set TMPDIR)", parent);
            return NULL;
        }
        ctx->tmpdir = path;
    }
    return ctx->tmpdir;
}

const char *
kiln_ctx_make_dir(struct kiln_ctx *ctx, const char *name)
{
    const char *parent = kiln_ctx_get_tmpdir(ctx);
    if (parent == NULL) {
        return NULL;
    }
    char *path = kiln_arena_printf(&ctx->arena, "%s/%s-XXXXXX", parent, name);
    if (!kiln_temporary_make_dir(path)) {
        kiln_fail_errno(ctx, "%s: cannot make a temporary directory", parent);
        return NULL;
    }
    return path;
}
