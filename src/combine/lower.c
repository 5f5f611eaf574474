/* Lowering: LTO objects hold a compiler's bytecode, which only that compiler's linker plugin turns
 * into machine code.
 *
 * All objects of one kind are lowered together, as in the link of the shared object, so that the
 * optimizer sees all of them. */
#include "combine/lower.h"

#include "base/process.h"
#include "base/text.h"

static void
push(struct kiln_ctx *ctx, struct kiln_process *process, const char *arg)
{
    kiln_strings_push(&ctx->arena, &process->argv, arg);
}

/* Returns the compiler for the machine of the object at PATH. */
static const char *
find_cc(struct kiln_ctx *ctx, const char *path)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct kiln_elf elf;
    const struct kiln_machine *machine = NULL;
    if (kiln_file_map(&silent, path, &file) == 0 &&
        kiln_elf_init(&silent, file.bytes, path, &elf) == 0) {
        machine = elf.machine;
    }
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
    return machine == NULL || machine == kiln_machine_get_native()
               ? "cc"
               : kiln_machine_get_tool(ctx, machine, "gcc");
}

/* With -r, gcc's partitions can hold a symbol twice, which is an internal error of gcc (12.2, C++);
 * hence -flto-partition=none. */
static int
lower_gcc(struct kiln_ctx *ctx, const char *cc, const struct kiln_strings *objects,
          const char *name, const char *out)
{
    static const char *const flags[] = {
        "-r",
        "-nostdlib",
        "-O2",
        "-fPIC",
        "-flto",
        "-flto-partition=none",
        "-flinker-output=nolto-rel",
        "-frandom-seed=kiln",
        "-fuse-ld=bfd",
        "-o",
    };
    struct kiln_process gcc = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    push(ctx, &gcc, cc);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        push(ctx, &gcc, flags[i]);
    }
    push(ctx, &gcc, out);
    kiln_strings_push_all(&ctx->arena, &gcc.argv, objects);
    int result = kiln_process_run(ctx, &gcc);
    if (result == 0 && gcc.status != 0) {
        size_t len = gcc.err.len < 2000 ? gcc.err.len : 2000;
        while (len > 0 && gcc.err.ptr[len - 1] == '\n') {
            len--;
        }
        result = kiln_fail(ctx, KILN_ERR_TOOL,
                           "%s: bytecode of gcc (-flto) that %s cannot lower; rebuild it with "
                           "-fno-lto, or with that compiler:\n%.*s",
                           name, cc, (int)len, (const char *)gcc.err.ptr);
    }
    return result;
}

/* Returns the lld that comes with rustc, which usually is newer than the system's, or NULL. */
static const char *
find_rust_lld(struct kiln_ctx *ctx)
{
    const char *rustc = kiln_process_find(ctx, "rustc");
    if (rustc == NULL) {
        return NULL;
    }
    struct kiln_process process = {.out_mode = KILN_STREAM_CAPTURE, .err_mode = KILN_STREAM_DROP};
    push(ctx, &process, rustc);
    push(ctx, &process, "--print=sysroot");
    if (kiln_process_run(ctx, &process) < 0 || process.status != 0) {
        return NULL;
    }
    const char *path = kiln_arena_printf(
        &ctx->arena, "%s/lib/rustlib/%s-unknown-linux-gnu/bin/rust-lld",
        kiln_process_get_last_line(ctx, process.out), kiln_machine_get_native()->kernel);
    return kiln_process_find(ctx, path);
}

/* Returns every lld there is: the system's default, then from the newest to the oldest. */
static struct kiln_strings
find_llds(struct kiln_ctx *ctx)
{
    enum { OLDEST = 10, NEWEST = 40 };
    struct kiln_strings found = {0};
    const char *path = kiln_process_find(ctx, "ld.lld");
    if (path != NULL) {
        kiln_strings_push(&ctx->arena, &found, path);
    }
    for (int version = NEWEST; version >= OLDEST; version--) {
        path = kiln_process_find(ctx, kiln_arena_printf(&ctx->arena, "ld.lld-%d", version));
        if (path != NULL) {
            kiln_strings_push(&ctx->arena, &found, path);
        }
    }
    path = find_rust_lld(ctx);
    if (path != NULL) {
        kiln_strings_push(&ctx->arena, &found, path);
    }
    return found;
}

