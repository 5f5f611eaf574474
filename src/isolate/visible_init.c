/* Makes the init function of an isolated module visible, for programs that look it up by name at run
 * time (Kiln_LookupSymbols()) instead of in a table. One byte of its symbol changes; all other symbols
 * stay hidden. */
#include "isolate/visible_init.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/elf.h"

/* Returns the offset in ELF of the visibility of the global SYMBOL; 0 if there is no such symbol. */
static uint64_t
find_visibility(const struct kiln_elf *elf, const char *symbol)
{
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol found;
        kiln_elf_get_symbol(elf, table, i, &found);
        if (ELF64_ST_BIND(found.sym.st_info) == STB_GLOBAL && strcmp(found.name, symbol) == 0) {
            Elf64_Shdr shdr;
            kiln_elf_get_section(elf, table, &shdr);
            return shdr.sh_offset + i * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_other);
        }
    }
    return 0;
}

static int
write_byte(struct kiln_ctx *ctx, const char *path, uint64_t offset, unsigned char byte)
{
    int result = 0, fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, &byte, 1, (off_t)offset) != 1) {
        result = kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    if (fd >= 0 && close(fd) < 0 && result == 0) {
        result = kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    return result;
}

int
kiln_visible_init_set(struct kiln_ctx *ctx, const char *path, const char *symbol)
{
    struct kiln_file file;
    struct kiln_elf elf;
    uint64_t offset = 0;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, path, &elf);
    }
    if (result == 0) {
        offset = find_visibility(&elf, symbol);
        if (offset == 0) {
            result = kiln_fail(ctx, KILN_ERR_FORMAT, "%s: does not define %s", path, symbol);
        }
    }
    kiln_file_release(&file);
    return result == 0 ? write_byte(ctx, path, offset, STV_DEFAULT) : result;
}
