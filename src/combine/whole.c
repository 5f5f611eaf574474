/* Archives that are inputs as a whole, of which ld takes the members it needs.
 *
 * Which these are is known only after ld has run. So bytecode and legacy constructors are replaced in
 * every member beforehand, by rebuilding the archive, while members that cannot be isolated are
 * refused afterwards, if they took part. */
#include "combine/whole.h"

#include "base/process.h"
#include "combine/lower.h"
#include "combine/prepare.h"
#include "elf/ar.h"

struct visiting {
    struct kiln_combining *run;
    const char *archive;
    struct kiln_strings offered;        /* init symbols */
    const struct kiln_machine *machine; /* of the first member; NULL: only bytecode so far */
    bool rebuild;                       /* a member has to be replaced */
    struct kiln_strings members;        /* paths of the members, when rebuilding */
};

static int
look_at_member(void *arg, const char *member, struct kiln_span contents)
{
    struct visiting *visiting = arg;
    enum kiln_object_kind kind = kiln_elf_classify(contents);
    /* A damaged member matters only if it takes part. */
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    if (kiln_lower_is_needed(kind)) {
        visiting->rebuild = true;
    }
    else if (kind == KILN_OBJECT_RELOCATABLE && kiln_elf_init(&silent, contents, member, &elf) == 0)
    {
        struct kiln_needs needs = kiln_prepare_find_needs(&elf);
        visiting->machine = visiting->machine == NULL ? elf.machine : visiting->machine;
        visiting->run->needs_shim |= needs.shim;
        visiting->rebuild |= needs.reversal;
        kiln_prepare_find_inits(visiting->run->ctx, &elf, &visiting->offered);
    }
    kiln_ctx_release(&silent);
    return 0;
}

/* Writes the member to a file, lowers it if needed, and prepares it as any object. */
static int
rebuild_member(void *arg, const char *member, struct kiln_span contents)
{
    struct visiting *visiting = arg;
    struct kiln_combining *run = visiting->run;
    struct kiln_ctx *ctx = run->ctx;
    struct kiln_input input = {
        .name = kiln_arena_printf(&ctx->arena, "%s(%s)", visiting->archive, member),
        .path = kiln_combining_make_path(run, ".o"),
        .kind = kiln_elf_classify(contents),
    };
    int result = kiln_file_write(ctx, input.path, contents);
    if (result == 0 && kiln_lower_is_needed(input.kind)) {
        struct kiln_strings objects = {0};
        kiln_strings_push(&ctx->arena, &objects, input.path);
        input.path = kiln_combining_make_path(run, ".o");
        result = kiln_lower_objects(ctx, run->in->cc, input.kind, &objects, input.name, input.path);
        input.kind = KILN_OBJECT_RELOCATABLE;
    }
    if (result == 0 && input.kind == KILN_OBJECT_RELOCATABLE) {
        result = kiln_prepare_object(run, &input);
    }
    kiln_strings_push(&ctx->arena, &visiting->members, input.path);
    return result;
}

static int
rebuild_archive(struct visiting *visiting, struct kiln_input *input, struct kiln_span bytes)
{
    struct kiln_combining *run = visiting->run;
    struct kiln_ctx *ctx = run->ctx;
    struct kiln_strings found = run->found;
    int result = kiln_ar_visit(ctx, bytes, input->name, rebuild_member, visiting);
    /* The symbols of bytecode are known only now. */
    visiting->offered = run->found;
    run->found = found;
    if (result < 0) {
        return result;
    }
    input->path = kiln_combining_make_path(run, ".a");
    struct kiln_process ar = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    const struct kiln_machine *machine =
        run->machine != NULL ? run->machine : kiln_machine_get_native();
    kiln_strings_push(&ctx->arena, &ar.argv, kiln_machine_get_tool(ctx, machine, "ar"));
    kiln_strings_push(&ctx->arena, &ar.argv, "qcsD");
    /* Without a named format ar asks LLVM's plugin, which claims objects with embedded bitcode, such
     * as those of rustc's standard library, and the index then lacks their symbols. */
    kiln_strings_push(&ctx->arena, &ar.argv,
                      kiln_arena_printf(&ctx->arena, "--target=%s", machine->bfd_format));
    kiln_strings_push(&ctx->arena, &ar.argv, input->path);
    kiln_strings_push_all(&ctx->arena, &ar.argv, &visiting->members);
    return kiln_process_check(ctx, &ar, "cannot rebuild an archive with its objects lowered");
}

int
kiln_whole_prepare(struct kiln_combining *run, struct kiln_input *input,
                   struct kiln_strings *offered)
{
    struct visiting visiting = {.run = run, .archive = input->name};
    struct kiln_file file;
    int result = kiln_file_map(run->ctx, input->path, &file);
    if (result == 0) {
        result = kiln_ar_visit(run->ctx, file.bytes, input->name, look_at_member, &visiting);
    }
    if (result == 0 && visiting.machine != NULL) {
        result = kiln_combining_note_machine(run, visiting.machine, input->name);
    }
    if (result == 0 && visiting.rebuild) {
        result = rebuild_archive(&visiting, input, file.bytes);
    }
    kiln_file_release(&file);
    kiln_strings_push_all(&run->ctx->arena, offered, &visiting.offered);
    return result;
}

struct looking {
    struct kiln_ctx *ctx;
    const char *archive, *member;
};

static int
check_if_wanted(void *arg, const char *member, struct kiln_span contents)
{
    struct looking *looking = arg;
    if (strcmp(member, looking->member) != 0) {
        return 0;
    }
    struct kiln_elf elf;
    const char *name = kiln_arena_printf(&looking->ctx->arena, "%s(%s)", looking->archive, member);
    int result = kiln_elf_init(looking->ctx, contents, name, &elf);
    return result == 0 ? kiln_prepare_check(looking->ctx, &elf) : result;
}

int
kiln_whole_check_member(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                        const char *member)
{
    struct looking looking = {.ctx = ctx, .archive = name, .member = member};
    return kiln_ar_visit(ctx, bytes, name, check_if_wanted, &looking);
}
