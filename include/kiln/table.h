/* The table of baked modules: a minimal perfect hash from dotted name to init function, laid out at
 * build time by `kiln table`, read-only, position-independent, shared between processes.
 *
 * Every reference inside the table is a 32-bit offset from the place that holds it, so loading it
 * needs no relocation, and looking a name up allocates nothing, takes no lock, and touches one
 * bucket, one entry and one name. Needs no Python.h. */
#ifndef KILN_TABLE_H
#define KILN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `kiln table` emits the table under this name. */
struct kiln_table;
extern const struct kiln_table kiln_table;

/* PLACEHOLDER: layout and inline lookup come with src/table/. */

#endif
