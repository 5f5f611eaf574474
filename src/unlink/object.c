/* Writing the images: one after the other into the section of images, each with the relocations of its
 * words; what else the linker has to merge (unwind information, thread-local blocks, variables that
 * the process has one of) into sections of its own; then the tables of the runtime. No more than one
 * image is in memory at a time. */
#include "unlink/object.h"

#include <stdlib.h>
#include <string.h>

#include "unlink/eh_frame.h"

enum {
    PAGE = 4096,
    STUB_SIZE = 8,
    SLOT_SIZE = 8,
};

struct writing {
    struct kiln_set *set;
    struct kiln_writer writer;
    struct kiln_tables tables;
    struct kiln_arena scratch; /* of the image at hand */
    const struct kiln_object *image;
    struct kiln_words words;
    uint8_t *bytes; /* its memory */
};

static struct kiln_out_section *
get_section(struct writing *writing, enum kiln_writer_section section)
{
    return &writing->writer.sections[section];
}

/* -- Places -- */

/* What sections of the image are aligned to: its own sections tell, as segments are often aligned to what
 * some machine's pages might be. */
uint64_t
kiln_object_get_alignment(const struct kiln_dynobj *dso)
{
    uint64_t align = PAGE, segment_align = PAGE;
    bool has_sections = false;
    for (size_t i = 0; i < dso->load_count; i++) {
        segment_align =
            dso->loads[i].p_align > segment_align ? dso->loads[i].p_align : segment_align;
    }
    for (uint64_t i = 0; i < dso->header.e_shnum && dso->header.e_shentsize == sizeof(Elf64_Shdr);
         i++) {
        Elf64_Shdr section;
        if (!kiln_span_read(dso->bytes, dso->header.e_shoff + i * sizeof section, &section,
                            sizeof section)) {
            return segment_align;
        }
        has_sections = has_sections || section.sh_type == SHT_PROGBITS;
        if ((section.sh_flags & SHF_ALLOC) != 0 && section.sh_addralign > align &&
            section.sh_addralign <= segment_align &&
            (section.sh_addralign & (section.sh_addralign - 1)) == 0)
        {
            align = section.sh_addralign;
        }
    }
    return has_sections ? align : segment_align;
}

static uint64_t
align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static void
raise_align(struct kiln_out_section *section, uint64_t align)
{
    section->align = align > section->align ? align : section->align;
}

static void
place_image(struct writing *writing, struct kiln_object *image, uint64_t *end)
{
    struct kiln_out_section *section = get_section(writing, KILN_OUT_IMAGE);
    uint64_t align = kiln_object_get_alignment(&image->dso);
    raise_align(section, align);
    image->start = align_up(*end, align);
    *end = image->start + align_up(image->dso.size, PAGE);
}

static enum kiln_writer_section
get_tls_section(const struct kiln_object *image)
{
    return image->dso.tls.p_filesz > 0 ? KILN_OUT_TDATA : KILN_OUT_TBSS;
}

/* The block is at the same place of its alignment as in the image. */
static void
place_tls(struct writing *writing, struct kiln_object *image)
{
    const Elf64_Phdr *tls = &image->dso.tls;
    if (tls->p_type != PT_TLS || !image->has_static_tls) {
        return;
    }
    struct kiln_out_section *section = get_section(writing, get_tls_section(image));
    uint64_t align = tls->p_align == 0 ? 1 : tls->p_align, part = tls->p_vaddr & (align - 1);
    raise_align(section, align);
    image->tls_start = align_up(section->size, align) + part;
    section->size = image->tls_start + tls->p_memsz;
}

static void
place_all(struct writing *writing)
{
    struct kiln_set *set = writing->set;
    uint64_t end = 0;
    for (size_t i = 0; i < set->images.count; i++) {
        place_image(writing, set->images.items[i], &end);
        place_tls(writing, set->images.items[i]);
    }
    /* Its bytes are filled in as the images come. */
    struct kiln_out_section *tdata = get_section(writing, KILN_OUT_TDATA);
    kiln_buffer_append(&tdata->contents, NULL, tdata->size);
}

/* -- Words -- */

static void
set_bytes(struct writing *writing, uint64_t offset, uint64_t value)
{
    memcpy(writing->bytes + offset, &value, sizeof value);
}

/* The relocation with which WORD becomes what it is, for a place at OFFSET of SECTION. False if the linker
 * cannot know its value. */
