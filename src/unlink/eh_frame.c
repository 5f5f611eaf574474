/* .eh_frame and .eh_frame_hdr of a shared object: LSB Core 10.6 and DWARF 5, 6.4.
 *
 * The section is a sequence of entries. A CIE holds what its FDEs have in common, among it how their
 * pointers are encoded; an FDE describes the code of one function. Linkers want a
 * relocation for each FDE's initial location and each CIE's personality (without one, GNU ld and gold
 * leave the search table out of the executable, and lld drops the FDE), so these are found here, as
 * are the LSDAs and the operands of DW_CFA_set_loc.
 *
 * What depends on an address in any other way, or is encoded so that it can fail elsewhere in
 * memory, is refused. An FDE that covers no code is dropped, and so is the second of two equal
 * ones (linkers fold identical functions and keep both FDEs): GNU ld fails on FDEs that overlap. */
#include "unlink/eh_frame.h"

#include <stdlib.h>

enum {
    PE_ABSPTR = 0x00,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_FORMAT = 0x0f, /* mask */
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
};

struct cie {
    uint32_t at;
    bool has_augmentation_length; /* augmentation "z..." */
    uint8_t location, lsda;       /* encodings; PE_OMIT: no LSDA */
};

struct fde {
    uint64_t start, range;
    uint32_t at, len;
    uint32_t host; /* the entry in front of it */
    bool dropped;
};

struct reader {
    struct kiln_ctx *ctx;
    struct kiln_span section;
    uint64_t address, size;
    struct kiln_eh_frame *out;
    struct kiln_arena scratch; /* of the two lists */
    struct {
        struct cie *items;
        size_t count, capacity;
    } cies;
    struct {
        struct fde *items;
        size_t count, capacity;
    } fdes;
    const struct cie *last; /* the CIE that was used last */
    bool unsorted;          /* whether FDEs are out of order or overlap */
    const char *reason;     /* once something has failed */
};

/* What is left of an entry, or of a part of it. */
struct cursor {
    struct reader *reader;
    uint64_t at, end; /* offsets in the section */
};

static bool
refuse(struct reader *reader, uint64_t at, const char *reason)
{
    reader->reason = kiln_arena_printf(&reader->ctx->arena, "%s at offset 0x%llx", reason,
                                       (unsigned long long)at);
    return false;
}

static bool
truncated(const struct cursor *cursor)
{
    return refuse(cursor->reader, cursor->at, "truncated entry");
}

static bool
skip(struct cursor *cursor, uint64_t len)
{
    if (len > cursor->end - cursor->at) {
        return truncated(cursor);
    }
    cursor->at += len;
    return true;
}

static bool
read_u8(struct cursor *cursor, uint8_t *out)
{
    if (cursor->at >= cursor->end || !kiln_span_read(cursor->reader->section, cursor->at, out, 1)) {
        return truncated(cursor);
    }
    cursor->at++;
    return true;
}

/* WIDTH bytes, little-endian: 2, 4 or 8. */
static bool
read_word(struct cursor *cursor, size_t width, bool is_signed, uint64_t *out)
{
    uint64_t at = cursor->at;
    uint8_t bytes[8] = {0};
    if (width > cursor->end - at || !kiln_span_read(cursor->reader->section, at, bytes, width)) {
        return truncated(cursor);
    }
    cursor->at += width;
    bool negative = is_signed && (bytes[width - 1] & 0x80) != 0;
    memset(bytes + width, negative ? 0xff : 0, sizeof bytes - width);
    (void)kiln_span_get_u64(kiln_span_of(bytes, sizeof bytes), 0, out);
    return true;
}

/* LEB128 of at most 64 bits. Signed ones are read as well, for callers that skip them. */
static bool
read_leb128(struct cursor *cursor, uint64_t *out)
{
    uint64_t at = cursor->at;
    *out = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte;
        if (!read_u8(cursor, &byte)) {
            return false;
        }
        uint8_t bits = byte & 0x7f;
        if (shift > 63 || (shift == 63 && bits > 1 && bits != 0x7f)) {
            return refuse(cursor->reader, at, "LEB128 number of more than 64 bits");
        }
        *out |= (uint64_t)bits << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
}

static bool
skip_leb128(struct cursor *cursor, unsigned count)
{
    uint64_t ignored;
    for (; count > 0; count--) {
        if (!read_leb128(cursor, &ignored)) {
            return false;
        }
    }
    return true;
}

