/* The report: what was done to each extension, and how a module could notice.
 *
 * `--report FILE` writes all of it as JSON; `--verbose` prints the same in lines. Some functions can
 * tell an extension in the executable from one in a file of its own; both list the modules that use
 * them, and what Kiln does about it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "kiln/version.h"
#include "link/check/globals.h"
#include "link/emit/emit.h"

/* Functions that can tell a module where it is. */
static const struct watched {
    const char *name, *effect;
} WATCHED[] = {
    {"kiln_dladdr", "is answered by Kiln: the module's own address range and name"},
    {"dladdr1", "answers with the executable; dladdr would be answered with the module"},
    {"dlsym", "does not find the module's own symbols by name: --export SYMBOL keeps one visible"},
    {"dlvsym", "does not find the module's own symbols by name: --export SYMBOL keeps one visible"},
    {"dlopen",
     "opens files as before; the module's own file, if it is there, would be a second copy"},
    {"dlinfo", "knows the executable, not the module"},
    {"dl_iterate_phdr", "lists the executable, not the module"},
    {"_dl_find_object", "finds the executable, not the module"},
    {"backtrace_symbols",
     "names the executable; the module's functions carry its name as a suffix"},
    {"backtrace_symbols_fd",
     "names the executable; the module's functions carry its name as a suffix"},
};

/* Facts about one module beyond those of isolating it. */
struct details {
    struct kiln_strings interposed;
};

struct report {
    const struct kiln_bake *bake;
    struct kiln_globals globals;
    struct details *details; /* one for each module */
};

static int
look_at(struct kiln_ctx *ctx, size_t index, void *arg)
{
    struct report *report = arg;
    const struct kiln_baked *module = &report->bake->modules.items[index];
    return kiln_globals_find_interposed(ctx, &report->globals, module->file.bytes,
                                        module->found->path, &report->details[index].interposed);
}

/* The watched functions that a module uses, one after the other from *INDEX on; NULL at the end. */
static const struct watched *
next_watched(const struct kiln_isolated *isolated, size_t *index)
{
    while (*index < sizeof WATCHED / sizeof WATCHED[0]) {
        const struct watched *watched = &WATCHED[(*index)++];
        if (kiln_strings_contain(&isolated->undefined, watched->name)) {
            return watched;
        }
    }
    return NULL;
}

static const char *
get_shown_name(const struct watched *watched)
{
    return strcmp(watched->name, "kiln_dladdr") == 0 ? "dladdr" : watched->name;
}

/* -- As JSON -- */

static void
put_text(FILE *stream, const char *key, const char *value)
{
    fprintf(stream, ", \"%s\": ", key);
    if (value == NULL) {
        fputs("null", stream);
    }
    else {
        kiln_json_string(stream, value);
    }
}

static void
put_list(FILE *stream, const char *key, const struct kiln_strings *list)
{
    fprintf(stream, ", \"%s\": ", key);
    kiln_json_strings(stream, list);
}

static void
put_watched(FILE *stream, const struct kiln_isolated *isolated)
{
    const struct watched *watched;
    const char *separator = "";
    fputs(", \"sees\": [", stream);
    for (size_t i = 0; (watched = next_watched(isolated, &i)) != NULL; separator = ", ") {
        fprintf(stream, "%s{\"function\": \"%s\", \"effect\": ", separator,
                get_shown_name(watched));
        kiln_json_string(stream, watched->effect);
        fputc('}', stream);
    }
    fputc(']', stream);
}

static void
put_interposed(FILE *stream, const struct report *report, const struct kiln_strings *names)
{
    fputs(", \"interposed\": [", stream);
    for (size_t i = 0; i < names->count; i++) {
        fprintf(stream, "%s{\"symbol\": ", i == 0 ? "" : ", ");
        kiln_json_string(stream, names->items[i]);
        put_text(stream, "library", kiln_globals_find(&report->globals, names->items[i]));
        fputc('}', stream);
    }
    fputc(']', stream);
}

static void
put_shared(FILE *stream, const struct kiln_isolated *isolated)
{
    fputs(", \"shared\": [", stream);
    for (size_t i = 0; i < isolated->unique.count; i++) {
        fputs(i == 0 ? "" : ", ", stream);
        kiln_json_string(stream, strchr(isolated->unique.items[i], ' ') + 1);
    }
    fputc(']', stream);
}

