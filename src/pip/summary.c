/* The summary after pip: reads the `.kiln` section of every installed extension. A build may have used a
 * compiler that Kiln does not know, or kiln-cc may have failed to make the section.
 *
 * The result that driver.py leaves is a sequence of strings with a NUL after each: a letter, then
 * its fields. P name version how: a package, its extension-like files follow; F path shown; X name:
 * a package whose build failed; L name version count verdict: a package whose build made fewer
 * extensions than the COUNT of the index's wheel, which is "allowed" or an "error"; the ones that it
 * lacks follow, M path; U name version why: one whose wheel could not be looked at; Q: pip was told to
 * be quiet; E text: the rest could not be read. */
#include "pip/pip.h"

#include "base/file.h"
#include "elf/elf.h"
#include "fat/fat.h"
#include "names/init_symbol.h"

#define SHOWN_MAX 8 /* files of one package named with their reasons */

struct extension {
    const char *path, *shown;
    bool ignored;       /* a shared library, no extension */
    const char *reason; /* why it is not fat; NULL if it is */
};

struct package {
    const char *name, *version, *how;
    struct {
        struct extension *items;
        size_t count, capacity;
    } files;
};

struct packages {
    struct package *items;
    size_t count, capacity;
};

/* A package whose build made fewer extensions than the index's wheel has. */
struct incomplete {
    const char *name, *version, *count;
    bool allowed;
    struct kiln_strings missing;
};

struct result {
    struct packages packages;
    struct {
        struct incomplete *items;
        size_t count, capacity;
    } incomplete;
};

struct reader {
    struct kiln_span bytes;
    uint64_t offset;
};

/* The next string, "" at the end. */
static const char *
next(struct reader *reader)
{
    const char *text = kiln_span_get_string(reader->bytes, reader->offset);
    reader->offset += text == NULL ? 0 : strlen(text) + 1;
    return text == NULL ? "" : text;
}

static void
read_result(struct kiln_ctx *ctx, struct kiln_span bytes, struct result *out)
{
    struct packages *packages = &out->packages;
    struct reader reader = {.bytes = bytes};
    for (const char *tag; *(tag = next(&reader)) != '\0';) {
        switch (*tag) {
        case 'P': {
            struct package *package = KILN_ARENA_PUSH(&ctx->arena, packages);
            *package = (struct package){.name = next(&reader)};
            package->version = next(&reader);
            package->how = next(&reader);
            break;
        }
        case 'F': {
            const char *path = next(&reader), *shown = next(&reader);
            if (packages->count > 0) {
                struct package *package = &packages->items[packages->count - 1];
                *KILN_ARENA_PUSH(&ctx->arena, &package->files) =
                    (struct extension){.path = path, .shown = shown};
            }
            break;
        }
        case 'L': {
            struct incomplete *incomplete = KILN_ARENA_PUSH(&ctx->arena, &out->incomplete);
            *incomplete = (struct incomplete){.name = next(&reader)};
            incomplete->version = next(&reader);
            incomplete->count = next(&reader);
            incomplete->allowed = strcmp(next(&reader), "allowed") == 0;
            break;
        }
        case 'M': {
            const char *path = next(&reader);
            if (out->incomplete.count > 0) {
                kiln_strings_push(&ctx->arena,
                                  &out->incomplete.items[out->incomplete.count - 1].missing, path);
            }
            break;
        }
        case 'U': {
            const char *name = next(&reader), *version = next(&reader);
            kiln_say(ctx, KILN_NOTE,
                     "%s %s: not compared with the index's wheel, which could not be looked at: %s",
                     name, version, next(&reader));
            break;
        }
        case 'X': {
            const char *name = next(&reader);
            kiln_say(ctx, KILN_NOTE,
                     "%s: was to be built from source, as its wheel holds extension modules that "
                     "Kiln did not build. Install what the build needs (see above), or take the "
                     "wheel with --only-binary %s",
                     name, name);
            break;
        }
        case 'Q':
            ctx->quiet = true;
            break;
        case 'E':
            kiln_say(ctx, KILN_WARNING, "no summary: what pip installed could not be read: %s",
                     next(&reader));
            break;
        default:
            return;
        }
    }
}