/* A length, and as many bytes: PART is these. */
static bool
read_block(struct cursor *cursor, struct cursor *part)
{
    uint64_t len;
    if (!read_leb128(cursor, &len)) {
        return false;
    }
    *part = *cursor;
    if (!skip(cursor, len)) {
        return false;
    }
    part->end = cursor->at;
    return true;
}

/* --- Pointers ---------------------------------------------------------------------------------- */

/* Which relocation makes a pointer of ENCODING; false if none does. Four bytes that are not signed
 * and relative would have to lie in front of the target, or below 4 GiB. */
static bool
get_kind(uint8_t encoding, enum kiln_eh_kind *out)
{
    switch (encoding & ~PE_INDIRECT) {
    case PE_PCREL | PE_SDATA4:
        *out = KILN_EH_PC32;
        return true;
    case PE_PCREL | PE_ABSPTR:
    case PE_PCREL | PE_UDATA8:
    case PE_PCREL | PE_SDATA8:
        *out = KILN_EH_PC64;
        return true;
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        *out = KILN_EH_ABS64;
        return true;
    default:
        return false;
    }
}

static bool
check_encoding(struct reader *reader, uint64_t at, uint8_t encoding, enum kiln_eh_kind *kind)
{
    if (!get_kind(encoding, kind)) {
        return refuse(reader, at,
                      kiln_arena_printf(&reader->ctx->arena, "pointer encoding 0x%02x", encoding));
    }
    return true;
}

/* Decodes a pointer. Like unwinders, takes a stored value of 0 for a null pointer; *IS_NULL. */
static bool
decode_pointer(struct cursor *cursor, uint8_t encoding, struct kiln_eh_pointer *out, bool *is_null)
{
    uint64_t at = cursor->at, value;
    enum kiln_eh_kind kind;
    if (!check_encoding(cursor->reader, at, encoding, &kind) ||
        !read_word(cursor, kind == KILN_EH_PC32 ? 4 : 8, true, &value))
    {
        return false;
    }
    *is_null = value == 0;
    *out = (struct kiln_eh_pointer){.at = (uint32_t)at, .kind = kind, .target = value};
    if (kind != KILN_EH_ABS64) {
        out->target += cursor->reader->address + at;
    }
    return true;
}

/* Records POINTER, to LEN bytes of the image. */
static bool
push_pointer(struct reader *reader, const struct kiln_eh_pointer *pointer, uint64_t len)
{
    if (pointer->target > reader->size || len > reader->size - pointer->target) {
        return refuse(reader, pointer->at, "pointer out of the image");
    }
    *KILN_ARENA_PUSH(&reader->ctx->arena, reader->out) = *pointer;
    return true;
}

/* --- Instructions ------------------------------------------------------------------------------ */

/* A DWARF expression of the operations that gcc's unwinder knows, without the two that hold an
 * address: DW_OP_addr and DW_OP_GNU_encoded_addr. */
static bool
check_expression(struct cursor *cursor)
{
    while (cursor->at < cursor->end) {
        uint64_t at = cursor->at;
        uint8_t op;
        bool read = read_u8(cursor, &op);
        if (!read) {
            return false;
        }
        if (op == 0x08 || op == 0x09 || op == 0x15 || op == 0x94) {
            read = skip(cursor, 1); /* const1, pick, deref_size */
        }
        else if (op == 0x0a || op == 0x0b || op == 0x28 || op == 0x2f) {
            read = skip(cursor, 2); /* const2, bra, skip */
        }
        else if (op == 0x0c || op == 0x0d) {
            read = skip(cursor, 4); /* const4 */
        }
        else if (op == 0x0e || op == 0x0f) {
            read = skip(cursor, 8); /* const8 */
        }
        else if (op == 0x10 || op == 0x11 || op == 0x23 || op == 0x90 || (op >= 0x70 && op <= 0x8f))
        {
            read = skip_leb128(cursor, 1); /* constu, consts, plus_uconst, regx, breg */
        }
        else if (op == 0x92) {
            read = skip_leb128(cursor, 2); /* bregx */
        }
        else if (op != 0x06 && op != 0x96 && !(op >= 0x12 && op <= 0x6f)) {
            return refuse(cursor->reader, at, "DWARF expression with an unknown operation");
        }
        if (!read) {
            return false;
        }
    }
    return true;
}

