/* The executable against the program without extensions that was linked in the same way: what the modules
 * may not bring with them. Images are read-only and executable, and what is bound to them was found out
 * before the link, so an address that the dynamic loader would have to write into code, a copy of a
 * library's variable, or a function's canonical PLT entry would change what others were bound to. */
#include "base/file.h"
#include "link/bake.h"
#include "link/check/check.h"
#include "unlink/set.h"

/* One of the two, and the names that are looked for in it. */
struct program {
    struct kiln_file file;
    struct kiln_dynobj dso;
    struct kiln_ctx *ctx;
    struct kiln_strings copies; /* symbols with a copy relocation */
    const char *unexpected;     /* what is wrong with a relocation; NULL: nothing */
};

/* Those that a linker makes of what Kiln gives it (x86-64 psABI, "Relocation Types"). */
static bool
is_expected(uint32_t type)
{
    switch (type) {
    case R_X86_64_64:
    case R_X86_64_COPY:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
    case R_X86_64_RELATIVE:
    case R_X86_64_DTPMOD64:
    case R_X86_64_DTPOFF64:
    case R_X86_64_TPOFF64:
    case R_X86_64_TLSDESC:
    case R_X86_64_IRELATIVE:
        return true;
    default:
        return false;
    }
}

static bool
note_relocation(void *arg, const struct kiln_relocation *relocation)
{
    struct program *program = arg;
    const Elf64_Phdr *load = kiln_dynobj_find_segment(&program->dso, relocation->offset, 1);
    struct kiln_dynobj_symbol symbol;
    if (relocation->type == R_X86_64_NONE) { /* room that bfd has not needed */
        return true;
    }
    if (!is_expected(relocation->type)) {
        program->unexpected = kiln_arena_printf(&program->ctx->arena,
                                                "it has a relocation of type %u", relocation->type);
    }
    else if (load == NULL || (load->p_flags & PF_W) == 0) {
        program->unexpected = kiln_arena_printf(
            &program->ctx->arena, "it has a relocation at the read-only address 0x%llx",
            (unsigned long long)relocation->offset);
    }
    else if (relocation->type == R_X86_64_COPY &&
             kiln_dynobj_get_symbol(&program->dso, relocation->symbol, &symbol))
    {
        kiln_strings_push(&program->ctx->arena, &program->copies, symbol.name);
    }
    return program->unexpected == NULL;
}

static int
read_program(struct kiln_ctx *ctx, const char *path, struct program *program)
{
    *program = (struct program){.ctx = ctx};
    int result = kiln_file_map(ctx, path, &program->file);
    const char *reason = NULL;
    if (result == 0) {
        reason = kiln_dynobj_read(ctx, program->file.bytes, path, &program->dso);
        if (reason == NULL) {
            kiln_relocations_visit(&program->dso, note_relocation, program, &reason);
        }
    }
    return result < 0 || reason == NULL ? result
                                        : kiln_fail(ctx, KILN_ERR_TOOL, "%s: %s", path, reason);
}

/* Whether PROGRAM has an address of its own for the function NAME of a library: an undefined symbol with a value. */
static bool
has_canonical_entry(const struct program *program, const char *name)
{
    const struct kiln_dynobj_wanted wanted = {.name = name};
    struct kiln_dynobj_symbol symbol;
    return kiln_dynobj_find(&program->dso, &wanted, &symbol) && symbol.sym.st_shndx == SHN_UNDEF;
}

/* Returns what the program AFTER has that BEFORE has not, or NULL. */
static const char *
compare(struct kiln_ctx *ctx, const struct program *before, const struct program *after)
{
    const struct kiln_dynobj *dso = &after->dso;
    if (after->unexpected != NULL) {
        return after->unexpected;
    }
    if ((dso->flags & DF_TEXTREL) != 0) {
        return "it has text relocations (DT_TEXTREL)";
    }
    for (size_t i = 0; i < after->copies.count; i++) {
        if (!kiln_strings_contain(&before->copies, after->copies.items[i])) {
            return kiln_arena_printf(&ctx->arena, "it has a copy of the variable %s of a library",
                                     after->copies.items[i]);
        }
    }
    for (size_t i = 1; i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (kiln_dynobj_get_symbol(dso, i, &symbol) && symbol.sym.st_shndx == SHN_UNDEF &&
            symbol.sym.st_value != 0 && !has_canonical_entry(before, symbol.name))
        {
            return kiln_arena_printf(
                &ctx->arena, "it has an address of its own for the function %s of a library",
                symbol.name);
        }
    }
    return NULL;
}

const char *
kiln_bake_find_fixed(const struct kiln_bake *bake)
{
    const char *found = NULL;
    for (size_t i = 0; found == NULL && i < bake->modules.count; i++) {
        found = bake->modules.items[i].isolated.read_only_address;
    }
    return found;
}

int
kiln_bake_check_result(struct kiln_ctx *ctx, const struct kiln_bake *bake, const char *path)
{
    struct program before = {0}, after = {0};
    bool has_images = false;
    for (size_t i = 0; i < bake->modules.count; i++) {
        has_images = has_images || bake->modules.items[i].is_image;
    }
    if (!has_images || kiln_bake_find_fixed(bake) != NULL) {
        return 0;
    }
    int result = read_program(ctx, bake->program, &before);
    result = result < 0 ? result : read_program(ctx, path, &after);
    const char *reason = result < 0 ? NULL : compare(ctx, &before, &after);
    if (reason != NULL) {
        result = kiln_fail(ctx, KILN_ERR_TOOL,
                           "%s: the link by %s is not as expected: %s, and a program without "
                           "extensions has not; choose another linker (--linker)",
                           bake->options->output, bake->linker, reason);
    }
    kiln_file_release(&before.file);
    kiln_file_release(&after.file);
    return result;
}
