/* Directories that must not outlive the run: of intermediate files, and of what is written aside before it takes its
 * name. They are removed by whoever made them; if a signal ends the process first, by kiln_temporary_remove_all(); and
 * if it is killed, by the next run that makes one in that place. All functions may be called by any thread. */
#ifndef KILN_BASE_TEMPORARY_H
#define KILN_BASE_TEMPORARY_H

#include <stdbool.h>

#include "base/arena.h"

/* Make a directory named after TEMPLATE, as mkdtemp(3), for this user alone. Returns false with errno set. */
bool kiln_temporary_make_dir(char *template);
/* Make a directory for what is to become PATH, beside it. Returns its path, in ARENA, or NULL with errno set. */
const char *kiln_temporary_make_dir_for(struct kiln_arena *arena, const char *path);
/* Remove the directory PATH and what is in it. Errors are ignored. */
void kiln_temporary_remove(const char *path);

/* Remove those in the directory PARENT whose names begin with PREFIX and whose makers were killed. */
void kiln_temporary_sweep(struct kiln_arena *arena, const char *parent, const char *prefix);

/* Remove all of this process. It must end after this: calls of the functions above block. */
void kiln_temporary_remove_all(void);

#endif
