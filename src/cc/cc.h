/* The compiler stand-in: the parts of kiln-cc and kiln-c++.
 *
 * A command line that does not make a shared object is handed to the real compiler at once, in this
 * very process. One that does runs as a child; when it has made an extension, the same link is
 * run a second time in a private directory to learn its exact inputs, and these, combined, go into
 * the `.kiln` section of the extension. See docs/kiln-cc.md. */
#ifndef KILN_CC_CC_H
#define KILN_CC_CC_H

#include "base/ctx.h"
#include "base/response.h"
#include "combine/combine.h"
#include "fat/fat.h"

/* -- The command line -- */

/* How an option spells its value. */
enum kiln_option_form {
    KILN_OPTION_EXACT,  /* it has none */
    KILN_OPTION_PREFIX, /* the rest of the argument, which may be empty: -fsanitize=address */
    KILN_OPTION_JOINED, /* the rest of the argument, or else the next one: -lm, -l m */
    KILN_OPTION_NEXT,   /* the next argument: -include x.h */
    KILN_OPTION_EQUALS, /* after "=", or the next argument: --output=x, --output x */
};

/* What an option is to us. */
enum kiln_option_meaning {
    KILN_MEANS_NOTHING,      /* known only so that its value is not taken for an input */
    KILN_MEANS_DROP,         /* not in the traced link: it writes a file or prints */
    KILN_MEANS_OUTPUT,       /* -o */
    KILN_MEANS_SHARED,       /* -shared */
    KILN_MEANS_NO_LINK,      /* -c, -E, --version: no link happens */
    KILN_MEANS_LANGUAGE,     /* -x */
    KILN_MEANS_REPEAT,       /* wanted by the final link too */
    KILN_MEANS_COVERAGE,     /* the same, but in the traced link it must write no notes */
    KILN_MEANS_PREPROCESSOR, /* -Wp,: may hold dependency options */
    KILN_MEANS_LIBRARY,      /* -l */
    KILN_MEANS_LIBRARY_DIR,  /* -L */
    KILN_MEANS_COMBINE,      /* changes symbols: ld -r must have it as well; value after "=" */
    KILN_MEANS_COMBINE_FLAG, /* the same, without a value */
    KILN_MEANS_KEYWORD,      /* -z, of which muldefs concerns us */
    KILN_MEANS_STRIP,        /* leaves out debug information */
    KILN_MEANS_STATIC,       /* -Bstatic: libraries from here on are archives */
    KILN_MEANS_DYNAMIC,
    KILN_MEANS_PUSH_STATE,
    KILN_MEANS_POP_STATE,
    KILN_MEANS_START_LIB, /* objects from here on are linked only if needed */
    KILN_MEANS_END_LIB,
    KILN_MEANS_SCRIPT,      /* a linker script: cannot be repeated on one extension among others */
    KILN_MEANS_ENTRY_POINT, /* -init, -fini: nor can these */
    KILN_MEANS_BINARY,      /* --format=binary: nor can this */
};

struct kiln_option {
    const char *name;
    enum kiln_option_form form;
    enum kiln_option_meaning meaning;
    const char *alias; /* what KILN_MEANS_COMBINE calls it: "--undefined" for -u; NULL: its name */
};

/* The option that ARG is (the longest name that fits), or NULL. *value: what ARG itself holds of
 * its value; NULL if it holds none. Linker options may have one dash or two. */
const struct kiln_option *kiln_option_find_driver(const char *arg, const char **value);
const struct kiln_option *kiln_option_find_linker(const char *arg, const char **value);

/* What the final link may have to repeat, in the order of the command line. */
enum kiln_repeat_kind { KILN_REPEAT_FLAG, KILN_REPEAT_DIR, KILN_REPEAT_LIBRARY, KILN_REPEAT_INPUT };
struct kiln_repeat {
    enum kiln_repeat_kind kind;
    const char *text; /* the flag, the directory, what follows -l, or the path of an input */
    bool is_static;   /* a library after -Bstatic */
    bool is_lazy;     /* an object after --start-lib */
};

