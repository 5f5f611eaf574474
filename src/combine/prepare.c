/* Preparing objects for `ld -r`.
 *
 * Objects that cannot be isolated are refused by name. Others `ld -r` would treat differently from a
 * link that makes a shared object: the legacy sections `.ctors` and `.dtors` are arrays that run from
 * their end; ld reverses them when it makes them part of `.init_array` in a final link, but not in
 * `ld -r`. They are reversed here. */
#include "combine/prepare.h"

#include "base/text.h"
#include "names/combined.h"
#include "names/init_symbol.h"

enum { WORD = 8 }; /* bytes of a function pointer */

/* `.ctors`, `.dtors`, and those with a priority. */
static bool
is_legacy_array(const char *name)
{
    return (kiln_starts_with(name, ".ctors") || kiln_starts_with(name, ".dtors")) &&
           (name[6] == '\0' || name[6] == '.');
}

static const char *
find_section_problem(const Elf64_Shdr *shdr, const char *name)
{
    if (strcmp(name, ".note.GNU-stack") == 0 && (shdr->sh_flags & SHF_EXECINSTR) != 0) {
        return "it requires an executable stack, which would make that of the whole program "
               "executable; "
               "avoid nested functions whose address is taken, or mark the assembly with "
               "`.section .note.GNU-stack,\"\",@progbits`";
    }
    if (shdr->sh_size == 0 || (shdr->sh_flags & SHF_ALLOC) == 0) {
        return NULL;
    }
    if (shdr->sh_type == SHT_PREINIT_ARRAY || kiln_starts_with(name, ".preinit_array")) {
        return "it has functions in .preinit_array, which run only at the start of a program; use "
               "a constructor";
    }
    if (strcmp(name, ".init") == 0 || strcmp(name, ".fini") == 0) {
        return "it adds code to the function _init or _fini of the whole program; use a "
               "constructor or destructor";
    }
    return NULL;
}

/* Returns whether combining gives NAME a meaning, which an object that defines it would change. */
static bool
is_reserved(const char *name)
{
    static const char *const names[] = {
        KILN_CTORS_START, KILN_CTORS_END, KILN_DTORS_START,      KILN_DTORS_END,
        KILN_TEXT_START,  KILN_TEXT_END,  KILN_RUN_CONSTRUCTORS,
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return kiln_starts_with(name, KILN_START_PREFIX) &&
           kiln_init_symbol_is_valid(name + strlen(KILN_START_PREFIX));
}

static int
check_names(struct kiln_ctx *ctx, const struct kiln_elf *elf)
{
    size_t count = elf->symtab == 0 ? 0 : kiln_elf_count_symbols(elf, elf->symtab);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, elf->symtab, i, &symbol);
        if (kiln_elf_is_exported(&symbol) && is_reserved(symbol.name)) {
            return kiln_fail(ctx, KILN_ERR_INPUT,
                             "%s: it defines %s, a name that Kiln uses; rename it", elf->name,
                             symbol.name);
        }
    }
    return 0;
}

int
kiln_prepare_check(struct kiln_ctx *ctx, const struct kiln_elf *elf)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        const char *problem = find_section_problem(&shdr, kiln_elf_get_section_name(elf, i));
        if (problem != NULL) {
            return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s", elf->name, problem);
        }
    }
    return check_names(ctx, elf);
}

struct kiln_needs
kiln_prepare_find_needs(const struct kiln_elf *elf)
{
    struct kiln_needs needs = {0};
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        const char *name = kiln_elf_get_section_name(elf, i);
        if (shdr.sh_size == 0 || (shdr.sh_flags & SHF_ALLOC) == 0) {
            continue;
        }
        needs.reversal |= is_legacy_array(name);
        needs.shim |= is_legacy_array(name) || shdr.sh_type == SHT_INIT_ARRAY ||
                      shdr.sh_type == SHT_FINI_ARRAY || kiln_starts_with(name, ".init_array") ||
                      kiln_starts_with(name, ".fini_array");
    }
    return needs;
}

void
kiln_prepare_find_inits(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_strings *out)
{
    const char *name;
    for (size_t i = 0; (name = kiln_init_symbol_next(elf, SHT_SYMTAB, &i)) != NULL;) {
        kiln_strings_add(&ctx->arena, out, kiln_arena_strdup(&ctx->arena, name));
    }
}

/* Reverses ARRAY in COPY: its words, and the relocations that fill them. */
static int
reverse_array(struct kiln_ctx *ctx, const struct kiln_elf *elf, size_t array, uint8_t *copy)
{
    Elf64_Shdr shdr;
    kiln_elf_get_section(elf, array, &shdr);
    bool sound = shdr.sh_type == SHT_PROGBITS && shdr.sh_size % WORD == 0;
    for (uint64_t at = 0; sound && at < shdr.sh_size; at += WORD) {
        memcpy(copy + shdr.sh_offset + at,
               elf->bytes.ptr + shdr.sh_offset + shdr.sh_size - WORD - at, WORD);
    }
    for (size_t i = 1; sound && i < elf->section_count; i++) {
        Elf64_Shdr table;
        kiln_elf_get_section(elf, i, &table);
        if (table.sh_type != SHT_RELA || table.sh_info != array) {
            continue;
        }
        for (size_t k = 0; sound && k < kiln_elf_count_relocations(elf, i); k++) {
            Elf64_Rela rela;
            kiln_elf_get_relocation(elf, i, k, &rela);
            sound = rela.r_offset % WORD == 0 && rela.r_offset < shdr.sh_size;
            rela.r_offset = shdr.sh_size - WORD - rela.r_offset;
            memcpy(copy + table.sh_offset + k * sizeof rela, &rela, sizeof rela);
        }
    }
    if (!sound) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: damaged: section %zu (%s) is not an array of functions; rebuild it",
                         elf->name, array, kiln_elf_get_section_name(elf, array));
    }
    return 0;
}

/* Writes ELF to PATH with its legacy arrays reversed. */
static int
write_reversed(struct kiln_combining *run, const struct kiln_elf *elf, const char *path)
{
    uint8_t *copy = kiln_arena_alloc(&run->ctx->arena, elf->bytes.len);
    memcpy(copy, elf->bytes.ptr, elf->bytes.len);
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        if (is_legacy_array(kiln_elf_get_section_name(elf, i)) && shdr.sh_size > 0 &&
            (shdr.sh_flags & SHF_ALLOC) != 0)
        {
            int result = reverse_array(run->ctx, elf, i, copy);
            if (result < 0) {
                return result;
            }
        }
    }
    return kiln_file_write(run->ctx, path, kiln_span_of(copy, elf->bytes.len));
}

int
kiln_prepare_object(struct kiln_combining *run, struct kiln_input *input)
{
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(run->ctx, input->path, &file);
    if (result == 0) {
        result = kiln_elf_init(run->ctx, file.bytes, input->name, &elf);
    }
    if (result == 0) {
        result = kiln_combining_note_machine(run, elf.machine, input->name);
    }
    if (result == 0) {
        result = kiln_prepare_check(run->ctx, &elf);
    }
    if (result == 0) {
        struct kiln_needs needs = kiln_prepare_find_needs(&elf);
        kiln_prepare_find_inits(run->ctx, &elf, &run->found);
        run->needs_shim |= needs.shim;
        if (needs.reversal) {
            input->path = kiln_combining_make_path(run, ".o");
            result = write_reversed(run, &elf, input->path);
        }
    }
    kiln_file_release(&file);
    return result;
}
