/* Combining: the inputs of one extension's link to one relocatable object, by `ld -r` with a script.
 *
 * The result has no section groups, common symbols or compiler's bytecode. Its constructors and
 * destructors are in one section, KILN_CTORS_SECTION, that linkers and start-up code do not know. All
 * code is in `.text`. If there are constructors or destructors, each init function has a companion,
 * KILN_START_PREFIX and its name, that runs them first. kiln_isolate() relies on all of this. */
#include "combine/combine.h"

#include <stdlib.h>

#include "base/process.h"
#include "base/temporary.h"
#include "base/response.h"
#include "base/text.h"
#include "combine/inputs.h"
#include "combine/keep.h"
#include "combine/lower.h"
#include "combine/prepare.h"
#include "combine/shim.h"
#include "combine/whole.h"
#include "names/combined.h"
#include "names/init_symbol.h"

/* Sections that the script does not name keep their names. Constructors are in the order in which
 * ld's script for shared objects puts them. `.gnu.linkonce` sections are an older kind of section
 * groups: of each name, linkers keep only one, across modules. `.deplibs` names libraries, which the shared object has
 * been linked with. Compilers disagree about the type of
 * `.eh_frame`, which would make two sections of it. Without the address 0, an output section of a
 * relocatable object starts where the one before it ends. */
static const char script[] =
    "SECTIONS {\n"
    "  " KILN_CTORS_SECTION " 0 : {\n"
    "    " KILN_CTORS_START " = .;\n"
    "    KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*) SORT_BY_INIT_PRIORITY(.ctors.*)))\n"
    "    KEEP(*(.init_array .ctors))\n"
    "    " KILN_CTORS_END " = .;\n"
    "    " KILN_DTORS_START " = .;\n"
    "    KEEP(*(SORT_BY_INIT_PRIORITY(.fini_array.*) SORT_BY_INIT_PRIORITY(.dtors.*)))\n"
    "    KEEP(*(.fini_array .dtors))\n"
    "    " KILN_DTORS_END " = .;\n"
    "  }\n"
    "  .text 0 : {\n"
    "    " KILN_TEXT_START " = .;\n"
    "    *(.text .text.* .gnu.linkonce.t.*)\n"
    "    " KILN_TEXT_END " = .;\n"
    "  }\n"
    "  .eh_frame 0 : { *(.eh_frame) }\n"
    "  .rodata.linkonce 0 : { *(.gnu.linkonce.r.*) }\n"
    "  .data.linkonce 0 : { *(.gnu.linkonce.d.*) }\n"
    "  .bss.linkonce 0 : { *(.gnu.linkonce.b.*) }\n"
    "  .tdata.linkonce 0 : { *(.gnu.linkonce.td.*) }\n"
    "  .tbss.linkonce 0 : { *(.gnu.linkonce.tb.*) }\n"
    "  /DISCARD/ : {\n"
    "    *(.gnu.lto_* .gnu.debuglto_* .llvmbc .llvmcmd .llvm.lto .note.gnu.build-id)\n"
    "    *(.deplibs .linker-options)\n"
    "  }\n"
    "}\n";

static void
push(struct kiln_ctx *ctx, struct kiln_process *process, const char *arg)
{
    kiln_strings_push(&ctx->arena, &process->argv, arg);
}

/* Chooses the init symbols that the result is to have. */
static int
choose_inits(struct kiln_combining *run)
{
    run->inits = run->in->inits.count > 0 ? run->in->inits : run->found;
    if (run->inits.count == 0) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT,
                         "%s: no init function (PyInit_...) among the objects; is the right one "
                         "among them?",
                         run->inputs.count > 0 ? run->inputs.items[0].name : "nothing to link");
    }
    for (size_t i = 0; i < run->inits.count; i++) {
        if (!kiln_init_symbol_is_valid(run->inits.items[i])) {
            return kiln_fail(run->ctx, KILN_ERR_INPUT,
                             "%s: not the name of an init function (PyInit_..., PyModExport_...)",
                             run->inits.items[i]);
        }
    }
    return 0;
}

/* Writes the paths of all inputs to a file for ld: there may be too many for an argv. */
static int
write_inputs(struct kiln_combining *run, const char *shim, const char *path)
{
    struct kiln_strings paths = {0};
    for (size_t i = 0; i < run->inputs.count; i++) {
        kiln_strings_push(&run->ctx->arena, &paths, run->inputs.items[i].path);
    }
    if (shim != NULL) {
        kiln_strings_push(&run->ctx->arena, &paths, shim);
    }
    return kiln_response_write(run->ctx, path, &paths);
}

/* Checks the members that ld took out of ARCHIVE, as its trace says: lines "(libx.a)m.o". */
static int
check_archive(struct kiln_combining *run, const struct kiln_input *archive, const char *trace)
{
    struct kiln_ctx *ctx = run->ctx;
    struct kiln_file file;
    int result = kiln_file_map(ctx, archive->path, &file);
    const char *prefix = kiln_arena_printf(&ctx->arena, "(%s)", archive->path);
    size_t len = strlen(prefix);
    while (result == 0 && *trace != '\0') {
        size_t line = strcspn(trace, "\n");
        if (line > len && kiln_starts_with(trace, prefix)) {
            const char *member = kiln_arena_strndup(&ctx->arena, trace + len, line - len);
            result = kiln_whole_check_member(ctx, file.bytes, archive->name, member);
        }
        trace += line + (trace[line] == '\n');
    }
    kiln_file_release(&file);
    return result;
}

