/* LTO bytecode to machine code. */
#ifndef KILN_COMBINE_LOWER_H
#define KILN_COMBINE_LOWER_H

#include "combine/combining.h"

/* Replaces the inputs that hold bytecode by machine code. */
int kiln_lower_inputs(struct kiln_combining *run);

/* Returns whether objects of KIND hold bytecode. */
bool kiln_lower_is_needed(enum kiln_object_kind kind);
/* Lowers OBJECTS (paths), all of KIND, to one object at OUT. CC may be NULL, as in struct
 * kiln_combine; NAME is one of the objects, for messages. */
int kiln_lower_objects(struct kiln_ctx *ctx, const char *cc, enum kiln_object_kind kind,
                       const struct kiln_strings *objects, const char *name, const char *out);

#endif