static bool
check_block(struct cursor *cursor)
{
    struct cursor block;
    return read_block(cursor, &block) && check_expression(&block);
}

static bool
read_set_loc(struct cursor *cursor, uint8_t encoding)
{
    struct kiln_eh_pointer pointer;
    bool is_null;
    return decode_pointer(cursor, encoding, &pointer, &is_null) &&
           push_pointer(cursor->reader, &pointer, 0);
}

/* The call frame instructions to the end of an entry whose locations have ENCODING. */
static bool
read_instructions(struct cursor *cursor, uint8_t encoding)
{
    while (cursor->at < cursor->end) {
        uint64_t at = cursor->at;
        uint8_t op;
        bool read = read_u8(cursor, &op);
        if (!read) {
            return false;
        }
        if (op >= 0x40) {
            op &= 0xc0; /* the rest is an operand */
        }
        switch (op) {
        case 0x00: /* nop */
        case 0x0a: /* remember_state */
        case 0x0b: /* restore_state */
        case 0x2c: /* AARCH64_negate_ra_state_with_pc */
        case 0x2d: /* GNU_window_save, AARCH64_negate_ra_state */
        case 0x40: /* advance_loc */
        case 0xc0: /* restore */
            break;
        case 0x01:
            read = read_set_loc(cursor, encoding);
            break;
        case 0x02: /* advance_loc1, 2, 4 */
        case 0x03:
        case 0x04:
            read = skip(cursor, (uint64_t)1 << (op - 2));
            break;
        case 0x06: /* restore_extended */
        case 0x07: /* undefined */
        case 0x08: /* same_value */
        case 0x0d: /* def_cfa_register */
        case 0x0e: /* def_cfa_offset */
        case 0x13: /* def_cfa_offset_sf */
        case 0x2e: /* GNU_args_size */
        case 0x80: /* offset */
            read = skip_leb128(cursor, 1);
            break;
        case 0x05: /* offset_extended */
        case 0x09: /* register */
        case 0x0c: /* def_cfa */
        case 0x11: /* offset_extended_sf */
        case 0x12: /* def_cfa_sf */
        case 0x14: /* val_offset */
        case 0x15: /* val_offset_sf */
        case 0x2f: /* GNU_negative_offset_extended */
            read = skip_leb128(cursor, 2);
            break;
        case 0x0f: /* def_cfa_expression */
            read = check_block(cursor);
            break;
        case 0x10: /* expression */
        case 0x16: /* val_expression */
            read = skip_leb128(cursor, 1) && check_block(cursor);
            break;
        default:
            return refuse(cursor->reader, at, "unknown call frame instruction");
        }
        if (!read) {
            return false;
        }
    }
    return true;
}

/* --- CIEs -------------------------------------------------------------------------------------- */

/* The word that an indirect pointer leads to stays in the image. */
static bool
read_personality(struct cursor *cursor)
{
    struct kiln_eh_pointer pointer;
    uint8_t encoding;
    bool is_null;
    if (!read_u8(cursor, &encoding) || !decode_pointer(cursor, encoding, &pointer, &is_null)) {
        return false;
    }
    if (is_null) {
        return refuse(cursor->reader, pointer.at, "null personality");
    }
    pointer.is_personality = true;
    return push_pointer(cursor->reader, &pointer, (encoding & PE_INDIRECT) != 0 ? 8 : 1);
}

/* The encoding of pointers in FDEs, which cannot be indirect. */
static bool
read_encoding(struct cursor *cursor, bool may_omit, uint8_t *out)
{
    enum kiln_eh_kind kind;
    if (!read_u8(cursor, out)) {
        return false;
    }
    if (*out == PE_OMIT && may_omit) {
        return true;
    }
    if ((*out & PE_INDIRECT) != 0) {
        return refuse(cursor->reader, cursor->at - 1, "indirect pointers");
    }
    return check_encoding(cursor->reader, cursor->at - 1, *out, &kind);
}

