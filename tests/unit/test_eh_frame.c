/* .eh_frame: which pointers need a relocation, which FDEs go, and what is refused, at which offset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "unlink/eh_frame.h"

/* Where the sections that are made here lie. */
enum { ADDRESS = 0x1000, SIZE = 0x10000 };

/* g++ 12.2 -shared -fPIC -O2: a destructor, a throw, a catch and a noexcept function. */
enum { CXX_ADDRESS = 0x2050, CXX_SIZE = 0x4070, CXX_HEADER_ADDRESS = 0x2008 };
static const uint8_t cxx[] = {
    /* 0x00: CIE */
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x52, 0x00, 0x01, 0x78, 0x10, 0x01,
    0x1b, 0x0c, 0x07, 0x08, 0x90, 0x01, 0x00, 0x00,
    /* 0x18: FDE */
    0x24, 0x00, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00, 0xb0, 0xef, 0xff, 0xff, 0xb0, 0x00, 0x00, 0x00,
    0x00, 0x0e, 0x10, 0x46, 0x0e, 0x18, 0x4a, 0x0f, 0x0b, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b,
    0x2a, 0x33, 0x24, 0x22, 0x00, 0x00, 0x00, 0x00,
    /* 0x40: FDE */
    0x14, 0x00, 0x00, 0x00, 0x44, 0x00, 0x00, 0x00, 0x38, 0xf0, 0xff, 0xff, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    /* 0x58: CIE */
    0x1c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x50, 0x4c, 0x52, 0x00, 0x01, 0x78,
    0x10, 0x07, 0x9b, 0xa5, 0x1f, 0x00, 0x00, 0x1b, 0x1b, 0x0c, 0x07, 0x08, 0x90, 0x01, 0x00, 0x00,
    /* 0x78: FDE */
    0x30, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x40, 0xf1, 0xff, 0xff, 0x37, 0x00, 0x00, 0x00,
    0x04, 0x9b, 0x00, 0x00, 0x00, 0x42, 0x0e, 0x10, 0x8c, 0x02, 0x41, 0x0e, 0x18, 0x86, 0x03, 0x41,
    0x0e, 0x20, 0x83, 0x04, 0x46, 0x0e, 0x30, 0x66, 0x0e, 0x20, 0x43, 0x0e, 0x18, 0x41, 0x0e, 0x10,
    0x42, 0x0e, 0x08, 0x00,
    /* 0xac: FDE */
    0x1c, 0x00, 0x00, 0x00, 0x58, 0x00, 0x00, 0x00, 0xdc, 0xef, 0xff, 0xff, 0x52, 0x00, 0x00, 0x00,
    0x04, 0x6f, 0x00, 0x00, 0x00, 0x0e, 0x30, 0x83, 0x04, 0x86, 0x03, 0x8c, 0x02, 0x00, 0x00, 0x00,
    /* 0xcc: FDE */
    0x1c, 0x00, 0x00, 0x00, 0x78, 0x00, 0x00, 0x00, 0x2c, 0xf1, 0xff, 0xff, 0x19, 0x00, 0x00, 0x00,
    0x04, 0x5f, 0x00, 0x00, 0x00, 0x44, 0x0e, 0x10, 0x49, 0x0a, 0x0e, 0x08, 0x41, 0x0b, 0x00, 0x00,
    /* 0xec: FDE */
    0x14, 0x00, 0x00, 0x00, 0x98, 0x00, 0x00, 0x00, 0xee, 0xef, 0xff, 0xff, 0x1d, 0x00, 0x00, 0x00,
    0x04, 0x4f, 0x00, 0x00, 0x00, 0x0e, 0x10, 0x00,
    /* 0x104: FDE */
    0x18, 0x00, 0x00, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x14, 0xf1, 0xff, 0xff, 0x0e, 0x00, 0x00, 0x00,
    0x04, 0x47, 0x00, 0x00, 0x00, 0x44, 0x0e, 0x10, 0x49, 0x0e, 0x08, 0x00,
    /* 0x120: terminator */
    0x00, 0x00, 0x00, 0x00};
