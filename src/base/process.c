/* Running other programs: fork and exec, with the streams through pipes that are drained by poll(),
 * so that a child which fills one of them never blocks on another. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"

extern char **environ;

/* Bytes that arrive from a child, in malloc()ed memory until the stream ends. */
struct buffer {
    char *data;
    size_t len, capacity;
};

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

static void
close_pipe(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

/* In the child: make FD the descriptor TARGET, or /dev/null if the stream is dropped. */
static void
redirect(int fd, bool drop, int target)
{
    if (drop) {
        fd = open("/dev/null", target == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    }
    if (fd >= 0) {
        dup2(fd, target);
    }
}

static bool
read_some(int fd, struct buffer *buffer)
{
    if (buffer->capacity - buffer->len < 4096) {
        buffer->capacity = buffer->capacity * 2 + 65536;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (buffer->data == NULL) {
            return false;
        }
    }
    ssize_t n = read(fd, buffer->data + buffer->len, buffer->capacity - buffer->len);
    if (n > 0) {
        buffer->len += (size_t)n;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Feed INPUT to fds[0] and drain fds[1] and fds[2] until all are closed. */
static void
transfer(int fds[3], struct kiln_span input, struct buffer buffers[2])
{
    size_t written = 0;
    while (fds[0] >= 0 || fds[1] >= 0 || fds[2] >= 0) {
        struct pollfd polls[3] = {{fds[0], POLLOUT, 0}, {fds[1], POLLIN, 0}, {fds[2], POLLIN, 0}};
        if (poll(polls, 3, -1) < 0 && errno != EINTR) {
            break;
        }
        if (polls[0].revents != 0) {
            ssize_t n = write(fds[0], input.ptr + written, input.len - written);
            written += n > 0 ? (size_t)n : 0;
            if (written == input.len || (n < 0 && errno != EINTR)) {
                close(fds[0]);
                fds[0] = -1;
            }
        }
        for (int i = 1; i < 3; i++) {
            if (polls[i].revents != 0 && !read_some(fds[i], &buffers[i - 1])) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
    }
}

static struct kiln_span
take_buffer(struct kiln_ctx *ctx, struct buffer *buffer)
{
    struct kiln_span span = kiln_span_of(
        kiln_arena_strndup(&ctx->arena, buffer->len > 0 ? buffer->data : "", buffer->len),
        buffer->len);
    free(buffer->data);
    return span;
}

static int
fail_interrupted(struct kiln_ctx *ctx, const char *program)
{
    return kiln_fail(ctx, KILN_ERR_SYSTEM, "%s: stopped by signal %d", program,
                     kiln_interrupt_get());
}

int
kiln_process_run(struct kiln_ctx *ctx, struct kiln_process *process)
{
    if (kiln_interrupt_get() != 0) {
        return fail_interrupted(ctx, process->argv.items[0]);
    }
    char **argv = kiln_strings_argv(&ctx->arena, &process->argv);
    char **env = make_environment(ctx, &process->setenv);
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, failed[2] = {-1, -1};
    int result = 0;

    if ((process->input.len > 0 && pipe2(in, O_CLOEXEC) < 0) ||
        (process->out_mode == KILN_STREAM_CAPTURE && pipe2(out, O_CLOEXEC) < 0) ||
        (process->err_mode == KILN_STREAM_CAPTURE && pipe2(err, O_CLOEXEC) < 0) ||
        pipe2(failed, O_CLOEXEC) < 0)
    {
        result = kiln_fail_errno(ctx, "cannot run %s", argv[0]);
        goto done;
    }

    /* What is buffered here must not be written a second time by the child. */
    fflush(NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_action;
    sigaction(SIGPIPE, &ignore, &pipe_action);
    struct kiln_interrupt_saved saved;
    kiln_interrupt_begin(&saved);
    pid_t pid = fork();
    if (pid == 0) {
        sigaction(SIGPIPE, &pipe_action, NULL);
        kiln_interrupt_in_child(&saved);
        redirect(in[0], process->input.len == 0 && !process->inherit_input, STDIN_FILENO);
        redirect(out[1], process->out_mode == KILN_STREAM_DROP, STDOUT_FILENO);
        redirect(err[1], process->err_mode == KILN_STREAM_DROP, STDERR_FILENO);
        if (process->cwd == NULL || chdir(process->cwd) == 0) {
            environ = env;
            execvp(argv[0], argv);
        }
        int error = errno;
        if (write(failed[1], &error, sizeof error) < 0) {
            _exit(126);
        }
        _exit(127);
    }
    kiln_interrupt_in_parent(&saved, pid);
    if (pid < 0) {
        result = kiln_fail_errno(ctx, "cannot run %s", argv[0]);
        goto restore;
    }
    close(failed[1]);
    failed[1] = -1;

    int ends[3] = {in[1], out[0], err[0]};
    in[1] = out[0] = err[0] = -1;
    close_pipe(in);
    close_pipe(out);
    close_pipe(err);

    struct buffer buffers[2] = {{0}};
    transfer(ends, process->input, buffers);
    process->out = take_buffer(ctx, &buffers[0]);
    process->err = take_buffer(ctx, &buffers[1]);

    int status = 0, error = 0;
    ssize_t told = read(failed[0], &error, sizeof error);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (told == (ssize_t)sizeof error) {
        errno = error;
        result = kiln_fail_errno(ctx, "cannot run %s", argv[0]);
    }
    process->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (result == 0 && kiln_interrupt_get() != 0) {
        result = fail_interrupted(ctx, argv[0]);
    }

restore:
    kiln_interrupt_end(&saved);
    sigaction(SIGPIPE, &pipe_action, NULL);
done:
    close_pipe(in);
    close_pipe(out);
    close_pipe(err);
    close_pipe(failed);
    return result;
}

/* The last lines of a captured stream, as many as a person wants to see, on a line of their own. */
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

const char *
kiln_process_find(struct kiln_ctx *ctx, const char *name, const char *skip)
{
    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0 ? kiln_file_absolute(ctx, name) : NULL;
    }
    const char *path = getenv("PATH");
    path = path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path;
    for (size_t len; *path != '\0'; path += len + (path[len] == ':')) {
        len = strcspn(path, ":");
        const char *dir = len == 0 ? "." : kiln_arena_strndup(&ctx->arena, path, len);
        char real[PATH_MAX];
        if (skip != NULL && realpath(dir, real) != NULL && strcmp(real, skip) == 0) {
            continue;
        }
        const char *file = kiln_arena_printf(&ctx->arena, "%s/%s", dir, name);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0) {
            return kiln_file_absolute(ctx, file);
        }
    }
    return NULL;
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
