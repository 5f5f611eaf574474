/* The final link. Its arguments are in a response file, as there can be thousands. If it fails, undefined
 * symbols and unknown options are traced to the modules that brought them. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "base/response.h"
#include "base/temporary.h"
#include "base/text.h"
#include "link/check/check.h"
#include "link/emit/emit.h"
#include "link/find/bundled.h"
#include "link/find/toolchain.h"

/* Returns the bundled library that ARG of MODULE's link names, a path or `-lfoo`, or NULL if it names
 * none. In the build tree the library may be gone. */
static const char *
find_helper(struct kiln_ctx *ctx, const struct kiln_baked *module, const char *arg)
{
    const char *stem = NULL;
    if (*arg == '/') {
        return kiln_bundled_find(ctx, module, kiln_file_basename(arg));
    }
    if (kiln_starts_with(arg, "-l")) {
        stem = arg[2] == ':' ? arg + 3 : kiln_arena_printf(&ctx->arena, "lib%s.so", arg + 2);
    }
    for (size_t i = 0; stem != NULL && i < module->fat.dsos.count; i++) {
        const char *base = kiln_file_basename(module->fat.dsos.items[i]);
        if (kiln_starts_with(base, stem)) {
            return kiln_bundled_find(ctx, module, base);
        }
    }
    return NULL;
}

/* Push the arguments that modules recorded, each once: libraries, their directories, run-time switches.
 * A libpython among them is linked anyway. */
static void
push_recorded(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_strings *argv)
{
    struct kiln_strings seen = {0}, rpaths = {0};
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t j = 0; j < module->fat.args.count; j++) {
            const char *arg = module->fat.args.items[j];
            const char *bundled = find_helper(ctx, module, arg);
            if (!kiln_starts_with(arg, "-lpython")) {
                kiln_strings_add(&ctx->arena, &seen, bundled != NULL ? bundled : arg);
            }
        }
        for (size_t j = 0; j < module->fat.rpaths.count; j++) {
            const char *rpath = module->fat.rpaths.items[j];
            const char *expanded = kiln_bundled_expand_origin(ctx, module, rpath);
            kiln_strings_add(&ctx->arena, &rpaths, expanded != NULL ? expanded : rpath);
            if (module->is_rpath) {
                kiln_strings_add(&ctx->arena, &seen, "-Wl,--disable-new-dtags");
            }
        }
    }
    kiln_strings_push_all(&ctx->arena, argv, &seen);
    for (size_t i = 0; i < rpaths.count; i++) {
        kiln_link_args_push_rpath(ctx, rpaths.items[i], argv);
    }
}

/* Push the isolated objects. The archives among them have no index and are linked whole. */
static void
push_objects(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_strings *argv)
{
    kiln_strings_push(&ctx->arena, argv, "-Wl,--whole-archive");
    kiln_strings_push_all(&ctx->arena, argv, &bake->objects);
    kiln_strings_push(&ctx->arena, argv, "-Wl,--no-whole-archive");
}

static bool
is_symbol_char(int c)
{
    return isalnum(c) || c == '_' || c == '.' || c == '$' || c == '@';
}

/* Whether the linker reports in TEXT that SYMBOL is undefined: bfd and gold "undefined reference to
 * `x'", lld and mold "undefined symbol: x". */
static bool
is_said_undefined(const char *text, const char *symbol)
{
    size_t len = strlen(symbol);
    for (const char *hit = text; (hit = strstr(hit, symbol)) != NULL; hit += len) {
        if ((hit > text && is_symbol_char(hit[-1])) || is_symbol_char(hit[len])) {
            continue;
        }
        const char *line = hit;
        while (line > text && line[-1] != '\n') {
            line--;
        }
        const char *word = strstr(line, "undefined ");
        if (word != NULL && word < hit) {
            return true;
        }
    }
    return false;
}

/* The libraries of MODULE's link, for a message. */
static const char *
list_libraries(struct kiln_ctx *ctx, const struct kiln_baked *module)
{
    const char *text = "";
    for (size_t i = 0; i < module->fat.args.count; i++) {
        const char *arg = module->fat.args.items[i];
        if (kiln_starts_with(arg, "-l") || arg[0] == '/') {
            text = kiln_arena_printf(&ctx->arena, "%s %s", text, arg);
        }
    }
    return *text == '\0' ? " none" : text;
}

/* Whether a driver reports in TEXT that it does not know ARG: gcc "unrecognized", clang "unsupported
 * option" or "unknown argument", followed by the option on the same line. */
static bool
is_said_unknown(const char *text, const char *arg)
{
    static const char *const signs[] = {"unrecognized ", "unsupported option", "unknown argument"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        for (const char *hit = text; (hit = strstr(hit, signs[i])) != NULL; hit++) {
            if (memmem(hit, strcspn(hit, "\n"), arg, strlen(arg)) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* Report the first option of a module's link that the driver does not know: another compiler's. */
static int
explain_option(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *text)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t j = 0; j < module->fat.args.count; j++) {
            const char *arg = module->fat.args.items[j];
            if (arg[0] == '-' && is_said_unknown(text, arg)) {
                return kiln_fail(
                    ctx, KILN_ERR_INPUT,
                    "%s: %s was linked by %s with %s, which %s does not know; let %s be that "
                    "compiler, or leave it out",
                    module->found->path, module->found->name, module->fat.driver, arg, bake->driver,
                    kiln_toolchain_is_cplusplus(bake->driver) ? "KILN_CXX" : "KILN_CC");
            }
        }
    }
    return 0;
}

static int
explain_failure(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *text)
{
    int result = explain_option(ctx, bake, text);
    for (size_t i = 0; result == 0 && i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        for (size_t j = 0; j < module->isolated.undefined.count; j++) {
            const char *symbol = module->isolated.undefined.items[j];
            if (is_said_undefined(text, symbol)) {
                result = kiln_fail(
                    ctx, KILN_ERR_INPUT,
                    "%s: %s needs the symbol %s, which no library of its link defines "
                    "(it named:%s); add the library to the extension's build, or leave "
                    "it out",
                    module->found->path, module->found->name, symbol, list_libraries(ctx, module));
            }
        }
    }
    return result;
}

static bool
has_exports(const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        if (bake->modules.items[i].isolated.exported.count > 0) {
            return true;
        }
    }
    return false;
}

