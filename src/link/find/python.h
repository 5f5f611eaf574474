/* The interpreter that `kiln link` links for, as it describes itself. */
#ifndef KILN_LINK_PYTHON_H
#define KILN_LINK_PYTHON_H

#include "base/ctx.h"
#include "elf/machine.h"

struct kiln_python {
    const char *executable; /* sys.executable: the venv's, if it is in one */
    const char *version;    /* "3.11.2", for people */
    const char *identity;   /* changes whenever its C API may: sys.version and platform */
    const struct kiln_machine *machine; /* the one it runs on */
    const char *include;                /* directory of Python.h */
    const char *static_library;         /* path of libpython*.a, NULL if it has none */
    const char *shared_library;         /* path of libpython*.so, NULL if it has none */
    struct kiln_strings libs;           /* what a static libpython needs: -ldl -lm ... */
    struct kiln_strings suffixes;       /* of extension files, in the order Python tries them */
    struct kiln_strings path;    /* sys.path without the standard library: existing directories */
    struct kiln_strings dynload; /* lib-dynload: the standard library's extensions */
    struct kiln_strings search_path; /* all of sys.path, to name a file by its place in it */
    struct kiln_strings
        editables; /* "NAME=PLACE": a package's directory, or a module's file, that a
                                    * finder of an editable install has; the directory may be on `path` */
    struct kiln_strings
        unlisted; /* modules whose finder does not tell its names, or names without place */
    struct kiln_strings reserved; /* top-level names that the standard library provides */
    struct kiln_strings
        code; /* sys.version, and the code objects of kiln/internal/python_code.h, in hexadecimal */
    const char *init; /* which of several init symbols it takes, see kiln_isolate() */
    bool pie;         /* its executable is position-independent */
};

/* Ask the interpreter COMMAND: a path, a name on PATH, or the directory of a virtual environment. */
int kiln_python_ask(struct kiln_ctx *ctx, const char *command, struct kiln_python *out);

#endif
