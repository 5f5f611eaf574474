/* Resolving inputs: from what a link's trace names to files that ld can be given.
 *
 * A member of an archive is written out, so that exactly the members of the recorded link take part
 * and in their order. Where an archive has several members of one name and only some of them took
 * part, nobody can tell which; ld then gets the archive itself and takes what is needed. */
#include "combine/inputs.h"

#include <stdlib.h>
#include <sys/stat.h>

struct member {
    const char *name;
    struct kiln_span contents;
    bool taken;
};

struct archive {
    const char *path;
    struct kiln_file file;
    bool whole; /* is an input itself, by which all its members are dealt with */
    struct {
        struct member *items;
        size_t count, capacity;
    } members;
};

struct archives {
    struct archive *items;
    size_t count, capacity;
};

struct resolving {
    struct kiln_combining *run;
    struct archives archives;
};

const char *
kiln_combining_make_path(struct kiln_combining *run, const char *suffix)
{
    return kiln_arena_printf(&run->ctx->arena, "%s/%zu%s", run->tmpdir, run->files++, suffix);
}

int
kiln_combining_note_machine(struct kiln_combining *run, const struct kiln_machine *machine,
                            const char *name)
{
    if (run->machine == NULL) {
        run->machine = machine;
        run->machine_input = name;
    }
    if (run->machine != machine) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT,
                         "%s: made for the machine %s, but %s for %s: compile both for the same",
                         name, machine->name, run->machine_input, run->machine->name);
    }
    return 0;
}

static void
push(struct kiln_combining *run, const char *path, const char *name, enum kiln_object_kind kind)
{
    *KILN_ARENA_PUSH(&run->ctx->arena, &run->inputs) =
        (struct kiln_input){.path = path, .name = name, .kind = kind, .origin = run->origin};
}

/* Take BYTES, the contents of PATH, as an input, unless they cannot be one. */
static int
push_checked(struct kiln_combining *run, const char *path, const char *name, struct kiln_span bytes)
{
    enum kiln_object_kind kind = kiln_elf_classify(bytes);
    if (kind == KILN_OBJECT_SHARED) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT,
                         "%s: a shared object cannot become part of an extension; link it at the "
                         "end, with the executable",
                         name);
    }
    if (kind == KILN_OBJECT_OTHER) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT, "%s: neither an object file nor an archive",
                         name);
    }
    push(run, path, name, kind);
    return 0;
}

static int
resolve_file(struct kiln_combining *run, const char *path)
{
    struct kiln_file file;
    int result = kiln_file_map(run->ctx, path, &file);
    if (result == 0) {
        result = push_checked(run, path, path, file.bytes);
    }
    kiln_file_release(&file);
    return result;
}

struct listing {
    struct kiln_ctx *ctx;
    struct archive *archive;
};

static int
list_member(void *arg, const char *member, struct kiln_span contents)
{
    struct listing *listing = arg;
    *KILN_ARENA_PUSH(&listing->ctx->arena, &listing->archive->members) =
        (struct member){.name = member, .contents = contents};
    return 0;
}

/* The archive at PATH, mapped and listed when first asked for. */
static int
open_archive(struct resolving *resolving, const char *path, struct archive **out)
{
    struct kiln_ctx *ctx = resolving->run->ctx;
    for (size_t i = 0; i < resolving->archives.count; i++) {
        *out = &resolving->archives.items[i];
        if (strcmp((*out)->path, path) == 0) {
            return 0;
        }
    }
    struct kiln_file file;
    int result = kiln_file_map(ctx, path, &file);
    if (result < 0) {
        return result;
    }
    *out = KILN_ARENA_PUSH(&ctx->arena, &resolving->archives);
    **out = (struct archive){.path = path, .file = file};
    if (kiln_span_starts_with(file.bytes, "!<thin>\n", 8)) {
        return 0;
    }
    struct listing listing = {.ctx = ctx, .archive = *out};
    return kiln_ar_visit(ctx, file.bytes, path, list_member, &listing);
}

static size_t
count_mentions(const struct kiln_strings *inputs, const char *input)
{
    size_t count = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        count += strcmp(inputs->items[i], input) == 0;
    }
    return count;
}

static int
take_member(struct kiln_combining *run, struct archive *archive, const char *member,
            const char *input)
{
    struct member *found = NULL;
    size_t copies = 0;
    for (size_t i = 0; i < archive->members.count; i++) {
        struct member *candidate = &archive->members.items[i];
        if (strcmp(candidate->name, member) == 0) {
            found = found == NULL || found->taken ? candidate : found;
            copies++;
        }
    }
    if (found == NULL) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT, "%s: the archive has no such member", input);
    }
    if (archive->whole || found->taken) {
        return 0; /* a trace may name a member twice */
    }
    if (copies > 1 && count_mentions(&run->in->inputs, input) < copies) {
        archive->whole = true;
        push(run, archive->path, archive->path, KILN_OBJECT_ARCHIVE);
        return 0;
    }
    found->taken = true;
    const char *path = kiln_combining_make_path(run, ".o");
    int result = kiln_file_write(run->ctx, path, found->contents);
    return result == 0 ? push_checked(run, path, input, found->contents) : result;
}

static int
resolve_member(struct resolving *resolving, const char *input, const char *open)
{
    struct kiln_combining *run = resolving->run;
    struct kiln_arena *arena = &run->ctx->arena;
    const char *path = kiln_arena_strndup(arena, input, (size_t)(open - input));
    const char *member = kiln_arena_strndup(arena, open + 1, strlen(open) - 2);
    struct archive *archive;
    int result = open_archive(resolving, path, &archive);
    if (result < 0) {
        return result;
    }
    if (kiln_span_starts_with(archive->file.bytes, "!<thin>\n", 8)) {
        const char *dir = kiln_file_dirname(run->ctx, path);
        return resolve_file(run, *member == '/' ? member
                                                : kiln_arena_printf(arena, "%s/%s", dir, member));
    }
    return take_member(run, archive, member, input);
}

static int
resolve(struct resolving *resolving, const char *input)
{
    size_t len = strlen(input);
    const char *open = strrchr(input, '(');
    struct stat st;
    if (open != NULL && open != input && input[len - 1] == ')' && stat(input, &st) < 0) {
        return resolve_member(resolving, input, open);
    }
    return resolve_file(resolving->run, input);
}

int
kiln_inputs_resolve(struct kiln_combining *run)
{
    struct resolving resolving = {.run = run};
    int result = 0;
    for (size_t i = 0; i < run->in->inputs.count; i++) {
        run->origin = i < run->in->origins.count ? run->in->origins.items[i] : "";
        int failed = resolve(&resolving, run->in->inputs.items[i]);
        result = failed < 0 ? failed : result;
    }
    for (size_t i = 0; i < resolving.archives.count; i++) {
        kiln_file_release(&resolving.archives.items[i].file);
    }
    return result;
}
