/* Which Python, and which pip. The user's command may be a script that runs the real interpreter, so the
 * interpreter itself is asked; it answers in lines "key=value". A Python without a usable pip
 * borrows another's, as `pip --python` does: that of the Python its venv was made from, or one on
 * PATH. */
#include "pip/pip.h"

#include <stddef.h>
#include <stdlib.h>

static const struct {
    const char *key;
    size_t offset;
} fields[] = {
    {"executable", offsetof(struct kiln_pip_python, executable)},
    {"base", offsetof(struct kiln_pip_python, base)},
    {"CC", offsetof(struct kiln_pip_python, cc)},
    {"CXX", offsetof(struct kiln_pip_python, cxx)},
    {"LDSHARED", offsetof(struct kiln_pip_python, ldshared)},
    {"LDCXXSHARED", offsetof(struct kiln_pip_python, ldcxxshared)},
    {"pip_version", offsetof(struct kiln_pip_python, pip_version)},
    {"pip_dir", offsetof(struct kiln_pip_python, pip_dir)},
};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static const char **
get_field(struct kiln_pip_python *python, size_t index)
{
    return (const char **)(void *)((char *)python + fields[index].offset);
}

void
kiln_pip_parse_python(struct kiln_ctx *ctx, struct kiln_span answer, struct kiln_pip_python *out)
{
    out->other_pip = "";
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        *get_field(out, i) = "";
    }
    const char *line = kiln_arena_strndup(&ctx->arena, (const char *)answer.ptr, answer.len);
    while (*line != '\0') {
        size_t len = strcspn(line, "\n"), key = strcspn(line, "=\n");
        for (size_t i = 0; i < FIELD_COUNT; i++) {
            if (key < len && strlen(fields[i].key) == key && strncmp(line, fields[i].key, key) == 0)
            {
                *get_field(out, i) = kiln_arena_strndup(&ctx->arena, line + key + 1, len - key - 1);
            }
        }
        line += len + (line[len] == '\n');
    }
}

bool
kiln_pip_is_usable_version(const char *version)
{
    /* 20.3 has the resolver that driver.py listens to. */
    char *end;
    long major = strtol(version, &end, 10);
    long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return major > 20 || (major == 20 && minor >= 3);
}

static struct kiln_process
make_driver_process(struct kiln_ctx *ctx, const char *python, const char *mode)
{
    struct kiln_process process = {.out_mode = KILN_STREAM_CAPTURE,
                                   .err_mode = KILN_STREAM_CAPTURE};
    const char *argv[] = {python, "-c", kiln_pip_driver, mode};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &process.argv, argv[i]);
    }
    return process;
}

/* Whether the pip in DIR works in PYTHON. */
static bool
works_in(struct kiln_ctx *ctx, const char *python, const char *dir)
{
    struct kiln_process process = make_driver_process(ctx, python, "check");
    kiln_strings_push(&ctx->arena, &process.argv, dir);
    return kiln_process_run(ctx, &process) == 0 && process.status == 0;
}

/* Give OUT the pip of another Python that works in it. Returns false if there is none. */
static bool
borrow_pip(struct kiln_ctx *ctx, struct kiln_pip_python *out)
{
    const char *others[] = {out->base, "python3", "/usr/bin/python3"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct kiln_pip_python other;
        if (*others[i] == '\0' || kiln_process_find(ctx, others[i]) == NULL) {
            continue;
        }
        struct kiln_process process = make_driver_process(ctx, others[i], "ask");
        if (kiln_process_run(ctx, &process) != 0 || process.status != 0) {
            continue;
        }
        kiln_pip_parse_python(ctx, process.out, &other);
        if (kiln_pip_is_usable_version(other.pip_version) &&
            works_in(ctx, out->executable, other.pip_dir)) {
            out->pip_version = other.pip_version;
            out->pip_dir = out->other_pip = other.pip_dir;
            return true;
        }
    }
    return false;
}

int
kiln_pip_find_python(struct kiln_ctx *ctx, const char *command, struct kiln_pip_python *out)
{
    command = kiln_process_get_python(ctx, command);
    if (kiln_process_find(ctx, command) == NULL) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: no such Python (--python takes an interpreter or a virtual "
                         "environment's directory)",
                         command);
    }
    struct kiln_process process = make_driver_process(ctx, command, "ask");
    int result = kiln_process_check(
        ctx, &process,
        kiln_arena_printf(&ctx->arena,
                          "%s: cannot be asked what it is (Kiln needs CPython 3.8 "
                          "or later)",
                          command));
    if (result != 0) {
        return result;
    }
    kiln_pip_parse_python(ctx, process.out, out);
    if (*out->executable == '\0') {
        return kiln_fail(ctx, KILN_ERR_TOOL, "%s: did not say what its executable is", command);
    }
    if (kiln_pip_is_usable_version(out->pip_version) || borrow_pip(ctx, out)) {
        return 0;
    }
    if (*out->pip_version != '\0') {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: its pip is %s, and Kiln needs 20.3 or later: run %s -m pip install "
                         "--upgrade pip",
                         out->executable, out->pip_version, out->executable);
    }
    return kiln_fail(ctx, KILN_ERR_INPUT,
                     "%s: has no pip, and no other Python's works in it: run %s -m ensurepip, or "
                     "install your distribution's python3-pip",
                     out->executable, out->executable);
}
