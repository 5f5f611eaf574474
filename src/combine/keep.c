/* Keeps the inputs of a combining as parts (parts.h), so that a library among them can be taken out
 * later.
 *
 * What was bytecode is machine code by now, all of one extension in one object: members of archives
 * can no longer be told apart in it, and have no part. Legacy constructors are still in their own
 * order: the next combining reverses them. Contents that combining drops are kept as zeros, which
 * compress to nothing. */
#include "combine/keep.h"

#include "base/text.h"
#include "combine/parts.h"

struct keeping {
    struct kiln_combining *run;
    struct kiln_arena contents; /* of the inputs */
    struct kiln_part_list parts;
};

/* Returns the number of the archive at PATH, counted from 1; 0 if there is none. */
static uint32_t
number_archive(const struct kiln_combining *run, const char *path)
{
    size_t i = 0;
    while (path != NULL && i < run->archives.count && strcmp(run->archives.items[i], path) != 0) {
        i++;
    }
    return path == NULL ? 0 : (uint32_t)i + 1;
}

/* Returns whether combining drops the section NAME, which is not loaded. */
static bool
is_dropped(const char *name, bool strips)
{
    static const char *const bytecode[] = {".gnu.lto_", ".gnu.debuglto_", ".llvmbc", ".llvmcmd",
                                           ".llvm.lto"};
    name += kiln_starts_with(name, ".rela.") ? strlen(".rela") : 0;
    for (size_t i = 0; i < sizeof bytecode / sizeof bytecode[0]; i++) {
        if (kiln_starts_with(name, bytecode[i])) {
            return true;
        }
    }
    return strips && (kiln_starts_with(name, ".debug_") || kiln_starts_with(name, ".zdebug_"));
}

/* Overwrites what is dropped in COPY, a copy of BYTES. */
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
    const struct kiln_link_input *member = &input->archive_member;
    struct kiln_part part = {
        .name = member->path == NULL
                    ? kiln_text_map_path(&run->ctx->arena, &run->in->maps, input->name)
                    : member->member,
        .archive = number_archive(run, member->path),
    };
    struct kiln_file file;
    int result = kiln_file_map(run->ctx, input->path, &file);
    if (result < 0) {
        return result;
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
kiln_keep_inputs(struct kiln_combining *run)
{
    struct keeping keeping = {.run = run};
    int result = 0;
    if (run->in->parts == NULL || run->archives.count == 0) {
        return 0;
    }
    for (size_t i = 0; result == 0 && i < run->inputs.count; i++) {
        result = keep_input(&keeping, &run->inputs.items[i]);
    }
    if (result == 0) {
        for (size_t i = 0; i < run->archives.count; i++) {
            kiln_strings_push(
                &run->ctx->arena, run->in->archives,
                kiln_text_map_path(&run->ctx->arena, &run->in->maps, run->archives.items[i]));
        }
        *run->in->parts = kiln_parts_format(&keeping.parts, &run->ctx->arena);
    }
    kiln_arena_release(&keeping.contents);
    return result;
}
