/* Files: inputs, outputs, paths. An output is created in a directory beside its final name, so that the
 * rename cannot cross file systems and a reader sees the old file or the whole new one. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/temporary.h"

int
kiln_file_map(struct kiln_ctx *ctx, const char *path, struct kiln_file *out)
{
    *out = (struct kiln_file){.path = path};
    int result = 0;
    /* Opening a FIFO would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return kiln_fail_errno(ctx, "%s: cannot read", path);
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        result = kiln_fail_errno(ctx, "%s: cannot read", path);
    }
    else if (!S_ISREG(st.st_mode)) {
        result = kiln_fail(ctx, KILN_ERR_INPUT, "%s: not a regular file", path);
    }
    else if (st.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            result = kiln_fail_errno(ctx, "%s: cannot read", path);
        }
        else {
            out->bytes = kiln_span_of(bytes, (size_t)st.st_size);
        }
    }
    close(fd);
    return result;
}

void
kiln_file_release(struct kiln_file *file)
{
    if (file->bytes.len > 0) {
        munmap((void *)(uintptr_t)file->bytes.ptr, file->bytes.len);
    }
    file->bytes = kiln_span_of(NULL, 0);
}

int
kiln_file_read(struct kiln_ctx *ctx, int fd, const char *name, struct kiln_span *out)
{
    uint8_t *bytes = NULL;
    size_t len = 0, capacity = 0;
    for (;;) {
        if (len == capacity) {
            bytes = kiln_arena_grow(&ctx->arena, bytes, len, 1, &capacity);
        }
        ssize_t n = read(fd, bytes + len, capacity - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return kiln_fail_errno(ctx, "%s: cannot read", name);
        }
        if (n == 0) {
            *out = kiln_span_of(bytes, len);
            return 0;
        }
        len += (size_t)n;
    }
}

bool
kiln_file_is_regular(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool
kiln_file_is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

bool
kiln_file_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool
kiln_file_is_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

int
kiln_output_init(struct kiln_ctx *ctx, const char *path, unsigned mode, struct kiln_output *out)
{
    *out = (struct kiln_output){.path = kiln_arena_strdup(&ctx->arena, path), .fd = -1};
    if (kiln_file_is_special(path)) {
        out->fd = open(path, O_WRONLY | O_CLOEXEC);
        out->tmppath = out->path;
    }
    else if ((out->dir = kiln_temporary_make_dir_for(&ctx->arena, path)) != NULL) {
        out->tmppath = kiln_arena_printf(&ctx->arena, "%s/%s", out->dir, kiln_file_basename(path));
        out->fd = open(out->tmppath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    }
    if (out->fd < 0) {
        int result = kiln_fail_errno(ctx, "%s: cannot write", path);
        kiln_output_release(out);
        return result;
    }
    return 0;
}

int
kiln_output_write(struct kiln_ctx *ctx, struct kiln_output *out, struct kiln_span bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(out->fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return kiln_fail_errno(ctx, "%s: cannot write", out->path);
        }
        done += (size_t)n;
    }
    return 0;
}

int
kiln_output_write_all(struct kiln_ctx *ctx, struct kiln_output *out, const struct kiln_span *parts,
                      size_t count)
{
    enum { MANY = 256 };
    for (size_t done = 0; done < count;) {
        struct iovec vector[MANY];
        size_t n = 0;
        for (; n < MANY && done + n < count; n++) {
            vector[n].iov_base = (void *)(uintptr_t)parts[done + n].ptr;
            vector[n].iov_len = parts[done + n].len;
        }
        ssize_t written = writev(out->fd, vector, (int)n);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return kiln_fail_errno(ctx, "%s: cannot write", out->path);
        }
        /* writev() may write a part: a signal, a file system that is nearly full. */
        size_t passed = (size_t)written;
        for (size_t i = done; i < done + n; i++) {
            size_t gone = passed < parts[i].len ? passed : parts[i].len;
            passed -= gone;
            int result =
                kiln_output_write(ctx, out, kiln_span_of(parts[i].ptr + gone, parts[i].len - gone));
            if (result < 0) {
                return result;
            }
        }
        done += n;
    }
    return 0;
}

int
kiln_output_commit(struct kiln_ctx *ctx, struct kiln_output *out)
{
    /* close() is where NFS and quotas report a full disk. */
    int fd = out->fd;
    out->fd = -1;
    int result = 0;
    if (close(fd) < 0 || (out->dir != NULL && rename(out->tmppath, out->path) < 0)) {
        result = kiln_fail_errno(ctx, "%s: cannot write", out->path);
    }
    kiln_output_release(out);
    return result;
}