static const uint8_t cxx_header[] = {
    0x01, 0x1b, 0x03, 0x3b, 0x44, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x18, 0xf0,
    0xff, 0xff, 0x60, 0x00, 0x00, 0x00, 0xc8, 0xf0, 0xff, 0xff, 0x88, 0x00, 0x00, 0x00,
    0xd8, 0xf0, 0xff, 0xff, 0xf4, 0x00, 0x00, 0x00, 0x2a, 0xf1, 0xff, 0xff, 0x34, 0x01,
    0x00, 0x00, 0x08, 0xf2, 0xff, 0xff, 0xc0, 0x00, 0x00, 0x00, 0x48, 0xf2, 0xff, 0xff,
    0x14, 0x01, 0x00, 0x00, 0x68, 0xf2, 0xff, 0xff, 0x4c, 0x01, 0x00, 0x00};

/* gcc 12.2 for arm64, -fexceptions -mbranch-protection=pac-ret+b-key, no terminator. */
enum { ARM64_ADDRESS = 0x538, ARM64_SIZE = 0x20018 };
static const uint8_t arm64[] = {
    /* 0x00: CIE */
    0x1c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x50, 0x4c, 0x52, 0x42, 0x00, 0x04,
    0x78, 0x1e, 0x07, 0x9b, 0xc4, 0xfa, 0x01, 0x00, 0x1b, 0x1b, 0x0c, 0x1f, 0x00, 0x00, 0x00, 0x00,
    /* 0x20: FDE */
    0x2c, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x10, 0xff, 0xff, 0xff, 0x5c, 0x00, 0x00, 0x00,
    0x04, 0x87, 0x00, 0x00, 0x00, 0x41, 0x2d, 0x41, 0x0e, 0x30, 0x9d, 0x06, 0x9e, 0x05, 0x43, 0x93,
    0x04, 0x94, 0x03, 0x4a, 0x0a, 0xde, 0xdd, 0xd3, 0xd4, 0x0e, 0x00, 0x41, 0x2d, 0x41, 0x0b, 0x00,
    /* 0x50: CIE */
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x52, 0x42, 0x00, 0x04, 0x78, 0x1e,
    0x01, 0x1b, 0x0c, 0x1f, 0x00, 0x00, 0x00, 0x00,
    /* 0x68: FDE */
    0x28, 0x00, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00, 0x28, 0xff, 0xff, 0xff, 0x44, 0x00, 0x00, 0x00,
    0x00, 0x41, 0x2d, 0x42, 0x0e, 0x20, 0x9d, 0x04, 0x9e, 0x03, 0x43, 0x0d, 0x1d, 0x41, 0x93, 0x02,
    0x48, 0xde, 0xdd, 0xd3, 0x0c, 0x1f, 0x00, 0x41, 0x2d, 0x00, 0x00, 0x00,
    /* 0x94: FDE */
    0x20, 0x00, 0x00, 0x00, 0x48, 0x00, 0x00, 0x00, 0x6c, 0xfe, 0xff, 0xff, 0x2c, 0x00, 0x00, 0x00,
    0x00, 0x41, 0x2d, 0x41, 0x0e, 0x20, 0x9d, 0x04, 0x9e, 0x03, 0x46, 0xde, 0xdd, 0x0e, 0x00, 0x41,
    0x2d, 0x00, 0x00, 0x00};