/* The libraries that MODULE has together with others. */
static void
put_sharing(FILE *stream, const struct kiln_baked *module)
{
    const struct kiln_strings none = {0};
    put_list(stream, "shared_libraries",
             module->sharing == NULL ? &none : &module->sharing->libraries);
}

static void
put_shared_libraries(FILE *stream, const struct kiln_bake *bake)
{
    fputs("],\n \"shared_libraries\": [", stream);
    for (size_t i = 0; i < bake->common_libs.count; i++) {
        const struct kiln_common *shared = &bake->common_libs.items[i];
        fputs(i == 0 ? "{\"libraries\": " : ", {\"libraries\": ", stream);
        kiln_json_strings(stream, &shared->libraries);
        put_list(stream, "modules", &shared->users);
        put_text(stream, "suffix", shared->isolated.suffix);
        fprintf(stream,
                ", \"members\": %zu, \"size\": %llu, \"constructors\": %zu, \"destructors\": %zu}",
                shared->members, (unsigned long long)shared->isolated.size,
                shared->isolated.constructors, shared->isolated.destructors);
    }
}

static void
put_module(struct kiln_ctx *ctx, FILE *stream, const struct report *report, size_t index)
{
    const struct kiln_baked *module = &report->bake->modules.items[index];
    const struct kiln_isolated *isolated = &module->isolated;
    fputs(index == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ", stream);
    kiln_json_string(stream, module->found->name);
    put_text(stream, "way", module->is_image ? "image" : "objects");
    put_text(stream, "file", kiln_found_get_place(ctx, module->found));
    put_text(stream, "distribution", kiln_baked_get_distribution(ctx, module));
    put_text(stream, "init", isolated->init);
    fprintf(stream,
            ", \"size\": %llu, \"constructors\": %zu, \"destructors\": %zu, \"hidden\": %zu",
            (unsigned long long)isolated->size, isolated->constructors, isolated->destructors,
            isolated->hidden);
    put_text(stream, "not_position_independent", isolated->not_pic);
    put_list(stream, "libraries", module->is_image ? &module->opened : &module->fat.dsos);
    put_list(stream, "images", &module->images);
    put_list(stream, "exports", &isolated->exported);
    put_shared(stream, isolated);
    put_sharing(stream, module);
    put_interposed(stream, report, &report->details[index].interposed);
    put_watched(stream, isolated);
    fputc('}', stream);
}

static void
put_conflicts(FILE *stream, const struct kiln_bake *bake)
{
    fputs("],\n \"conflicts\": [", stream);
    for (size_t i = 0; i < bake->conflicts.count; i++) {
        const struct kiln_conflict *conflict = &bake->conflicts.items[i];
        fprintf(stream, "%s{\"symbol\": ", i == 0 ? "" : ", ");
        kiln_json_string(stream, conflict->symbol);
        put_text(stream, "distribution", conflict->distribution);
        put_list(stream, "modules", &conflict->modules);
        fputc('}', stream);
    }
}

static void
put_files(FILE *stream, const struct kiln_bake *bake)
{
    const char *separator = "";
    fputs("],\n \"files\": [", stream);
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL && !extension->is_library) {
            fprintf(stream, "%s\n  {\"name\": ", separator);
            kiln_json_string(stream, extension->found->name);
            put_text(stream, "file", extension->found->path);
            put_text(stream, "reason", extension->reason);
            fputc('}', stream);
            separator = ",";
        }
    }
}

static void
put_all(struct kiln_ctx *ctx, FILE *stream, const struct report *report)
{
    const struct kiln_bake *bake = report->bake;
    struct stat st;
    fputs("{\"kiln\": \"" KILN_VERSION "\"", stream);
    put_text(stream, "output", bake->options->output);
    fprintf(stream, ", \"size\": %lld",
            stat(bake->options->output, &st) == 0 ? (long long)st.st_size : 0);
    put_text(stream, "python", bake->python.executable);
    put_text(stream, "python_version", bake->python.version);
    put_text(stream, "libpython", bake->shared_libpython ? "shared" : "static");
    put_text(stream, "linker", bake->linker);
    put_text(stream, "debug",
             bake->options->split_debug ? kiln_bake_get_debug_path(ctx, bake->options->output)
                                        : NULL);
    fputs(",\n \"modules\": [", stream);
    for (size_t i = 0; i < bake->modules.count; i++) {
        put_module(ctx, stream, report, i);
    }
    put_shared_libraries(stream, bake);
    put_conflicts(stream, bake);
    put_files(stream, bake);
    fputs("]}\n", stream);
}

