/* Symbols for debuggers and profilers: the functions of an image under their own names, local to its
 * file. They come from the symbol table of the file, or, if that was stripped, from what it exports. */
#include "unlink/object.h"

#include <string.h>

/* Names may overlap in the file, and do not in what is written: so often, on average. */
enum { REPEATED_MAX = 16 };

struct symbol_table {
    struct kiln_span symbols, strings;
};

/* The file's .symtab. Section headers are no part of what is loaded: damaged ones are none. */
static bool
find_symbol_table(const struct kiln_dynobj *dso, struct symbol_table *out)
{
    const Elf64_Ehdr *header = &dso->header;
    for (uint64_t i = 0; i < header->e_shnum && header->e_shentsize == sizeof(Elf64_Shdr); i++) {
        Elf64_Shdr section, strings;
        if (!kiln_span_read(dso->bytes, header->e_shoff + i * sizeof section, &section,
                            sizeof section)) {
            return false;
        }
        if (section.sh_type == SHT_SYMTAB) {
            return kiln_span_read(dso->bytes,
                                  header->e_shoff + (uint64_t)section.sh_link * sizeof strings,
                                  &strings, sizeof strings) &&
                   kiln_span_slice(dso->bytes, section.sh_offset, section.sh_size, &out->symbols) &&
                   kiln_span_slice(dso->bytes, strings.sh_offset, strings.sh_size, &out->strings);
        }
    }
    return false;
}

void
kiln_symbols_add(struct kiln_ctx *ctx, const struct kiln_object *image, struct kiln_writer *writer)
{
    const struct kiln_dynobj *dso = &image->dso;
    struct symbol_table table;
    (void)ctx;
    if (!find_symbol_table(dso, &table)) {
        table = (struct symbol_table){dso->symbols, dso->strings};
        table.symbols.len = dso->symbol_count * sizeof(Elf64_Sym);
    }
    kiln_writer_add_local(writer, kiln_file_basename(image->path), STT_FILE, KILN_OUT_IMAGE, 0, 0);
    Elf64_Sym sym;
    size_t left = table.strings.len * REPEATED_MAX;
    for (uint64_t at = 0; kiln_span_read(table.symbols, at, &sym, sizeof sym); at += sizeof sym) {
        unsigned type = ELF64_ST_TYPE(sym.st_info);
        const char *name = kiln_dynobj_get_string(table.strings, sym.st_name);
        size_t len = name == NULL ? 0 : strlen(name);
        if (len > left) {
            return;
        }
        left -= len;
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && sym.st_shndx != SHN_UNDEF &&
            sym.st_shndx != SHN_ABS && len > 0 && sym.st_value < dso->size &&
            sym.st_size <= dso->size - sym.st_value)
        {
            kiln_writer_add_local(writer, name, STT_FUNC, KILN_OUT_IMAGE,
                                  image->start + sym.st_value, sym.st_size);
        }
    }
}
