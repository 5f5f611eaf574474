/* `kiln pip`: takes Kiln's options from the front of pip's command line, and leaves the rest to pip. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "pip/pip.h"

static const char usage[] =
    "usage: kiln pip [--python PY] [--allow-pure] ARGS...\n"
    "\n"
    "pip, with everything set so that extension modules are fat: packages with native code are\n"
    "built from source through kiln-cc, pure ones come as wheels. Ends with what is fat, what is\n"
    "not, and why. ARGS is any command line of pip's; the exit status is pip's.\n"
    "\n"
    "  --python PY   for this interpreter, or the virtual environment in this directory\n"
    "                (default: $PIP_PYTHON, else python3)\n"
    "  --allow-pure  keep a package whose build made fewer extensions than the index's wheel has;\n"
    "                otherwise that is an error (an option of install and wheel as well)\n"
    "\n"
    "  kiln pip install --target DIR numpy\n"
    "  kiln pip --python venv/bin/python install -r requirements.txt\n"
    "\n"
    "What was built is kept in $XDG_CACHE_HOME/kiln (~/.cache/kiln). A package's wheel is taken\n"
    "in spite of its native code with --only-binary NAME. `kiln pip help` is pip's own help.\n";

/* Whether the next argument is the value of ARG, an option in front of pip's command. */
static bool
takes_value(const char *arg)
{
    static const char *const options[] = {
        "--log",          "--log-file",       "--local-log",        "--proxy",
        "--retries",      "--timeout",        "--default-timeout",  "--exists-action",
        "--trusted-host", "--cert",           "--client-cert",      "--cache-dir",
        "--use-feature",  "--use-deprecated", "--keyring-provider", "--resume-retries",
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(arg, options[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int
run(struct kiln_ctx *ctx, int argc, char **argv)
{
    static const char option[] = "--python";
    const char *python = getenv("PIP_PYTHON");
    struct kiln_strings args = {0};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], option) == 0) {
            if (++i == argc) {
                return kiln_fail(ctx, KILN_ERR_USAGE, "pip: --python needs an interpreter");
            }
            python = argv[i];
        }
        else if (strncmp(argv[i], "--python=", sizeof option) == 0) {
            python = argv[i] + sizeof option;
        }
        else if (strcmp(argv[i], "--allow-pure") == 0) {
            /* pip has a variable for each option of its commands, and driver.py adds this one. */
            if (setenv("PIP_ALLOW_PURE", "1", 1) < 0) {
                return kiln_fail_errno(ctx, "PIP_ALLOW_PURE: cannot set");
            }
        }
        else {
            kiln_strings_push(&ctx->arena, &args, argv[i]);
            if (takes_value(argv[i]) && i + 1 < argc) {
                kiln_strings_push(&ctx->arena, &args, argv[++i]);
            }
        }
    }
    for (; i < argc; i++) {
        kiln_strings_push(&ctx->arena, &args, argv[i]);
    }
    int status = 0;
    int result =
        kiln_pip_run(ctx, python == NULL || *python == '\0' ? "python3" : python, &args, &status);
    return result != 0 ? result : status;
}

const struct kiln_command kiln_command_pip = {
    .name = "pip",
    .summary = "install packages with fat extensions",
    .usage = usage,
    .run = run,
};
