/* Writing JSON. */
#ifndef KILN_BASE_JSON_H
#define KILN_BASE_JSON_H

#include <stdio.h>

#include "base/arena.h"

/* Write TEXT as a string. */
void kiln_json_string(FILE *stream, const char *text);
/* Write LIST as an array of strings. */
void kiln_json_strings(FILE *stream, const struct kiln_strings *list);

#endif
