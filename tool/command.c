/* What every subcommand does with its options and its output. */
#include "command.h"

#include <stdio.h>

#include "base/response.h"

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

int
kiln_command_expand(struct kiln_ctx *ctx, const struct kiln_command *command, int *argc,
                    char ***argv)
{
    struct kiln_strings given = {0}, expanded = {0};
    for (int i = 0; i < *argc; i++) {
        kiln_strings_push(&ctx->arena, &given, (*argv)[i]);
    }
    if (!kiln_response_expand(ctx, &given, &expanded)) {
        return kiln_fail(ctx, KILN_ERR_USAGE, "%s: a response file (@FILE) names itself",
                         command->name);
    }
    *argc = (int)expanded.count;
    *argv = kiln_strings_argv(&ctx->arena, &expanded);
    return 0;
}
