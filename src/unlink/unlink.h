/* Unlinking: finished shared objects become input of the linker.
 *
 * An extension, and each library that its package brings, is turned into an image: the bytes of its
 * memory, with the distances between all of them as they are, in a section of one relocatable object,
 * with a relocation for each word whose value the link decides, and tables for what only the process
 * can know (kiln/internal/images.h). It is bound as the dynamic loader would bind it for
 * dlopen(..., RTLD_LOCAL) in the stock interpreter. What cannot be proved to come out the same is
 * refused, with a reason, and stays a file. docs/unlinking.md has the rules. */
#ifndef KILN_UNLINK_UNLINK_H
#define KILN_UNLINK_UNLINK_H

#include "base/ctx.h"
#include "elf/machine.h"

/* An extension to be unlinked. */
struct kiln_unlink_module {
    const char *name; /* dotted */
    const char *path; /* of its file */
    /* Its init symbol ("PyInit_x"), and what the object is to call the module's function; the first of
     * these pairs whose init symbol it defines. */
    struct kiln_unlink_init {
        const char *name, *symbol;
    } inits[2];

    /* Filled by kiln_unlink(). */
    const struct kiln_unlink_init *init; /* which of them */
    /* Why it stays a file; NULL: it does not. The caller's, if it is to stay one in any case. */
    const char *reason;
    uint64_t size;                    /* bytes of its image */
    size_t constructors, destructors; /* in the arrays of its file */
    struct kiln_strings images;       /* paths of the libraries that are images with it */
    struct kiln_strings libraries;    /* shared libraries that are opened at its import */
};

/* The start of all images: a symbol of the executable for debuggers. */
#define KILN_UNLINK_BASE "kiln_image_base"

/* What is in the executable. */
struct kiln_unlink_image {
    const char *path; /* of the file that it was made of */
    const char *name; /* of the module, or else of the file */
    uint64_t start;   /* of its address 0: bytes behind KILN_UNLINK_BASE */
};

struct kiln_unlink {
    struct kiln_unlink_module *modules;
    size_t module_count;
    struct kiln_strings roots;     /* directories: a library below one of them is a package's own */
    struct kiln_strings libraries; /* shared libraries below them, which may be opened by path */
    /* What directories are to be called in the executable: the temporary one of a wheel by its path. */
    struct kiln_unlink_place {
        const char *directory, *place;
    } * places;
    size_t place_count;
    const char *program; /* an executable linked as the final one will be, without images:
                                    * what it defines, and what it needs, is there before them */
    const struct kiln_machine *machine;
    bool pie;
    bool separate_code;   /* read-only data becomes unexecutable at the import */
    const char *bindings; /* where a line for each reference goes; NULL: nowhere */

    /* Filled by kiln_unlink(), in the order of their places. */
    struct kiln_unlink_image *images;
    size_t image_count;
};

/* Whether there are images for MACHINE. */
bool kiln_unlink_supports(const struct kiln_machine *machine);

/* Unlink what can be: the object is written to OUTPUT, and the modules that are in it have no reason.
 * With none, there is no object. Returns 0, or an error only if the system fails. */
int kiln_unlink(struct kiln_ctx *ctx, struct kiln_unlink *unlink, const char *output);

#endif