/* gcc 12.2 -fexceptions -mcmodel=large: LSDAs and personality of 8 bytes. */
enum { LARGE_ADDRESS = 0x2040, LARGE_SIZE = 0x4028 };
static const uint8_t large[] = {
    /* 0x00: CIE */
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x52, 0x00, 0x01, 0x78, 0x10, 0x01,
    0x1b, 0x0c, 0x07, 0x08, 0x90, 0x01, 0x00, 0x00,
    /* 0x18: FDE */
    0x24, 0x00, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00, 0xc0, 0xef, 0xff, 0xff, 0x30, 0x00, 0x00, 0x00,
    0x00, 0x0e, 0x10, 0x46, 0x0e, 0x18, 0x4a, 0x0f, 0x0b, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b,
    0x2a, 0x33, 0x24, 0x22, 0x00, 0x00, 0x00, 0x00,
    /* 0x40: FDE */
    0x14, 0x00, 0x00, 0x00, 0x44, 0x00, 0x00, 0x00, 0xc8, 0xef, 0xff, 0xff, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    /* 0x58: CIE */
    0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x7a, 0x50, 0x4c, 0x52, 0x00, 0x01, 0x78,
    0x10, 0x0b, 0x9c, 0x6d, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x1b, 0x0c, 0x07, 0x08,
    0x90, 0x01, 0x00, 0x00,
    /* 0x7c: FDE */
    0x48, 0x00, 0x00, 0x00, 0x28, 0x00, 0x00, 0x00, 0xbc, 0xf0, 0xff, 0xff, 0x65, 0x00, 0x00, 0x00,
    0x08, 0xab, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x4c, 0x0e, 0x10, 0x8f, 0x02, 0x42, 0x0e,
    0x18, 0x8d, 0x03, 0x42, 0x0e, 0x20, 0x8c, 0x04, 0x41, 0x0e, 0x28, 0x86, 0x05, 0x4b, 0x0e, 0x30,
    0x83, 0x06, 0x56, 0x0e, 0x40, 0x5f, 0x0a, 0x0e, 0x30, 0x41, 0x0e, 0x28, 0x44, 0x0e, 0x20, 0x42,
    0x0e, 0x18, 0x42, 0x0e, 0x10, 0x42, 0x0e, 0x08, 0x41, 0x0b, 0x00, 0x00,
    /* 0xc8: FDE */
    0x24, 0x00, 0x00, 0x00, 0x74, 0x00, 0x00, 0x00, 0x50, 0xef, 0xff, 0xff, 0x1d, 0x00, 0x00, 0x00,
    0x08, 0x6b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0e, 0x40, 0x83, 0x06, 0x86, 0x05, 0x8c,
    0x04, 0x8d, 0x03, 0x8f, 0x02, 0x00, 0x00, 0x00,
    /* 0xf0: FDE */
    0x20, 0x00, 0x00, 0x00, 0xf4, 0x00, 0x00, 0x00, 0xb8, 0xf0, 0xff, 0xff, 0x5c, 0x00, 0x00, 0x00,
    0x00, 0x4b, 0x0e, 0x10, 0x86, 0x02, 0x52, 0x0d, 0x06, 0x42, 0x8f, 0x03, 0x48, 0x83, 0x04, 0x74,
    0x0c, 0x07, 0x08, 0x00,
    /* 0x114: FDE */
    0x1c, 0x00, 0x00, 0x00, 0x18, 0x01, 0x00, 0x00, 0x21, 0xef, 0xff, 0xff, 0x3f, 0x00, 0x00, 0x00,
    0x00, 0x4c, 0x0e, 0x10, 0x8f, 0x02, 0x5b, 0x0e, 0x20, 0x53, 0x0e, 0x10, 0x42, 0x0e, 0x08, 0x00,
    /* 0x134: terminator */
    0x00, 0x00, 0x00, 0x00};

static struct kiln_ctx ctx;
static struct kiln_eh_frame frame;

/* --- Sections made here ------------------------------------------------------------------------ */

struct section {
    uint8_t bytes[512];
    size_t len, entry; /* bytes so far; where the entry that is being written starts */
};

static void
put(struct section *section, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        section->bytes[section->len++] = (uint8_t)(value >> 8 * i);
    }
}

static void
put_bytes(struct section *section, const char *bytes, size_t len)
{
    memcpy(section->bytes + section->len, bytes, len);
    section->len += len;
}

/* VALUE as a pointer of ENCODING. */
static void
put_pointer(struct section *section, uint8_t encoding, uint64_t value)
{
    if ((encoding & 0x70) == 0x10) {
        value -= ADDRESS + section->len;
    }
    put(section, value, (encoding & 0x0f) == 0x0b || (encoding & 0x0f) == 0x03 ? 4 : 8);
}

static void
begin(struct section *section)
{
    section->entry = section->len;
    put(section, 0, 4);
}

static void
end(struct section *section)
{
    size_t len = section->len;
    section->len = section->entry;
    put(section, len - section->entry - 4, 4);
    section->len = len;
}

/* A CIE up to its augmentation data. */
static void
begin_cie(struct section *section, uint8_t version, const char *augmentation)
{
    begin(section);
    put(section, 0, 4);
    put(section, version, 1);
    put_bytes(section, augmentation, strlen(augmentation) + 1);
    put_bytes(section, "\x01\x78\x10", 3); /* alignment factors 1 and -8, register 16 */
}

static void
put_cie(struct section *section, uint8_t encoding)
{
    begin_cie(section, 1, "zR");
    put(section, 1, 1);
    put(section, encoding, 1);
    end(section);
}

/* An FDE of the CIE at offset CIE up to its augmentation data. */
static void
begin_fde(struct section *section, size_t cie, uint8_t encoding, uint64_t start, uint64_t range)
{
    begin(section);
    put(section, section->len - cie, 4);
    put_pointer(section, encoding, start);
    put(section, range, (encoding & 0x0f) == 0x0b ? 4 : 8);
}

