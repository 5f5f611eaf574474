/* Running other programs by posix_spawn().
 *
 * Input and captured output are files in memory (memfd_create(2)): neither side waits for the other,
 * however much each writes, and a background process that keeps a stream open keeps nobody waiting. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"

extern char **environ;

static char **
make_environment(struct kiln_ctx *ctx, const struct kiln_strings *changes)
{
    struct kiln_strings env = {0};
    for (char **entry = environ; *entry != NULL; entry++) {
        size_t name = strcspn(*entry, "=");
        bool changed = false;
        for (size_t i = 0; i < changes->count && !changed; i++) {
            changed = strncmp(changes->items[i], *entry, name) == 0 &&
                      (changes->items[i][name] == '=' || changes->items[i][name] == '\0');
        }
        if (!changed) {
            kiln_strings_push(&ctx->arena, &env, *entry);
        }
    }
    for (size_t i = 0; i < changes->count; i++) {
        if (strchr(changes->items[i], '=') != NULL) {
            kiln_strings_push(&ctx->arena, &env, changes->items[i]);
        }
    }
    return kiln_strings_argv(&ctx->arena, &env);
}

/* Set *FD to a file in memory that holds BYTES. Returns 0, or the error number. */
static int
make_stream(struct kiln_span bytes, int *fd)
{
    *fd = memfd_create("kiln", MFD_CLOEXEC);
    for (size_t done = 0; *fd >= 0 && done < bytes.len;) {
        ssize_t n = pwrite(*fd, bytes.ptr + done, bytes.len - done, (off_t)done);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return *fd < 0 ? errno : 0;
}

/* Make FD the child's stream TARGET, or drop it, or let it be that of this process. */
static int
redirect(posix_spawn_file_actions_t *actions, int fd, bool drop, int target)
{
    if (drop) {
        return posix_spawn_file_actions_addopen(actions, target, "/dev/null",
                                                target == STDIN_FILENO ? O_RDONLY : O_WRONLY, 0);
    }
    return fd < 0 ? 0 : posix_spawn_file_actions_adddup2(actions, fd, target);
}

/* Make the files in memory that PROCESS needs, and the child's streams of them. Returns 0, or the
 * error number. */
static int
set_streams(const struct kiln_process *process, posix_spawn_file_actions_t *actions, int fds[3])
{
    const struct kiln_span nothing = kiln_span_of(NULL, 0);
    bool has_input = process->input.len > 0;
    int error = has_input ? make_stream(process->input, &fds[0]) : 0;
    if (error == 0 && process->out_mode == KILN_STREAM_CAPTURE) {
        error = make_stream(nothing, &fds[1]);
    }
    if (error == 0 && process->err_mode == KILN_STREAM_CAPTURE) {
        error = make_stream(nothing, &fds[2]);
    }
    if (error == 0) {
        error = redirect(actions, fds[0], !has_input && !process->inherit_input, STDIN_FILENO);
    }
    if (error == 0) {
        error = redirect(actions, fds[1], process->out_mode == KILN_STREAM_DROP, STDOUT_FILENO);
    }
    if (error == 0) {
        error = redirect(actions, fds[2], process->err_mode == KILN_STREAM_DROP, STDERR_FILENO);
    }
    if (error == 0 && process->cwd != NULL) {
        error = posix_spawn_file_actions_addchdir_np(actions, process->cwd);
    }
    return error;
}

/* What the child wrote to the file in memory FD, with a NUL after it. */
static struct kiln_span
read_stream(struct kiln_ctx *ctx, int fd)
{
    struct stat st;
    size_t size = fd >= 0 && fstat(fd, &st) == 0 ? (size_t)st.st_size : 0, done = 0;
    char *bytes = kiln_arena_alloc(&ctx->arena, size + 1);
    while (done < size) {
        ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return kiln_span_of(bytes, done);
}

int
kiln_process_run(struct kiln_ctx *ctx, struct kiln_process *process)
{
    char **argv = kiln_strings_argv(&ctx->arena, &process->argv);
    char **env = make_environment(ctx, &process->setenv);
    struct kiln_child child;
    posix_spawn_file_actions_t actions;
    int fds[3] = {-1, -1, -1};
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = set_streams(process, &actions, fds);
        if (error == 0) {
            error = kiln_interrupt_spawn(&child, &actions, argv, env);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    if (error == 0) {
        int status = kiln_interrupt_reap(&child);
        process->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        process->out = read_stream(ctx, fds[1]);
        process->err = read_stream(ctx, fds[2]);
    }
    for (size_t i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    errno = error;
    return error == 0 ? 0 : kiln_fail_errno(ctx, "cannot run %s", argv[0]);
}

/* The last 20 lines of a captured stream, as the end of a message. */
static const char *
last_lines(struct kiln_ctx *ctx, struct kiln_span text)
{
    size_t end = text.len, lines = 0;
    while (end > 0 && text.ptr[end - 1] == '\n') {
        end--;
    }
    size_t start = end;
    while (start > 0 && end - start < 4000 && (text.ptr[start - 1] != '\n' || ++lines < 20)) {
        start--;
    }
    return end == 0 ? ""
                    : kiln_arena_printf(&ctx->arena, ":\n%.*s", (int)(end - start),
                                        (const char *)text.ptr + start);
}

int
kiln_process_check(struct kiln_ctx *ctx, struct kiln_process *process, const char *what)
{
    int result = kiln_process_run(ctx, process);
    if (result == 0 && process->status != 0) {
        result = kiln_fail(ctx, KILN_ERR_TOOL, "%s: %s exited with status %d%s", what,
                           process->argv.items[0], process->status, last_lines(ctx, process->err));
    }
    return result;
}

struct kiln_strings
kiln_process_get_path(struct kiln_ctx *ctx)
{
    struct kiln_strings dirs = {0};
    const char *path = getenv("PATH");
    path = path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path;
    for (size_t len; *path != '\0'; path += len + (path[len] == ':')) {
        len = strcspn(path, ":");
        kiln_strings_push(&ctx->arena, &dirs,
                          len == 0 ? "." : kiln_arena_strndup(&ctx->arena, path, len));
    }
    return dirs;
}

const char *
kiln_process_find(struct kiln_ctx *ctx, const char *name)
{
    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0 ? kiln_file_absolute(ctx, name) : NULL;
    }
    struct kiln_strings path = kiln_process_get_path(ctx);
    for (size_t i = 0; i < path.count; i++) {
        const char *file = kiln_arena_printf(&ctx->arena, "%s/%s", path.items[i], name);
        if (kiln_file_is_regular(file) && access(file, X_OK) == 0) {
            return kiln_file_absolute(ctx, file);
        }
    }
    return NULL;
}

void
kiln_process_push_command(struct kiln_ctx *ctx, const char *command, struct kiln_strings *argv)
{
    if (kiln_process_find(ctx, command) != NULL) {
        kiln_strings_push(&ctx->arena, argv, command);
        return;
    }
    for (size_t len; *(command += strspn(command, " \t")) != '\0'; command += len) {
        len = strcspn(command, " \t");
        kiln_strings_push(&ctx->arena, argv, kiln_arena_strndup(&ctx->arena, command, len));
    }
}

const char *
kiln_process_get_python(struct kiln_ctx *ctx, const char *python)
{
    struct stat st;
    bool is_directory = stat(python, &st) == 0 && S_ISDIR(st.st_mode);
    return is_directory ? kiln_arena_printf(&ctx->arena, "%s/bin/python", python) : python;
}

const char *
kiln_process_get_last_line(struct kiln_ctx *ctx, struct kiln_span text)
{
    size_t end = text.len;
    while (end > 0 && text.ptr[end - 1] == '\n') {
        end--;
    }
    size_t start = end;
    while (start > 0 && text.ptr[start - 1] != '\n') {
        start--;
    }
    return kiln_arena_strndup(&ctx->arena, (const char *)text.ptr + start, end - start);
}