static int
run_linker(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *output)
{
    struct kiln_arena *arena = &ctx->arena;
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    struct kiln_strings args = {0};
    const char *const first[] = {"-o",
                                 output,
                                 bake->pie ? "-pie" : "-no-pie",
                                 kiln_arena_printf(arena, "-fuse-ld=%s", bake->linker),
                                 "-Wl,-z,noexecstack",
                                 "-Wl,--no-demangle"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        kiln_strings_push(arena, &args, first[i]);
    }
    if (bake->options->split_debug) {
        kiln_strings_push(arena, &args, "-Wl,--build-id=sha1");
    }
    else if (bake->options->strip) {
        kiln_strings_push(arena, &args, "-Wl,--strip-all");
    }
    if (strcmp(bake->linker, "lld") == 0) {
        /* Keep sections that are found by __start_ and __stop_ symbols. */
        kiln_strings_push(arena, &args, "-Wl,-z,nostart-stop-gc");
        kiln_strings_push(arena, &args, "-Wl,--error-limit=0");
        /* Allow relocations in read-only sections, of assembly as a rule, as the other linkers do. A program
         * that is not position-independent has none, but lld would make some, in place of references to
         * copies of variables. */
        if (bake->pie && kiln_bake_find_fixed(bake, false) != NULL) {
            kiln_strings_push(arena, &args, "-Wl,-z,notext");
        }
    }
    kiln_link_args_push_archive(ctx, bake, &args);
    push_objects(ctx, bake, &args);
    if (has_exports(bake)) {
        kiln_strings_push(arena, &args, "-Wl,--export-dynamic");
    }
    kiln_strings_push(arena, &args, bake->data);
    kiln_strings_push(arena, &args, bake->runtime);
    kiln_link_args_push_libraries(ctx, bake, &args);
    push_recorded(ctx, bake, &args);

    const char *response = kiln_arena_printf(arena, "%s/link.rsp", tmpdir);
    int result = kiln_response_write(ctx, response, &args);
    if (result < 0) {
        return result;
    }
    struct kiln_process linker = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    kiln_strings_push(arena, &linker.argv, bake->driver);
    kiln_strings_push(arena, &linker.argv, kiln_arena_printf(arena, "@%s", response));
    result = kiln_process_run(ctx, &linker);
    if (result == 0 && linker.status != 0 &&
        kiln_link_args_is_disk_full((const char *)linker.err.ptr)) {
        result = kiln_fail(ctx, KILN_ERR_SYSTEM, "%s: cannot write: the disk is probably full",
                           bake->options->output);
    }
    else if (result == 0 && linker.status != 0) {
        result = explain_failure(ctx, bake, (const char *)linker.err.ptr);
        if (result == 0) {
            result = kiln_fail(ctx, KILN_ERR_TOOL, "%s: the final link failed:\n%s",
                               bake->options->output, (const char *)linker.err.ptr);
        }
    }
    return result;
}

static int
move_file(struct kiln_ctx *ctx, const char *from, const char *to)
{
    return rename(from, to) == 0 ? 0 : kiln_fail_errno(ctx, "%s: cannot write", to);
}

/* Link in a private directory beside OUTPUT: on the same file system, so that the result can be
 * renamed, and apart from it, so that whatever a linker leaves is removed with the directory. */
static int
link_aside(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *output)
{
    char *dir = kiln_arena_printf(&ctx->arena, "%s.kiln-XXXXXX", output);
    if (!kiln_temporary_make_dir(dir)) {
        return kiln_fail_errno(ctx, "%s: cannot write", output);
    }
    const char *aside = kiln_arena_printf(&ctx->arena, "%s/%s", dir, kiln_file_basename(output));
    int result = run_linker(ctx, bake, aside);
    if (result == 0) {
        result = kiln_bake_check_result(ctx, bake, aside);
    }
    if (result == 0 && bake->options->split_debug) {
        /* First: a debugger ignores a file that does not match the program. */
        result = kiln_bake_split_debug(ctx, bake, aside);
        if (result == 0) {
            result = move_file(ctx, kiln_bake_get_debug_path(ctx, aside),
                               kiln_bake_get_debug_path(ctx, output));
        }
    }
    if (result == 0) {
        /* An image has its zero-initialised data, and gaps, in the file. */
        kiln_file_punch_zeros(aside);
        kiln_bake_check_loading(ctx, bake, aside);
        result = move_file(ctx, aside, output);
    }
    kiln_temporary_remove(dir);
    return result;
}

int
kiln_bake_output(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *output = bake->options->output;
    struct stat st;
    if (*output == '\0') {
        return kiln_fail(ctx, KILN_ERR_INPUT, "cannot write: the name of the output is empty");
    }
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode)) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: cannot write: it exists and is not a regular file", output);
    }
    kiln_progress(ctx, "link", 0, 1, output);
    int result = link_aside(ctx, bake, output);
    kiln_progress(ctx, "link", 1, 1, NULL);
    return result;
}