static void
put_fde(struct section *section, size_t cie, uint8_t encoding, uint64_t start, uint64_t range)
{
    begin_fde(section, cie, encoding, start, range);
    put(section, 0, 1);
    end(section);
}

static const char *
read_made(const struct section *section)
{
    return kiln_eh_frame_read(&ctx, kiln_span_of(section->bytes, section->len), ADDRESS, SIZE,
                              &frame);
}

static void
assert_refused(const struct section *section, const char *reason)
{
    const char *got = read_made(section);
    assert_non_null(got);
    assert_string_equal(got, reason);
}

static void
assert_pointer(size_t index, uint32_t at, enum kiln_eh_kind kind, uint64_t target)
{
    assert_true(index < frame.count);
    assert_int_equal(frame.items[index].at, at);
    assert_int_equal(frame.items[index].kind, kind);
    assert_int_equal(frame.items[index].target, target);
}

/* --- Sections of compilers --------------------------------------------------------------------- */

static void
every_pointer_of_a_cxx_section_is_found(void **state)
{
    (void)state;
    assert_null(
        kiln_eh_frame_read(&ctx, kiln_span_of(cxx, sizeof cxx), CXX_ADDRESS, CXX_SIZE, &frame));
    assert_int_equal(frame.len, sizeof cxx - 4);
    assert_int_equal(frame.fdes, 7);
    assert_int_equal(frame.drops.count, 0);
    assert_int_equal(frame.count, 13); /* 7 locations, a personality, 5 LSDAs */
    assert_pointer(0, 0x20, KILN_EH_PC32, 0x1020);
    assert_pointer(1, 0x48, KILN_EH_PC32, 0x10d0);
    assert_pointer(2, 0x6b, KILN_EH_PC32, 0x4060); /* DW.ref.__gxx_personality_v0 */
    assert_pointer(3, 0x80, KILN_EH_PC32, 0x1210);
}

static void
the_sections_of_arm64_and_of_the_large_model_are_read(void **state)
{
    (void)state;
    assert_null(kiln_eh_frame_read(&ctx, kiln_span_of(arm64, sizeof arm64), ARM64_ADDRESS,
                                   ARM64_SIZE, &frame));
    assert_int_equal(frame.len, sizeof arm64);
    assert_null(kiln_eh_frame_read(&ctx, kiln_span_of(large, sizeof large), LARGE_ADDRESS,
                                   LARGE_SIZE, &frame));
    size_t wide = 0;
    for (size_t i = 0; i < frame.count; i++) {
        wide += frame.items[i].kind == KILN_EH_PC64;
    }
    assert_int_equal(wide, 3);
}

/* Runs on a copy that ends where its block ends. */
static void
read_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    struct kiln_ctx own = {0};
    if (kiln_eh_frame_read(&own, kiln_span_of(copy, len), CXX_ADDRESS, CXX_SIZE, &frame) == NULL) {
        assert_true(frame.len <= len);
        kiln_eh_frame_edit(&frame, copy);
    }
    kiln_ctx_release(&own);
    free(copy);
}

static void
damage_anywhere_is_survived(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    uint8_t bytes[sizeof cxx];
    memcpy(bytes, cxx, sizeof cxx);
    for (size_t at = 0; at < sizeof cxx; at++) {
        for (size_t i = 0; i < sizeof values; i++) {
            bytes[at] = values[i];
            read_copy(bytes, sizeof bytes);
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] = (uint8_t)(cxx[at] ^ 1U << bit);
            read_copy(bytes, sizeof bytes);
        }
        bytes[at] = cxx[at];
        read_copy(cxx, at);
    }
}

/* --- Rules ------------------------------------------------------------------------------------- */

static void
an_encoding_decides_on_the_relocation(void **state)
{
    (void)state;
    static const struct {
        uint8_t encoding;
        enum kiln_eh_kind kind;
    } cases[] = {
        {0x1b, KILN_EH_PC32},  {0x10, KILN_EH_PC64},  {0x14, KILN_EH_PC64},  {0x1c, KILN_EH_PC64},
        {0x00, KILN_EH_ABS64}, {0x04, KILN_EH_ABS64}, {0x0c, KILN_EH_ABS64},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct section section = {0};
        put_cie(&section, cases[i].encoding);
        put_fde(&section, 0, cases[i].encoding, 0x4000, 0x10);
        assert_null(read_made(&section));
        assert_int_equal(frame.count, 1);
        assert_pointer(0, 25, cases[i].kind, 0x4000);
    }
}

