/* kiln isolate: combines and isolates one extension, for build systems that link by themselves. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "command.h"
#include "combine/combine.h"
#include "isolate/isolate.h"
#include "isolate/visible_init.h"
#include "names/dotted_name.h"
#include "names/init_symbol.h"

static const char usage[] =
    "usage: kiln isolate --name DOTTED.NAME [OPTION...] OBJECT|ARCHIVE|@FILE...\n"
    "\n"
    "Makes one relocatable object of everything that a Python extension is linked from. It "
    "exports\n"
    "one symbol, the extension's init function under a name made of DOTTED.NAME, and can be "
    "linked\n"
    "into a program with any number of others. Its line for `kiln table`, \"DOTTED.NAME SYMBOL\",\n"
    "goes to standard output. The same inputs give the same bytes.\n"
    "\n"
    "  --name DOTTED.NAME      the module's whole name, as it is imported\n"
    "  -o, --output FILE       the object to write (default: DOTTED.NAME.o)\n"
    "  --names FILE            write the line for `kiln table` to FILE, not to standard output\n"
    "  --init SYMBOL           the init function, if there are several: PyInit_x, PyModExport_x\n"
    "  --export-init           make the init function visible, for Kiln_LookupSymbols()\n"
    "  --python-version X.Y    the Python it is for: from 3.15 on, a PyModExport_x is preferred "
    "to\n"
    "                          a PyInit_x\n"
    "  --whole-archive         take all members of archives, not only those that are needed\n"
    "  --wrap SYMBOL           as the linker's option of this name\n"
    "  --defsym SYMBOL=VALUE   as the linker's option of this name\n"
    "  -u, --undefined SYMBOL  as the linker's option of this name\n"
    "  --export SYMBOL         keep this symbol visible under its own name\n"
    "  --distribution NAME     share STB_GNU_UNIQUE symbols with the modules of the same NAME\n"
    "  --cc COMPILER           the compiler that lowers gcc's LTO objects (default: cc, or the\n"
    "                          cross compiler for their machine)\n"
    "  --ld LINKER             GNU ld, and\n"
    "  --as ASSEMBLER          the assembler; default: ld.bfd and as, or those of the cross\n"
    "                          toolchain for their machine\n"
    "  --quiet, --verbose      print less, print more\n"
    "\n"
    "@FILE stands for the arguments in FILE. "
    "An input \"LIB.a(MEMBER.o)\" is that member of the archive. With --verbose, constructors "
    "that\n"
    "now run at the first import, hidden symbols and undefined symbols are listed. The object "
    "refers\n"
    "to libkiln.a (kiln_...), which must be in the final link.\n";

struct request {
    struct kiln_combine combine;
    const char *name, *output, *distribution;
    const char *names;      /* --names; NULL: standard output */
    const char *init;       /* --init */
    const char *preference; /* kiln_init_export_first, or NULL */
    bool export_init;
    struct kiln_strings exports;
};

enum {
    OPTION_NAME = 1,
    OPTION_INIT,
    OPTION_PYTHON_VERSION,
    OPTION_WHOLE_ARCHIVE,
    OPTION_WRAP,
    OPTION_DEFSYM,
    OPTION_CC,
    OPTION_LD,
    OPTION_AS,
    OPTION_NAMES,
    OPTION_EXPORT_INIT,
    OPTION_EXPORT,
    OPTION_DISTRIBUTION
};

