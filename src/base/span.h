/* A view of borrowed bytes, and the only way in which Kiln reads untrusted bytes.
 *
 * Every accessor checks its offset and length against the span; none dereferences anything outside
 * it. Multi-byte integers are little-endian and need no alignment. */
#ifndef KILN_BASE_SPAN_H
#define KILN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kiln_span {
    const uint8_t *ptr;
    size_t len;
};

static inline struct kiln_span
kiln_span_of(const void *ptr, size_t len)
{
    return (struct kiln_span){.ptr = ptr, .len = len};
}

static inline struct kiln_span
kiln_span_of_string(const char *text)
{
    return kiln_span_of(text, strlen(text));
}

/* Set *out to LEN bytes at OFFSET of SPAN. False, and *out untouched, if SPAN does not hold them.
 */
static inline bool
kiln_span_slice(struct kiln_span span, uint64_t offset, uint64_t len, struct kiln_span *out)
{
    if (offset > span.len || len > span.len - offset) {
        return false;
    }
    *out = kiln_span_of(span.ptr + offset, (size_t)len);
    return true;
}

static inline bool
kiln_span_read(struct kiln_span span, uint64_t offset, void *out, size_t len)
{
    struct kiln_span bytes;
    if (!kiln_span_slice(span, offset, len, &bytes)) {
        return false;
    }
    memcpy(out, bytes.ptr, len);
    return true;
}

static inline bool
kiln_span_get_u32(struct kiln_span span, uint64_t offset, uint32_t *out)
{
    uint8_t b[4];
    if (!kiln_span_read(span, offset, b, sizeof b)) {
        return false;
    }
    *out = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return true;
}

static inline bool
kiln_span_get_u64(struct kiln_span span, uint64_t offset, uint64_t *out)
{
    uint32_t low, high;
    if (!kiln_span_get_u32(span, offset, &low) || !kiln_span_get_u32(span, offset + 4, &high)) {
        return false;
    }
    *out = (uint64_t)high << 32 | low;
    return true;
}

/* The NUL-terminated string at OFFSET, borrowed; NULL if it does not end inside SPAN. */
static inline const char *
kiln_span_get_string(struct kiln_span span, uint64_t offset)
{
    if (offset >= span.len || memchr(span.ptr + offset, 0, span.len - (size_t)offset) == NULL) {
        return NULL;
    }
    return (const char *)span.ptr + offset;
}

static inline bool
kiln_span_starts_with(struct kiln_span span, const void *prefix, size_t len)
{
    return span.len >= len && memcmp(span.ptr, prefix, len) == 0;
}

static inline bool
kiln_span_equal(struct kiln_span a, struct kiln_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