void
kiln_output_release(struct kiln_output *out)
{
    int error = errno;
    if (out->fd >= 0) {
        close(out->fd);
        out->fd = -1;
    }
    if (out->dir != NULL) {
        kiln_temporary_remove(out->dir);
        out->dir = NULL;
    }
    errno = error;
}

int
kiln_file_write(struct kiln_ctx *ctx, const char *path, struct kiln_span bytes)
{
    return kiln_file_write_all(ctx, path, &bytes, 1);
}

int
kiln_file_write_all(struct kiln_ctx *ctx, const char *path, const struct kiln_span *parts,
                    size_t count)
{
    struct kiln_output out;
    int result = kiln_output_init(ctx, path, 0666, &out);
    if (result == 0) {
        result = kiln_output_write_all(ctx, &out, parts, count);
    }
    if (result == 0) {
        result = kiln_output_commit(ctx, &out);
    }
    kiln_output_release(&out);
    return result;
}

int
kiln_file_copy(struct kiln_ctx *ctx, const char *from, const char *to)
{
    struct kiln_file file;
    int result = kiln_file_map(ctx, from, &file);
    if (result == 0) {
        result = kiln_file_write(ctx, to, file.bytes);
    }
    kiln_file_release(&file);
    return result;
}

int
kiln_file_make_dirs(struct kiln_ctx *ctx, const char *path)
{
    char *partial = kiln_arena_strdup(&ctx->arena, path);
    for (char *slash = partial + 1; *partial != '\0'; slash++) {
        char saved = *slash;
        if (saved != '/' && saved != '\0') {
            continue;
        }
        *slash = '\0';
        if (mkdir(partial, 0777) < 0 && errno != EEXIST) {
            return kiln_fail_errno(ctx, "%s: cannot make the directory", partial);
        }
        *slash = saved;
        if (saved == '\0') {
            break;
        }
    }
    return 0;
}

enum {
    BLOCK = 4096,         /* of a file system, at most */
    HOLE_MIN = 64 * 1024, /* smaller holes only make a file of many pieces */
};

/* The bytes of zeros, in whole blocks, from AT on. */
static uint64_t
count_zeros(struct kiln_span bytes, uint64_t at)
{
    static const uint8_t zeros[BLOCK];
    struct kiln_span block;
    uint64_t end = at;
    while (kiln_span_slice(bytes, end, BLOCK, &block) && memcmp(block.ptr, zeros, BLOCK) == 0) {
        end += BLOCK;
    }
    return end - at;
}

static bool
write_at(int fd, struct kiln_span bytes, uint64_t at, uint64_t end)
{
    while (at < end) {
        ssize_t written = pwrite(fd, bytes.ptr + at, (size_t)(end - at), (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        at += (uint64_t)written;
    }
    return true;
}

/* Write BYTES to FD, which is empty, without their runs of zeros. */
static bool
write_sparsely(int fd, struct kiln_span bytes)
{
    uint64_t start = 0; /* of what has not been written */
    bool works = ftruncate(fd, (off_t)bytes.len) == 0;
    for (uint64_t at = 0; works && at < bytes.len; at += BLOCK) {
        uint64_t len = count_zeros(bytes, at);
        if (len >= HOLE_MIN) {
            works = write_at(fd, bytes, start, at);
            start = at + len;
        }
        at += len;
    }
    return works && write_at(fd, bytes, start, bytes.len);
}

void
kiln_file_rewrite(const char *path)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct stat st;
    const char *other = kiln_arena_printf(&silent.arena, "%s.new", path);
    if (stat(path, &st) == 0 && kiln_file_map(&silent, path, &file) == 0) {
        int fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool works =
            fd >= 0 && fchmod(fd, st.st_mode & 07777) == 0 && write_sparsely(fd, file.bytes);
        works = fd >= 0 && close(fd) == 0 && works;
        if (fd >= 0 && (!works || rename(other, path) < 0)) {
            unlink(other);
        }
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
}

const char *
kiln_file_get_program(struct kiln_ctx *ctx)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len < 0 || (size_t)len == sizeof path) {
        kiln_fail_errno(ctx, "/proc/self/exe: cannot read the program's own path");
        return NULL;
    }
    return kiln_arena_strndup(&ctx->arena, path, (size_t)len);
}

const char *
kiln_file_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

const char *
kiln_file_dirname(struct kiln_ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return ".";
    }
    return slash == path ? "/" : kiln_arena_strndup(&ctx->arena, path, (size_t)(slash - path));
}

const char *
kiln_file_absolute(struct kiln_ctx *ctx, const char *path)
{
    char cwd[PATH_MAX];
    if (*path == '/' || getcwd(cwd, sizeof cwd) == NULL) {
        return path;
    }
    return kiln_arena_printf(&ctx->arena, "%s/%s", cwd, path);
}
