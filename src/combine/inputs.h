/* The inputs of one extension's link, on their way to `ld -r`. */
#ifndef KILN_COMBINE_INPUTS_H
#define KILN_COMBINE_INPUTS_H

#include "base/file.h"
#include "combine/combine.h"
#include "elf/elf.h"
#include "isolate/isolate.h"

/* One file that ld is going to read. */
struct kiln_input {
    const char *path; /* the input itself, a member written out, or an altered copy */
    const char *name; /* what the user knows it as: "foo.o", "libx.a(foo.o)" */
    enum kiln_object_kind kind;
    const char *origin; /* "libx.a(foo.o)"; "": of no archive, or not of that alone */
};

struct kiln_inputs {
    struct kiln_input *items;
    size_t count, capacity;
};

/* One run of kiln_combine(). */
struct kiln_combining {
    struct kiln_ctx *ctx;
    const struct kiln_combine *in;
    const char *tmpdir; /* of this run alone */
    size_t files;       /* made in it so far: their names are numbers */
    struct kiln_inputs inputs;
    const char *origin;                 /* of the input that is being resolved */
    const struct kiln_machine *machine; /* of the objects seen so far; NULL: none yet */
    const char *machine_input;          /* the first object of that machine */
    struct kiln_strings inits;          /* the init symbols to keep */
    struct kiln_strings found; /* those that objects define, then those that archives offer */
    bool needs_shim;           /* something among the inputs has constructors or destructors */
};

/* A path in the temporary directory for a file that does not exist yet. */
const char *kiln_combining_make_path(struct kiln_combining *run, const char *suffix);

/* Fill run->inputs: every input of run->in as a file, members of archives written out. */
int kiln_inputs_resolve(struct kiln_combining *run);

/* Give run->in->archives and ->parts what has been resolved and lowered. */
int kiln_inputs_keep(struct kiln_combining *run);

/* Replace what holds LTO bytecode by machine code. */
int kiln_inputs_lower(struct kiln_combining *run);

/* Refuse objects that cannot be part of an isolated extension, put what ld -r would put in the
 * wrong order into the right one, and fill run->found and run->needs_shim. */
int kiln_inputs_prepare(struct kiln_combining *run);

/* Check an object that ld took out of an archive, by itself: BYTES are the archive called NAME,
 * MEMBER the object's name. */
int kiln_inputs_check_member(struct kiln_ctx *ctx, struct kiln_span bytes, const char *name,
                             const char *member);

/* Note that the input NAME is for MACHINE; an error if another one is for another machine. */
int kiln_combining_note_machine(struct kiln_combining *run, const struct kiln_machine *machine,
                                const char *name);

/* Whether objects of KIND hold bytecode that has to be lowered. */
bool kiln_lower_is_needed(enum kiln_object_kind kind);
/* Lower the LTO objects of KIND among OBJECTS (paths; NAME is one of them, for messages) to one
 * object at OUT. */
int kiln_lower(struct kiln_ctx *ctx, const char *cc, enum kiln_object_kind kind,
               const struct kiln_strings *objects, const char *name, const char *out);

/* Assemble the functions that run the constructors before each of INITS, as an object at OUT. */
int kiln_shim_make(struct kiln_combining *run, const char *out);

/* The function that stands before the init function INIT: "kiln_start_PyInit_x". */
const char *kiln_shim_get_name(struct kiln_ctx *ctx, const char *init);

#endif
