/* Finds the `.kiln` section in its ELF file, and writes it.
 *
 * Writing keeps every byte up to the end of the last section or segment, truncates the file there, and
 * appends the section, the section names and the section headers. The old names and headers and an
 * old `.kiln` section are dropped, so that writing twice gives the same file as writing once. Only
 * e_shoff and e_shnum in the ELF header change in place. */
#include "fat/fat.h"

#include <stdlib.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/file.h"
#include "elf/elf.h"
#include "fat/format.h"

/* -- Contents -- */

/* Returns a hash of the code and data of ELF, whatever the order of its sections: of what a compiler has made, and
 * none of the tools that prepare a file for installing changes (strip, patchelf). */
static const char *
hash_contents(struct kiln_ctx *ctx, const struct kiln_elf *elf)
{
    uint64_t sum = 0;
    size_t own = kiln_elf_find_section(elf, KILN_FAT_SECTION);
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr section;
        kiln_elf_get_section(elf, i, &section);
        if (i != own && section.sh_type == SHT_PROGBITS && (section.sh_flags & SHF_ALLOC) != 0) {
            const char *name = kiln_elf_get_section_name(elf, i);
            struct kiln_span bytes = kiln_elf_get_contents(elf, i);
            sum += XXH3_64bits_withSeed(bytes.ptr, bytes.len, XXH3_64bits(name, strlen(name)));
        }
    }
    return kiln_arena_printf(&ctx->arena, "%016llx", (unsigned long long)sum);
}

/* -- Reading -- */

int
kiln_fat_read(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name, struct kiln_fat *fat,
              bool *found)
{
    struct kiln_fat_section section;
    struct kiln_elf elf;
    *found = false;
    int result = kiln_elf_init(ctx, bytes, name, &elf);
    if (result < 0) {
        return result;
    }
    size_t index = kiln_elf_find_section(&elf, KILN_FAT_SECTION);
    if (index != 0) {
        *found = true;
        result = kiln_fat_parse_section(ctx, kiln_elf_get_contents(&elf, index), name, &section);
        if (result == 0) {
            result = kiln_fat_parse_record(ctx, &section, fat);
        }
        if (result == 0 && fat->contents != NULL) {
            fat->is_edited = strcmp(fat->contents, hash_contents(ctx, &elf)) != 0;
        }
    }
    fat->machine = elf.machine;
    kiln_elf_release(&elf);
    return result;
}

/* -- Writing -- */

enum { ALIGNMENT = 8 };

/* A file with one more section: the bytes that are kept, and what follows them. */
struct layout {
    struct kiln_span kept;
    size_t gap; /* zeros between these and the section */
    struct kiln_span section, names;
    size_t names_gap;
    Elf64_Shdr *headers;
    size_t header_count;
    Elf64_Ehdr header;
};

static size_t
align(size_t offset)
{
    return (ALIGNMENT - offset % ALIGNMENT) % ALIGNMENT;
}

/* Extends *END to the end of the SIZE bytes at OFFSET. Returns false if they are not in the file. */
static bool
reach(const struct kiln_elf *elf, uint64_t offset, uint64_t size, uint64_t *end)
{
    struct kiln_span bytes;
    if (!kiln_span_slice(elf->bytes, offset, size, &bytes)) {
        return false;
    }
    *end = offset + size > *end ? offset + size : *end;
    return true;
}

/* Finds the end of what must be kept: headers, segments, and all sections but INDEX and the names.
 * Returns false if one of them is not in the file. */
static bool
find_end(const struct kiln_elf *elf, size_t index, size_t names_index, uint64_t *end)
{
    const Elf64_Ehdr *header = &elf->header;
    *end = sizeof *header;
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = header->e_phoff + i * sizeof segment;
        if (!reach(elf, at, sizeof segment, end) ||
            !kiln_span_read(elf->bytes, at, &segment, sizeof segment) ||
            !reach(elf, segment.p_offset, segment.p_filesz, end))
        {
            return false;
        }
    }
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr section;
        kiln_elf_get_section(elf, i, &section);
        if (i != index && i != names_index && section.sh_type != SHT_NOBITS &&
            section.sh_type != SHT_NULL && !reach(elf, section.sh_offset, section.sh_size, end))
        {
            return false;
        }
    }
    return true;
}

/* Returns NAMES with KILN_FAT_SECTION appended, at *OFFSET. */
static struct kiln_span
add_name(struct kiln_ctx *ctx, struct kiln_span names, size_t *offset)
{
    static const char name[] = KILN_FAT_SECTION;
    uint8_t *bytes = kiln_arena_alloc(&ctx->arena, names.len + sizeof name);
    memcpy(bytes, names.ptr, names.len);
    memcpy(bytes + names.len, name, sizeof name);
    *offset = names.len;
    return kiln_span_of(bytes, names.len + sizeof name);
}

