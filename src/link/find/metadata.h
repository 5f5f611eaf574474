/* Reading RECORD and METADATA of a `.dist-info`. */
#ifndef KILN_LINK_METADATA_H
#define KILN_LINK_METADATA_H

#include "base/span.h"

/* Take the next path out of *RECORD, the rest of a RECORD file: relative to the directory that has
 * the `.dist-info`, or absolute, with slashes. Paths that CSV has to quote are skipped: no extension
 * has such a name. Returns false at the end. */
bool kiln_metadata_next_path(struct kiln_span *record, struct kiln_span *path);

/* The value of the header KEY in METADATA, the text of such a file; empty if it is missing. */
struct kiln_span kiln_metadata_get(struct kiln_span metadata, const char *key);

#endif