/* Whether the shared object BYTES defines an init symbol. */
static bool
is_extension(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name)
{
    struct kiln_elf elf;
    if (kiln_elf_classify(bytes) != KILN_OBJECT_SHARED ||
        kiln_elf_init(ctx, bytes, name, &elf) != 0) {
        return false;
    }
    bool found = kiln_init_symbol_is_exported(&elf);
    kiln_elf_release(&elf);
    return found;
}

/* Why an extension of a package that came as HOW has no `.kiln` section. */
static const char *
explain(const char *how)
{
    static const char *const reasons[][2] = {
        {"kept", "it was installed before, without Kiln (--force-reinstall builds it anew)"},
        {"no-source", "a wheel: the index has no source of this version"},
        {"only-binary", "a wheel, as --only-binary asks"},
        {"hashes", "a wheel: the hashes that are required leave its source out"},
        {"given", "a wheel that was not built with Kiln"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(how, reasons[i][0]) == 0) {
            return reasons[i][1];
        }
    }
    return "not linked through kiln-cc";
}

static const char *last_error; /* of the file at hand; the tool runs one thread */

static void
keep_error(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    (void)ctx;
    if (severity == KILN_ERROR) {
        last_error = text;
    }
}

static void
inspect(struct kiln_ctx *ctx, const char *how, struct extension *extension)
{
    struct kiln_file file;
    struct kiln_fat fat = {0};
    bool found = false;
    last_error = NULL;
    int result = kiln_file_map(ctx, extension->path, &file);
    if (result == 0 && kiln_elf_classify(file.bytes) != KILN_OBJECT_SHARED) {
        extension->ignored = true; /* a linker script, say */
    }
    else if (result == 0 && kiln_fat_read(ctx, file.bytes, extension->shown, &fat, &found) == 0) {
        extension->ignored = !found && !is_extension(ctx, file.bytes, extension->shown);
        extension->reason = found ? fat.failure : explain(how);
    }
    else {
        extension->reason = last_error == NULL ? "cannot be read" : last_error;
    }
    kiln_file_release(&file);
}

static void
inspect_all(struct kiln_ctx *ctx, struct packages *packages)
{
    /* An error in a file is the reason why it is not fat, not an error of this command. */
    void (*say)(struct kiln_ctx *, enum kiln_severity, const char *) = ctx->say;
    size_t errors = ctx->errors;
    size_t done = 0, total = 0;
    for (size_t i = 0; i < packages->count; i++) {
        total += packages->items[i].files.count;
    }
    ctx->say = keep_error;
    for (size_t i = 0; i < packages->count; i++) {
        struct package *package = &packages->items[i];
        for (size_t j = 0; j < package->files.count; j++) {
            kiln_progress(ctx, "inspect", done++, total, package->files.items[j].shown);
            inspect(ctx, package->how, &package->files.items[j]);
        }
    }
    kiln_progress(ctx, "inspect", total, total, NULL);
    ctx->say = say;
    ctx->errors = errors;
}

/* LINES, each after a newline; a few of them if there are many. */
static const char *
list_lines(struct kiln_ctx *ctx, const struct kiln_strings *lines)
{
    const char *text = "";
    for (size_t i = 0; i < lines->count && i < SHOWN_MAX; i++) {
        text = kiln_arena_printf(&ctx->arena, "%s\n  %s", text, lines->items[i]);
    }
    return lines->count <= SHOWN_MAX ? text
                                     : kiln_arena_printf(&ctx->arena, "%s\n  and %zu more", text,
                                                         lines->count - SHOWN_MAX);
}

/* The files that are not fat, each with its reason, on lines of their own. */
static const char *
list_reasons(struct kiln_ctx *ctx, const struct package *package)
{
    struct kiln_strings lines = {0};
    for (size_t i = 0; i < package->files.count; i++) {
        const struct extension *extension = &package->files.items[i];
        if (!extension->ignored && extension->reason != NULL) {
            kiln_strings_push(
                &ctx->arena, &lines,
                kiln_arena_printf(&ctx->arena, "%s: %s", extension->shown, extension->reason));
        }
    }
    return list_lines(ctx, &lines);
}

struct totals {
    size_t extensions, fat, without; /* packages without extensions */
};

