/* Which pages of an image are to be writable, and when. Rights are only ever taken away: pages are mapped
 * R-X, become RW before the first word is filled in, and R afterwards if DT_GNU_RELRO says so. What no
 * word is filled in of at run time, and would be read-only then, stays as it is: clean pages of the
 * file. */
#include "unlink/object.h"

enum {
    PAGE = 4096,
    ZEROS_MIN = 64 * 1024, /* zeros at the end of a segment that are worth a mapping of their own */
};

static uint64_t
round_down(uint64_t address)
{
    return address / PAGE * PAGE;
}

static uint64_t
round_up(uint64_t address)
{
    return round_down(address + PAGE - 1);
}

static void
add(struct kiln_buffer *protections, uint64_t start, uint64_t end,
    enum kiln_image_protection protection)
{
    const uint32_t triple[] = {(uint32_t)start, (uint32_t)(end - start), protection};
    if (start < end) {
        kiln_buffer_append(protections, triple, sizeof triple);
    }
}

static bool
is_filled_later(const struct kiln_word *word)
{
    return word->kind == KILN_WORD_RELATIVE || word->kind == KILN_WORD_PATCH;
}

static bool
has_later_words(const struct kiln_words *words, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < words->count; i++) {
        if (words->items[i].offset < end && words->items[i].offset + 8 > start &&
            is_filled_later(&words->items[i]))
        {
            return true;
        }
    }
    return false;
}

/* The end of what the file has of LOAD, with words that lie behind it. */
static uint64_t
find_contents_end(const Elf64_Phdr *load, const struct kiln_words *words)
{
    uint64_t end = load->p_vaddr + load->p_filesz;
    for (size_t i = 0; i < words->count; i++) {
        uint64_t word_end = words->items[i].offset + 8;
        if (word_end > end && words->items[i].offset < load->p_vaddr + load->p_memsz) {
            end = word_end;
        }
    }
    return end;
}

static void
protect_segment(const struct kiln_dynobj *dso, const Elf64_Phdr *load,
                const struct kiln_words *words, struct kiln_buffer *protections)
{
    uint64_t start = round_down(load->p_vaddr), end = round_up(load->p_vaddr + load->p_memsz);
    const Elf64_Phdr *relro = &dso->relro;
    if (relro->p_type == PT_GNU_RELRO && relro->p_vaddr >= load->p_vaddr &&
        relro->p_vaddr < load->p_vaddr + load->p_memsz)
    {
        /* ld.so's _dl_protect_relro() rounds both down. */
        uint64_t first = round_down(relro->p_vaddr);
        uint64_t last = round_down(relro->p_vaddr + relro->p_memsz);
        last = last > end ? end : last;
        if (first < last) {
            add(protections, start, first, KILN_IMAGE_WRITABLE);
            if (has_later_words(words, first, last)) {
                add(protections, first, last, KILN_IMAGE_RELRO);
            }
            start = last;
        }
    }
    uint64_t zeros = round_up(find_contents_end(load, words));
    zeros = zeros < start ? start : zeros;
    if (end < zeros + ZEROS_MIN) {
        zeros = end;
    }
    add(protections, start, zeros, KILN_IMAGE_WRITABLE);
    add(protections, zeros, end, KILN_IMAGE_ZEROS);
}

void
kiln_pages_protect(const struct kiln_object *image, const struct kiln_words *words,
                   bool separate_code, struct kiln_buffer *protections)
{
    const struct kiln_dynobj *dso = &image->dso;
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        if ((load->p_flags & PF_W) != 0) {
            protect_segment(dso, load, words, protections);
        }
        else if (separate_code && (load->p_flags & PF_X) == 0) {
            add(protections, round_down(load->p_vaddr), round_up(load->p_vaddr + load->p_memsz),
                KILN_IMAGE_CONSTANT);
        }
    }
}
