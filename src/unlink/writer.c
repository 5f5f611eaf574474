/* Writing a relocatable object (gABI, "Object Files"). Symbols are local first, then global; a
 * relocation names a global one by a number that becomes its index when the locals are counted. */
#include "unlink/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "kiln/internal/images.h"

/* A symbol with this bit is the n-th global one. */
#define GLOBAL UINT32_C(0x80000000)

enum { TLS_SYMBOLS = 2, FIRST_SYMBOLS = KILN_OUT_SECTIONS + TLS_SYMBOLS };

static const struct {
    const char *name;
    uint32_t type;
    uint64_t flags;
} KINDS[KILN_OUT_SECTIONS] = {
    [KILN_OUT_IMAGE] = {KILN_IMAGE_SECTION, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    [KILN_OUT_EH_FRAME] = {".eh_frame", SHT_PROGBITS, SHF_ALLOC},
    [KILN_OUT_TDATA] = {".tdata", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS},
    [KILN_OUT_TBSS] = {".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS},
    [KILN_OUT_TABLES] = {".rodata.kiln_images", SHT_PROGBITS, SHF_ALLOC},
    [KILN_OUT_SLOTS] = {".bss.kiln_images", SHT_NOBITS, SHF_ALLOC | SHF_WRITE},
    [KILN_OUT_TEXT] = {".text.kiln_images", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
};

/* Memory that is refused ends the process, as in the arena. */
static _Noreturn void
give_up(void)
{
    fputs("kiln: out of memory\n", stderr);
    exit(1);
}

static void *
allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        give_up();
    }
    return memory;
}

static void
reserve(struct kiln_buffer *buffer, size_t len)
{
    if (len <= buffer->capacity - buffer->len) {
        return;
    }
    size_t capacity = buffer->capacity == 0 ? 4096 : buffer->capacity;
    while (capacity - buffer->len < len) {
        capacity *= 2;
    }
    buffer->bytes = realloc(buffer->bytes, capacity);
    if (buffer->bytes == NULL) {
        give_up();
    }
    buffer->capacity = capacity;
}

size_t
kiln_buffer_append(struct kiln_buffer *buffer, const void *bytes, size_t len)
{
    size_t at = buffer->len;
    reserve(buffer, len);
    if (len > 0 && bytes == NULL) {
        memset(buffer->bytes + at, 0, len);
    }
    else if (len > 0) {
        memcpy(buffer->bytes + at, bytes, len);
    }
    buffer->len += len;
    return at;
}

size_t
kiln_buffer_align(struct kiln_buffer *buffer, size_t align)
{
    size_t len = (buffer->len + align - 1) & ~(align - 1);
    kiln_buffer_append(buffer, NULL, len - buffer->len);
    return len;
}

void
kiln_buffer_release(struct kiln_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct kiln_buffer){0};
}

static void
put(struct kiln_writer *writer, const void *bytes, size_t len)
{
    if (writer->error == 0 && len > 0 && fwrite(bytes, 1, len, writer->file) != len) {
        writer->error = errno;
    }
}

static void
seek(struct kiln_writer *writer, uint64_t offset)
{
    if (writer->error == 0 && fseeko(writer->file, (off_t)offset, SEEK_SET) != 0) {
        writer->error = errno;
    }
}

static uint32_t
add_string(struct kiln_writer *writer, const char *text)
{
    return *text == '\0' ? 0
                         : (uint32_t)kiln_buffer_append(&writer->strings, text, strlen(text) + 1);
}

static void
add_symbol(struct kiln_writer *writer, struct kiln_buffer *list, const char *name, unsigned info,
           unsigned visibility, unsigned section, uint64_t value, uint64_t size)
{
    const Elf64_Sym symbol = {.st_name = add_string(writer, name),
                              .st_info = (unsigned char)info,
                              .st_other = (unsigned char)visibility,
                              .st_shndx = (Elf64_Section)section,
                              .st_value = value,
                              .st_size = size};
    kiln_buffer_append(list, &symbol, sizeof symbol);
}

/* Where the contents of the streamed section begin. */
enum { STREAM_START = 4096 };

