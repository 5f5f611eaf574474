/* `kiln pip`: runs pip so that the extensions it installs are fat. Start reading at pip.c. */
#ifndef KILN_PIP_PIP_H
#define KILN_PIP_PIP_H

#include "base/ctx.h"
#include "base/process.h"

/* The version of the cache of wheels. Raise it when kiln-cc stores something else in extensions, so that
 * wheels built before are useless. */
#define KILN_PIP_CACHE_VERSION 1

/* The text of src/pip/driver.py, which directs pip. */
extern const char kiln_pip_driver[];

/* The Python that pip installs for, as it describes itself. All strings are in the context's arena; ""
 * if it has no answer. */
struct kiln_pip_python {
    const char *executable; /* sys.executable */
    const char *base;       /* what a venv was made from */
    const char *cc, *cxx;   /* sysconfig: the compilers it was built with, flags included */
    const char *ldshared, *ldcxxshared;
    const char *pip_version; /* "" if it has none */
    const char *pip_dir;     /* the directory of sys.path that has it */
    const char *other_pip;   /* pip_dir if the pip is another Python's, else "" */
};

/* Ask COMMAND: an interpreter's path, a name on PATH, or the directory of a venv. If its pip is missing
 * or too old, another Python's pip that works in it is used; without one it is an error. */
int kiln_pip_find_python(struct kiln_ctx *ctx, const char *command, struct kiln_pip_python *out);
/* Parts of it: parse the answer of `driver.py ask`; whether driver.py can direct a version of pip. */
void
kiln_pip_parse_python(struct kiln_ctx *ctx, struct kiln_span answer, struct kiln_pip_python *out);
bool kiln_pip_is_usable_version(const char *version);

/* Whether NAME is that of a compiler driver: gcc, c++, clang-14, x86_64-linux-gnu-g++-12 ... */
bool kiln_pip_is_driver(const char *name);
/* Returns a directory of symbolic links to kiln-cc, named as the compiler drivers on PATH, and as kiln-cc and
 * the links beside it, or NULL after reporting the error. It is in the cache under a hash of its
 * contents, and never changes. */
const char *kiln_pip_make_compilers(struct kiln_ctx *ctx);

/* Push the entries for kiln_process.setenv that make a build use the links in COMPILERS, and pip the
 * cache. */
int kiln_pip_set_environment(struct kiln_ctx *ctx, const char *compilers,
                             const struct kiln_pip_python *python, struct kiln_strings *out);
/* A part of it: push what makes ccache and sccache notice another compiler behind a link. OUT has KILN_CC and KILN_CXX
 * if they are set for the builds. */
void kiln_pip_set_caches(struct kiln_ctx *ctx, const char *compilers, struct kiln_strings *out);
/* Returns COMMAND, a compiler driver and perhaps flags, with the driver replaced by the link in COMPILERS
 * that stands for it, or NULL if there is no such driver. If the link is kiln-cc (kiln-c++ if CXX),
 * which must be told the driver, *real is the driver; else it is NULL. */
const char *kiln_pip_stand_in(struct kiln_ctx *ctx, const char *compilers, const char *command,
                              bool cxx, const char **real);

/* Report from RESULT, which driver.py wrote, which of the packages that pip chose are fat, which are not,
 * and why. A build that made fewer extensions than it should is KILN_ERR_TOOL. */
int kiln_pip_summarize(struct kiln_ctx *ctx, struct kiln_span result);

/* Run pip with ARGS for the Python COMMAND. *status is pip's exit status if the result is 0. */
int kiln_pip_run(struct kiln_ctx *ctx, const char *command, const struct kiln_strings *args,
                 int *status);

#endif
