/* `kiln pip`: pip, with everything set so that what it installs is fat. See pip.c for the way. */
#ifndef KILN_PIP_PIP_H
#define KILN_PIP_PIP_H

#include "base/ctx.h"
#include "base/process.h"

/* Of the cache of wheels: to be raised whenever what kiln-cc stores in an extension changes so that
 * wheels built before are of no use. */
#define KILN_PIP_CACHE_VERSION 1

/* pip's own search and installation, seen to by src/pip/driver.py. */
extern const char kiln_pip_driver[];

/* The Python that pip serves, as that Python tells it. All strings are in the context's arena; ""
 * where it has no answer. */
struct kiln_pip_python {
    const char *executable; /* sys.executable */
    const char *base;       /* what a venv was made from */
    const char *cc, *cxx;   /* sysconfig: the compilers it was built with, flags included */
    const char *ldshared, *ldcxxshared;
    const char *pip_version; /* "" if it has none */
    const char *pip_dir;     /* the directory of sys.path that has it */
    const char *other_pip;   /* pip_dir if the pip is another Python's, else "" */
};

/* Ask COMMAND: an interpreter's path, a name on PATH, or the directory of a venv. If its pip is
 * missing or too old, another Python's that works in it is found, or it is an error that says what
 * to do. */
int kiln_pip_find_python(struct kiln_ctx *ctx, const char *command, struct kiln_pip_python *out);
/* The parts of that: parse the answer of `driver.py ask`, and whether a version of pip's can be
 * directed. */
void
kiln_pip_parse_python(struct kiln_ctx *ctx, struct kiln_span answer, struct kiln_pip_python *out);
bool kiln_pip_is_usable_version(const char *version);

/* Whether NAME is that of a compiler driver: gcc, c++, clang-14, x86_64-linux-gnu-g++-12 ... */
bool kiln_pip_is_driver(const char *name);
/* A directory of symbolic links to kiln-cc, named as the compiler drivers on PATH, and two named
 * kiln-cc and kiln-c++. It is in the cache, named for what it holds, and never changes. NULL on
 * failure, said. */
const char *kiln_pip_make_compilers(struct kiln_ctx *ctx);

/* Set what makes a build use the links in COMPILERS, and pip the cache: entries for
 * kiln_process.setenv. */
int kiln_pip_set_environment(struct kiln_ctx *ctx, const char *compilers,
                             const struct kiln_pip_python *python, struct kiln_strings *out);
/* COMMAND, a compiler driver with flags perhaps, with the link in COMPILERS that stands for it in
 * its place. *real is the driver if the link must be told which it is (kiln-cc; kiln-c++ if CXX),
 * else NULL. NULL if there is no such driver. */
const char *kiln_pip_stand_in(struct kiln_ctx *ctx, const char *compilers, const char *command,
                              bool cxx, const char **real);

/* Say what RESULT, written by driver.py, tells: which of the packages that pip chose are fat, which
 * are not, and why. */
int kiln_pip_summarize(struct kiln_ctx *ctx, struct kiln_span result);

/* Be pip with ARGS, for the Python COMMAND. *status is pip's exit status if the result is 0. */
int kiln_pip_run(struct kiln_ctx *ctx, const char *command, const struct kiln_strings *args,
                 int *status);

#endif