static void
an_encoding_that_cannot_be_relocated_is_refused(void **state)
{
    (void)state;
    static const uint8_t refused[] = {
        0x01, 0x02, 0x03, 0x09, 0x0a, 0x0b, 0x11, 0x12, 0x13, 0x19,
        0x1a, 0x2b, 0x3b, 0x4b, 0x50, 0x60, 0x70, 0x0f, 0x1f,
    };
    for (size_t i = 0; i < sizeof refused; i++) {
        struct section section = {0};
        char reason[64];
        put_cie(&section, refused[i]);
        snprintf(reason, sizeof reason, "pointer encoding 0x%02x at offset 0x10", refused[i]);
        assert_refused(&section, reason);
    }
    struct section section = {0};
    put_cie(&section, 0x9b);
    assert_refused(&section, "indirect pointers at offset 0x10");
    section = (struct section){0};
    put_cie(&section, 0xff);
    assert_refused(&section, "indirect pointers at offset 0x10");
}

static void
a_cie_without_augmentation_has_absolute_pointers(void **state)
{
    (void)state;
    struct section section = {0};
    begin_cie(&section, 3, "");
    section.bytes[section.len - 1] = 0x90; /* version 3 has a LEB128 number for the register */
    put_bytes(&section, "\x1d\x0c\x07\x08\x90\x01", 6);
    end(&section);
    begin_fde(&section, 0, 0x00, 0x4000, 0x10);
    put_bytes(&section, "\x44\x0e\x10", 3); /* advance_loc, def_cfa_offset */
    end(&section);
    assert_null(read_made(&section));
    assert_int_equal(frame.count, 1);
    assert_int_equal(frame.items[0].kind, KILN_EH_ABS64);
    assert_int_equal(frame.items[0].target, 0x4000);
}

static void
a_cie_that_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t version;
        const char *augmentation, *reason;
    } cases[] = {
        {0, "", "CIE of an unknown version at offset 0x0"},
        {2, "", "CIE of an unknown version at offset 0x0"},
        {4, "", "CIE of an unknown version at offset 0x0"},
        {1, "eh", "CIE with an unknown augmentation at offset 0x0"},
        {1, "R", "CIE with an unknown augmentation at offset 0x0"},
        {1, "zX", "CIE with an unknown augmentation at offset 0x0"},
        {1, "zSBSB", "CIE with an augmentation given twice at offset 0x0"},
        {1, "zSBzSBzS", "CIE with an unknown augmentation at offset 0x11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct section section = {0};
        begin_cie(&section, cases[i].version, cases[i].augmentation);
        put_bytes(&section, "\0\0\0\0", 4);
        end(&section);
        assert_refused(&section, cases[i].reason);
    }
}

/* A CIE with a personality and an LSDA encoding. */
static void
put_cxx_cie(struct section *section, uint8_t personality, uint64_t target, uint8_t lsda)
{
    begin_cie(section, 1, "zPLR");
    put(section, 7, 1);
    put(section, personality, 1);
    if (target == 0) {
        put(section, 0, 4);
    }
    else {
        put_pointer(section, personality, target);
    }
    put(section, lsda, 1);
    put(section, 0x1b, 1);
    end(section);
}

static void
a_personality_is_a_function_or_a_word_of_the_image(void **state)
{
    (void)state;
    struct section section = {0};
    put_cxx_cie(&section, 0x1b, SIZE - 1, 0x1b);
    assert_null(read_made(&section));
    assert_pointer(0, 19, KILN_EH_PC32, SIZE - 1);
    section = (struct section){0};
    put_cxx_cie(&section, 0x9b, SIZE - 8, 0x1b);
    assert_null(read_made(&section));
    assert_pointer(0, 19, KILN_EH_PC32, SIZE - 8);
    section = (struct section){0};
    put_cxx_cie(&section, 0x9b, SIZE - 7, 0x1b);
    assert_refused(&section, "pointer out of the image at offset 0x13");
    section = (struct section){0};
    put_cxx_cie(&section, 0x9b, 0, 0x1b);
    assert_refused(&section, "null personality at offset 0x13");
}

