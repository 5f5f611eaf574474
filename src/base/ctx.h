/* What one run of a command carries along: its memory, its messages, its temporary directory.
 *
 * A function that can fail returns 0 or a negative enum kiln_err; the text is in the context by
 * then. Problems in user input are all collected, then the pass stops. The library never prints:
 * the tool gives the context a function that does. */
#ifndef KILN_BASE_CTX_H
#define KILN_BASE_CTX_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/span.h"

/* Negative, and named for what failed. */
enum kiln_err {
    KILN_ERR_SYSTEM = -1, /* the operating system refused: open, read, write, spawn */
    KILN_ERR_FORMAT = -2, /* bytes that violate their format: ELF, ar, .kiln, a table */
    KILN_ERR_INPUT = -3,  /* well-formed input that cannot be used: a duplicate, another machine */
    KILN_ERR_TOOL = -4,   /* a program that Kiln ran failed: compiler, linker, python, pip */
    KILN_ERR_USAGE = -5,  /* the command line */
};

enum kiln_severity {
    KILN_ERROR,
    KILN_WARNING,
    KILN_NOTE,   /* not shown with --quiet */
    KILN_DETAIL, /* shown with --verbose */
};

struct kiln_ctx {
    struct kiln_arena arena;
    size_t errors;       /* messages of KILN_ERROR so far */
    const char *tmpdir;  /* see kiln_ctx_get_tmpdir() */
    bool no_cache;       /* the cache cannot be used, which has been said: see base/cache.h */
    bool verbose, quiet; /* --verbose, --quiet */
    struct kiln_strings
        *once; /* warnings and notes so far, not repeated when work is done again; NULL: all are */
    const char
        *subject; /* put in front of errors and warnings that do not begin with it, unless NULL
                          */

    /* Called with every message, one line or more, no newline at the end. NULL: drop them. */
    void (*say)(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text);
    /* Called as work proceeds: DONE of TOTAL items of WHAT; DETAIL is the current one, or NULL.
     * DONE == TOTAL ends it. NULL: no progress is shown. */
    void (*progress)(struct kiln_ctx *ctx, const char *what, size_t done, size_t total,
                     const char *detail);
};

/* {0} is a context without listeners. Frees the arena and removes the temporary directory. */
void kiln_ctx_release(struct kiln_ctx *ctx);

/* Report an error (its text says what, where, and what to do) and return ERR, for
 * `return kiln_fail(...)`. */
int kiln_fail(struct kiln_ctx *ctx, enum kiln_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": " and the text of errno at the end; always KILN_ERR_SYSTEM. */
int kiln_fail_errno(struct kiln_ctx *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void kiln_say(struct kiln_ctx *ctx, enum kiln_severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void kiln_progress(struct kiln_ctx *ctx, const char *what, size_t done, size_t total,
                   const char *detail);

/* Returns a private directory, made at the first call and removed with the context, or NULL after
 * reporting the error. */
const char *kiln_ctx_get_tmpdir(struct kiln_ctx *ctx);
/* A new directory in it, whose name starts with NAME; it may be removed earlier. NULL after an error
 * has been said. */
const char *kiln_ctx_make_dir(struct kiln_ctx *ctx, const char *name);

#endif
