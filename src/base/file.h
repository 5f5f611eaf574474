/* Files: inputs mapped read-only, outputs written aside and renamed; questions about paths. */
#ifndef KILN_BASE_FILE_H
#define KILN_BASE_FILE_H

#include "base/ctx.h"

/* A file's bytes, mapped read-only until kiln_file_release(). */
struct kiln_file {
    const char *path; /* borrowed */
    struct kiln_span bytes;
};

/* Map the regular file PATH. Anything else, a FIFO for one, is KILN_ERR_INPUT and does not block. */
int kiln_file_map(struct kiln_ctx *ctx, const char *path, struct kiln_file *out);
void kiln_file_release(struct kiln_file *file);

/* Read FD, a pipe or a file, to its end, into the context's arena. NAME is for messages. */
int kiln_file_read(struct kiln_ctx *ctx, int fd, const char *name, struct kiln_span *out);

/* An unfinished output: a file in a temporary directory beside PATH that becomes PATH at commit. If PATH is a device
 * or a pipe, it is written directly, and tmppath is path. */
struct kiln_output {
    const char *path;    /* the final name, in the context's arena */
    const char *dir;     /* the directory; NULL: PATH is written directly, or it has been removed */
    const char *tmppath; /* the name until commit; a program may write it */
    int fd;              /* open for reading and writing; -1 after commit or release */
};

/* MODE: the permission bits, to which the umask applies. */
int
kiln_output_init(struct kiln_ctx *ctx, const char *path, unsigned mode, struct kiln_output *out);
int kiln_output_write(struct kiln_ctx *ctx, struct kiln_output *out, struct kiln_span bytes);
/* The same for several spans, in order. */
int kiln_output_write_all(struct kiln_ctx *ctx, struct kiln_output *out,
                          const struct kiln_span *parts, size_t count);
/* Rename into place. Removes the temporary file on failure. */
int kiln_output_commit(struct kiln_ctx *ctx, struct kiln_output *out);
/* Remove the temporary file unless it was committed. {.fd = -1} is allowed. Keeps errno. */
void kiln_output_release(struct kiln_output *out);

/* Write PATH whole: init, write, commit. */
int kiln_file_write(struct kiln_ctx *ctx, const char *path, struct kiln_span bytes);
int kiln_file_write_all(struct kiln_ctx *ctx, const char *path, const struct kiln_span *parts,
                        size_t count);
int kiln_file_copy(struct kiln_ctx *ctx, const char *from, const char *to);
/* Write the file at PATH anew, as far as there is room: with holes for runs of zeros, and in large pieces. What was
 * written through a mapping, as linkers do, is in the page cache by single pages, from which a program starts, and
 * its pages are mapped, more slowly. Uses the name PATH.new. */
void kiln_file_rewrite(const char *path);
/* Make PATH and the directories above it, those that are missing. */
int kiln_file_make_dirs(struct kiln_ctx *ctx, const char *path);

/* Links are followed; false if there is no such file. */
bool kiln_file_is_regular(const char *path);
bool kiln_file_is_directory(const char *path);
/* A FIFO, a socket, or a device. */
bool kiln_file_is_special(const char *path);
/* Whether A and B name one existing file or directory. */
bool kiln_file_is_same(const char *a, const char *b);

/* Returns the absolute path of the running program, links resolved, or NULL after reporting the error.
 */
const char *kiln_file_get_program(struct kiln_ctx *ctx);
/* The last component of PATH, borrowed. */
const char *kiln_file_basename(const char *path);
/* PATH without its last component; "." if there is only one. */
const char *kiln_file_dirname(struct kiln_ctx *ctx, const char *path);
/* PATH made absolute against the working directory, links unresolved. */
const char *kiln_file_absolute(struct kiln_ctx *ctx, const char *path);

#endif
