/* kiln_venv_find(): the virtual environment that an executable lies in, as CPython knows it: there
 * is a pyvenv.cfg in the directory above the executable's, or in that itself. */
#include "core/runtime.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* TEXT without the white space around it; its end is cut off in place. */
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

/* Copy the value of a line "KEY = VALUE" to OUT, if it is one, of KEY, and the first. */
static void
take_value(char out[PATH_MAX], const char *key, char *line)
{
    char *equals = strchr(line, '=');
    if (equals == NULL || out[0] != '\0') {
        return;
    }
    *equals = '\0';
    const char *value = strip(equals + 1);
    if (strcasecmp(strip(line), key) == 0 && strlen(value) < PATH_MAX) {
        strcpy(out, value);
    }
    *equals = '=';
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
        take_value(venv->home, "home", line);
        take_value(venv->base, "executable", line);
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

/* What the environment was made of: where EXECUTABLE, a link, leads to. A copy is of what has its
 * name in `home`, or of what pyvenv.cfg says. */
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

/* Cut the last component off PATH, if it has one. */
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
