/* The names in a combined object that have a meaning: the contract between combining, which makes
 * them, and isolating, which looks for them. */
#ifndef KILN_NAMES_COMBINED_H
#define KILN_NAMES_COMBINED_H

#include "elf/elf.h"

/* The one section of constructors, then destructors, and the symbols at the bounds of each. */
#define KILN_CTORS_SECTION ".data.rel.ro.kiln_ctors"
#define KILN_CTORS_START   "kiln_ctors_start"
#define KILN_CTORS_END     "kiln_ctors_end"
#define KILN_DTORS_START   "kiln_dtors_start"
#define KILN_DTORS_END     "kiln_dtors_end"

/* Set *COUNT to the number of functions between two of these symbols. Returns false if they are not in the combined
 * object ELF as combining makes them. */
bool
kiln_combined_count(const struct kiln_elf *elf, const char *start, const char *end, size_t *count);

/* The bounds of all code. */
#define KILN_TEXT_START "kiln_text_start"
#define KILN_TEXT_END   "kiln_text_end"

/* Before the name of an init function: the function that runs the constructors and then calls it. */
#define KILN_START_PREFIX "kiln_start_"

/* The function of the runtime that it asks to run them. */
#define KILN_RUN_CONSTRUCTORS "kiln_run_constructors"

/* The only init function of the object of a library that several extensions share: it does nothing
 * but run the library's constructors, once. */
#define KILN_LIBRARY_INIT "PyInit_kiln_library"

#endif
