/* A relocatable object on its way to a file: one section is written as it is made, which may be
 * gigabytes; the others are kept until the end. */
#ifndef KILN_UNLINK_WRITER_H
#define KILN_UNLINK_WRITER_H

#include <elf.h>
#include <stdio.h>

#include "base/ctx.h"

/* Bytes that grow. */
struct kiln_buffer {
    uint8_t *bytes;
    size_t len, capacity;
};

/* Append LEN bytes, zeros if BYTES is NULL; where they begin. */
size_t kiln_buffer_append(struct kiln_buffer *buffer, const void *bytes, size_t len);
/* Append zeros up to a multiple of ALIGN, a power of two; the length then. */
size_t kiln_buffer_align(struct kiln_buffer *buffer, size_t align);
void kiln_buffer_release(struct kiln_buffer *buffer);

/* The sections, in their order in the file. */
enum kiln_writer_section {
    KILN_OUT_NONE,
    KILN_OUT_IMAGE, /* the one that is streamed */
    KILN_OUT_EH_FRAME,
    KILN_OUT_TDATA,
    KILN_OUT_TBSS,
    KILN_OUT_TABLES,
    KILN_OUT_SLOTS,
    KILN_OUT_TEXT,
    KILN_OUT_SECTIONS,
};

struct kiln_out_section {
    struct kiln_buffer contents; /* of the streamed one and of those without bytes, nothing */
    uint64_t size;               /* of these; of the others the buffer's length counts */
    uint64_t align;
    struct kiln_buffer relocations; /* Elf64_Rela */
};

struct kiln_writer {
    FILE *file;
    const char *path;
    uint16_t machine;
    struct kiln_out_section sections[KILN_OUT_SECTIONS];
    struct kiln_buffer locals, globals; /* Elf64_Sym */
    struct kiln_buffer strings;
    uint32_t *references; /* open addressing: numbers of undefined symbols, plus 1 */
    size_t reference_count, reference_capacity;
    int error; /* errno of what has failed first; 0: nothing has */
};

/* Start the object at PATH. 0, or an error that has been reported. */
int kiln_writer_open(struct kiln_ctx *ctx, struct kiln_writer *writer, const char *path,
                     uint16_t machine);
/* Append to the streamed section. */
void kiln_writer_stream(struct kiln_writer *writer, const void *bytes, size_t len);
void kiln_writer_stream_align(struct kiln_writer *writer, uint64_t align);

/* A symbol to refer to in relocations. */
typedef uint32_t kiln_writer_symbol;
kiln_writer_symbol kiln_writer_get_section(enum kiln_writer_section section);
/* The place where the thread-local blocks of .tdata (or .tbss) begin. */
kiln_writer_symbol kiln_writer_get_tls(enum kiln_writer_section section);
/* A global symbol, defined in SECTION and hidden. */
kiln_writer_symbol
kiln_writer_define(struct kiln_writer *writer, const char *name, enum kiln_writer_section section,
                   uint64_t value, unsigned type);
/* The same, for the dynamic linker to see. */
kiln_writer_symbol kiln_writer_export(struct kiln_writer *writer, const char *name,
                                      enum kiln_writer_section section, uint64_t value);
/* The undefined symbol NAME, made if there is none. */
kiln_writer_symbol kiln_writer_refer(struct kiln_writer *writer, const char *name);
/* A local symbol, for debuggers or to refer to. */
kiln_writer_symbol
kiln_writer_add_local(struct kiln_writer *writer, const char *name, unsigned type,
                      enum kiln_writer_section section, uint64_t value, uint64_t size);

void
kiln_writer_relocate(struct kiln_writer *writer, enum kiln_writer_section section, uint64_t offset,
                     uint32_t type, kiln_writer_symbol symbol, int64_t addend);

/* Write the rest and close the file; 0, or an error that has been reported. Also after a failure. */
int kiln_writer_close(struct kiln_ctx *ctx, struct kiln_writer *writer);

#endif