struct kiln_command_line {
    bool makes_shared; /* the command links a shared object; without it, nothing below counts */
    bool has_sources;  /* something is compiled on the way */
    bool has_response; /* part of it came out of an @file */
    const char *output;
    const char *obstacle; /* why no relocatable can stand for this link; NULL: nothing is wrong */
    struct kiln_strings trace;   /* arguments of the traced link, the program left out */
    struct kiln_strings combine; /* what `ld -r` must be told: --wrap=, --defsym=, ... */
    struct kiln_repeat_list {
        struct kiln_repeat *items;
        size_t count, capacity;
    } repeats;
};

/* Read ARGS, the arguments after the program. */
void kiln_command_line_parse(struct kiln_ctx *ctx, const struct kiln_strings *args,
                             struct kiln_command_line *out);

/* -- The real compiler -- */

struct kiln_compiler {
    struct kiln_strings words; /* an absolute path, then arguments, as in KILN_CC="ccache gcc" */
    const char *driver;        /* the compiler itself: the gcc of "ccache gcc"; absolute */
    bool nested;               /* a kiln-cc further up has this link in hand */
};

/* Choose what PROGRAM (argv[0]) stands for and mark the environment, so that a kiln-cc which this
 * compiler may run in turn neither does the work again nor comes back to it. KILN_ERR_INPUT, said,
 * if there is none. */
int kiln_compiler_find(struct kiln_ctx *ctx, const char *program, struct kiln_compiler *out);

/* -- The traced link -- */

struct kiln_trace {
    struct kiln_link_input *items; /* in the order of the link */
    size_t count, capacity;
    bool is_mold; /* it also lists members that were not linked */
};

/* Parses TEXT, which a linker printed for --trace: GNU ld's `(lib.a)m.o`, others' `lib.a(m.o)`, mold's
 * `trace: `. Intermediate files of LTO are left out. A line that names no file is KILN_ERR_FORMAT. */
int kiln_trace_parse(struct kiln_ctx *ctx, struct kiln_span text, struct kiln_trace *out);
/* Runs the link of LINE again with COMPILER, away from its output, and parses the trace. An obstacle
 * of LINE, or an input that the trace lacks, is an error. */
int kiln_traced_link_run(struct kiln_ctx *ctx, const struct kiln_compiler *compiler,
                         const struct kiln_command_line *line, struct kiln_trace *out);

/* Sorts TRACE into INPUTS, which are to be combined, and DSOS, the absolute paths of shared objects,
 * each once. */
int kiln_link_inputs_sort(struct kiln_ctx *ctx, const struct kiln_trace *trace,
                          struct kiln_link_inputs *inputs, struct kiln_strings *dsos);

/* -- The extension -- */

/* Fill FAT's inits and rpaths from the shared object at PATH. *found is false, and the result 0, if
 * PATH is no ELF shared object with an init symbol. */
int
kiln_record_read_output(struct kiln_ctx *ctx, const char *path, struct kiln_fat *fat, bool *found);
/* Fill FAT->args from LINE; FAT->dsos is known by now. */
void
kiln_record_args(struct kiln_ctx *ctx, const struct kiln_command_line *line, struct kiln_fat *fat);

/* -- All of it -- */

struct kiln_cc {
    struct kiln_ctx ctx; /* the first member: its listener fills `problems` */
    struct kiln_compiler compiler;
    struct kiln_command_line line;
    struct kiln_strings problems; /* what went wrong, for a person */
};

/* If the link of CC->line made an extension, give it its section. What goes wrong is written there,
 * as it must not fail the build. REASON: do not try at all, and write this (NULL: try). The result
 * says whether there is an extension whose section could not be written. */
int kiln_fatten(struct kiln_cc *cc, const char *reason);

/* Be the compiler, for CC = {0}. Returns the exit status, with text in CC->problems if it is
 * kiln-cc's own; not at all where the real compiler could take this process over; and dies of the
 * signal that the real compiler died of. */
int kiln_cc_main(struct kiln_cc *cc, int argc, char **argv);

#endif
