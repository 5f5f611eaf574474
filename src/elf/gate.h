/* The checks behind kiln_elf_init(). */
#ifndef KILN_ELF_GATE_H
#define KILN_ELF_GATE_H

#include "elf/elf.h"

/* Check the sections of ELF, whose header, section table and section names are known to be in the
 * file, and what they hold, and fill in the rest of it. */
int kiln_elf_check_sections(struct kiln_ctx *ctx, struct kiln_elf *elf);

#endif