static bool
relocate_word(struct writing *writing, enum kiln_writer_section section, uint64_t offset,
              const struct kiln_word *word)
{
    struct kiln_writer *writer = &writing->writer;
    const struct kiln_set *set = writing->set;
    kiln_writer_symbol symbol = kiln_writer_get_section(KILN_OUT_IMAGE);
    uint32_t type = R_X86_64_64;
    int64_t addend = word->addend;
    switch (word->kind) {
    case KILN_WORD_BYTES:
        return true;
    case KILN_WORD_IMAGE:
        addend += (int64_t)word->object->start;
        break;
    case KILN_WORD_RELATIVE:
        addend += (int64_t)writing->image->start;
        break;
    case KILN_WORD_SYMBOL:
        symbol = kiln_writer_refer(writer, word->name);
        break;
    case KILN_WORD_STUB:
        symbol = kiln_writer_get_section(KILN_OUT_TEXT);
        addend += (int64_t)(set->imports.items[word->value].stub * STUB_SIZE);
        break;
    case KILN_WORD_TPOFF: /* the linker's word has 32 bits; the upper half is that of a negative one */
        symbol = kiln_writer_get_tls(get_tls_section(word->object));
        type = R_X86_64_TPOFF32;
        addend += (int64_t)word->object->tls_start;
        break;
    case KILN_WORD_PATCH: {
        const struct kiln_import *import = &set->imports.items[word->value];
        if (import->kind == KILN_IMPORT_IMAGE) {
            addend += (int64_t)(import->object->start + import->value);
        }
        else if (import->kind == KILN_IMPORT_DISTANCE) {
            symbol = kiln_writer_refer(writer, import->name);
        }
        else {
            return false;
        }
        break;
    }
    }
    kiln_writer_relocate(writer, section, offset, type, symbol, addend);
    return true;
}

static void
fill_word(struct writing *writing, const struct kiln_word *word)
{
    bool is_later = word->kind == KILN_WORD_RELATIVE || word->kind == KILN_WORD_PATCH;
    uint64_t bytes = word->kind == KILN_WORD_TPOFF               ? UINT64_MAX << 32
                     : is_later || word->kind == KILN_WORD_BYTES ? (uint64_t)word->addend
                                                                 : 0;
    set_bytes(writing, word->offset, bytes);
    if (!is_later) {
        relocate_word(writing, KILN_OUT_IMAGE, writing->image->start + word->offset, word);
    }
}

/* The index of the first word at ADDRESS or behind it. */
static size_t
find_word(const struct kiln_words *words, uint64_t address)
{
    size_t low = 0, high = words->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (words->items[middle].offset < address) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

/* The LEN bytes at ADDRESS of the image, whose words have been filled in, are copied to OFFSET of SECTION,
 * with their relocations. */
static void
copy_out(struct writing *writing, uint64_t address, uint64_t len, enum kiln_writer_section section,
         uint64_t offset)
{
    memcpy(get_section(writing, section)->contents.bytes + offset, writing->bytes + address, len);
    const struct kiln_words *words = &writing->words;
    for (size_t i = find_word(words, address); i < words->count; i++) {
        const struct kiln_word *word = &words->items[i];
        if (word->offset - address + 8 > len) {
            return;
        }
        relocate_word(writing, section, offset + (word->offset - address), word);
    }
}

static void
copy_tls(struct writing *writing)
{
    const struct kiln_object *image = writing->image;
    const Elf64_Phdr *tls = &image->dso.tls;
    if (tls->p_type == PT_TLS && image->has_static_tls && tls->p_filesz > 0) {
        copy_out(writing, tls->p_vaddr, tls->p_filesz, KILN_OUT_TDATA, image->tls_start);
    }
}

/* -- Unwind information -- */

/* Calls of this kind are few: the sections are looked through. */
static bool
find_section_at(const struct kiln_dynobj *dso, uint64_t address, Elf64_Shdr *out)
{
    const Elf64_Ehdr *header = &dso->header;
    for (uint64_t i = 0; i < header->e_shnum && header->e_shentsize == sizeof *out; i++) {
        if (!kiln_span_read(dso->bytes, header->e_shoff + i * sizeof *out, out, sizeof *out)) {
            return false;
        }
        if ((out->sh_flags & SHF_ALLOC) != 0 && out->sh_addr == address && out->sh_size > 0) {
            return true;
        }
    }
    return false;
}

/* .eh_frame at ADDRESS: as long as its section header says, or else the rest of its segment, in which a
 * terminator ends it. */
static bool
slice_eh_frame(const struct kiln_dynobj *dso, uint64_t address, struct kiln_span *out)
{
    Elf64_Shdr section;
    const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, address, 0);
    if (load == NULL || address - load->p_vaddr > load->p_filesz) {
        return false;
    }
    return (find_section_at(dso, address, &section) &&
            kiln_dynobj_slice(dso, address, section.sh_size, out)) ||
           kiln_dynobj_slice(dso, address, load->p_filesz - (address - load->p_vaddr), out);
}