/* What the letters of an augmentation stand for, in their order. */
static bool
read_augmentation(struct cursor *cursor, struct cie *cie, const char *letters)
{
    struct cursor data;
    if (!read_block(cursor, &data)) {
        return false;
    }
    for (const char *letter = letters; *letter != '\0'; letter++) {
        bool read = true;
        if (memchr(letters, *letter, (size_t)(letter - letters)) != NULL) {
            return refuse(cursor->reader, cie->at, "CIE with an augmentation given twice");
        }
        switch (*letter) {
        case 'R':
            read = read_encoding(&data, false, &cie->location);
            break;
        case 'L':
            read = read_encoding(&data, true, &cie->lsda);
            break;
        case 'P':
            read = read_personality(&data);
            break;
        case 'S': /* a signal frame */
        case 'B': /* return addresses signed with key B (arm64) */
            break;
        default:
            return refuse(cursor->reader, cie->at, "CIE with an unknown augmentation");
        }
        if (!read) {
            return false;
        }
    }
    return true;
}

/* The augmentation string, of which no known one is longer than 7 letters. */
static bool
read_string(struct cursor *cursor, char out[8])
{
    for (size_t i = 0; i < 8; i++) {
        uint8_t byte;
        if (!read_u8(cursor, &byte)) {
            return false;
        }
        out[i] = (char)byte;
        if (byte == 0) {
            return true;
        }
    }
    return refuse(cursor->reader, cursor->at, "CIE with an unknown augmentation");
}

static bool
read_cie(struct cursor *cursor, uint32_t at)
{
    struct reader *reader = cursor->reader;
    struct cie cie = {.at = at, .location = PE_ABSPTR, .lsda = PE_OMIT};
    uint8_t version, ignored;
    char augmentation[8];
    if (!read_u8(cursor, &version)) {
        return false;
    }
    if (version != 1 && version != 3) {
        return refuse(reader, at, "CIE of an unknown version");
    }
    if (!read_string(cursor, augmentation)) {
        return false;
    }
    cie.has_augmentation_length = augmentation[0] == 'z';
    if (augmentation[0] != '\0' && augmentation[0] != 'z') {
        return refuse(reader, at, "CIE with an unknown augmentation");
    }
    /* Code and data alignment factors, return address register. */
    if (!skip_leb128(cursor, 2) ||
        !(version == 1 ? read_u8(cursor, &ignored) : skip_leb128(cursor, 1))) {
        return false;
    }
    if (cie.has_augmentation_length && !read_augmentation(cursor, &cie, augmentation + 1)) {
        return false;
    }
    if (!read_instructions(cursor, cie.location)) {
        return false;
    }
    *KILN_ARENA_PUSH(&reader->scratch, &reader->cies) = cie;
    reader->last = &reader->cies.items[reader->cies.count - 1];
    return true;
}

static int
compare_cies(const void *key, const void *item)
{
    uint64_t at = *(const uint64_t *)key;
    const struct cie *cie = item;
    return at < cie->at ? -1 : at > cie->at;
}

/* The CIE at offset AT, NULL if none starts there. */
static const struct cie *
find_cie(struct reader *reader, uint64_t at)
{
    if (reader->last != NULL && reader->last->at == at) {
        return reader->last;
    }
    if (reader->cies.count == 0) {
        return NULL;
    }
    const struct cie *cie = bsearch(&at, reader->cies.items, reader->cies.count,
                                    sizeof *reader->cies.items, compare_cies);
    reader->last = cie;
    return cie;
}

/* --- FDEs -------------------------------------------------------------------------------------- */

static bool
read_lsda(struct cursor *cursor, uint8_t encoding)
{
    struct kiln_eh_pointer pointer;
    bool is_null;
    return decode_pointer(cursor, encoding, &pointer, &is_null) &&
           (is_null || push_pointer(cursor->reader, &pointer, 1));
}

/* What follows the initial location and the range. */
static bool
read_fde_rest(struct cursor *cursor, const struct cie *cie)
{
    if (cie->has_augmentation_length) {
        struct cursor data;
        if (!read_block(cursor, &data) || (cie->lsda != PE_OMIT && !read_lsda(&data, cie->lsda))) {
            return false;
        }
    }
    return read_instructions(cursor, cie->location);
}

