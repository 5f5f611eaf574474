/* The virtual environment that an executable is in, found as CPython finds it: by a pyvenv.cfg in
 * the parent of the executable's directory, or in that directory. */
#include "home/venv.h"

#include "core/pycompat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Returns TEXT without the white space around it, which is cut off in place. */
static char *
strip(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1])) {
        len--;
    }
    text[len] = '\0';
    return text;
}

/* Copies VALUE to OUT, unless an earlier line has set it or it is too long. */
static void
set_once(char out[PATH_MAX], const char *value)
{
    if (out[0] == '\0' && strlen(value) < PATH_MAX) {
        strcpy(out, value);
    }
}

/* Reads LINE, which is "KEY = VALUE" or is ignored. Changes it. */
static void
read_line(struct kiln_venv *venv, char *line)
{
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return;
    }
    *equals = '\0';
    const char *key = strip(line), *value = strip(equals + 1);
    if (strcasecmp(key, "home") == 0) {
        set_once(venv->home, value);
    }
    else if (strcasecmp(key, "executable") == 0) {
        set_once(venv->base, value);
    }
}

static bool
read_configuration(struct kiln_venv *venv)
{
    char path[PATH_MAX + sizeof "/pyvenv.cfg"];
    snprintf(path, sizeof path, "%s/pyvenv.cfg", venv->prefix);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    venv->home[0] = venv->base[0] = '\0';
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        read_line(venv, line);
    }
    free(line);
    fclose(file);
    return true;
}

static bool
is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* Sets venv->base: the target of EXECUTABLE, if that is a link. If it is a copy, the file of the
 * same name in `home`, or the `executable` of pyvenv.cfg. */
static void
find_base(struct kiln_venv *venv, const char *executable)
{
    char real[PATH_MAX], candidate[2 * PATH_MAX];
    if (realpath(executable, real) == NULL) {
        strcpy(real, executable);
    }
    const char *base = real;
    if (KILN_BASE_OF_COPY_IS_IN_HOME && strcmp(real, executable) == 0 && venv->home[0] != '\0') {
        snprintf(candidate, sizeof candidate, "%s%s", venv->home, strrchr(executable, '/'));
        base = strlen(candidate) < PATH_MAX && is_file(candidate) ? candidate
               : is_file(venv->base)                              ? venv->base
                                                                  : real;
    }
    memmove(venv->base, base, strlen(base) + 1);
}

/* Removes the last component of PATH, if it has one. */
static void
cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

bool
kiln_venv_find(struct kiln_venv *venv, const char *executable)
{
    for (int depth = 2; depth > 0; depth--) {
        snprintf(venv->prefix, sizeof venv->prefix, "%s", executable);
        for (int i = 0; i < depth; i++) {
            cut_last(venv->prefix);
        }
        if (read_configuration(venv)) {
            find_base(venv, executable);
            return true;
        }
    }
    return false;
}