static void
an_lsda_is_optional(void **state)
{
    (void)state;
    struct section section = {0};
    put_cxx_cie(&section, 0x9b, 0x8000, 0x1b);
    size_t cie = 0;
    begin_fde(&section, cie, 0x1b, 0x4000, 0x10);
    put(&section, 4, 1);
    size_t at = section.len;
    put_pointer(&section, 0x1b, 0x6000);
    end(&section);
    begin_fde(&section, cie, 0x1b, 0x4010, 0x10);
    put_bytes(&section, "\x04\0\0\0\0", 5); /* none */
    end(&section);
    assert_null(read_made(&section));
    assert_int_equal(frame.count, 4);
    assert_pointer(2, (uint32_t)at, KILN_EH_PC32, 0x6000);

    begin_fde(&section, cie, 0x1b, 0x4020, 0x10);
    put_bytes(&section, "\x03\0\0\0", 4); /* shorter than a pointer */
    end(&section);
    assert_non_null(read_made(&section));

    section = (struct section){0};
    put_cxx_cie(&section, 0x9b, 0x8000, 0xff); /* omitted: no LSDA follows */
    put_fde(&section, cie, 0x1b, 0x4000, 0x10);
    assert_null(read_made(&section));
    assert_int_equal(frame.count, 2);

    section = (struct section){0};
    put_cxx_cie(&section, 0x9b, 0x8000, 0xab);
    assert_refused(&section, "indirect pointers at offset 0x17");
}

static void
code_and_tables_lie_in_the_image(void **state)
{
    (void)state;
    struct section section = {0};
    put_cie(&section, 0x1b);
    put_fde(&section, 0, 0x1b, SIZE - 0x10, 0x10);
    assert_null(read_made(&section));

    static const struct {
        uint64_t start, range;
    } cases[] = {{SIZE - 0x10, 0x11}, {SIZE, 1}, {(uint64_t)-4, 8}, {0x4000, 0xffffffff}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        section = (struct section){0};
        put_cie(&section, 0x1b);
        put_fde(&section, 0, 0x1b, cases[i].start, cases[i].range);
        assert_refused(&section, "pointer out of the image at offset 0x19");
    }
}

static void
an_fde_belongs_to_a_cie_before_it(void **state)
{
    (void)state;
    struct section section = {0};
    put_cie(&section, 0x1b);
    size_t second = section.len;
    put_cie(&section, 0x1c);
    put_fde(&section, second, 0x1c, 0x4000, 0x10);
    put_fde(&section, 0, 0x1b, 0x4010, 0x10);
    put_fde(&section, second, 0x1c, 0x4020, 0x10);
    assert_null(read_made(&section));
    assert_int_equal(frame.items[0].kind, KILN_EH_PC64);
    assert_int_equal(frame.items[1].kind, KILN_EH_PC32);
    assert_int_equal(frame.items[2].kind, KILN_EH_PC64);

    struct section bad = section;
    put_fde(&bad, 4, 0x1b, 0x4030, 0x10); /* inside of a CIE */
    assert_string_equal(read_made(&bad), "FDE without a CIE at offset 0x65");
    bad = section;
    put_fde(&bad, section.entry, 0x1b, 0x4030, 0x10); /* an FDE */
    assert_string_equal(read_made(&bad), "FDE without a CIE at offset 0x65");
    bad = section;
    put_fde(&bad, (size_t)-8, 0x1b, 0x4030, 0x10); /* before the section */
    assert_string_equal(read_made(&bad), "FDE without a CIE at offset 0x65");
    bad = (struct section){0};
    put_fde(&bad, 0x100, 0x1b, 0x4000, 0x10); /* after it */
    assert_string_equal(read_made(&bad), "FDE without a CIE at offset 0x0");
}

static void
what_is_behind_a_terminator_is_not_read(void **state)
{
    (void)state;
    struct section section = {0};
    assert_null(read_made(&section));
    assert_int_equal(frame.len, 0);
    put_cie(&section, 0x1b);
    size_t len = section.len;
    put(&section, 0, 4);
    put_bytes(&section, "anything", 8);
    assert_null(read_made(&section));
    assert_int_equal(frame.len, len);
}

static void
lengths_are_checked(void **state)
{
    (void)state;
    struct section section = {0};
    put_cie(&section, 0x1b);
    struct section bad = section;
    put(&bad, 0xffffffff, 4);
    put(&bad, 0, 8);
    assert_refused(&bad, "entry with a 64-bit length at offset 0x11");
    bad = section;
    put(&bad, 3, 4);
    put(&bad, 0, 3);
    assert_refused(&bad, "truncated entry at offset 0x11");
    bad = section;
    put(&bad, 9, 4);
    put(&bad, 0, 8);
    assert_refused(&bad, "truncated entry at offset 0x11");
    bad = section;
    put(&bad, 0, 3); /* less than a length */
    assert_refused(&bad, "truncated entry at offset 0x11");

    bad = (struct section){0};
    begin_cie(&bad, 1, "zR");
    put_bytes(&bad, "\x02\x1b", 2); /* augmentation data beyond the entry */
    end(&bad);
    assert_non_null(read_made(&bad));
    put(&bad, 0, 8);
    assert_non_null(read_made(&bad));

    assert_non_null(kiln_eh_frame_read(&ctx, kiln_span_of(section.bytes, section.len),
                                       SIZE - section.len + 1, SIZE, &frame));
    assert_non_null(kiln_eh_frame_read(&ctx, kiln_span_of(section.bytes, section.len), UINT64_MAX,
                                       SIZE, &frame));
}

