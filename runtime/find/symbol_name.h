/* The symbol of a dotted name. Plain C. */
#ifndef KILN_RUNTIME_SYMBOL_NAME_H
#define KILN_RUNTIME_SYMBOL_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { KILN_SYMBOL_MAX = 4000 };

/* Writes what follows the prefix in the symbol of NAME (LEN bytes and a NUL) to OUT, in Kiln's own
 * form, or with DOUBLED in the form of KILN_SYMBOLS_DOUBLED. With IN_PACKAGE it is the symbol of
 * NAME.__init__. Returns false if NAME has no symbol. */
bool kiln_symbol_encode(char out[KILN_SYMBOL_MAX], const char *name, size_t len, bool doubled,
                        bool in_package);

#endif