/* Requires FDE's offsets. DISTANCE is from the FDE's second word back to its CIE. */
static bool
read_fde(struct cursor *cursor, struct fde *fde, uint32_t distance)
{
    struct reader *reader = cursor->reader;
    uint64_t field = (uint64_t)fde->at + 4;
    const struct cie *cie = distance <= field ? find_cie(reader, field - distance) : NULL;
    if (cie == NULL) {
        return refuse(reader, fde->at, "FDE without a CIE");
    }
    struct kiln_eh_pointer start;
    uint8_t format = cie->location & PE_FORMAT;
    if (!decode_pointer(cursor, cie->location, &start, &fde->dropped) ||
        !read_word(cursor, format == PE_SDATA4 ? 4 : 8, format == PE_SDATA4, &fde->range))
    {
        return false;
    }
    fde->start = start.target;
    fde->dropped = fde->dropped || fde->range == 0;
    if (fde->dropped) {
        return true;
    }
    return push_pointer(reader, &start, fde->range) && read_fde_rest(cursor, cie);
}

static bool
add_fde(struct cursor *cursor, struct fde fde, uint32_t distance, uint64_t *end)
{
    struct reader *reader = cursor->reader;
    if (!read_fde(cursor, &fde, distance)) {
        return false;
    }
    if (!fde.dropped) {
        reader->unsorted = reader->unsorted || fde.start < *end;
        *end = fde.start + fde.range;
    }
    *KILN_ARENA_PUSH(&reader->scratch, &reader->fdes) = fde;
    return true;
}

