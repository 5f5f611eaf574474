/* Which python the program starts as, and the value of sys.executable.
 *
 * CPython derives the paths of its library and of a virtual environment from the path of its
 * executable. An executable made by `kiln link` can be anywhere, so it starts under the name of the
 * python that it was linked for (kiln_python): CPython's own code then computes that python's
 * paths. Afterwards sys.executable is set to the executable itself. If the executable is run from
 * the bin directory of a virtual environment, CPython still gets the name of the python that has
 * the library, while `site`, which finds virtual environments by sys.executable, gets the
 * executable.
 *
 * Only sys.executable and sys._base_executable change, and in some versions sys.prefix;
 * Py_GetProgramFullPath() does not. */
#include "home/executable.h"

#include "core/process.h"
#include "core/python.h"
#include "home/venv.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/internal/settings.h"

/* Returns whether PATH is this program; or, without /proc, whether it is a program. */
static bool
is_self(const char *path)
{
    struct stat file, self;
    return stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0 &&
           (stat("/proc/self/exe", &self) != 0 ||
            (file.st_dev == self.st_dev && file.st_ino == self.st_ino));
}

/* Sets OUT to DIR/NAME, made absolute, and returns true if that is this program. DIR has LEN bytes;
 * if LEN is 0 it is the working directory. */
static bool
try_directory(char out[PATH_MAX], const char *dir, size_t len, const char *name)
{
    char cwd[PATH_MAX] = "";
    if ((len == 0 || dir[0] != '/') && getcwd(cwd, sizeof cwd) == NULL) {
        return false;
    }
    while (strncmp(name, "./", 2) == 0) {
        name += 2;
    }
    int written = snprintf(out, PATH_MAX, "%s%s%.*s%s%s", cwd, cwd[0] != '\0' && len > 0 ? "/" : "",
                           (int)len, dir, cwd[0] != '\0' || len > 0 ? "/" : "", name);
    return written > 0 && written < PATH_MAX && is_self(out);
}

static bool
search_path(char out[PATH_MAX], const char *name)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        if (try_directory(out, path, len, name)) {
            return true;
        }
        path += len + (path[len] == ':');
    }
    return false;
}

/* Removes "//", "/./" and "x/../" from PATH, an absolute one, without looking at the file
 * system. */
static void
normalize(char *path)
{
    char *end = path; /* of the part that has been kept */
    for (const char *at = path; *at != '\0';) {
        size_t len = strcspn(at + 1, "/"); /* of the component after a slash */
        if (len == 2 && at[1] == '.' && at[2] == '.') {
            while (end > path && *--end != '/') {
            }
        }
        else if (len > 1 || (len == 1 && at[1] != '.')) {
            memmove(end, at, len + 1);
            end += len + 1;
        }
        at += len + 1;
    }
    *end = '\0';
}

/* Sets OUT to the path of this program as a shell finds it by argv[0]. Links are not resolved, as a
 * link can be in a virtual environment. */
static bool
find_self(char out[PATH_MAX], const char *argv0)
{
    if (argv0[0] == '/' && strlen(argv0) < PATH_MAX) {
        strcpy(out, argv0);
        if (is_self(out)) {
            return true;
        }
    }
    else if (strchr(argv0, '/') != NULL ? try_directory(out, "", 0, argv0)
                                        : search_path(out, argv0)) {
        return true;
    }
    return realpath("/proc/self/exe", out) != NULL;
}

/* Returns whether a file PROGRAM._pth defines sys.path. */
static bool
has_pth_file(const char *program)
{
    char path[PATH_MAX + sizeof "._pth"];
    snprintf(path, sizeof path, "%s._pth", program);
    return KILN_HAS_PTH_FILES && access(path, R_OK) == 0;
}

/* Decodes PATH to *KEPT, which stays for the life of the process. */
static bool
keep(wchar_t **kept, const char *path)
{
    *kept = Py_DecodeLocale(path, NULL);
    return *kept != NULL;
}