const char *
kiln_object_read_eh_frame(struct kiln_ctx *ctx, const struct kiln_dynobj *dso,
                          struct kiln_eh_frame *frame, struct kiln_span *bytes, uint64_t *address)
{
    struct kiln_span header;
    struct kiln_eh_header parsed;
    *frame = (struct kiln_eh_frame){0};
    *bytes = kiln_span_of(NULL, 0);
    if (dso->eh_frame_hdr.p_type != PT_GNU_EH_FRAME) {
        return NULL;
    }
    if (!kiln_dynobj_slice(dso, dso->eh_frame_hdr.p_vaddr, dso->eh_frame_hdr.p_filesz, &header)) {
        return "its unwind information is damaged";
    }
    const char *reason =
        kiln_eh_header_read(ctx, header, dso->eh_frame_hdr.p_vaddr, dso->size, &parsed);
    if (reason != NULL) {
        return reason;
    }
    if (!slice_eh_frame(dso, parsed.frame, bytes)) {
        return "its unwind information is damaged";
    }
    *address = parsed.frame;
    reason = kiln_eh_frame_read(ctx, *bytes, parsed.frame, dso->size, frame);
    if (reason != NULL) {
        return kiln_arena_printf(&ctx->arena, "its unwind information is not understood: %s",
                                 reason);
    }
    return frame->fdes < parsed.fdes ? "its unwind information is not in one piece" : NULL;
}

static void
write_eh_frame(struct writing *writing)
{
    static const uint32_t types[] = {[KILN_EH_PC32] = R_X86_64_PC32,
                                     [KILN_EH_PC64] = R_X86_64_PC64,
                                     [KILN_EH_ABS64] = R_X86_64_64};
    struct kiln_ctx ctx = {.quiet = true};
    struct kiln_eh_frame frame;
    struct kiln_span bytes;
    uint64_t address;
    if (kiln_object_read_eh_frame(&ctx, &writing->image->dso, &frame, &bytes, &address) == NULL &&
        frame.len > 0)
    {
        struct kiln_buffer *contents = &get_section(writing, KILN_OUT_EH_FRAME)->contents;
        size_t at = kiln_buffer_append(contents, bytes.ptr, frame.len);
        kiln_eh_frame_edit(&frame, contents->bytes + at);
        for (size_t i = 0; i < frame.count; i++) {
            const struct kiln_eh_pointer *pointer = &frame.items[i];
            kiln_writer_symbol symbol = kiln_writer_get_section(KILN_OUT_IMAGE);
            uint64_t addend = writing->image->start + pointer->target;
            if (pointer->is_personality) {
                symbol = kiln_writer_add_local(&writing->writer, "kiln_personality", STT_NOTYPE,
                                               KILN_OUT_IMAGE, addend, 0);
                addend = 0;
            }
            kiln_writer_relocate(&writing->writer, KILN_OUT_EH_FRAME, at + pointer->at,
                                 types[pointer->kind], symbol, (int64_t)addend);
        }
    }
    kiln_ctx_release(&ctx);
}

/* -- Instructions -- */

/* What a module's entry in the table leads to. */
static const uint8_t START[] = {
    0xf3, 0x0f, 0x1e, 0xfa,    /* endbr64 */
    0x48, 0x83, 0xec, 0x08,    /* sub $8, %rsp */
    0xbf, 0,    0,    0,    0, /* mov $index, %edi */
    0xe8, 0,    0,    0,    0, /* call kiln_image_start */
    0x48, 0x83, 0xc4, 0x08,    /* add $8, %rsp */
    0x85, 0xc0,                /* test %eax, %eax */
    0x75, 0x05,                /* jne 1f */
    0xe9, 0,    0,    0,    0, /* jmp init */
    0x31, 0xc0,                /* 1: xor %eax, %eax */
    0xc3,                      /* ret */
};
enum { START_INDEX = 9, START_CALL = 14, START_JUMP = 27 };

static void
write_start(struct writing *writing, struct kiln_object *image, const char *symbol)
{
    struct kiln_writer *writer = &writing->writer;
    struct kiln_buffer *text = &get_section(writing, KILN_OUT_TEXT)->contents;
    size_t at = kiln_buffer_align(text, 16);
    uint32_t index = (uint32_t)image->number;
    image->function = at;
    kiln_buffer_append(text, START, sizeof START);
    memcpy(text->bytes + at + START_INDEX, &index, sizeof index);
    kiln_writer_relocate(writer, KILN_OUT_TEXT, at + START_CALL, R_X86_64_PLT32,
                         kiln_writer_refer(writer, "kiln_image_start"), -4);
    kiln_writer_relocate(writer, KILN_OUT_TEXT, at + START_JUMP, R_X86_64_PC32,
                         kiln_writer_get_section(KILN_OUT_IMAGE),
                         (int64_t)(image->start + image->init) - 4);
    kiln_writer_define(writer, symbol, KILN_OUT_TEXT, at, STT_FUNC);
}

