/* Files: inputs mapped read-only, outputs written aside and renamed. */
#ifndef KILN_BASE_FILE_H
#define KILN_BASE_FILE_H

#include "base/ctx.h"

/* A file's bytes, mapped read-only until kiln_file_release(). */
struct kiln_file {
    const char *path; /* borrowed */
    struct kiln_span bytes;
};

int kiln_file_map(struct kiln_ctx *ctx, const char *path, struct kiln_file *out);
void kiln_file_release(struct kiln_file *file);

/* All that FD has to give, a pipe or a file, in the context's arena; NAME is for messages. */
int kiln_file_read(struct kiln_ctx *ctx, int fd, const char *name, struct kiln_span *out);

/* An output in the making: a temporary file beside PATH that becomes PATH at commit. A device or
 * pipe at PATH is written itself, and tmppath is path. */
struct kiln_output {
    const char *path;    /* the final name, in the context's arena */
    const char *tmppath; /* the name until commit; a program may write it */
    int fd;              /* open for reading and writing; -1 after commit or release */
};

/* MODE: the permission bits, to which the umask applies. */
int
kiln_output_init(struct kiln_ctx *ctx, const char *path, unsigned mode, struct kiln_output *out);
int kiln_output_write(struct kiln_ctx *ctx, struct kiln_output *out, struct kiln_span bytes);
/* The same with several, one after the other. */
int kiln_output_write_all(struct kiln_ctx *ctx, struct kiln_output *out,
                          const struct kiln_span *parts, size_t count);
/* Rename into place. On failure nothing is left behind. */
int kiln_output_commit(struct kiln_ctx *ctx, struct kiln_output *out);
/* Remove the temporary file unless committed; safe on {.fd = -1}. */
void kiln_output_release(struct kiln_output *out);

/* Write PATH whole: init, write, commit. */
int kiln_file_write(struct kiln_ctx *ctx, const char *path, struct kiln_span bytes);
int kiln_file_write_all(struct kiln_ctx *ctx, const char *path, const struct kiln_span *parts,
                        size_t count);
int kiln_file_copy(struct kiln_ctx *ctx, const char *from, const char *to);
/* Make PATH and the directories above it. */
int kiln_file_make_dirs(struct kiln_ctx *ctx, const char *path);
/* Best effort. */
void kiln_file_remove_tree(const char *path);

/* `$XDG_CACHE_HOME/kiln` or `~/.cache/kiln`, made if missing; NULL on failure, said. */
const char *kiln_file_get_cache_dir(struct kiln_ctx *ctx);
/* The absolute path of the running program, links resolved; NULL on failure, said. */
const char *kiln_file_get_program(struct kiln_ctx *ctx);
/* The last component of PATH, borrowed. */
const char *kiln_file_basename(const char *path);
/* PATH without its last component, "." if it has one only. */
const char *kiln_file_dirname(struct kiln_ctx *ctx, const char *path);
/* PATH made absolute against the working directory, links unresolved. */
const char *kiln_file_absolute(struct kiln_ctx *ctx, const char *path);

#endif
