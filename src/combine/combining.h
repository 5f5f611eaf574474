/* One run of kiln_combine(): the state that its passes share. */
#ifndef KILN_COMBINE_COMBINING_H
#define KILN_COMBINE_COMBINING_H

#include "base/file.h"
#include "combine/combine.h"
#include "elf/elf.h"

/* One file that ld is going to read. */
struct kiln_input {
    const char *path; /* the input itself, a member written out, or an altered copy */
    const char *name; /* what the user knows it as: "foo.o", "libx.a(foo.o)" */
    enum kiln_object_kind kind;
    struct kiln_link_input archive_member; /* what it is; path NULL: no member, or not one alone */
};

struct kiln_inputs {
    struct kiln_input *items;
    size_t count, capacity;
};

struct kiln_combining {
    struct kiln_ctx *ctx;
    const struct kiln_combine *in;
    const char *tmpdir; /* of this run alone */
    size_t files;       /* made in it so far: their names are numbers */
    struct kiln_inputs inputs;
    struct kiln_strings archives;       /* those with members among the inputs: absolute paths */
    const struct kiln_machine *machine; /* of the objects seen so far; NULL: none yet */
    const char *machine_input;          /* the first object for that machine */
    struct kiln_strings inits;          /* the init symbols to keep */
    struct kiln_strings found; /* those that objects define, then those that archives offer */
    bool needs_shim;           /* some input has constructors or destructors */
};

/* Returns a path in the temporary directory at which there is no file yet. */
const char *kiln_combining_make_path(struct kiln_combining *run, const char *suffix);
/* Records that the input NAME is for MACHINE. Fails if another input is for another machine. */
int kiln_combining_note_machine(struct kiln_combining *run, const struct kiln_machine *machine,
                                const char *name);

#endif