/* Functions that answer for images to everybody in the process: the program's own, which the dynamic linker
 * finds first. They jump, as libc's look at their return addresses. */
static void
write_answers(struct writing *writing)
{
    struct kiln_buffer *text = &get_section(writing, KILN_OUT_TEXT)->contents;
    const char *runtime;
    for (size_t i = 0; i < KILN_ANSWERED; i++) {
        const char *name = kiln_bind_get_answered(i, &runtime);
        static const uint8_t jump[] = {0xe9, 0, 0, 0, 0};
        size_t at = kiln_buffer_align(text, 16);
        kiln_buffer_append(text, jump, sizeof jump);
        kiln_writer_relocate(&writing->writer, KILN_OUT_TEXT, at + 1, R_X86_64_PLT32,
                             kiln_writer_refer(&writing->writer, runtime), -4);
        kiln_writer_export(&writing->writer, name, KILN_OUT_TEXT, at);
    }
}

/* The stubs are the first thing in their section: words know their places before they are written. */
static void
write_stubs(struct writing *writing)
{
    static const uint8_t stub[STUB_SIZE] = {0xff, 0x25, 0,    0,
                                            0,    0,    0xcc, 0xcc}; /* jmp *slot(%rip) */
    struct kiln_set *set = writing->set;
    struct kiln_buffer *text = &get_section(writing, KILN_OUT_TEXT)->contents;
    size_t at = kiln_buffer_align(text, STUB_SIZE);
    kiln_buffer_append(text, NULL, set->stub_count * STUB_SIZE);
    for (size_t i = 0; i < set->imports.count; i++) {
        const struct kiln_import *import = &set->imports.items[i];
        if (import->has_stub) {
            size_t place = at + import->stub * STUB_SIZE;
            memcpy(text->bytes + place, stub, sizeof stub);
            kiln_writer_relocate(&writing->writer, KILN_OUT_TEXT, place + 2, R_X86_64_PC32,
                                 kiln_writer_get_section(KILN_OUT_SLOTS),
                                 (int64_t)(i * SLOT_SIZE) - 4);
        }
    }
}

/* -- All of it -- */

static void
copy_segments(struct writing *writing)
{
    const struct kiln_dynobj *dso = &writing->image->dso;
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        memcpy(writing->bytes + load->p_vaddr, dso->bytes.ptr + load->p_offset, load->p_filesz);
    }
}

static int
write_image(struct writing *writing, struct kiln_object *image)
{
    struct kiln_set *set = writing->set;
    size_t len = align_up(image->dso.size, PAGE);
    writing->image = image;
    writing->words = (struct kiln_words){0};
    writing->bytes = calloc(1, len);
    if (writing->bytes == NULL) {
        return kiln_fail_errno(set->ctx, "%s: cannot be unlinked", image->path);
    }
    kiln_words_make(set, image, &writing->scratch, &writing->words);
    copy_segments(writing);
    for (size_t i = 0; i < writing->words.count; i++) {
        fill_word(writing, &writing->words.items[i]);
    }
    copy_tls(writing);
    write_eh_frame(writing);
    kiln_symbols_add(set->ctx, image, &writing->writer);
    kiln_tables_add(set, &writing->tables, image, &writing->words);
    kiln_writer_stream_align(&writing->writer, kiln_object_get_alignment(&image->dso));
    kiln_writer_stream(&writing->writer, writing->bytes, len);
    free(writing->bytes);
    kiln_arena_release(&writing->scratch);
    return 0;
}

int
kiln_object_write(struct kiln_set *set, const char *path)
{
    struct writing writing = {.set = set};
    int result =
        kiln_writer_open(set->ctx, &writing.writer, path, (uint16_t)set->unlink->machine->number);
    if (result < 0) {
        return result;
    }
    place_all(&writing);
    kiln_writer_add_local(&writing.writer, KILN_UNLINK_BASE, STT_NOTYPE, KILN_OUT_IMAGE, 0, 0);
    for (size_t i = 0; i < set->images.count && result == 0; i++) {
        kiln_progress(set->ctx, "unlink", i, set->images.count, set->images.items[i]->path);
        result = write_image(&writing, set->images.items[i]);
    }
    kiln_progress(set->ctx, "unlink", set->images.count, set->images.count, NULL);
    if (result == 0) {
        write_stubs(&writing);
        write_answers(&writing);
        for (size_t i = 0; i < set->images.count; i++) {
            struct kiln_object *image = set->images.items[i];
            if (image->module != NULL) {
                write_start(&writing, image, image->module->init->symbol);
            }
        }
        kiln_tables_write(set, &writing.tables, &writing.writer);
    }
    int closed = kiln_writer_close(set->ctx, &writing.writer);
    return result < 0 ? result : closed;
}
