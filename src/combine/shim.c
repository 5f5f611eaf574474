/* The shim: the functions that run an extension's constructors before its init functions.
 *
 * For each init function there is one that calls kiln_run_constructors() with the extension's record
 * and then jumps to the init function, with the stack as its own caller left it. C can express
 * neither the jump nor the record, which is distances between symbols; hence assembly. The linker
 * script of combine.c defines these symbols. */
#include "combine/shim.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/process.h"
#include "kiln/internal/constructors.h"
#include "names/combined.h"
#include "names/module_symbol.h"

struct template
{
    const char *function; /* @S: the new function; @I: the real one */
    const char *end;      /* after the record */
};

/* The note says that indirect branches (IBT, BTI) and returns (SHSTK, PAC) are protected: ld keeps
 * that property only if all objects have it. Older processors ignore hints. */
static const struct template x86_64 = {
    .function = "        .text\n"
                "        .p2align 4\n"
                "        .globl @S\n"
                "        .type @S, @function\n"
                "@S:\n"
                "        .cfi_startproc\n"
                "        endbr64\n"
                "        subq $8, %rsp\n"
                "        .cfi_adjust_cfa_offset 8\n"
                "        leaq .Lrecord(%rip), %rdi\n"
                "        call " KILN_RUN_CONSTRUCTORS "@PLT\n"
                "        addq $8, %rsp\n"
                "        .cfi_adjust_cfa_offset -8\n"
                "        jmp @I@PLT\n"
                "        .cfi_endproc\n"
                "        .size @S, .-@S\n",
    .end = "        .section .note.GNU-stack, \"\", @progbits\n"
           "        .section .note.gnu.property, \"a\", @note\n"
           "        .p2align 3\n"
           "        .long 4, 16, 5\n"
           "        .asciz \"GNU\"\n"
           "        .long 0xc0000002, 4, 3, 0\n",
};

static const struct template aarch64 = {
    .function = "        .text\n"
                "        .p2align 2\n"
                "        .globl @S\n"
                "        .type @S, %function\n"
                "@S:\n"
                "        .cfi_startproc\n"
                "        hint #25\n" /* paciasp, which is a landing pad for indirect calls, too */
                "        .cfi_negate_ra_state\n"
                "        stp x29, x30, [sp, #-16]!\n"
                "        .cfi_def_cfa_offset 16\n"
                "        .cfi_offset 29, -16\n"
                "        .cfi_offset 30, -8\n"
                "        mov x29, sp\n"
                "        adrp x0, .Lrecord\n"
                "        add x0, x0, :lo12:.Lrecord\n"
                "        bl " KILN_RUN_CONSTRUCTORS "\n"
                "        ldp x29, x30, [sp], #16\n"
                "        .cfi_restore 30\n"
                "        .cfi_restore 29\n"
                "        .cfi_def_cfa_offset 0\n"
                "        hint #29\n" /* autiasp */
                "        .cfi_negate_ra_state\n"
                "        b @I\n"
                "        .cfi_endproc\n"
                "        .size @S, .-@S\n",
    .end = "        .section .note.GNU-stack, \"\", %progbits\n"
           "        .section .note.gnu.property, \"a\", %note\n"
           "        .p2align 3\n"
           "        .long 4, 16, 5\n"
           "        .asciz \"GNU\"\n"
           "        .long 0xc0000000, 4, 3, 0\n",
};

static const char record[] = "        .data\n"
                             "        .p2align " KILN_CONSTRUCTORS_ALIGN "\n"
                             ".Lrecord:\n" KILN_CONSTRUCTORS_ASSEMBLY;

static void
write_function(FILE *stream, const char *text, const char *shim, const char *init)
{
    for (; *text != '\0'; text++) {
        if (text[0] == '@' && (text[1] == 'S' || text[1] == 'I')) {
            fputs(*++text == 'S' ? shim : init, stream);
        }
        else {
            fputc(*text, stream);
        }
    }
}

static const struct template *
get_template(const struct kiln_machine *machine)
{
    return machine->number == EM_AARCH64 ? &aarch64 : &x86_64;
}

static int
assemble(struct kiln_ctx *ctx, const char *program, const struct kiln_machine *machine,
         const char *text, const char *out)
{
    struct kiln_process as = {.out_mode = KILN_STREAM_DROP,
                              .err_mode = KILN_STREAM_CAPTURE,
                              .input = kiln_span_of_string(text)};
    kiln_strings_push(&ctx->arena, &as.argv,
                      program != NULL ? program : kiln_machine_get_tool(ctx, machine, "as"));
    kiln_strings_push(&ctx->arena, &as.argv, "-o");
    kiln_strings_push(&ctx->arena, &as.argv, out);
    kiln_strings_push(&ctx->arena, &as.argv, "-");
    return kiln_process_check(ctx, &as, "cannot assemble the start of the init functions");
}

int
kiln_shim_make(struct kiln_combining *run, const char *out)
{
    struct kiln_ctx *ctx = run->ctx;
    const struct template *chosen = get_template(run->machine);
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "cannot write assembly");
    }
    for (size_t i = 0; i < run->inits.count; i++) {
        const char *init = run->inits.items[i];
        write_function(stream, chosen->function,
                       kiln_arena_printf(&ctx->arena, KILN_START_PREFIX "%s", init), init);
    }
    fputs(record, stream);
    fputs(chosen->end, stream);
    fclose(stream);
    int result = assemble(ctx, run->in->as, run->machine, text, out);
    free(text);
    return result;
}

int
kiln_shim_make_library_start(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                             const char *out)
{
    const char *text = kiln_arena_printf(
        &ctx->arena,
        "        .text\n"
        "        .p2align 4\n"
        "        .globl " KILN_LIBRARY_INIT "\n"
        "        .type " KILN_LIBRARY_INIT ", %%function\n" KILN_LIBRARY_INIT ":\n"
        "        %s\n"
        "        ret\n"
        "        .size " KILN_LIBRARY_INIT ", .-" KILN_LIBRARY_INIT "\n%s",
        machine->number == EM_AARCH64 ? "hint #34" : "endbr64", get_template(machine)->end);
    return assemble(ctx, NULL, machine, text, out);
}

int
kiln_shim_make_library_call(struct kiln_ctx *ctx, const struct kiln_machine *machine,
                            const char *id, const char *out)
{
    const char *text =
        kiln_arena_printf(&ctx->arena,
                          "        .section .init_array.00000, \"aw\", %%init_array\n"
                          "        .p2align 3\n"
                          "        .quad " KILN_INIT_PREFIX "%s\n%s",
                          id, get_template(machine)->end);
    return assemble(ctx, NULL, machine, text, out);
}
