/* The generated object of an executable: the table of its modules, the table of their distributions, the
 * manifest, and what the runtime must know (kiln/internal/settings.h). It is written as assembly, so
 * that every linker can link it, and the same input gives the same bytes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "kiln/internal/fingerprint.h"
#include "kiln/internal/python_code.h"
#include "kiln/internal/settings.h"
#include "link/emit/manifest.h"
#include "table/table.h"
#include "link/emit/distributions.h"
#include "link/emit/emit.h"

/* TEXT and a NUL byte. */
static void
emit_string(FILE *stream, const char *text)
{
    fputs("\t.asciz \"", stream);
    kiln_asm_write_string(stream, kiln_span_of_string(text));
    fputs("\"\n", stream);
}

/* kiln_python: the interpreter to start as. */
static void
emit_python(FILE *stream, const struct kiln_bake *bake)
{
    fputs("\t.section .rodata.kiln_python,\"a\",%progbits\n"
          "\t.globl kiln_python\n\t.hidden kiln_python\nkiln_python:\n",
          stream);
    emit_string(stream, bake->python.executable);
}

/* kiln_python_code. */
static void
emit_code(FILE *stream, const struct kiln_bake *bake)
{
    const struct kiln_strings *code = &bake->python.code;
    if (code->count != 1 + KILN_CODE_COUNT) {
        return; /* the runtime does without */
    }
    fputs("\t.section .rodata.kiln_python_code,\"a\",%progbits\n"
          "\t.globl kiln_python_code\n\t.hidden kiln_python_code\nkiln_python_code:\n",
          stream);
    emit_string(stream, code->items[0]);
    for (size_t i = 1; i < code->count; i++) {
        size_t len = strlen(code->items[i]) / 2;
        fprintf(stream, "\t.4byte %zu\n", len);
        for (size_t k = 0; k < len; k++) {
            fprintf(stream, "%s0x%.2s%s", k % 16 == 0 ? "\t.byte " : "", code->items[i] + 2 * k,
                    k % 16 == 15 || k + 1 == len ? "\n" : ",");
        }
    }
}

/* kiln_module_files. ORDER is by slot the index of the module. */
static void
emit_files(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake, const uint32_t *order)
{
    size_t *directories =
        kiln_arena_alloc(&ctx->arena, (bake->modules.count + 1) * sizeof *directories);
    uint64_t *python_files =
        kiln_arena_alloc(&ctx->arena, (bake->modules.count + 1) * sizeof *python_files);
    const char *last = NULL, *directory = NULL;
    fputs("\t.section .rodata.kiln_module_files,\"a\",%progbits\n", stream);
    for (size_t i = 0; i < bake->modules.count; i++) {
        const char *place = kiln_found_get_place(ctx, bake->modules.items[i].found);
        const char *file = kiln_file_absolute(ctx, place);
        directory = kiln_file_dirname(ctx, file);
        directories[i] = i;
        if (last != NULL && strcmp(last, directory) == 0) {
            directories[i] = directories[i - 1];
            python_files[i] = python_files[i - 1];
        }
        else {
            python_files[i] = kiln_fingerprint_directory(directory);
            fprintf(stream, ".Lfile_directory%zu:\n", i);
            emit_string(stream, directory);
        }
        fprintf(stream, ".Lfile_base%zu:\n", i);
        emit_string(stream, kiln_file_basename(file));
        last = directory;
    }
    fputs("\t.balign 8\n\t.globl kiln_module_files\n\t.hidden kiln_module_files\n"
          "kiln_module_files:\n",
          stream);
    for (size_t slot = 0; slot < bake->modules.count; slot++) {
        size_t module = order[slot];
        bool in_package = strchr(bake->modules.items[module].found->name, '.') != NULL;
        fprintf(stream, KILN_MODULE_FILE_ASSEMBLY, directories[module], module,
                in_package ? (unsigned long long)python_files[module] : 0ULL);
    }
}

static int
emit_all(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake)
{
    struct kiln_table_name *names =
        kiln_arena_alloc(&ctx->arena, (bake->modules.count + 1) * sizeof *names);
    for (size_t i = 0; i < bake->modules.count; i++) {
        const struct kiln_baked *module = &bake->modules.items[i];
        names[i].name = module->found->name;
        names[i].symbol = module->isolated.symbol;
        names[i].flags = (module->found->package ? KILN_MODULE_PACKAGE : 0) |
                         (module->found->is_standard ? KILN_MODULE_STANDARD : 0);
        if (kiln_starts_with(module->isolated.symbol, "kiln_export_")) {
            names[i].flags |= KILN_MODULE_EXPORT;
        }
    }
    const uint32_t *order = NULL;
    int result = kiln_table_emit(ctx, names, bake->modules.count, stream, &order);
    int emitted = kiln_distributions_emit(ctx, bake, stream);
    result = result < 0 ? result : emitted;
    emit_python(stream, bake);
    emit_code(stream, bake);
    if (result == 0) {
        emit_files(ctx, stream, bake, order);
    }
    kiln_manifest_emit(ctx, stream, bake);
    fputs("\t.section .note.GNU-stack,\"\",%progbits\n", stream);
    return result;
}

int
kiln_bake_data(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "cannot write the table");
    }
    int result = emit_all(ctx, stream, bake);
    if (fclose(stream) == EOF && result == 0) {
        result = kiln_fail_errno(ctx, "cannot write the table");
    }
    const char *source = kiln_arena_printf(&ctx->arena, "%s/data.s", tmpdir);
    bake->data = kiln_arena_printf(&ctx->arena, "%s/data.o", tmpdir);
    if (result == 0) {
        result = kiln_file_write(ctx, source, kiln_span_of(text, len));
    }
    free(text);
    if (result < 0) {
        return result;
    }

    struct kiln_process assembler = {.err_mode = KILN_STREAM_CAPTURE};
    kiln_process_push_command(ctx, bake->driver, &assembler.argv);
    const char *argv[] = {"-c", "-x", "assembler", source, "-o", bake->data};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &assembler.argv, argv[i]);
    }
    return kiln_process_check(ctx, &assembler, "cannot assemble the table");
}
