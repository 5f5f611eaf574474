/* Classifies the inputs of a link before any tool gets them.
 *
 * `ld -r` silently makes an empty object of one that holds only gcc's bytecode, and calls LLVM's
 * bitcode "not recognized", so both must be recognized first. */
#include "elf/elf.h"

#include "base/text.h"

/* Returns whether ELF holds bytecode only, as told by the header of the section that gcc 10 and later
 * write, or by the symbol of older versions. */
static bool
is_slim(const struct kiln_elf *elf)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        if (kiln_starts_with(kiln_elf_get_section_name(elf, i), ".gnu.lto_.lto.")) {
            /* struct lto_section of gcc's lto-streamer.h: two 16-bit versions, then the flag. */
            uint8_t slim = 0;
            return kiln_span_read(kiln_elf_get_contents(elf, i), 4, &slim, 1) && slim != 0;
        }
    }
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    for (size_t i = 0; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        if (strcmp(symbol.name, "__gnu_lto_slim") == 0) {
            return true;
        }
    }
    return false;
}

static enum kiln_object_kind
classify_elf(struct kiln_span bytes)
{
    uint8_t type[2] = {0};
    kiln_span_read(bytes, 16, type, 2);
    unsigned e_type = type[0] | (unsigned)type[1] << 8;
    if (e_type == ET_DYN) {
        return KILN_OBJECT_SHARED;
    }
    if (e_type == ET_EXEC || e_type == ET_CORE) {
        return KILN_OBJECT_OTHER;
    }
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_elf elf;
    bool slim = kiln_elf_init(&silent, bytes, "", &elf) == 0 && is_slim(&elf);
    kiln_ctx_release(&silent);
    return slim ? KILN_OBJECT_GCC_LTO : KILN_OBJECT_RELOCATABLE;
}

enum kiln_object_kind
kiln_elf_classify(struct kiln_span bytes)
{
    if (kiln_span_starts_with(bytes, ELFMAG, SELFMAG)) {
        return classify_elf(bytes);
    }
    if (kiln_span_starts_with(bytes, "!<arch>\n", 8) ||
        kiln_span_starts_with(bytes, "!<thin>\n", 8)) {
        return KILN_OBJECT_ARCHIVE;
    }
    /* LLVM's "LLVM Bitcode File Format": bare, and in a wrapper. */
    if (kiln_span_starts_with(bytes, "BC\xc0\xde", 4) ||
        kiln_span_starts_with(bytes, "\xde\xc0\x17\x0b", 4))
    {
        return KILN_OBJECT_LLVM_BITCODE;
    }
    return KILN_OBJECT_OTHER;
}
