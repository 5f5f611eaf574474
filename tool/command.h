/* A subcommand, and what all subcommands have in common. */
#ifndef KILN_TOOL_COMMAND_H
#define KILN_TOOL_COMMAND_H

#include <getopt.h>

#include "base/ctx.h"

struct kiln_command {
    const char *name;
    const char *summary; /* one line, for `kiln help` */
    const char *usage;   /* the whole text of `kiln help NAME`, newline at the end */
    /* ARGV[0] is the subcommand's name. Returns 0, an enum kiln_err, or the exit status (above 0) of
     * the program that the subcommand stands for. */
    int (*run)(struct kiln_ctx *ctx, int argc, char **argv);
};

extern const struct kiln_command kiln_command_pip;
extern const struct kiln_command kiln_command_link;
extern const struct kiln_command kiln_command_ls;
extern const struct kiln_command kiln_command_isolate;
extern const struct kiln_command kiln_command_table;

/* The long options of every subcommand: put KILN_COMMON_OPTIONS into its getopt_long() table, and pass
 * what getopt_long() returns to kiln_command_common_option(), which returns whether it was one of them.
 */
enum { KILN_OPTION_QUIET = 0x1000, KILN_OPTION_VERBOSE };
#define KILN_COMMON_OPTIONS                                                                        \
    {"quiet", no_argument, NULL, KILN_OPTION_QUIET},                                               \
    {                                                                                              \
        "verbose", no_argument, NULL, KILN_OPTION_VERBOSE                                          \
    }
bool kiln_command_common_option(struct kiln_ctx *ctx, int option);

/* Report the usage error for which getopt_long() returned '?' or ':'. Returns KILN_ERR_USAGE. */
int kiln_command_bad_option(struct kiln_ctx *ctx, const struct kiln_command *command, char **argv);

/* Flush standard output. */
int kiln_command_flush(struct kiln_ctx *ctx);

/* Expand arguments "@FILE", response files as compilers have them, in *ARGC and *ARGV. */
int kiln_command_expand(struct kiln_ctx *ctx, const struct kiln_command *command, int *argc,
                        char ***argv);

#endif