static int
write_json(struct kiln_ctx *ctx, const struct report *report)
{
    const char *path = report->bake->options->report;
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    put_all(ctx, stream, report);
    int result = fclose(stream) == EOF ? kiln_fail_errno(ctx, "%s: cannot write", path)
                                       : kiln_file_write(ctx, path, kiln_span_of(text, len));
    free(text);
    return result;
}

/* -- In lines -- */

static void
say_module(struct kiln_ctx *ctx, const struct report *report, size_t index)
{
    const struct kiln_baked *module = &report->bake->modules.items[index];
    const struct kiln_isolated *isolated = &module->isolated;
    const struct kiln_strings *interposed = &report->details[index].interposed;
    const char *name = module->found->name;
    kiln_say(ctx, KILN_DETAIL,
             "%s: %llu bytes, %zu symbols hidden, %zu constructors and %zu destructors deferred",
             name, (unsigned long long)isolated->size, isolated->hidden, isolated->constructors,
             isolated->destructors);
    if (isolated->unique.count > 0) {
        kiln_say(ctx, KILN_DETAIL, "%s: shares %zu variables with its distribution", name,
                 isolated->unique.count);
    }
    for (size_t i = 0; i < interposed->count; i++) {
        kiln_say(ctx, KILN_DETAIL,
                 "%s: uses its own %s, where the file would use that of %s if it has one", name,
                 interposed->items[i], kiln_globals_find(&report->globals, interposed->items[i]));
    }
}

static void
say_shared(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->common_libs.count; i++) {
        const struct kiln_common *shared = &bake->common_libs.items[i];
        const char *users = shared->users.items[0];
        for (size_t k = 1; k < shared->users.count; k++) {
            users = kiln_arena_printf(&ctx->arena, "%s, %s", users, shared->users.items[k]);
        }
        kiln_say(ctx, KILN_DETAIL, "%s: shared by %s; %zu members, %llu bytes, %zu constructors",
                 shared->name, users, shared->members, (unsigned long long)shared->isolated.size,
                 shared->isolated.constructors);
    }
}

/* Which modules use a watched function, and to what effect. */
static void
say_watched(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        const struct watched *watched;
        for (size_t k = 0; (watched = next_watched(&module->isolated, &k)) != NULL;) {
            bool answered = strcmp(watched->name, "kiln_dladdr") == 0;
            kiln_say(ctx, answered ? KILN_DETAIL : KILN_WARNING, "%s uses %s, which %s",
                     module->found->name, get_shown_name(watched), watched->effect);
        }
    }
}

/* Without --report and --verbose, one line: how many modules use a function that does not answer as it
 * would for a file. */
static void
say_hint(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    size_t count = 0;
    for (size_t i = 0; i < bake->modules.count; i++) {
        size_t k = 1; /* dladdr, the first, is answered */
        count += next_watched(&bake->modules.items[i].isolated, &k) != NULL;
    }
    if (count > 0) {
        kiln_say(ctx, KILN_NOTE,
                 "%zu extension%s functions (dlopen, dlsym, ...) that can see where %s; --verbose "
                 "or --report tells more",
                 count, count == 1 ? " uses" : "s use", count == 1 ? "it is" : "they are");
    }
}

int
kiln_bake_report(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    if (bake->options->report == NULL && !ctx->verbose) {
        say_hint(ctx, bake);
        return 0;
    }
    struct report report = {.bake = bake};
    report.details =
        kiln_arena_alloc(&ctx->arena, (bake->modules.count + 1) * sizeof *report.details);
    int result = kiln_globals_read(ctx, bake, &report.globals);
    if (result == 0) {
        result = kiln_parallel_run(ctx, "report", bake->modules.count, look_at, &report);
    }
    for (size_t i = 0; result == 0 && i < bake->modules.count; i++) {
        say_module(ctx, &report, i);
    }
    if (result == 0) {
        say_shared(ctx, bake);
        say_watched(ctx, bake);
    }
    if (result == 0 && bake->options->report != NULL) {
        result = write_json(ctx, &report);
    }
    return result;
}
