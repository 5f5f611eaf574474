/* The compiler stand-in: the parts of kiln-cc and kiln-c++.
 *
 * Unless the command line makes a shared object, the process becomes the real compiler. Otherwise the
 * real compiler runs as a child. If it has made an extension, the same link runs a second time, in a
 * private directory, to find its exact inputs; these are combined and stored in the `.kiln` section
 * of the extension. See docs/kiln-cc.md. */
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

/* What an option means to kiln-cc. */
enum kiln_option_meaning {
    KILN_MEANS_NOTHING,      /* known so that its value is not mistaken for an input */
    KILN_MEANS_DROP,         /* left out of the traced link: it writes a file or prints */
    KILN_MEANS_OUTPUT,       /* -o */
    KILN_MEANS_SHARED,       /* -shared */
    KILN_MEANS_NO_LINK,      /* -c, -E, --version: no link happens */
    KILN_MEANS_LANGUAGE,     /* -x */
    KILN_MEANS_COVERAGE,     /* --coverage: the traced link must write no notes */
    KILN_MEANS_PREPROCESSOR, /* -Wp,: may hold dependency options */
    KILN_MEANS_PATH_MAP,     /* -ffile-prefix-map=: for what is recorded, too */
    KILN_MEANS_LIBRARY,      /* -l: an input */
    KILN_MEANS_COMBINE,      /* changes symbols, so that ld -r needs it; value after "=" */
    KILN_MEANS_COMBINE_FLAG, /* the same, without a value */
    KILN_MEANS_KEYWORD,      /* -z: muldefs and execstack matter */
    KILN_MEANS_STRIP,        /* drops debug information */
    KILN_MEANS_START_LIB,    /* objects from here on are linked only if needed */
    KILN_MEANS_END_LIB,
    KILN_MEANS_SCRIPT,      /* a linker script: an obstacle, as other extensions are in the link */
    KILN_MEANS_ENTRY_POINT, /* -init, -fini: an obstacle */
    KILN_MEANS_BINARY,      /* --format=binary: an obstacle */
};

struct kiln_option {
    const char *name;
    enum kiln_option_form form;
    enum kiln_option_meaning meaning;
    const char *alias; /* what KILN_MEANS_COMBINE calls it: "--undefined" for -u; NULL: its name */
};

/* Returns the option of which ARG is an instance (the longest name that matches), or NULL. *VALUE is
 * the value that ARG itself contains, or NULL. Linker options may have one dash or two. */
const struct kiln_option *kiln_option_find_driver(const char *arg, const char **value);
const struct kiln_option *kiln_option_find_linker(const char *arg, const char **value);

struct kiln_command_line {
    bool makes_shared; /* the command links a shared object; if not, ignore all below */
    bool has_sources;  /* it also compiles */
    bool has_response; /* part of it came from an @file */
    const char *output;
    const char *obstacle;        /* why no relocatable can replace this link; NULL: nothing */
    struct kiln_strings trace;   /* arguments of the traced link, without the program */
    struct kiln_strings combine; /* arguments for `ld -r`: --wrap=, --defsym=, ... */
    struct kiln_strings maps;    /* "OLD=NEW": what recorded paths are to be called */
    struct kiln_strings objects; /* object files among the inputs, not those after --start-lib */
};

/* Parses ARGS, the arguments after the program. */
void kiln_command_line_parse(struct kiln_ctx *ctx, const struct kiln_strings *args,
                             struct kiln_command_line *out);

/* -- The real compiler -- */

struct kiln_compiler {
    struct kiln_strings words; /* an absolute path, then arguments, as in KILN_CC="ccache gcc" */
    const char *driver;        /* the compiler itself: the gcc of "ccache gcc"; absolute */
    bool nested;               /* a kiln-cc that runs this one records the link */
};

/* Finds the compiler that PROGRAM (argv[0]) stands for, and marks the environment, so that a kiln-cc
 * that this compiler runs neither repeats the work nor runs this compiler again. Returns
 * KILN_ERR_INPUT, after reporting it, if there is none. */
int kiln_compiler_find(struct kiln_ctx *ctx, const char *program, struct kiln_compiler *out);

/* -- Its archiver -- */

/* Returns the tool that PROGRAM (argv[0]) stands for: "gcc-ar" if it is called kiln-gcc-ar; NULL if it is a
 * compiler. */
const char *kiln_archiver_get_tool(const char *program);
/* Returns the path of TOOL of the compiler DRIVER, or of the one on PATH, or of the plain ar or ranlib. NULL if
 * there is none. DRIVER may be NULL. */
const char *kiln_archiver_find(struct kiln_ctx *ctx, const char *tool, const char *driver);

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

/* Pushes what of TRACE is to be combined to INPUTS: objects and members of archives. Fails if a linker
 * script does more than to name files. */
int kiln_link_inputs_select(struct kiln_ctx *ctx, const struct kiln_trace *trace,
                            struct kiln_link_inputs *inputs);

/* -- The extension -- */

struct kiln_cc {
    struct kiln_ctx ctx; /* the first member: its listener fills `problems` */
    struct kiln_compiler compiler;
    struct kiln_command_line line;
    struct kiln_strings problems; /* error messages, for people */
};

/* If the link of CC->line made an extension, writes its section. A failure to make the object is
 * recorded there, since it must not fail the build. If REASON is not NULL, it is recorded without an
 * attempt. Returns an error only if there is an extension whose section could not be written. */
int kiln_fatten(struct kiln_cc *cc, const char *reason);

/* Runs as the compiler. Requires CC = {0}. Does not return if the process becomes the real compiler, or
 * if the real compiler died of a signal, of which this process then dies, too. Otherwise returns the
 * exit status; if it is kiln-cc's own, CC->problems has the messages. */
int kiln_cc_main(struct kiln_cc *cc, int argc, char **argv);

#endif
