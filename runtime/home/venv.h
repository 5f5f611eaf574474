/* Virtual environments. Plain C. */
#ifndef KILN_RUNTIME_VENV_H
#define KILN_RUNTIME_VENV_H

#include <limits.h>
#include <stdbool.h>

struct kiln_venv {
    char prefix[PATH_MAX]; /* the directory of the environment */
    char home[PATH_MAX];   /* `home` in its pyvenv.cfg, or "" */
    char base[PATH_MAX];   /* the executable that it was made of */
};

/* Finds the virtual environment that EXECUTABLE, an absolute path, is in. Returns false if it is in
 * none. */
bool kiln_venv_find(struct kiln_venv *venv, const char *executable);

#endif
