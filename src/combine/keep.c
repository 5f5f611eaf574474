/* Keeping the inputs of a combining as parts (parts.h), so that a library among them can be taken
 * out later. What was bytecode is machine code by now, all of one extension in one object: members of
 * archives among that have lost themselves in it. Legacy constructors are as they were: the next
 * combining turns them round. Contents that combining drops are kept as zeros, which cost nothing. */
#include "base/file.h"
#include "elf/elf.h"
#include "combine/inputs.h"
#include "combine/parts.h"

struct keeping {
    struct kiln_combining *run;
    struct kiln_arena contents; /* of the inputs */
    struct kiln_part_list parts;
};

/* The archive that ORIGIN, "libx.a(m.o)", names; *member is what stands in the parentheses. */
static const char *
split_origin(struct kiln_ctx *ctx, const char *origin, const char **member)
{
    const char *open = strrchr(origin, '(');
    *member = kiln_arena_strndup(&ctx->arena, open + 1, strlen(open) - 2);
    return kiln_arena_strndup(&ctx->arena, origin, (size_t)(open - origin));
}

/* The number of the archive at PATH, counted from 1. */
static uint32_t
number_archive(struct kiln_combining *run, const char *path)
{
    struct kiln_strings *archives = run->in->archives;
    for (size_t i = 0; i < archives->count; i++) {
        if (strcmp(archives->items[i], path) == 0) {
            return (uint32_t)i + 1;
        }
    }
    kiln_strings_push(&run->ctx->arena, archives, path);
    return (uint32_t)archives->count;
}

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether combining will drop the section NAME, which is not loaded. */
static bool
is_dropped(const char *name, bool strips)
{
    static const char *const bytecode[] = {".gnu.lto_", ".gnu.debuglto_", ".llvmbc", ".llvmcmd",
                                           ".llvm.lto"};
    name += starts_with(name, ".rela.") ? strlen(".rela") : 0;
    for (size_t i = 0; i < sizeof bytecode / sizeof bytecode[0]; i++) {
        if (starts_with(name, bytecode[i])) {
            return true;
        }
    }
    return strips && (starts_with(name, ".debug_") || starts_with(name, ".zdebug_"));
}

/* Overwrite what is dropped in COPY, the bytes of an input. */
static void
clear_dropped(struct kiln_combining *run, struct kiln_span bytes, uint8_t *copy)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    bool strips = kiln_strings_contain(&run->in->flags, "--strip-debug");
    size_t count = kiln_elf_init(&silent, bytes, "input", &elf) == 0 && elf.header.e_type == ET_REL
                       ? elf.section_count
                       : 0;
    for (size_t i = 1; i < count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(&elf, i, &shdr);
        if ((shdr.sh_flags & SHF_ALLOC) == 0 &&
            is_dropped(kiln_elf_get_section_name(&elf, i), strips)) {
            memset(copy + shdr.sh_offset, 0, kiln_elf_get_contents(&elf, i).len);
        }
    }
    kiln_ctx_release(&silent);
}

static int
keep_input(struct keeping *keeping, const struct kiln_input *input)
{
    struct kiln_combining *run = keeping->run;
    struct kiln_part part = {.name = input->name};
    struct kiln_file file;
    int result = kiln_file_map(run->ctx, input->path, &file);
    if (result < 0) {
        return result;
    }
    if (*input->origin != '\0') {
        part.archive = number_archive(run, split_origin(run->ctx, input->origin, &part.name));
    }
    uint8_t *copy = kiln_arena_alloc(&keeping->contents, file.bytes.len + 1);
    if (file.bytes.len > 0) {
        memcpy(copy, file.bytes.ptr, file.bytes.len);
    }
    part.bytes = kiln_span_of(copy, file.bytes.len);
    clear_dropped(run, file.bytes, copy);
    *KILN_ARENA_PUSH(&keeping->contents, &keeping->parts) = part;
    kiln_file_release(&file);
    return 0;
}

int
kiln_inputs_keep(struct kiln_combining *run)
{
    const struct kiln_combine *in = run->in;
    struct keeping keeping = {.run = run};
    bool any = false;
    for (size_t i = 0; i < in->origins.count; i++) {
        any = any || *in->origins.items[i] != '\0';
    }
    int result = 0;
    for (size_t i = 0; any && result == 0 && i < run->inputs.count; i++) {
        result = keep_input(&keeping, &run->inputs.items[i]);
    }
    /* Those whose members were bytecode have no part, but are known. */
    for (size_t i = 0; result == 0 && i < in->origins.count; i++) {
        const char *member;
        if (*in->origins.items[i] != '\0') {
            number_archive(run, split_origin(run->ctx, in->origins.items[i], &member));
        }
    }
    if (result == 0 && any) {
        *in->parts = kiln_parts_format(&keeping.parts, &run->ctx->arena);
    }
    kiln_arena_release(&keeping.contents);
    return result;
}
