/* What every subcommand does with its options and its output. */
#include "command.h"

#include <stdio.h>

bool
kiln_command_common_option(struct kiln_ctx *ctx, int option)
{
    switch (option) {
    case KILN_OPTION_QUIET:
        ctx->quiet = true;
        return true;
    case KILN_OPTION_VERBOSE:
        ctx->verbose = true;
        return true;
    default:
        return false;
    }
}

int
kiln_command_bad_option(struct kiln_ctx *ctx, const struct kiln_command *command, char **argv)
{
    return kiln_fail(ctx, KILN_ERR_USAGE,
                     "%s: unknown option or missing argument: %s (see `kiln help %s`)",
                     command->name, argv[optind > 1 ? optind - 1 : optind], command->name);
}

int
kiln_command_flush(struct kiln_ctx *ctx)
{
    return fflush(stdout) == EOF || ferror(stdout)
               ? kiln_fail_errno(ctx, "cannot write to standard output")
               : 0;
}
