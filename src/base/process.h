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
    struct kiln_strings argv;   /* argv[0] is looked up on the PATH of this process */
    const char *cwd;            /* NULL: stay */
    struct kiln_strings setenv; /* "NAME=value" added to the environment, "NAME" removed from it */
    enum kiln_stream out_mode, err_mode;
    struct kiln_span input; /* on the child's standard input; if empty, that is /dev/null, */
    bool inherit_input;     /* or that of this process */
    /* Filled by kiln_process_run(), in the context's arena, each with a NUL byte after it. */
    struct kiln_span out, err;
    int status; /* exit status, or 128 + signal */
};

/* Run PROCESS to its end. Returns 0 if the program could be started, whatever its status, and
 * KILN_ERR_SYSTEM after reporting the error if not. May be called by several threads. */
int kiln_process_run(struct kiln_ctx *ctx, struct kiln_process *process);

/* The same, but a status other than 0 is KILN_ERR_TOOL, reported with the last lines of captured
 * standard error. WHAT names the step for the message: "cannot combine the objects". */
int kiln_process_check(struct kiln_ctx *ctx, struct kiln_process *process, const char *what);

/* The last line of TEXT that is not empty, in the context's arena: the error of a tool that failed. */
const char *kiln_process_get_last_line(struct kiln_ctx *ctx, struct kiln_span text);

/* The directories of PATH, in order; "." for an empty one. */
struct kiln_strings kiln_process_get_path(struct kiln_ctx *ctx);
/* Returns the absolute path of NAME as execvp() would find it, or NULL without an error if there is
 * none. */
const char *kiln_process_find(struct kiln_ctx *ctx, const char *name);
/* Push the words of COMMAND, a program that a user chose: "ccache gcc" is two. If there is a program of
 * that name, it is one: a path may have spaces. */
void
kiln_process_push_command(struct kiln_ctx *ctx, const char *command, struct kiln_strings *argv);
/* Returns the interpreter that a user means by PYTHON: itself, or bin/python below it if it is the directory
 * of a virtual environment. */
const char *kiln_process_get_python(struct kiln_ctx *ctx, const char *python);

#endif
