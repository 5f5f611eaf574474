/* The object that all images are written into: who fills which part of it. */
#ifndef KILN_UNLINK_OBJECT_H
#define KILN_UNLINK_OBJECT_H

#include "kiln/internal/images.h"
#include "unlink/eh_frame.h"
#include "unlink/set.h"
#include "unlink/writer.h"

/* tables.c: the record of IMAGE, whose words are WORDS; then all the tables, when the last one is known.
 */
struct kiln_tables {
    struct kiln_buffer records, words, strings;
    size_t count;
};
void kiln_tables_add(struct kiln_set *set, struct kiln_tables *tables,
                     const struct kiln_object *image, const struct kiln_words *words);
void
kiln_tables_write(struct kiln_set *set, struct kiln_tables *tables, struct kiln_writer *writer);

/* pages.c: PROTECTIONS of IMAGE, whose words are WORDS. */
void kiln_pages_protect(const struct kiln_object *image, const struct kiln_words *words,
                        bool separate_code, struct kiln_buffer *protections);

/* symbols.c: the functions of IMAGE, for debuggers. */
void
kiln_symbols_add(struct kiln_ctx *ctx, const struct kiln_object *image, struct kiln_writer *writer);

/* object.c: what DSO's address 0 has to be a multiple of. */
uint64_t kiln_object_get_alignment(const struct kiln_dynobj *dso);
/* object.c: the unwind information of DSO, whose section is BYTES at ADDRESS; empty if there is none.
 * Returns NULL, or why it is not understood. */
const char *
kiln_object_read_eh_frame(struct kiln_ctx *ctx, const struct kiln_dynobj *dso,
                          struct kiln_eh_frame *frame, struct kiln_span *bytes, uint64_t *address);
/* Write all images of SET to PATH. */
int kiln_object_write(struct kiln_set *set, const char *path);

#endif