/* A CIE with INSTRUCTIONS, LEN bytes of them. */
static const char *
read_instructions(const char *instructions, size_t len)
{
    struct section section = {0};
    begin_cie(&section, 1, "zR");
    put_bytes(&section, "\x01\x1b", 2);
    put_bytes(&section, instructions, len);
    end(&section);
    return read_made(&section);
}
#define READ_INSTRUCTIONS(text) read_instructions(text, sizeof text - 1)

static void
instructions_are_followed_for_addresses(void **state)
{
    (void)state;
    /* All that have operands and no address, up to an expression. */
    assert_null(READ_INSTRUCTIONS("\x02\x01\x03\x01\x01\x04\x01\x01\x01\x01\x05\x80\x01\x01\x06\x01"
                                  "\x07\x01\x08\x01\x09\x01\x01\x0a\x0b\x0c\x01\x01\x0d\x01\x0e\x01"
                                  "\x11\x01\x7f\x12\x01\x7f\x13\x7f\x14\x01\x01\x15\x01\x7f\x2d\x2e"
                                  "\x01\x2f\x01\x01\x41\x81\x01\xc1"
                                  "\x0f\x03\x77\x08\x06\x10\x01\x01\x30\x16\x01\x01\x30"));
    /* The expression of a .plt as linkers write it. */
    assert_null(READ_INSTRUCTIONS("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22"));
    assert_int_equal(frame.count, 0);

    assert_null(READ_INSTRUCTIONS("\x01\x00\x10\x00\x00")); /* set_loc */
    assert_pointer(0, 18, KILN_EH_PC32, ADDRESS + 18 + 0x1000);

    assert_string_equal(READ_INSTRUCTIONS("\x1d"), "unknown call frame instruction at offset 0x11");
    assert_string_equal(READ_INSTRUCTIONS("\x0f\x09\x03\0\0\0\0\0\0\0\0"),
                        "DWARF expression with an unknown operation at offset 0x13");
    assert_string_equal(READ_INSTRUCTIONS("\x0f\x06\xf1\x1b\0\0\0\0"),
                        "DWARF expression with an unknown operation at offset 0x13");
    assert_string_equal(READ_INSTRUCTIONS("\x0f\x01\x08"), "truncated entry at offset 0x14");
    assert_string_equal(READ_INSTRUCTIONS("\x0c\x01"), "truncated entry at offset 0x13");
}

