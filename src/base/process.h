/* Running other programs: the real compiler, ld, python, pip. */
#ifndef KILN_BASE_PROCESS_H
#define KILN_BASE_PROCESS_H

#include "base/ctx.h"

/* What to do with a stream of the child. */
enum kiln_stream {
    KILN_STREAM_INHERIT,
    KILN_STREAM_CAPTURE, /* into kiln_process.out or .err */
    KILN_STREAM_DROP,
};

struct kiln_process {
    /* Filled by the caller. */
    struct kiln_strings argv;   /* argv[0] is looked up on PATH */
    const char *cwd;            /* NULL: stay */
    struct kiln_strings setenv; /* "NAME=value" added to the environment, "NAME" removed from it */
    enum kiln_stream out_mode, err_mode;
    struct kiln_span input; /* given to the child on standard input; empty: /dev/null, unless */
    bool inherit_input;     /* the child reads ours */
    /* Filled by kiln_process_run(), in the context's arena, each with a NUL after it. */
    struct kiln_span out, err;
    int status; /* exit status, or 128 + signal */
};

/* Run to the end. 0 if the program could be started, whatever its status; a program that cannot be
 * started is KILN_ERR_SYSTEM, said. */
int kiln_process_run(struct kiln_ctx *ctx, struct kiln_process *process);

/* The same, and a status other than 0 is KILN_ERR_TOOL, said with the command's last lines of
 * captured standard error. WHAT names the step for the message: "cannot combine the objects". */
int kiln_process_check(struct kiln_ctx *ctx, struct kiln_process *process, const char *what);

/* The last line of TEXT that is not empty, in the context's arena: what a tool that failed has to say
 * in the end. */
const char *kiln_process_get_last_line(struct kiln_ctx *ctx, struct kiln_span text);

/* The absolute path of NAME as execvp() would find it, directories whose real path is SKIP left out
 * (NULL: none); NULL, unsaid, if there is none. */
const char *kiln_process_find(struct kiln_ctx *ctx, const char *name, const char *skip);

#endif