static int
lower_llvm(struct kiln_ctx *ctx, const struct kiln_strings *objects, const char *name,
           const char *out)
{
    const char *tried = "there is no ld.lld";
    struct kiln_strings llds = find_llds(ctx);
    for (size_t i = 0; i < llds.count; i++) {
        struct kiln_process lld = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
        push(ctx, &lld, llds.items[i]);
        if (strcmp(kiln_file_basename(llds.items[i]), "rust-lld") == 0) {
            push(ctx, &lld, "-flavor");
            push(ctx, &lld, "gnu");
        }
        push(ctx, &lld, "-r");
        push(ctx, &lld, "-o");
        push(ctx, &lld, out);
        kiln_strings_push_all(&ctx->arena, &lld.argv, objects);
        int result = kiln_process_run(ctx, &lld);
        if (result < 0 || lld.status == 0) {
            return result;
        }
        tried = kiln_arena_printf(&ctx->arena, "%s says: %s", llds.items[i],
                                  kiln_process_get_last_line(ctx, lld.err));
    }
    return kiln_fail(ctx, KILN_ERR_TOOL,
                     "%s: LLVM bitcode (-flto) that cannot be lowered; rebuild it without -flto, "
                     "or install an ld.lld as new as the compiler that made it (%s)",
                     name, tried);
}

int
kiln_lower_objects(struct kiln_ctx *ctx, const char *cc, enum kiln_object_kind kind,
                   const struct kiln_strings *objects, const char *name, const char *out)
{
    if (kind == KILN_OBJECT_GCC_LTO) {
        cc = cc == NULL ? find_cc(ctx, objects->items[0]) : cc;
        return lower_gcc(ctx, cc, objects, name, out);
    }
    return lower_llvm(ctx, objects, name, out);
}

bool
kiln_lower_is_needed(enum kiln_object_kind kind)
{
    return kind == KILN_OBJECT_GCC_LTO || kind == KILN_OBJECT_LLVM_BITCODE;
}

/* `ld -r` applies --wrap=f to references between objects. By then, references of the bytecode to an f
 * that it defines itself are resolved or inlined, whereas lld wraps them when it links the extension.
 */
static int
check_wrapped(struct kiln_combining *run, const char *name, const char *lowered)
{
    static const char option[] = "--wrap=";
    const struct kiln_strings *flags = &run->in->flags;
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(run->ctx, lowered, &file);
    if (result == 0) {
        result = kiln_elf_init(run->ctx, file.bytes, name, &elf);
    }
    for (size_t i = 0; result == 0 && i < flags->count; i++) {
        const char *flag = flags->items[i];
        if (kiln_starts_with(flag, option) && kiln_elf_defines(&elf, flag + sizeof option - 1)) {
            result =
                kiln_fail(run->ctx, KILN_ERR_INPUT,
                          "%s: LLVM bitcode (-flto) of which %s wraps a function, which cannot "
                          "be repeated after it is lowered; rebuild it without -flto",
                          name, flag);
        }
    }
    kiln_file_release(&file);
    return result;
}

/* Lowers all inputs of KIND to one object, which takes the place of the first. */
static int
lower_kind(struct kiln_combining *run, enum kiln_object_kind kind)
{
    struct kiln_strings objects = {0};
    struct kiln_inputs rest = {0};
    const char *out = NULL, *name = NULL;
    for (size_t i = 0; i < run->inputs.count; i++) {
        struct kiln_input *input = &run->inputs.items[i];
        if (input->kind != kind) {
            *KILN_ARENA_PUSH(&run->ctx->arena, &rest) = *input;
            continue;
        }
        if (out == NULL) {
            out = kiln_combining_make_path(run, ".o");
            name = input->name;
            *KILN_ARENA_PUSH(&run->ctx->arena, &rest) =
                (struct kiln_input){.path = out, .name = name, .kind = KILN_OBJECT_RELOCATABLE};
        }
        kiln_strings_push(&run->ctx->arena, &objects, input->path);
    }
    run->inputs = rest;
    int result =
        out == NULL ? 0 : kiln_lower_objects(run->ctx, run->in->cc, kind, &objects, name, out);
    return out != NULL && result == 0 && kind == KILN_OBJECT_LLVM_BITCODE
               ? check_wrapped(run, name, out)
               : result;
}

int
kiln_lower_inputs(struct kiln_combining *run)
{
    bool needed = false;
    for (size_t i = 0; i < run->inputs.count; i++) {
        needed |= kiln_lower_is_needed(run->inputs.items[i].kind);
    }
    if (!needed) {
        return 0;
    }
    int result = lower_kind(run, KILN_OBJECT_GCC_LTO);
    return result == 0 ? lower_kind(run, KILN_OBJECT_LLVM_BITCODE) : result;
}