/* Without its python CPython takes the paths that it was compiled with: perhaps another environment's. */
static void
warn_if_gone(const char *self)
{
    const char *home = getenv("PYTHONHOME");
    if (access(kiln_python, F_OK) != 0 && (home == NULL || *home == '\0')) {
        fprintf(
            stderr,
            "%s: warning: %s is gone, the Python that this program was linked for: packages may be "
            "missing, or another environment's. Install it there again, or set PYTHONHOME%s%s%s\n",
            self, kiln_python, KILN_HAS_PTH_FILES ? ", or write " : "",
            KILN_HAS_PTH_FILES ? self : "", KILN_HAS_PTH_FILES ? "._pth" : "");
    }
}

PyStatus
kiln_executable_choose(PyConfig *config, const char *argv0)
{
    char self[PATH_MAX], real[PATH_MAX], start[PATH_MAX];
    if (kiln_python == NULL || argv0 == NULL || !find_self(self, argv0)) {
        return PyStatus_Ok();
    }
    if (has_pth_file(self) || (realpath(self, real) != NULL && has_pth_file(real))) {
        return PyStatus_Ok(); /* CPython reads that file, and nothing else */
    }
    strcpy(real, self);
    normalize(real);
    if (KILN_NORMALIZES_EXECUTABLE && is_self(real)) {
        strcpy(self, real);
    }
    struct kiln_venv venv, other;
    bool in_venv = kiln_venv_find(&venv, self);
    /* In an environment, sys.base_prefix is that of the python behind kiln_python, even if that is
     * in an environment itself. */
    if (!in_venv || realpath(kiln_python, start) == NULL) {
        snprintf(start, sizeof start, "%s", kiln_python);
    }
    if (!in_venv) {
        warn_if_gone(self);
    }
    kiln_process.site_first = !in_venv && kiln_venv_find(&other, kiln_python);
    if (!keep(&kiln_process.executable, self) ||
        !keep(&kiln_process.base_executable, in_venv ? venv.base : self) ||
        !keep(&kiln_process.python, start) ||
        (KILN_PREFIX_PRECEDES_SITE && in_venv && !keep(&kiln_process.prefix, venv.prefix)))
    {
        return PyStatus_NoMemory();
    }
    return PyConfig_SetBytesString(config, &config->program_name, start);
}

static int
set_path(const char *name, const wchar_t *path)
{
    PyObject *value = PyUnicode_FromWideChar(path, -1);
    int result = value == NULL ? -1 : PySys_SetObject(name, value);
    Py_XDECREF(value);
    return result;
}

/* CPython does not know of the environment, and has set both to those of its base. */
static int
set_prefix(void)
{
    if (kiln_process.prefix == NULL) {
        return 0;
    }
    return set_path("prefix", kiln_process.prefix) < 0
               ? -1
               : set_path("exec_prefix", kiln_process.prefix);
}

static int
set_executable(void)
{
    if (set_path("executable", kiln_process.executable) < 0 || set_prefix() < 0) {
        return -1;
    }
    PyObject *base = kiln_get_sys("_base_executable");
    bool has_base = base != NULL;
    Py_XDECREF(base);
    return has_base ? set_path("_base_executable", kiln_process.base_executable) : 0;
}

int
kiln_executable_set_early(void)
{
    if (kiln_process.executable == NULL ||
        (kiln_process.site_first && !kiln_is_flag_set("no_site"))) {
        return 0;
    }
    return set_executable();
}

int
kiln_executable_set_late(void)
{
    if (kiln_process.executable == NULL) {
        return 0;
    }
    PyObject *python = PyUnicode_FromWideChar(kiln_process.python, -1);
    if (python == NULL) {
        return -1;
    }
    PyObject *executable = kiln_get_sys("executable");
    bool pending = executable != NULL && PyUnicode_Check(executable) &&
                   PyUnicode_Compare(executable, python) == 0;
    Py_XDECREF(executable);
    Py_DECREF(python);
    return pending ? set_executable() : 0;
}