static void
say_package(struct kiln_ctx *ctx, const struct package *package, struct totals *totals)
{
    size_t count = 0, fat = 0;
    const char *reason = NULL;
    bool one_reason = true;
    for (size_t i = 0; i < package->files.count; i++) {
        const struct extension *extension = &package->files.items[i];
        if (extension->ignored) {
            continue;
        }
        count++;
        fat += extension->reason == NULL;
        if (extension->reason != NULL) {
            one_reason = one_reason && (reason == NULL || strcmp(reason, extension->reason) == 0);
            reason = extension->reason;
        }
    }
    totals->extensions += count;
    totals->fat += fat;
    totals->without += count == 0;
    const char *plural = count == 1 ? "" : "s";
    if (count > 0 && fat == count) {
        kiln_say(ctx, KILN_NOTE, "%s %s: %zu extension%s, fat", package->name, package->version,
                 count, plural);
    }
    else if (count > 0 && fat == 0 && one_reason) {
        kiln_say(ctx, KILN_WARNING, "%s %s: %zu extension%s, not fat: %s", package->name,
                 package->version, count, plural, reason);
    }
    else if (count > 0) {
        kiln_say(ctx, KILN_WARNING, "%s %s: %zu of %zu extensions are fat:%s", package->name,
                 package->version, fat, count, list_reasons(ctx, package));
    }
}

/* Whether kiln-cc recorded a failure, which stays in the cache with the wheel. */
static bool
any_recorded_failure(const struct packages *packages)
{
    for (size_t i = 0; i < packages->count; i++) {
        const struct package *package = &packages->items[i];
        for (size_t j = 0; j < package->files.count; j++) {
            const struct extension *extension = &package->files.items[j];
            if (!extension->ignored && extension->reason != NULL &&
                strcmp(extension->reason, explain(package->how)) != 0)
            {
                return true;
            }
        }
    }
    return false;
}

static void
say_totals(struct kiln_ctx *ctx, const struct totals *totals, size_t packages)
{
    const char *plural = packages == 1 ? "" : "s";
    if (packages > 0 && totals->extensions == 0) {
        kiln_say(ctx, KILN_NOTE, "%zu package%s, no extensions", packages, plural);
    }
    else if (packages > 1) {
        kiln_say(ctx, KILN_NOTE, "%zu package%s, %zu without extensions; %zu of %zu extensions fat",
                 packages, plural, totals->without, totals->fat, totals->extensions);
    }
}

/* Returns whether an extension is missing that --allow-pure does not allow to. */
static bool
say_incomplete(struct kiln_ctx *ctx, const struct result *result)
{
    const char *name = NULL;
    for (size_t i = 0; i < result->incomplete.count; i++) {
        const struct incomplete *incomplete = &result->incomplete.items[i];
        kiln_say(ctx, incomplete->allowed ? KILN_WARNING : KILN_ERROR,
                 "%s %s: built without these extensions of the index's wheel (%zu of %s):%s",
                 incomplete->name, incomplete->version, incomplete->missing.count,
                 incomplete->count, list_lines(ctx, &incomplete->missing));
        name = incomplete->allowed || name != NULL ? name : incomplete->name;
    }
    if (name != NULL) {
        kiln_say(ctx, KILN_NOTE,
                 "install what the build needs (-v shows its output), take the wheel with "
                 "--only-binary %s, or install what was built with --allow-pure",
                 name);
    }
    return name != NULL;
}

int
kiln_pip_summarize(struct kiln_ctx *ctx, struct kiln_span bytes)
{
    struct result result = {0};
    struct totals totals = {0};
    read_result(ctx, bytes, &result);
    bool failed = say_incomplete(ctx, &result);
    struct packages *packages = &result.packages;
    inspect_all(ctx, packages);
    for (size_t i = 0; i < packages->count; i++) {
        say_package(ctx, &packages->items[i], &totals);
    }
    if (any_recorded_failure(packages)) {
        kiln_say(ctx, KILN_NOTE,
                 "once the cause is fixed: kiln pip cache remove NAME, then kiln pip install "
                 "--force-reinstall NAME");
    }
    say_totals(ctx, &totals, packages->count);
    return failed ? KILN_ERR_TOOL : 0;
}
