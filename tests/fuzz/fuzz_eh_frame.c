/* .eh_frame: every pointer lies in the section and leads into the image, and without the dropped
 * entries the section reads the same. Seeds: address and size of the image, 4 bytes each, then the
 * section. */
#include <stdlib.h>

#include "unlink/eh_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void
check_pointers(const struct kiln_eh_frame *frame, uint64_t size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < frame->count; i++) {
        const struct kiln_eh_pointer *pointer = &frame->items[i];
        require(pointer->at >= end && pointer->target <= size);
        end = (uint64_t)pointer->at + (pointer->kind == KILN_EH_PC32 ? 4 : 8);
        require(end <= frame->len);
    }
}

static void
check_edited(struct kiln_ctx *ctx, const struct kiln_eh_frame *frame, struct kiln_span section,
             uint64_t address, uint64_t size)
{
    uint8_t *copy = malloc(frame->len + 1);
    require(copy != NULL);
    if (frame->len > 0) {
        memcpy(copy, section.ptr, frame->len);
    }
    kiln_eh_frame_edit(frame, copy);
    struct kiln_eh_frame edited;
    require(kiln_eh_frame_read(ctx, kiln_span_of(copy, frame->len), address, size, &edited) ==
            NULL);
    require(edited.len == frame->len && edited.drops.count == 0 && edited.count == frame->count &&
            edited.fdes == frame->fdes - frame->drops.count);
    for (size_t i = 0; i < frame->count; i++) {
        require(edited.items[i].at == frame->items[i].at &&
                edited.items[i].kind == frame->items[i].kind &&
                edited.items[i].target == frame->items[i].target);
    }
    free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kiln_ctx ctx = {0};
    struct kiln_span all = kiln_span_of(data, size), section;
    uint32_t address, image_size;
    if (kiln_span_get_u32(all, 0, &address) && kiln_span_get_u32(all, 4, &image_size) &&
        kiln_span_slice(all, 8, size - 8, &section))
    {
        struct kiln_eh_frame frame;
        if (kiln_eh_frame_read(&ctx, section, address, image_size, &frame) == NULL) {
            check_pointers(&frame, image_size);
            check_edited(&ctx, &frame, section, address, image_size);
        }
        struct kiln_eh_header header;
        if (kiln_eh_header_read(&ctx, section, address, image_size, &header) == NULL) {
            require(header.frame < image_size);
        }
    }
    kiln_ctx_release(&ctx);
    return 0;
}
