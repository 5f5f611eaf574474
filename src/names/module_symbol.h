/* Symbols that Kiln makes of a dotted name. */
#ifndef KILN_NAMES_MODULE_SYMBOL_H
#define KILN_NAMES_MODULE_SYMBOL_H

#include "base/ctx.h"

/* What the symbols of init functions and of export hooks (PEP 793) begin with. */
#define KILN_INIT_PREFIX   "kiln_init_"
#define KILN_EXPORT_PREFIX "kiln_export_"

/* Returns NAME's id, a part of a C identifier: "_" becomes "__", "." becomes "_d", and any byte
 * outside [A-Za-z0-9] becomes "_x" and two hexadecimal digits. Different names have different ids. */
const char *kiln_module_symbol_make_id(struct kiln_ctx *ctx, const char *name);
/* Returns the id of the NUMBERth shared library called NAME, counted from 1. No module and no other
 * library has it. */
const char *
kiln_module_symbol_make_library_id(struct kiln_ctx *ctx, const char *name, size_t number);

/* Returns the symbol that the isolated module DOTTED_NAME exports for its init symbol INIT: the id
 * after KILN_EXPORT_PREFIX for a PyModExport, otherwise after KILN_INIT_PREFIX. */
const char *
kiln_module_symbol_make(struct kiln_ctx *ctx, const char *init, const char *dotted_name);
/* Returns whether SYMBOL is one of an export hook, isolated or not. */
bool kiln_module_symbol_is_export(const char *symbol);

#endif
