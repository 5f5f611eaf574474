/* Finds the real compiler that kiln-cc stands for.
 *
 * For kiln-cc and kiln-c++ it is $KILN_CC and $KILN_CXX; if kiln-cc is called by a symbolic link of
 * another name, it is the next program of that name on PATH. KILN_CC_INSIDE, which only kiln-cc sets,
 * lists the compilers that are running. A kiln-cc that one of them runs (KILN_CC is a script that runs
 * `gcc`, or ccache finds the next `gcc`) leaves the work to the outer one, and no compiler is chosen
 * twice, so that no two call each other forever. */
#include "cc/cc.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define INSIDE "KILN_CC_INSIDE"

static bool
is_running(const char *list, const char *path)
{
    size_t len = strlen(path);
    for (const char *p = list; p != NULL && *p != '\0'; p = strchr(p, ':')) {
        p += *p == ':';
        if (strncmp(p, path, len) == 0 && (p[len] == ':' || p[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Returns whether PATH can be the compiler. Sets *SELF if it cannot because it is kiln-cc again. */
static bool
is_candidate(const char *path, bool *self)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0) {
        return false;
    }
    if (kiln_file_is_same("/proc/self/exe", path) || is_running(getenv(INSIDE), path)) {
        *self = true;
        return false;
    }
    return true;
}

static const char *
find_program(struct kiln_ctx *ctx, const char *name, bool *self)
{
    if (strchr(name, '/') != NULL) {
        const char *path = kiln_file_absolute(ctx, name);
        return is_candidate(path, self) ? path : NULL;
    }
    const char *path = getenv("PATH");
    path = path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path;
    for (size_t len; *path != '\0'; path += len + (path[len] == ':')) {
        len = strcspn(path, ":");
        const char *file = len == 0
                               ? kiln_arena_printf(&ctx->arena, "./%s", name)
                               : kiln_arena_printf(&ctx->arena, "%.*s/%s", (int)len, path, name);
        file = kiln_file_absolute(ctx, file);
        if (is_candidate(file, self)) {
            return file;
        }
    }
    return NULL;
}

static int
fail(struct kiln_ctx *ctx, const char *name, const char *variable, bool self)
{
    const char *advice =
        variable == NULL ? "put the directory of the real compiler on PATH"
                         : kiln_arena_printf(&ctx->arena, "set %s to the real compiler", variable);
    if (self) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "the compiler %s is kiln-cc itself: %s", name,
                         advice);
    }
    return kiln_fail(ctx, KILN_ERR_INPUT, "there is no compiler %s: %s", name, advice);
}

int
kiln_compiler_find(struct kiln_ctx *ctx, const char *program, struct kiln_compiler *out)
{
    *out = (struct kiln_compiler){0};
    const char *name = kiln_file_basename(program), *variable = NULL, *standard = NULL;
    if (strcmp(name, "kiln-cc") == 0) {
        variable = "KILN_CC";
        standard = "cc";
    }
    else if (strcmp(name, "kiln-c++") == 0) {
        variable = "KILN_CXX";
        standard = "c++";
    }
    const char *chosen = variable == NULL ? name : getenv(variable);
    if (chosen == NULL || *chosen == '\0') {
        chosen = standard;
    }

    kiln_process_push_command(ctx, chosen, &out->words);
    bool self = false;
    const char *path = out->words.count == 0 ? NULL : find_program(ctx, out->words.items[0], &self);
    if (path == NULL) {
        return fail(ctx, chosen, variable, self);
    }
    out->words.items[0] = path;
    out->driver = path;
    if (out->words.count > 1 && out->words.items[1][0] != '-') { /* "ccache gcc" */
        const char *inner = find_program(ctx, out->words.items[1], &self);
        out->driver = inner == NULL ? path : inner;
        out->words.items[1] = out->driver;
    }

    const char *inside = getenv(INSIDE);
    out->nested = inside != NULL && *inside != '\0';
    inside = out->nested ? kiln_arena_printf(&ctx->arena, "%s:%s", inside, path) : path;
    if (setenv(INSIDE, inside, 1) < 0) {
        return kiln_fail_errno(ctx, "%s: cannot set", INSIDE);
    }
    return 0;
}
