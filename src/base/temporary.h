/* Files and directories that must not outlive the run: what is being written under another name,
 * and directories of intermediate files. They are removed by whoever made them, or, if a signal ends
 * the process first, by kiln_temporary_remove_all(). All functions may be called by any thread. */
#ifndef KILN_BASE_TEMPORARY_H
#define KILN_BASE_TEMPORARY_H

#include <stdbool.h>

/* Create the file PATH, which must not exist, for reading and writing. Returns the descriptor, or
 * -1 with errno set. */
int kiln_temporary_create(const char *path, unsigned mode);
/* mkdtemp(3). Returns false with errno set. */
bool kiln_temporary_make_dir(char *template);

/* PATH is no longer temporary: it has been renamed into place. */
void kiln_temporary_keep(const char *path);
/* Remove the file or the whole directory PATH. Errors are ignored. */
void kiln_temporary_remove(const char *path);

/* Remove all of them. The process must end after this: calls of the functions above block. */
void kiln_temporary_remove_all(void);

#endif
