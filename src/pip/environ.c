/* The environment that pip and the builds below it run in.
 *
 * Most builds use PATH: cargo, meson, CMake and distutils name their compiler without a directory. A
 * compiler that is named with its directory would bypass the links, so CC and CXX are set to the
 * links for the user's choice, or for the compiler that the Python was built with; distutils puts
 * them into LDSHARED as well. */
#include "pip/pip.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cache.h"
#include "base/file.h"
#include "base/text.h"

/* Programs that are given the compiler as their first argument. They look it up on PATH. */
static bool
is_launcher(const char *name)
{
    return strcmp(name, "ccache") == 0 || strcmp(name, "sccache") == 0 ||
           strcmp(name, "distcc") == 0 || strcmp(name, "icecc") == 0;
}

/* The link NAME in COMPILERS as a word of a command. If the directory cannot be part of a word, it is left
 * to PATH, where it comes first. */
static const char *
spell_link(struct kiln_ctx *ctx, const char *compilers, const char *name)
{
    bool is_word = compilers[strcspn(compilers, " \t\"'\\")] == '\0';
    return is_word ? kiln_arena_printf(&ctx->arena, "%s/%s", compilers, name) : name;
}

const char *
kiln_pip_stand_in(struct kiln_ctx *ctx, const char *compilers, const char *command, bool cxx,
                  const char **real)
{
    *real = NULL;
    const char *start = command;
    const char *word, *name;
    size_t len;
    for (;;) {
        start += strspn(start, " ");
        len = strcspn(start, " ");
        word = kiln_arena_strndup(&ctx->arena, start, len);
        name = kiln_file_basename(word);
        if (!is_launcher(name)) {
            break;
        }
        start += len;
    }
    const char *found = kiln_process_find(ctx, word);
    if (len == 0 || found == NULL) {
        return NULL;
    }
    const char *link = kiln_arena_printf(&ctx->arena, "%s/%s", compilers, name);
    const char *on_path = kiln_process_find(ctx, name);
    if (access(link, X_OK) < 0 || on_path == NULL || !kiln_file_is_same(on_path, found)) {
        *real = found;
        name = cxx ? "kiln-c++" : "kiln-cc";
    }
    return kiln_arena_printf(&ctx->arena, "%.*s%s%s", (int)(start - command), command,
                             spell_link(ctx, compilers, name), start + len);
}

static void
set(struct kiln_ctx *ctx, struct kiln_strings *out, const char *name, const char *value)
{
    kiln_strings_push(&ctx->arena, out, kiln_arena_printf(&ctx->arena, "%s=%s", name, value));
}

static const char *
get_nonempty(const char *name)
{
    const char *value = getenv(name);
    return value == NULL || *value == '\0' ? NULL : value;
}

/* Set NAME (CC, CXX): what the user has in it, or in KILN_NAME, or the Python's own BUILT_WITH, or
 * what is there. */
static void
set_compiler(struct kiln_ctx *ctx, struct kiln_strings *out, const char *compilers,
             const char *name, const char *built_with)
{
    bool cxx = strcmp(name, "CXX") == 0;
    const char *kiln_name = kiln_arena_printf(&ctx->arena, "KILN_%s", name);
    const char *choices[] = {get_nonempty(name), built_with, cxx ? "c++" : "cc",
                             cxx ? "g++" : "gcc", cxx ? "clang++" : "clang"};
    if (choices[0] == NULL && get_nonempty(kiln_name) != NULL) {
        set(ctx, out, name, spell_link(ctx, compilers, cxx ? "kiln-c++" : "kiln-cc"));
        return;
    }
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const char *real;
        const char *command =
            choices[i] == NULL ? NULL : kiln_pip_stand_in(ctx, compilers, choices[i], cxx, &real);
        if (command != NULL) {
            set(ctx, out, name, command);
            if (real != NULL) {
                set(ctx, out, kiln_name, real);
            }
            return;
        }
        if (i == 0 && choices[0] != NULL) {
            return; /* the build will report that there is no such compiler */
        }
    }
}

/* Set NAME (LDSHARED, LDCXXSHARED) if it names the linker's driver with its directory, unless
 * distutils puts CC in its place: where it begins as sysconfig's CC. */
static void
set_linker(struct kiln_ctx *ctx, struct kiln_strings *out, const char *compilers, const char *name,
           const char *built_with, const char *compiler)
{
    const char *users = get_nonempty(name);
    const char *command = users != NULL ? users : built_with;
    bool replaced = users == NULL && kiln_starts_with(command, compiler);
    if (*command != '/' || (replaced && *compiler != '\0')) {
        return;
    }
    const char *real;
    const char *link =
        kiln_pip_stand_in(ctx, compilers, command, strcmp(name, "LDCXXSHARED") == 0, &real);
    if (link != NULL) {
        set(ctx, out, name, link);
    }
}

/* cargo's linker is `cc` from PATH, but its configuration files can name another, with its
 * directory. */
static void
set_cargo(struct kiln_ctx *ctx, struct kiln_strings *out, const char *compilers)
{
    struct utsname system;
    if (uname(&system) < 0) {
        return;
    }
    char *name =
        kiln_arena_printf(&ctx->arena, "CARGO_TARGET_%s_UNKNOWN_LINUX_GNU_LINKER", system.machine);
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    const char *real, *users = get_nonempty(name);
    const char *link =
        kiln_pip_stand_in(ctx, compilers, users == NULL ? "cc" : users, false, &real);
    if (link != NULL && real == NULL) {
        set(ctx, out, name, link);
    }
}

int
kiln_pip_set_environment(struct kiln_ctx *ctx, const char *compilers,
                         const struct kiln_pip_python *python, struct kiln_strings *out)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    const char *name = kiln_arena_printf(&ctx->arena, "pip-%d", KILN_PIP_CACHE_VERSION);
    const char *cache = kiln_cache_get_dir(ctx, name);
    if (cache == NULL) { /* for this run: driver.py names other places after it */
        cache = kiln_arena_printf(&ctx->arena, "%s/%s", tmpdir, name);
    }
    const char *path = getenv("PATH");
    set(ctx, out, "PATH",
        kiln_arena_printf(&ctx->arena, "%s:%s", compilers,
                          path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path));
    set_compiler(ctx, out, compilers, "CC", python->cc);
    set_compiler(ctx, out, compilers, "CXX", python->cxx);
    set_linker(ctx, out, compilers, "LDSHARED", python->ldshared, python->cc);
    set_linker(ctx, out, compilers, "LDCXXSHARED", python->ldcxxshared, python->cxx);
    set_cargo(ctx, out, compilers);
    kiln_pip_set_caches(ctx, compilers, out);
    set(ctx, out, "PIP_CACHE_DIR", cache);
    kiln_strings_push(&ctx->arena, out,
                      "PIP_PYTHON"); /* used already; pip would start itself again */
    return 0;
}
