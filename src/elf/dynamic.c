/* What a shared object tells the dynamic loader: its name, its libraries and its search path (dynamic
 * section), and the symbols to look up by name (relocations). */
#include "elf/elf.h"

void
kiln_elf_read_dynamic(struct kiln_ctx *ctx, const struct kiln_elf *elf,
                      struct kiln_elf_dynamic *out)
{
    *out = (struct kiln_elf_dynamic){0};
    size_t index = kiln_elf_find_type(elf, SHT_DYNAMIC);
    if (index == 0) {
        return;
    }
    Elf64_Shdr header;
    kiln_elf_get_section(elf, index, &header);
    struct kiln_span entries = kiln_elf_get_contents(elf, index);
    struct kiln_span strings = header.sh_link < elf->section_count
                                   ? kiln_elf_get_contents(elf, header.sh_link)
                                   : kiln_span_of(NULL, 0);
    const char *rpath = NULL, *runpath = NULL;
    uint64_t tag, value;
    for (uint64_t at = 0; kiln_span_get_u64(entries, at, &tag) && tag != DT_NULL &&
                          kiln_span_get_u64(entries, at + 8, &value);
         at += 16)
    {
        const char *text = kiln_span_get_string(strings, value);
        if (text == NULL) {
            continue;
        }
        if (tag == DT_RUNPATH) {
            runpath = text;
        }
        else if (tag == DT_RPATH) {
            rpath = text;
        }
        else if (tag == DT_SONAME) {
            out->soname = kiln_arena_strdup(&ctx->arena, text);
        }
        else if (tag == DT_NEEDED) {
            kiln_strings_push(&ctx->arena, &out->needed, kiln_arena_strdup(&ctx->arena, text));
        }
    }
    /* gABI: DT_RPATH is ignored where there is a DT_RUNPATH. */
    out->is_rpath = runpath == NULL && rpath != NULL;
    runpath = runpath == NULL ? rpath : runpath;
    if (runpath != NULL) {
        kiln_strings_add_dirs(&ctx->arena, &out->rpaths, runpath);
    }
}

void
kiln_elf_mark_named(const struct kiln_elf *elf, size_t table, bool *named, size_t count)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        Elf64_Rela rela;
        kiln_elf_get_section(elf, i, &shdr);
        struct kiln_span entries = kiln_elf_get_contents(elf, i);
        if (shdr.sh_type != SHT_RELA || shdr.sh_link != table) {
            continue;
        }
        for (uint64_t at = 0; kiln_span_read(entries, at, &rela, sizeof rela); at += sizeof rela) {
            if (ELF64_R_SYM(rela.r_info) < count) {
                named[ELF64_R_SYM(rela.r_info)] = true;
            }
        }
    }
}