static int
check_archives(struct kiln_combining *run, const char *trace)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < run->inputs.count; i++) {
        if (run->inputs.items[i].kind == KILN_OBJECT_ARCHIVE) {
            result = check_archive(run, &run->inputs.items[i], trace);
        }
    }
    return result;
}

static int
link_relocatable(struct kiln_combining *run, const char *shim, const char *out_path)
{
    struct kiln_ctx *ctx = run->ctx;
    const char *script_path = kiln_combining_make_path(run, ".ld");
    const char *inputs_path = kiln_combining_make_path(run, ".inputs");
    int result = kiln_file_write(ctx, script_path, kiln_span_of_string(script));
    if (result == 0) {
        result = write_inputs(run, shim, inputs_path);
    }
    if (result < 0) {
        return result;
    }
    struct kiln_process ld = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_CAPTURE};
    static const char *const flags[] = {
        "-r", "-d",          "--trace",        "--trace", "--force-group-allocation",
        "-z", "noexecstack", "--build-id=none"};
    push(ctx, &ld,
         run->in->ld != NULL ? run->in->ld : kiln_machine_get_tool(ctx, run->machine, "ld.bfd"));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        push(ctx, &ld, flags[i]);
    }
    push(ctx, &ld, "-T");
    push(ctx, &ld, script_path);
    push(ctx, &ld, "-o");
    push(ctx, &ld, out_path);
    for (size_t i = 0; i < run->inits.count; i++) {
        push(ctx, &ld, kiln_arena_printf(&ctx->arena, "--undefined=%s", run->inits.items[i]));
    }
    kiln_strings_push_all(&ctx->arena, &ld.argv, &run->in->flags);
    push(ctx, &ld, kiln_arena_printf(&ctx->arena, "@%s", inputs_path));
    result = kiln_process_check(ctx, &ld, "cannot combine the objects");
    return result == 0 ? check_archives(run, (const char *)ld.out.ptr) : result;
}

/* Checks that the result at PATH defines the chosen init symbols. */
static int
check_result(struct kiln_combining *run, const char *path)
{
    struct kiln_ctx *ctx = run->ctx;
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, "the combined object", &elf);
    }
    for (size_t i = 0; result == 0 && i < run->inits.count; i++) {
        if (!kiln_elf_defines(&elf, run->inits.items[i])) {
            const char *others = "";
            for (size_t k = 0; k < run->found.count; k++) {
                others = kiln_arena_printf(&ctx->arena, "%s %s", others, run->found.items[k]);
            }
            result = kiln_fail(ctx, KILN_ERR_INPUT,
                               "%s is not defined by the objects; the init functions they have:%s",
                               run->inits.items[i], *others == '\0' ? " none" : others);
        }
    }
    kiln_file_release(&file);
    return result;
}

/* Checks and prepares every input; all problems are reported. */
static int
prepare_inputs(struct kiln_combining *run)
{
    struct kiln_strings offered = {0};
    int result = 0;
    for (size_t i = 0; i < run->inputs.count; i++) {
        struct kiln_input *input = &run->inputs.items[i];
        int failed = input->kind == KILN_OBJECT_ARCHIVE ? kiln_whole_prepare(run, input, &offered)
                                                        : kiln_prepare_object(run, input);
        result = failed < 0 ? failed : result;
    }
    if (run->found.count == 0) {
        run->found = offered;
    }
    return result;
}

static int
combine(struct kiln_combining *run, const char *out_path)
{
    int result = kiln_inputs_resolve(run);
    if (result == 0) {
        result = kiln_lower_inputs(run);
    }
    if (result == 0) {
        result = kiln_keep_inputs(run);
    }
    if (result == 0) {
        result = prepare_inputs(run);
    }
    if (result == 0) {
        result = choose_inits(run);
    }
    if (run->machine == NULL) {
        run->machine = kiln_machine_get_native();
    }
    const char *shim = NULL;
    if (result == 0 && run->needs_shim) {
        shim = kiln_combining_make_path(run, ".o");
        result = kiln_shim_make(run, shim);
    }
    if (result == 0) {
        result = link_relocatable(run, shim, out_path);
    }
    return result == 0 ? check_result(run, out_path) : result;
}

int
kiln_combine(struct kiln_ctx *ctx, const struct kiln_combine *in, const char *out_path)
{
    const char *tmpdir = kiln_ctx_make_dir(ctx, "combine");
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    struct kiln_combining run = {.ctx = ctx, .in = in, .tmpdir = tmpdir};
    struct kiln_output out;
    int result = kiln_output_init(ctx, out_path, 0666, &out);
    if (result == 0) {
        result = combine(&run, out.tmppath);
    }
    if (result == 0) {
        result = kiln_output_commit(ctx, &out);
    }
    kiln_output_release(&out);
    kiln_temporary_remove(tmpdir);
    return result;
}
