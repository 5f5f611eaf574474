/* The unwind information of a shared object, read so that it can become an .eh_frame section of a
 * relocatable object. */
#ifndef KILN_UNLINK_EH_FRAME_H
#define KILN_UNLINK_EH_FRAME_H

#include "base/ctx.h"

enum kiln_eh_kind {
    KILN_EH_PC32,  /* 4 bytes, signed, relative to their own address */
    KILN_EH_PC64,  /* 8 bytes, relative to their own address */
    KILN_EH_ABS64, /* 8 bytes, an address */
};

/* A pointer that needs a relocation. */
struct kiln_eh_pointer {
    uint32_t at; /* offset in the section */
    enum kiln_eh_kind kind;
    uint64_t target; /* address in the image */
    bool
        is_personality; /* of a CIE: linkers merge CIEs that name one symbol here, whatever the addend */
};

/* An FDE that the linker must not see; see kiln_eh_frame_edit(). */
struct kiln_eh_drop {
    uint32_t at, len;           /* the entry, with its length field */
    uint32_t host, host_length; /* the entry before it, and the new value of its length field */
};

/* {0} before kiln_eh_frame_read(). The arrays are in the context's arena. */
struct kiln_eh_frame {
    size_t len;                    /* bytes of the section in front of the terminator */
    size_t fdes;                   /* FDEs in these, dropped ones included */
    struct kiln_eh_pointer *items; /* by offset; none in a dropped entry */
    size_t count, capacity;
    struct {
        struct kiln_eh_drop *items; /* by offset */
        size_t count, capacity;
    } drops;
};

/* Reads SECTION, the .eh_frame at ADDRESS of an image whose memory is SIZE bytes long. SECTION ends
 * at its terminator or, without one, with its last entry; it may go on after a terminator.
 * Requires that relative relocations have been applied to it for the base 0; the caller must refuse
 * any other dynamic relocation in the first LEN bytes.
 * Returns NULL, or the reason why the section cannot be used; OUT is then meaningless. */
const char *kiln_eh_frame_read(struct kiln_ctx *ctx, struct kiln_span section, uint64_t address,
                               uint64_t size, struct kiln_eh_frame *out);

/* Removes the dropped entries from BYTES, a copy of the first FRAME->len bytes of the section. All
 * other entries keep their offsets. */
void kiln_eh_frame_edit(const struct kiln_eh_frame *frame, uint8_t *bytes);

struct kiln_eh_header {
    uint64_t frame; /* address of .eh_frame */
    uint64_t fdes;  /* entries of the search table; 0 if there is none */
};

/* Reads HEADER, the .eh_frame_hdr (PT_GNU_EH_FRAME) at ADDRESS of an image whose memory is SIZE
 * bytes long. An .eh_frame in which fewer FDEs are found than the table has must not be used:
 * unwinders reach the others by the table. Returns NULL, or the reason why it cannot be used. */
const char *kiln_eh_header_read(struct kiln_ctx *ctx, struct kiln_span header, uint64_t address,
                                uint64_t size, struct kiln_eh_header *out);

#endif
