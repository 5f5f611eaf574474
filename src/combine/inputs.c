/* Resolving inputs: from the files and members that a link took to the files that ld is given.
 *
 * A member of an archive is written out, so that exactly the members of the recorded link take part,
 * in their order. If several members of an archive have one name and only some of them took part,
 * nothing tells which; ld then gets the archive itself and takes what it needs. */
#include "combine/inputs.h"

#include <unistd.h>

#include "elf/ar.h"

struct member {
    const char *name;
    struct kiln_span contents;
    bool taken;
};

struct archive {
    const char *path;
    struct kiln_file file;
    bool whole; /* an input itself, which covers all its members */
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

static void
push(struct kiln_combining *run, const struct kiln_input *input)
{
    *KILN_ARENA_PUSH(&run->ctx->arena, &run->inputs) = *input;
    if (input->archive_member.path != NULL) {
        kiln_strings_add(&run->ctx->arena, &run->archives, input->archive_member.path);
    }
}

/* Takes INPUT, of which BYTES are the contents, unless its kind cannot be combined. */
static int
push_checked(struct kiln_combining *run, struct kiln_input input, struct kiln_span bytes)
{
    input.kind = kiln_elf_classify(bytes);
    if (input.kind == KILN_OBJECT_SHARED) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT,
                         "%s: a shared object cannot become part of an extension; link it at the "
                         "end, with the executable",
                         input.name);
    }
    if (input.kind == KILN_OBJECT_OTHER) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT, "%s: neither an object file nor an archive",
                         input.name);
    }
    push(run, &input);
    return 0;
}

static int
resolve_file(struct kiln_combining *run, const struct kiln_input *input)
{
    struct kiln_file file;
    int result = kiln_file_map(run->ctx, input->path, &file);
    if (result == 0) {
        result = push_checked(run, *input, file.bytes);
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

/* Sets *OUT to the archive at PATH, which is mapped and listed at the first call. */
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
    struct listing listing = {.ctx = ctx, .archive = *out};
    return kiln_ar_is_thin(file.bytes)
               ? 0
               : kiln_ar_visit(ctx, file.bytes, path, list_member, &listing);
}

static size_t
count_mentions(const struct kiln_link_inputs *inputs, const struct kiln_link_input *member)
{
    size_t count = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct kiln_link_input *input = &inputs->items[i];
        count += input->member != NULL && strcmp(input->member, member->member) == 0 &&
                 strcmp(input->path, member->path) == 0;
    }
    return count;
}

static struct kiln_input
describe_member(struct kiln_combining *run, const struct kiln_link_input *in)
{
    return (struct kiln_input){
        .name = kiln_arena_printf(&run->ctx->arena, "%s(%s)", in->path, in->member),
        .archive_member = {.path = kiln_file_absolute(run->ctx, in->path),
                           .member = kiln_file_basename(in->member)},
    };
}

static int
take_member(struct kiln_combining *run, struct archive *archive, const struct kiln_link_input *in)
{
    struct member *found = NULL;
    size_t copies = 0;
    for (size_t i = 0; i < archive->members.count; i++) {
        struct member *candidate = &archive->members.items[i];
        if (strcmp(candidate->name, in->member) == 0) {
            found = found == NULL || found->taken ? candidate : found;
            copies++;
        }
    }
    if (found == NULL) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT, "%s(%s): the archive has no such member",
                         in->path, in->member);
    }
    if (archive->whole || found->taken) {
        return 0; /* a trace may name a member twice */
    }
    if (copies > 1 && count_mentions(&run->in->inputs, in) < copies) {
        archive->whole = true;
        push(run, &(struct kiln_input){
                      .path = archive->path, .name = archive->path, .kind = KILN_OBJECT_ARCHIVE});
        return 0;
    }
    found->taken = true;
    struct kiln_input input = describe_member(run, in);
    input.path = kiln_combining_make_path(run, ".o");
    int result = kiln_file_write(run->ctx, input.path, found->contents);
    return result == 0 ? push_checked(run, input, found->contents) : result;
}

/* The member of a thin archive is a file. lld names it from the archive's directory, gold and mold
 * name it from the working directory. */
static int
take_thin_member(struct kiln_combining *run, const struct kiln_link_input *in)
{
    struct kiln_ctx *ctx = run->ctx;
    struct kiln_input input = describe_member(run, in);
    const char *dir = kiln_file_dirname(ctx, in->path);
    input.path = kiln_arena_printf(&ctx->arena, "%s/%s", dir, in->member);
    if (in->member[0] == '/' || access(input.path, R_OK) < 0) {
        input.path = in->member;
    }
    if (access(input.path, R_OK) < 0) {
        return kiln_fail_errno(ctx, "%s: member %s of a thin archive: cannot read", in->path,
                               in->member);
    }
    input.name = input.path;
    for (size_t i = 0; i < run->inputs.count; i++) {
        if (strcmp(run->inputs.items[i].path, input.path) == 0) {
            return 0;
        }
    }
    return resolve_file(run, &input);
}

static int
resolve(struct resolving *resolving, const struct kiln_link_input *in)
{
    struct kiln_combining *run = resolving->run;
    if (in->member == NULL) {
        return resolve_file(run, &(struct kiln_input){.path = in->path, .name = in->path});
    }
    struct archive *archive;
    int result = open_archive(resolving, in->path, &archive);
    if (result < 0) {
        return result;
    }
    return kiln_ar_is_thin(archive->file.bytes) ? take_thin_member(run, in)
                                                : take_member(run, archive, in);
}

int
kiln_inputs_resolve(struct kiln_combining *run)
{
    struct resolving resolving = {.run = run};
    int result = 0;
    for (size_t i = 0; i < run->in->inputs.count; i++) {
        int failed = resolve(&resolving, &run->in->inputs.items[i]);
        result = failed < 0 ? failed : result;
    }
    for (size_t i = 0; i < resolving.archives.count; i++) {
        kiln_file_release(&resolving.archives.items[i].file);
    }
    return result;
}