static int
lay_out(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_span section,
        struct layout *out)
{
    size_t index = kiln_elf_find_section(elf, KILN_FAT_SECTION);
    Elf64_Shdr first;
    kiln_elf_get_section(elf, 0, &first);
    size_t names_index =
        elf->header.e_shstrndx == SHN_XINDEX ? first.sh_link : elf->header.e_shstrndx;
    uint64_t end;
    *out = (struct layout){.section = section, .header_count = elf->section_count + (index == 0)};
    if (!find_end(elf, index, names_index, &end) ||
        !kiln_span_slice(elf->bytes, 0, end, &out->kept)) {
        return kiln_fail(ctx, KILN_ERR_FORMAT, "%s: a segment lies outside the file", elf->name);
    }

    out->headers = kiln_arena_alloc(&ctx->arena, out->header_count * sizeof *out->headers);
    for (size_t i = 0; i < elf->section_count; i++) {
        kiln_elf_get_section(elf, i, &out->headers[i]);
    }
    out->names = kiln_elf_get_contents(elf, names_index);
    size_t name = index == 0 ? 0 : out->headers[index].sh_name;
    if (index == 0) {
        index = elf->section_count;
        out->names = add_name(ctx, out->names, &name);
    }
    out->gap = align(out->kept.len);
    size_t at = out->kept.len + out->gap;
    out->headers[index] = (Elf64_Shdr){
        .sh_name = (Elf64_Word)name,
        .sh_type = SHT_PROGBITS,
        .sh_offset = at,
        .sh_size = section.len,
        .sh_addralign = ALIGNMENT,
    };
    at += section.len;
    out->headers[names_index].sh_offset = at;
    out->headers[names_index].sh_size = out->names.len;
    at += out->names.len;
    out->names_gap = align(at);

    out->header = elf->header;
    out->header.e_shoff = at + out->names_gap;
    /* gABI: a number that does not fit into e_shnum is in the first section header. */
    bool extended = out->header_count >= SHN_LORESERVE;
    out->header.e_shnum = extended ? 0 : (Elf64_Half)out->header_count;
    out->headers[0].sh_size = extended ? out->header_count : 0;
    return 0;
}

static int
write_layout(struct kiln_ctx *ctx, const struct layout *layout, struct kiln_output *out)
{
    static const uint8_t zeros[ALIGNMENT];
    const struct kiln_span parts[] = {
        kiln_span_of(&layout->header, sizeof layout->header),
        kiln_span_of(layout->kept.ptr + sizeof layout->header,
                     layout->kept.len - sizeof layout->header),
        kiln_span_of(zeros, layout->gap),
        layout->section,
        layout->names,
        kiln_span_of(zeros, layout->names_gap),
        kiln_span_of(layout->headers, layout->header_count * sizeof *layout->headers),
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int result = kiln_output_write(ctx, out, parts[i]);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* Replaces PATH, which may be a symbolic link, by LAYOUT. Keeps its mode. */
static int
replace_file(struct kiln_ctx *ctx, const char *path, const struct layout *layout)
{
    struct stat st;
    char *real = realpath(path, NULL);
    if (real == NULL || stat(real, &st) < 0) {
        free(real);
        return kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    struct kiln_output out;
    int result = kiln_output_init(ctx, real, 0600, &out);
    free(real);
    if (result == 0) {
        result = write_layout(ctx, layout, &out);
    }
    if (result == 0 && fchmod(out.fd, st.st_mode & 07777) < 0) {
        result = kiln_fail_errno(ctx, "%s: cannot set its mode", path);
    }
    if (result == 0) {
        result = kiln_output_commit(ctx, &out);
    }
    kiln_output_release(&out);
    return result;
}

int
kiln_fat_write(struct kiln_ctx *ctx, const char *path, const struct kiln_fat *fat,
               struct kiln_span object)
{
    struct kiln_fat record = *fat;
    struct kiln_span section;
    struct kiln_file file;
    struct kiln_elf elf;
    struct layout layout;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, path, &elf);
        if (result == 0 && elf.names.len == 0) {
            result = kiln_fail(ctx, KILN_ERR_INPUT, "%s: its sections have no names", path);
        }
        if (result == 0) {
            record.contents = hash_contents(ctx, &elf);
            result = kiln_fat_encode(ctx, &record, object, &section);
        }
        if (result == 0) {
            result = lay_out(ctx, &elf, section, &layout);
        }
        if (result == 0) {
            result = replace_file(ctx, path, &layout);
        }
        kiln_elf_release(&elf);
    }
    kiln_file_release(&file);
    return result;
}