static const struct option options[] = {
    {"name", required_argument, NULL, OPTION_NAME},
    {"output", required_argument, NULL, 'o'},
    {"init", required_argument, NULL, OPTION_INIT},
    {"export-init", no_argument, NULL, OPTION_EXPORT_INIT},
    {"python-version", required_argument, NULL, OPTION_PYTHON_VERSION},
    {"whole-archive", no_argument, NULL, OPTION_WHOLE_ARCHIVE},
    {"wrap", required_argument, NULL, OPTION_WRAP},
    {"defsym", required_argument, NULL, OPTION_DEFSYM},
    {"undefined", required_argument, NULL, 'u'},
    {"cc", required_argument, NULL, OPTION_CC},
    {"ld", required_argument, NULL, OPTION_LD},
    {"as", required_argument, NULL, OPTION_AS},
    {"names", required_argument, NULL, OPTION_NAMES},
    {"export", required_argument, NULL, OPTION_EXPORT},
    {"distribution", required_argument, NULL, OPTION_DISTRIBUTION},
    KILN_COMMON_OPTIONS,
    {0},
};

static void
push_flag(struct kiln_ctx *ctx, struct request *request, const char *flag, const char *value)
{
    kiln_strings_push(&ctx->arena, &request->combine.flags,
                      kiln_arena_printf(&ctx->arena, "%s=%s", flag, value));
}

static int
take_python_version(struct kiln_ctx *ctx, struct request *request, const char *text)
{
    int major, minor, end = 0;
    if (sscanf(text, "%d.%d%n", &major, &minor, &end) != 2 || text[end] != '\0') {
        return kiln_fail(ctx, KILN_ERR_USAGE, "isolate: \"%s\" is not a version like 3.15", text);
    }
    request->preference = major > 3 || (major == 3 && minor >= 15) ? kiln_init_export_first : NULL;
    return 0;
}

static int
take_option(struct kiln_ctx *ctx, struct request *request, int option, char **argv)
{
    switch (option) {
    case OPTION_NAME:
        request->name = optarg;
        return 0;
    case 'o':
        request->output = optarg;
        return 0;
    case OPTION_INIT:
        request->init = optarg;
        kiln_strings_push(&ctx->arena, &request->combine.inits, optarg);
        return 0;
    case OPTION_EXPORT_INIT:
        request->export_init = true;
        return 0;
    case OPTION_PYTHON_VERSION:
        return take_python_version(ctx, request, optarg);
    case OPTION_WHOLE_ARCHIVE:
        kiln_strings_push(&ctx->arena, &request->combine.flags, "--whole-archive");
        return 0;
    case OPTION_WRAP:
        push_flag(ctx, request, "--wrap", optarg);
        return 0;
    case OPTION_DEFSYM:
        push_flag(ctx, request, "--defsym", optarg);
        return 0;
    case 'u':
        push_flag(ctx, request, "--undefined", optarg);
        return 0;
    case OPTION_EXPORT:
        kiln_strings_add(&ctx->arena, &request->exports, optarg);
        return 0;
    case OPTION_DISTRIBUTION:
        request->distribution = optarg;
        return 0;
    case OPTION_LD:
        request->combine.ld = optarg;
        return 0;
    case OPTION_AS:
        request->combine.as = optarg;
        return 0;
    case OPTION_NAMES:
        request->names = optarg;
        return 0;
    case OPTION_CC:
        request->combine.cc = optarg;
        return 0;
    default:
        return kiln_command_common_option(ctx, option)
                   ? 0
                   : kiln_command_bad_option(ctx, &kiln_command_isolate, argv);
    }
}

/* "libx.a(m.o)" is a member, unless there is a file of that name. */
static struct kiln_link_input
parse_input(struct kiln_ctx *ctx, const char *text)
{
    struct stat st;
    size_t len = strlen(text);
    const char *open = strrchr(text, '(');
    if (open == NULL || open == text || text[len - 1] != ')' || stat(text, &st) == 0) {
        return (struct kiln_link_input){.path = text};
    }
    return (struct kiln_link_input){
        .path = kiln_arena_strndup(&ctx->arena, text, (size_t)(open - text)),
        .member = kiln_arena_strndup(&ctx->arena, open + 1, strlen(open) - 2),
    };
}

