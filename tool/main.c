/* The kiln command: finds the subcommand in a table, shows its messages and progress, and turns its
 * result into the exit status: 0 done, 1 failed, 2 usage; for `kiln pip` it is pip's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/text.h"
#include "command.h"
#include "kiln/version.h"

static const struct kiln_command *const commands[] = {
    &kiln_command_pip,     &kiln_command_link,  &kiln_command_ls,
    &kiln_command_isolate, &kiln_command_table,
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct kiln_command *
find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static void
print_help(FILE *stream)
{
    fputs("Kiln bakes Python extension modules into one executable.\n\n"
          "usage: kiln [--version] [--help] COMMAND [ARG...]\n\n",
          stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(stream, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n`kiln help COMMAND` tells more of one.\n", stream);
}

/* Whether standard error is a terminal that shows colour and can rewrite its line. */
static bool
is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

static bool progress_shown; /* the terminal's line holds a progress bar */

static void
clear_progress(void)
{
    if (progress_shown) {
        fputs("\r\033[K", stderr);
        progress_shown = false;
    }
}

static void
show_message(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    static const struct {
        const char *prefix, *colour;
    } styles[] = {
        [KILN_ERROR] = {"error: ", "\033[1;31m"},
        [KILN_WARNING] = {"warning: ", "\033[1;33m"},
        [KILN_NOTE] = {"", ""},
        [KILN_DETAIL] = {"", ""},
    };
    if (kiln_interrupt_get() != 0) {
        return; /* it fails because of the signal, which says enough */
    }
    if ((severity >= KILN_NOTE && ctx->quiet) || (severity == KILN_DETAIL && !ctx->verbose)) {
        return;
    }
    const char *no_colour = getenv("NO_COLOR"); /* no-color.org: set and not empty */
    bool colour = is_terminal() && (no_colour == NULL || *no_colour == '\0');
    clear_progress();
    /* Messages quote what others wrote: paths, records of extensions, output of compilers. */
    text = kiln_text_make_printable(&ctx->arena, text, true);
    fprintf(stderr, "kiln: %s%s%s%s\n", colour ? styles[severity].colour : "",
            styles[severity].prefix, colour && *styles[severity].colour ? "\033[0m" : "", text);
}

static void
show_progress(struct kiln_ctx *ctx, const char *what, size_t done, size_t total, const char *detail)
{
    enum { WIDTH = 24 };
    if (ctx->quiet || !is_terminal()) {
        return;
    }
    clear_progress();
    if (done >= total) {
        return;
    }
    char bar[WIDTH + 1];
    memset(bar, '.', WIDTH);
    memset(bar, '#', WIDTH * done / total);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r%-9s [%s] %zu/%zu %.40s", what, bar, done, total,
            detail == NULL ? "" : kiln_text_make_printable(&ctx->arena, detail, false));
    fflush(stderr);
    progress_shown = true;
}

static int
help(const char *name)
{
    if (name == NULL) {
        print_help(stdout);
        return 0;
    }
    const struct kiln_command *command = find_command(name);
    if (command == NULL) {
        fprintf(stderr, "kiln: no command is named %s\n\n", name);
        print_help(stderr);
        return 2;
    }
    fputs(command->usage, stdout);
    return 0;
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(name, "--version") == 0) {
        puts("kiln " KILN_VERSION);
        return 0;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return help(argc > 2 ? argv[2] : NULL);
    }
    const struct kiln_command *command = find_command(name);
    if (command == NULL || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        return help(name);
    }

    struct kiln_ctx ctx = {.say = show_message, .progress = show_progress};
    opterr = 0;
    kiln_interrupt_watch(clear_progress);
    int result = command->run(&ctx, argc - 1, argv + 1);
    if (result == 0) {
        result = kiln_command_flush(&ctx);
    }
    clear_progress();
    kiln_ctx_release(&ctx);
    kiln_interrupt_wait();
    return result >= 0 ? result : result == KILN_ERR_USAGE ? 2 : 1;
}