/* By address; equal ones as they are in the section. */
static int
compare_fdes(const void *left, const void *right)
{
    const struct fde *a = *(struct fde *const *)left, *b = *(struct fde *const *)right;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Drops each FDE that covers the same code as one before it. Refuses FDEs that overlap in part. */
static bool
drop_duplicates(struct reader *reader)
{
    size_t count = 0;
    struct fde **order =
        kiln_arena_alloc(&reader->scratch, (reader->fdes.count + 1) * sizeof *order);
    for (size_t i = 0; i < reader->fdes.count; i++) {
        if (!reader->fdes.items[i].dropped) {
            order[count++] = &reader->fdes.items[i];
        }
    }
    qsort(order, count, sizeof *order, compare_fdes);
    const struct fde *kept = NULL;
    for (size_t i = 0; i < count; i++) {
        if (kept != NULL && order[i]->start < kept->start + kept->range) {
            if (order[i]->start != kept->start || order[i]->range != kept->range) {
                return refuse(reader, order[i]->at, "FDE for a part of another one's code");
            }
            order[i]->dropped = true;
        }
        else {
            kept = order[i];
        }
    }
    return true;
}

/* --- The section ------------------------------------------------------------------------------- */

/* An entry at AT, the one before it at HOST. LEN becomes its size, or 0 at the terminator. */
static bool
read_entry(struct reader *reader, uint32_t at, uint32_t host, uint32_t *len, uint64_t *end)
{
    uint32_t length, id;
    if (!kiln_span_get_u32(reader->section, at, &length)) {
        return refuse(reader, at, "truncated entry");
    }
    *len = 0;
    if (length == 0) {
        return true;
    }
    if (length == UINT32_MAX) {
        return refuse(reader, at, "entry with a 64-bit length");
    }
    struct kiln_span entry;
    if (!kiln_span_slice(reader->section, (uint64_t)at + 4, length, &entry) ||
        !kiln_span_get_u32(entry, 0, &id))
    {
        return refuse(reader, at, "truncated entry");
    }
    *len = length + 4;
    struct cursor cursor = {
        .reader = reader, .at = (uint64_t)at + 8, .end = (uint64_t)at + 4 + length};
    if (id == 0) {
        return read_cie(&cursor, at);
    }
    return add_fde(&cursor, (struct fde){.at = at, .len = *len, .host = host}, id, end);
}

static bool
read_entries(struct reader *reader)
{
    uint32_t at = 0, host = 0, len = 0;
    uint64_t end = 0; /* of the code of the last FDE */
    while (at < reader->section.len) {
        if (!read_entry(reader, at, host, &len, &end)) {
            return false;
        }
        if (len == 0) {
            break;
        }
        host = at;
        at += len;
    }
    reader->out->len = at;
    reader->out->fdes = reader->fdes.count;
    return !reader->unsorted || drop_duplicates(reader);
}

/* Each dropped entry goes to the last entry before it that stays. */
static void
list_drops(struct reader *reader)
{
    struct kiln_eh_frame *out = reader->out;
    size_t from = 0, kept = 0;
    for (size_t i = 0; i < reader->fdes.count; i++) {
        const struct fde *fde = &reader->fdes.items[i];
        if (!fde->dropped) {
            continue;
        }
        const struct kiln_eh_drop *last =
            out->drops.count > 0 ? &out->drops.items[out->drops.count - 1] : NULL;
        bool adjoins = last != NULL && last->at + last->len == fde->at;
        struct kiln_eh_drop drop = {
            .at = fde->at, .len = fde->len, .host = adjoins ? last->host : fde->host};
        drop.host_length = fde->at + fde->len - drop.host - 4;
        *KILN_ARENA_PUSH(&reader->ctx->arena, &out->drops) = drop;
        for (; from < out->count && out->items[from].at < drop.at; from++) {
            out->items[kept++] = out->items[from];
        }
        while (from < out->count && out->items[from].at < drop.at + drop.len) {
            from++;
        }
    }
    for (; from < out->count; from++) {
        out->items[kept++] = out->items[from];
    }
    out->count = kept;
}

const char *
kiln_eh_frame_read(struct kiln_ctx *ctx, struct kiln_span section, uint64_t address, uint64_t size,
                   struct kiln_eh_frame *out)
{
    *out = (struct kiln_eh_frame){0};
    if (address > size || section.len > size - address || section.len >= 0xfffffff0) {
        return ".eh_frame out of the image";
    }
    struct reader reader = {
        .ctx = ctx, .section = section, .address = address, .size = size, .out = out};
    if (read_entries(&reader)) {
        list_drops(&reader);
    }
    kiln_arena_release(&reader.scratch);
    return reader.reason;
}

void
kiln_eh_frame_edit(const struct kiln_eh_frame *frame, uint8_t *bytes)
{
    for (size_t i = 0; i < frame->drops.count; i++) {
        const struct kiln_eh_drop *drop = &frame->drops.items[i];
        memset(bytes + drop->at, 0, drop->len); /* DW_CFA_nop */
        for (unsigned byte = 0; byte < 4; byte++) {
            bytes[drop->host + byte] = (uint8_t)(drop->host_length >> 8 * byte);
        }
    }
}

/* --- .eh_frame_hdr ----------------------------------------------------------------------------- */

/* The number of entries, which is encoded as a plain number. */
static bool
read_count(struct cursor *cursor, uint8_t encoding, uint64_t *out)
{
    switch (encoding) {
    case PE_UDATA2:
    case PE_SDATA2:
        return read_word(cursor, 2, false, out);
    case PE_UDATA4:
    case PE_SDATA4:
        return read_word(cursor, 4, false, out);
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return read_word(cursor, 8, false, out);
    case PE_OMIT:
        *out = 0;
        return true;
    default:
        return refuse(cursor->reader, 2, "number of FDEs in an unknown encoding");
    }
}

static bool
read_header(struct cursor *cursor, struct kiln_eh_header *out)
{
    uint8_t version, frame, count, table;
    if (!read_u8(cursor, &version) || !read_u8(cursor, &frame) || !read_u8(cursor, &count) ||
        !read_u8(cursor, &table))
    {
        return false;
    }
    struct kiln_eh_pointer pointer;
    bool is_null;
    if (version != 1) {
        return refuse(cursor->reader, 0, "unknown version");
    }
    if ((frame & PE_INDIRECT) != 0) {
        return refuse(cursor->reader, 1, "indirect pointer");
    }
    if (!decode_pointer(cursor, frame, &pointer, &is_null) ||
        !read_count(cursor, count, &out->fdes)) {
        return false;
    }
    if (is_null || pointer.target >= cursor->reader->size) {
        return refuse(cursor->reader, 4, "pointer out of the image");
    }
    out->frame = pointer.target;
    if (table != (PE_DATAREL | PE_SDATA4)) {
        out->fdes = 0; /* unwinders then walk .eh_frame */
    }
    return true;
}

const char *
kiln_eh_header_read(struct kiln_ctx *ctx, struct kiln_span header, uint64_t address, uint64_t size,
                    struct kiln_eh_header *out)
{
    struct reader reader = {.ctx = ctx, .section = header, .address = address, .size = size};
    struct cursor cursor = {.reader = &reader, .end = header.len};
    *out = (struct kiln_eh_header){0};
    (void)read_header(&cursor, out);
    return reader.reason;
}