static void
a_leb128_number_has_64_bits(void **state)
{
    (void)state;
    assert_null(READ_INSTRUCTIONS("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_null(READ_INSTRUCTIONS("\x13\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")); /* -1 */
    assert_string_equal(READ_INSTRUCTIONS("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                        "LEB128 number of more than 64 bits at offset 0x12");
    assert_string_equal(READ_INSTRUCTIONS("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
                        "LEB128 number of more than 64 bits at offset 0x12");
    assert_string_equal(READ_INSTRUCTIONS("\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                        "truncated entry at offset 0x1c");
}

static void
an_fde_without_code_and_a_second_equal_one_are_dropped(void **state)
{
    (void)state;
    struct section section = {0};
    put_cie(&section, 0x1b);
    size_t first = section.len;
    put_fde(&section, 0, 0x1b, 0x4000, 0x10);
    size_t dropped = section.len;
    put_fde(&section, 0, 0x1b, 0x4000, 0x10); /* again */
    begin(&section);                          /* of a function that the linker discarded */
    put(&section, section.len, 4);
    put(&section, 0, 4);
    put(&section, 0x10, 4);
    put(&section, 0, 1);
    end(&section);
    put_fde(&section, 0, 0x1b, 0x3000, 0); /* empty */
    size_t last = section.len;
    put_fde(&section, 0, 0x1b, 0x3000, 0x10);
    assert_null(read_made(&section));
    assert_int_equal(frame.fdes, 5);
    assert_int_equal(frame.drops.count, 3);
    assert_int_equal(frame.count, 2);
    assert_pointer(0, (uint32_t)first + 8, KILN_EH_PC32, 0x4000);
    assert_pointer(1, (uint32_t)last + 8, KILN_EH_PC32, 0x3000);

    kiln_eh_frame_edit(&frame, section.bytes);
    for (size_t at = dropped; at < last; at++) {
        assert_int_equal(section.bytes[at], 0);
    }
    assert_null(read_made(&section));
    assert_int_equal(frame.fdes, 2);
    assert_int_equal(frame.drops.count, 0);
    assert_int_equal(frame.count, 2);
    assert_int_equal(frame.len, section.len);
}

static void
code_of_two_fdes_is_refused(void **state)
{
    (void)state;
    struct section section = {0};
    put_cie(&section, 0x1b);
    put_fde(&section, 0, 0x1b, 0x4000, 0x10);
    put_fde(&section, 0, 0x1b, 0x3000, 0x1001);
    assert_refused(&section, "FDE for a part of another one's code at offset 0x11");

    section = (struct section){0};
    put_cie(&section, 0x1b);
    put_fde(&section, 0, 0x1b, 0x4000, 0x10);
    put_fde(&section, 0, 0x1b, 0x4000, 0x08);
    assert_refused(&section, "FDE for a part of another one's code at offset 0x22");
}

/* --- .eh_frame_hdr ----------------------------------------------------------------------------- */

static const char *
read_header(const uint8_t *bytes, size_t len, struct kiln_eh_header *out)
{
    return kiln_eh_header_read(&ctx, kiln_span_of(bytes, len), CXX_HEADER_ADDRESS, CXX_SIZE, out);
}

static void
a_header_tells_where_the_section_is_and_how_many_fdes_it_has(void **state)
{
    (void)state;
    struct kiln_eh_header header;
    assert_null(read_header(cxx_header, sizeof cxx_header, &header));
    assert_int_equal(header.frame, CXX_ADDRESS);
    assert_int_equal(header.fdes, 7);

    uint8_t bytes[sizeof cxx_header];
    memcpy(bytes, cxx_header, sizeof bytes);
    bytes[2] = bytes[3] = 0xff; /* no table */
    assert_null(read_header(bytes, sizeof bytes, &header));
    assert_int_equal(header.fdes, 0);
    bytes[2] = 0x13;
    assert_string_equal(read_header(bytes, sizeof bytes, &header),
                        "number of FDEs in an unknown encoding at offset 0x2");
    bytes[1] = 0x9b;
    assert_string_equal(read_header(bytes, sizeof bytes, &header),
                        "indirect pointer at offset 0x1");
    bytes[0] = 2;
    assert_string_equal(read_header(bytes, sizeof bytes, &header), "unknown version at offset 0x0");
    for (size_t len = 0; len < 12; len++) {
        assert_non_null(read_header(cxx_header, len, &header));
    }
    memcpy(bytes, cxx_header, sizeof bytes);
    memset(bytes + 4, 0x7f, 4);
    assert_string_equal(read_header(bytes, sizeof bytes, &header),
                        "pointer out of the image at offset 0x4");
}

static int
release(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pointer_of_a_cxx_section_is_found),
        cmocka_unit_test(the_sections_of_arm64_and_of_the_large_model_are_read),
        cmocka_unit_test(damage_anywhere_is_survived),
        cmocka_unit_test(an_encoding_decides_on_the_relocation),
        cmocka_unit_test(an_encoding_that_cannot_be_relocated_is_refused),
        cmocka_unit_test(a_cie_without_augmentation_has_absolute_pointers),
        cmocka_unit_test(a_cie_that_is_not_understood_is_refused),
        cmocka_unit_test(a_personality_is_a_function_or_a_word_of_the_image),
        cmocka_unit_test(an_lsda_is_optional),
        cmocka_unit_test(code_and_tables_lie_in_the_image),
        cmocka_unit_test(an_fde_belongs_to_a_cie_before_it),
        cmocka_unit_test(what_is_behind_a_terminator_is_not_read),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(instructions_are_followed_for_addresses),
        cmocka_unit_test(a_leb128_number_has_64_bits),
        cmocka_unit_test(an_fde_without_code_and_a_second_equal_one_are_dropped),
        cmocka_unit_test(code_of_two_fdes_is_refused),
        cmocka_unit_test(a_header_tells_where_the_section_is_and_how_many_fdes_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
