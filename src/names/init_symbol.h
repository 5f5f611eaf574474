/* The init symbol of an extension: what Python looks for in the shared object. PyInit_x, PyInitU_x
 * (PEP 489), PyModExport_x or PyModExportU_x (PEP 793). */
#ifndef KILN_NAMES_INIT_SYMBOL_H
#define KILN_NAMES_INIT_SYMBOL_H

#include "elf/elf.h"

/* In place of an init symbol: the export hook (PEP 793) where an extension has both that and an init
 * function, as Python chooses from 3.15 on. Recognized by its address. */
extern const char kiln_init_export_first[];

bool kiln_init_symbol_is_valid(const char *name);

/* Returns the init symbol for DOTTED_NAME: KIND ("PyInit", "PyModExport"), then "_" and the last
 * component, or, if that is not ASCII, "U_" and its Punycode with "_" for "-" (PEP 489). */
const char *kiln_init_symbol_make(struct kiln_ctx *ctx, const char *kind, const char *dotted_name);

/* Returns the next init symbol that the symbol table of TYPE (SHT_SYMTAB, SHT_DYNSYM) defines for
 * others, borrowed from ELF, or NULL. *INDEX, at first 0, is the place of the last one. */
const char *kiln_init_symbol_next(const struct kiln_elf *elf, uint32_t type, size_t *index);
/* Returns whether the shared object ELF exports an init symbol: it is an extension, not a library. */
bool kiln_init_symbol_is_exported(const struct kiln_elf *elf);

#endif
