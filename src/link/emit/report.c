/* The report: which way each extension went, and why; what was done to it; and what it needs. `--report FILE`
 * writes all of it as JSON, `--verbose` prints the most of it in lines. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "kiln/version.h"
#include "link/emit/emit.h"

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

/* What is not as it is of a module from its file. An image has a file's place, to all who ask. */
static const char *
get_limits(const struct kiln_baked *module)
{
    return module->is_image ? NULL
                            : "dladdr() of an address in it answers the executable, and dlopen() "
                              "of its file loads "
                              "a second copy (--from wheels unlinks it: then they answer its file)";
}

static void
put_module(struct kiln_ctx *ctx, FILE *stream, const struct kiln_baked *module)
{
    const struct kiln_isolated *isolated = &module->isolated;
    fputs("\n  {\"name\": ", stream);
    kiln_json_string(stream, module->found->name);
    put_text(stream, "way", module->is_image ? "image" : "objects");
    put_text(stream, "not_objects", module->not_objects);
    put_text(stream, "limits", get_limits(module));
    put_text(stream, "file", kiln_found_get_place(ctx, module->found));
    put_text(stream, "distribution", kiln_baked_get_distribution(ctx, module));
    put_text(stream, "init", isolated->init);
    fprintf(stream,
            ", \"size\": %llu, \"constructors\": %zu, \"destructors\": %zu, \"hidden\": %zu",
            (unsigned long long)isolated->size, isolated->constructors, isolated->destructors,
            isolated->hidden);
    put_list(stream, "libraries", module->is_image ? &module->opened : &module->needed);
    put_list(stream, "images", &module->images);
    put_list(stream, "exports", &isolated->exported);
    put_sharing(stream, module);
    fputc('}', stream);
}

static void
put_files(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake)
{
    const char *separator = "";
    fputs("],\n \"files\": [", stream);
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL && !extension->is_library) {
            fprintf(stream, "%s\n  {\"name\": ", separator);
            kiln_json_string(stream, extension->found->name);
            put_text(stream, "file", kiln_found_get_place(ctx, extension->found));
            put_text(stream, "reason", extension->reason);
            fputc('}', stream);
            separator = ",";
        }
    }
}

static void
put_all(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake)
{
    struct stat st;
    fputs("{\"kiln\": \"" KILN_VERSION "\"", stream);
    put_text(stream, "output",
             kiln_text_map_path(&ctx->arena, &bake->options->path_maps, bake->options->output));
    fprintf(stream, ", \"size\": %lld",
            stat(bake->options->output, &st) == 0 ? (long long)st.st_size : 0);
    put_text(stream, "python", bake->python.executable);
    put_text(stream, "python_version", bake->python.version);
    put_text(stream, "libpython", bake->shared_libpython ? "shared" : "static");
    put_text(stream, "linker", bake->linker);
    put_text(stream, "debug",
             bake->options->split_debug ? kiln_bake_get_debug_path(ctx, bake->options->output)
                                        : NULL);
    put_text(stream, "gdb",
             bake->debug_images > 0 ? kiln_bake_get_debug_script(ctx, bake->options->output)
                                    : NULL);
    fputs(",\n \"modules\": [", stream);
    for (size_t i = 0; i < bake->modules.count; i++) {
        fputs(i == 0 ? "" : ",", stream);
        put_module(ctx, stream, &bake->modules.items[i]);
    }
    put_shared_libraries(stream, bake);
    put_files(ctx, stream, bake);
    fputs("]}\n", stream);
}

static int
write_json(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    const char *path = bake->options->report;
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    put_all(ctx, stream, bake);
    int result = fclose(stream) == EOF ? kiln_fail_errno(ctx, "%s: cannot write", path)
                                       : kiln_file_write(ctx, path, kiln_span_of(text, len));
    free(text);
    return result;
}

/* -- In lines -- */

static void
say_module(struct kiln_ctx *ctx, const struct kiln_baked *module)
{
    const struct kiln_isolated *isolated = &module->isolated;
    kiln_say(ctx, KILN_DETAIL,
             "%s: %s, %llu bytes, %zu symbols hidden, %zu constructors and %zu destructors "
             "deferred (%s)",
             module->found->name, module->is_image ? "unlinked" : "from objects",
             (unsigned long long)isolated->size, isolated->hidden, isolated->constructors,
             isolated->destructors, kiln_found_get_place(ctx, module->found));
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

int
kiln_bake_report(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    for (size_t i = 0; i < bake->modules.count; i++) {
        say_module(ctx, &bake->modules.items[i]);
    }
    say_shared(ctx, bake);
    return bake->options->report == NULL ? 0 : write_json(ctx, bake);
}