int
kiln_writer_open(struct kiln_ctx *ctx, struct kiln_writer *writer, const char *path,
                 uint16_t machine)
{
    *writer = (struct kiln_writer){.path = path, .machine = machine};
    writer->file = fopen(path, "wbe");
    if (writer->file == NULL) {
        return kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    for (size_t i = 0; i < KILN_OUT_SECTIONS; i++) {
        writer->sections[i].align = 16;
    }
    kiln_buffer_append(&writer->strings, "", 1);
    /* Index 0, the symbols of the sections, and those of thread-local storage. */
    for (unsigned i = 0; i < KILN_OUT_SECTIONS; i++) {
        /* mold allows no symbol in .eh_frame. */
        bool is_one = i != KILN_OUT_NONE && i != KILN_OUT_EH_FRAME;
        add_symbol(writer, &writer->locals, "", is_one ? ELF64_ST_INFO(STB_LOCAL, STT_SECTION) : 0,
                   STV_DEFAULT,
                   is_one               ? i
                   : i == KILN_OUT_NONE ? SHN_UNDEF
                                        : SHN_ABS,
                   0, 0);
    }
    add_symbol(writer, &writer->locals, "kiln_tdata", ELF64_ST_INFO(STB_LOCAL, STT_TLS),
               STV_DEFAULT, KILN_OUT_TDATA, 0, 0);
    add_symbol(writer, &writer->locals, "kiln_tbss", ELF64_ST_INFO(STB_LOCAL, STT_TLS), STV_DEFAULT,
               KILN_OUT_TBSS, 0, 0);
    seek(writer, STREAM_START);
    return 0;
}

void
kiln_writer_stream(struct kiln_writer *writer, const void *bytes, size_t len)
{
    put(writer, bytes, len);
    writer->sections[KILN_OUT_IMAGE].size += len;
}

void
kiln_writer_stream_align(struct kiln_writer *writer, uint64_t align)
{
    struct kiln_out_section *section = &writer->sections[KILN_OUT_IMAGE];
    section->size = (section->size + align - 1) & ~(align - 1);
    seek(writer, STREAM_START + section->size);
}

kiln_writer_symbol
kiln_writer_get_section(enum kiln_writer_section section)
{
    return section;
}

kiln_writer_symbol
kiln_writer_get_tls(enum kiln_writer_section section)
{
    return KILN_OUT_SECTIONS + (section == KILN_OUT_TBSS);
}

static kiln_writer_symbol
add_global(struct kiln_writer *writer, const char *name, enum kiln_writer_section section,
           uint64_t value, unsigned type, unsigned visibility)
{
    size_t number = writer->globals.len / sizeof(Elf64_Sym);
    add_symbol(writer, &writer->globals, name, ELF64_ST_INFO(STB_GLOBAL, type), visibility, section,
               value, 0);
    return GLOBAL | (uint32_t)number;
}

kiln_writer_symbol
kiln_writer_define(struct kiln_writer *writer, const char *name, enum kiln_writer_section section,
                   uint64_t value, unsigned type)
{
    return add_global(writer, name, section, value, type, STV_HIDDEN);
}

kiln_writer_symbol
kiln_writer_export(struct kiln_writer *writer, const char *name, enum kiln_writer_section section,
                   uint64_t value)
{
    return add_global(writer, name, section, value, STT_FUNC, STV_DEFAULT);
}

static const char *
get_global_name(const struct kiln_writer *writer, uint32_t number)
{
    Elf64_Sym symbol;
    memcpy(&symbol, writer->globals.bytes + number * sizeof symbol, sizeof symbol);
    return (const char *)writer->strings.bytes + symbol.st_name;
}

/* Where NAME is, or would be, among the references. */
static size_t
find_reference(const struct kiln_writer *writer, const char *name)
{
    size_t mask = writer->reference_capacity - 1;
    size_t at = XXH3_64bits(name, strlen(name)) & mask;
    while (writer->references[at] != 0 &&
           strcmp(get_global_name(writer, writer->references[at] - 1), name) != 0)
    {
        at = (at + 1) & mask;
    }
    return at;
}

static void
grow_references(struct kiln_writer *writer)
{
    uint32_t *old = writer->references;
    size_t count = writer->reference_capacity;
    writer->reference_capacity = count == 0 ? 1024 : count * 2;
    writer->references = allocate(writer->reference_capacity * sizeof *writer->references);
    for (size_t i = 0; i < count; i++) {
        if (old[i] != 0) {
            writer->references[find_reference(writer, get_global_name(writer, old[i] - 1))] =
                old[i];
        }
    }
    free(old);
}

kiln_writer_symbol
kiln_writer_refer(struct kiln_writer *writer, const char *name)
{
    if (writer->reference_count * 2 >= writer->reference_capacity) {
        grow_references(writer);
    }
    uint32_t *reference = &writer->references[find_reference(writer, name)];
    if (*reference == 0) {
        kiln_writer_symbol symbol =
            add_global(writer, name, KILN_OUT_NONE, 0, STT_NOTYPE, STV_DEFAULT);
        *reference = (symbol & ~GLOBAL) + 1;
        writer->reference_count++;
    }
    return GLOBAL | (*reference - 1);
}

kiln_writer_symbol
kiln_writer_add_local(struct kiln_writer *writer, const char *name, unsigned type,
                      enum kiln_writer_section section, uint64_t value, uint64_t size)
{
    size_t index = writer->locals.len / sizeof(Elf64_Sym);
    add_symbol(writer, &writer->locals, name, ELF64_ST_INFO(STB_LOCAL, type), STV_DEFAULT,
               type == STT_FILE ? SHN_ABS : (unsigned)section, value, size);
    return (kiln_writer_symbol)index;
}

void
kiln_writer_relocate(struct kiln_writer *writer, enum kiln_writer_section section, uint64_t offset,
                     uint32_t type, kiln_writer_symbol symbol, int64_t addend)
{
    const Elf64_Rela rela = {
        .r_offset = offset, .r_info = ELF64_R_INFO((uint64_t)symbol, type), .r_addend = addend};
    kiln_buffer_append(&writer->sections[section].relocations, &rela, sizeof rela);
}

/* -- The end of the file -- */

struct headers {
    Elf64_Shdr items[KILN_OUT_SECTIONS * 2 + 4];
    size_t count;
    struct kiln_buffer names;
    uint64_t offset; /* in the file */
};

static Elf64_Shdr *
add_header(struct headers *headers, const char *name, uint32_t type)
{
    Elf64_Shdr *header = &headers->items[headers->count++];
    header->sh_name = (Elf64_Word)kiln_buffer_append(&headers->names, name, strlen(name) + 1);
    header->sh_type = type;
    header->sh_addralign = 1;
    return header;
}

/* Write BYTES as the contents of HEADER. */
static void
put_contents(struct kiln_writer *writer, struct headers *headers, Elf64_Shdr *header,
             const struct kiln_buffer *bytes)
{
    headers->offset = (headers->offset + 15) & ~(uint64_t)15;
    seek(writer, headers->offset);
    header->sh_offset = headers->offset;
    header->sh_size = bytes->len;
    put(writer, bytes->bytes, bytes->len);
    headers->offset += bytes->len;
}

static void
put_sections(struct kiln_writer *writer, struct headers *headers)
{
    headers->offset = STREAM_START + writer->sections[KILN_OUT_IMAGE].size;
    headers->count = 1;
    for (size_t i = 1; i < KILN_OUT_SECTIONS; i++) {
        struct kiln_out_section *section = &writer->sections[i];
        Elf64_Shdr *header = add_header(headers, KINDS[i].name, KINDS[i].type);
        header->sh_flags = KINDS[i].flags;
        header->sh_addralign = section->align;
        if (i == KILN_OUT_IMAGE || KINDS[i].type == SHT_NOBITS) {
            header->sh_offset = i == KILN_OUT_IMAGE ? (uint64_t)STREAM_START : headers->offset;
            header->sh_size = section->size;
        }
        else {
            put_contents(writer, headers, header, &section->contents);
        }
    }
}

/* Relocations name symbols by their final indices. */
static void
put_relocations(struct kiln_writer *writer, struct headers *headers, size_t symtab)
{
    uint32_t first = (uint32_t)(writer->locals.len / sizeof(Elf64_Sym));
    for (size_t i = 1; i < KILN_OUT_SECTIONS; i++) {
        struct kiln_buffer *buffer = &writer->sections[i].relocations;
        if (buffer->len == 0) {
            continue;
        }
        for (size_t at = 0; at < buffer->len; at += sizeof(Elf64_Rela)) {
            Elf64_Rela rela;
            memcpy(&rela, buffer->bytes + at, sizeof rela);
            uint64_t symbol = ELF64_R_SYM(rela.r_info);
            if ((symbol & GLOBAL) != 0) {
                symbol = first + (symbol & ~GLOBAL);
                rela.r_info = ELF64_R_INFO(symbol, ELF64_R_TYPE(rela.r_info));
                memcpy(buffer->bytes + at, &rela, sizeof rela);
            }
        }
        char name[64];
        snprintf(name, sizeof name, ".rela%s", KINDS[i].name);
        Elf64_Shdr *header = add_header(headers, name, SHT_RELA);
        header->sh_flags = SHF_INFO_LINK;
        header->sh_info = (Elf64_Word)i;
        header->sh_link = (Elf64_Word)symtab;
        header->sh_entsize = sizeof(Elf64_Rela);
        header->sh_addralign = 8;
        put_contents(writer, headers, header, buffer);
    }
}

static void
put_tables(struct kiln_writer *writer, struct headers *headers)
{
    size_t symtab = headers->count + 1; /* behind .note.GNU-stack */
    add_header(headers, ".note.GNU-stack", SHT_PROGBITS)->sh_offset = headers->offset;
    Elf64_Shdr *header = add_header(headers, ".symtab", SHT_SYMTAB);
    header->sh_link = (Elf64_Word)symtab + 1;
    header->sh_info = (Elf64_Word)(writer->locals.len / sizeof(Elf64_Sym));
    header->sh_entsize = sizeof(Elf64_Sym);
    header->sh_addralign = 8;
    kiln_buffer_append(&writer->locals, writer->globals.bytes, writer->globals.len);
    put_contents(writer, headers, header, &writer->locals);
    writer->locals.len -= writer->globals.len;
    put_contents(writer, headers, add_header(headers, ".strtab", SHT_STRTAB), &writer->strings);
    put_relocations(writer, headers, symtab);
}

static void
put_headers(struct kiln_writer *writer, struct headers *headers)
{
    size_t names = headers->count;
    Elf64_Shdr *header = add_header(headers, ".shstrtab", SHT_STRTAB);
    put_contents(writer, headers, header, &headers->names);
    headers->offset = (headers->offset + 15) & ~(uint64_t)15;
    seek(writer, headers->offset);
    put(writer, headers->items, headers->count * sizeof headers->items[0]);
    const Elf64_Ehdr ehdr = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = writer->machine,
        .e_version = EV_CURRENT,
        .e_shoff = headers->offset,
        .e_ehsize = sizeof ehdr,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = (Elf64_Half)headers->count,
        .e_shstrndx = (Elf64_Half)names};
    seek(writer, 0);
    put(writer, &ehdr, sizeof ehdr);
}

int
kiln_writer_close(struct kiln_ctx *ctx, struct kiln_writer *writer)
{
    struct headers headers = {0};
    kiln_buffer_append(&headers.names, "", 1);
    put_sections(writer, &headers);
    put_tables(writer, &headers);
    put_headers(writer, &headers);
    if (fclose(writer->file) != 0 && writer->error == 0) {
        writer->error = errno;
    }
    errno = writer->error;
    int result = errno != 0 ? kiln_fail_errno(ctx, "%s: cannot write", writer->path) : 0;
    for (size_t i = 0; i < KILN_OUT_SECTIONS; i++) {
        kiln_buffer_release(&writer->sections[i].contents);
        kiln_buffer_release(&writer->sections[i].relocations);
    }
    kiln_buffer_release(&writer->locals);
    kiln_buffer_release(&writer->globals);
    kiln_buffer_release(&writer->strings);
    free(writer->references);
    kiln_buffer_release(&headers.names);
    return result;
}