static int
parse(struct kiln_ctx *ctx, int argc, char **argv, struct request *request)
{
    int option;
    while ((option = getopt_long(argc, argv, "o:u:", options, NULL)) != -1) {
        int result = take_option(ctx, request, option, argv);
        if (result < 0) {
            return result;
        }
    }
    for (int i = optind; i < argc; i++) {
        *KILN_ARENA_PUSH(&ctx->arena, &request->combine.inputs) = parse_input(ctx, argv[i]);
    }
    if (request->name == NULL) {
        return kiln_fail(ctx, KILN_ERR_USAGE,
                         "isolate: --name is missing (see `kiln help isolate`)");
    }
    if (request->combine.inputs.count == 0) {
        return kiln_fail(ctx, KILN_ERR_USAGE,
                         "isolate: no objects given (see `kiln help isolate`)");
    }
    if (request->combine.inits.count > 1) {
        return kiln_fail(ctx, KILN_ERR_USAGE, "isolate: one --init only; a module has one");
    }
    if (request->output == NULL) {
        request->output = kiln_arena_printf(&ctx->arena, "%s.o", request->name);
    }
    return kiln_dotted_name_check(ctx, request->name);
}

static void
describe(struct kiln_ctx *ctx, const struct request *request, const struct kiln_isolated *isolated)
{
    kiln_say(
        ctx, KILN_DETAIL,
        "%s: %s, %llu bytes, %zu constructors and %zu destructors deferred, %zu symbols hidden",
        request->name, isolated->init, (unsigned long long)isolated->size, isolated->constructors,
        isolated->destructors, isolated->hidden);
    if (isolated->not_pic != NULL) {
        kiln_say(ctx, KILN_DETAIL,
                 "%s: not position-independent: %s; compile it with -fPIC, or link with -no-pie",
                 request->name, isolated->not_pic);
    }
    for (size_t i = 0; i < isolated->undefined.count; i++) {
        kiln_say(ctx, KILN_DETAIL, "%s: needs %s", request->name, isolated->undefined.items[i]);
    }
}

/* Write what `kiln table` reads. */
static int
write_line(struct kiln_ctx *ctx, const struct request *request, const char *symbol)
{
    const char *line = kiln_arena_printf(&ctx->arena, "%s %s\n", request->name, symbol);
    if (request->names != NULL) {
        return kiln_file_write(ctx, request->names, kiln_span_of_string(line));
    }
    fputs(line, stdout);
    return kiln_command_flush(ctx);
}

static int
run(struct kiln_ctx *ctx, int argc, char **argv)
{
    struct request request = {0};
    int result = kiln_command_expand(ctx, &kiln_command_isolate, &argc, &argv);
    if (result == 0) {
        result = parse(ctx, argc, argv, &request);
    }
    if (result < 0) {
        return result;
    }
    struct kiln_output out;
    struct kiln_isolated isolated;
    ctx->subject = request.name;
    result = kiln_output_init(ctx, request.output, 0666, &out);
    if (result == 0) {
        result = kiln_combine(ctx, &request.combine, out.tmppath);
    }
    if (result == 0) {
        const struct kiln_isolation as = {
            .name = request.name,
            .init = request.init != NULL ? request.init : request.preference,
            .distribution = request.distribution,
            .exports = &request.exports,
        };
        result = kiln_isolate_file(ctx, out.tmppath, &as, &isolated);
    }
    if (result == 0 && request.export_init) {
        result = kiln_visible_init_set(ctx, out.tmppath, isolated.symbol);
    }
    if (result == 0) {
        /* Before the commit, so that there is no object without its line. */
        result = write_line(ctx, &request, isolated.symbol);
    }
    if (result == 0) {
        result = kiln_output_commit(ctx, &out);
    }
    kiln_output_release(&out);
    if (result == 0) {
        describe(ctx, &request, &isolated);
    }
    return result;
}

const struct kiln_command kiln_command_isolate = {
    .name = "isolate",
    .summary = "make one object of an extension that can be linked with others",
    .usage = usage,
    .run = run,
};
