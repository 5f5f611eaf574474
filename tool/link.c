/* `kiln link`: the command line of src/link/. */
#include "link/link.h"

#include "command.h"

static const char USAGE[] =
    "usage: kiln link [--python PY] [-o OUT] [PATH...]\n"
    "\n"
    "Bake extensions into one executable that is otherwise the Python PY. A PATH is a directory "
    "to\n"
    "search as Python would, an extension, or a wheel; without one, PY's own packages. What the\n"
    "standard library of PY has as files comes with them.\n"
    "\n"
    "  --python PY          the interpreter to link for, or the directory of its virtual\n"
    "                       environment; default: python3 on PATH\n"
    "  -o, --output OUT     the executable; default: python\n"
    "  --libpython KIND     static or shared; default: static if it links, else shared\n"
    "  --from WAY           objects (of fat extensions), wheels (any extension, unlinked), or "
    "auto:\n"
    "                       objects where there are some; default: auto\n"
    "  --keep NAME          let a module, or all of a package, stay files; may be given several "
    "times\n"
    "  --pie, --no-pie      whether the executable is position-independent; default: as PY is\n"
    "  --strict             let nothing stay a file, but what --keep names: it is an error; with\n"
    "                       --separate-code\n"
    "  --separate-code      take the right to execute from the read-only data of unlinked "
    "extensions\n"
    "  --linker NAME        bfd, gold, lld or mold; default: lld if present, else bfd\n"
    "  --export SYMBOL      keep a symbol of an extension visible under its own name, for code "
    "that\n"
    "                       looks itself up; may be given several times\n"
    "  --share NAME         one copy of a static library (libfoo.a, or foo) for all extensions "
    "that\n"
    "                       were linked with it, or of all libraries that a set of extensions\n"
    "                       (a.b,a.c or a.*) has in common; may be given several times\n"
    "  --strip              without debug information and symbols; backtraces then have addresses\n"
    "                       only\n"
    "  --split-debug        the debug information into OUT.debug, where debuggers find it;\n"
    "                       that of unlinked extensions beside it, with a script for gdb\n"
    "  --path-map OLD=NEW   call what is below the directory OLD as if it were below NEW, in the\n"
    "                       executable and the report; may be given several times\n"
    "  --report FILE        write what was done to each extension, as JSON\n"
    "  --bindings FILE      write what each reference of an unlinked extension is bound to\n"
    "  --quiet, --verbose   say less, say more\n"
    "\n"
    "Extensions that cannot be baked stay files, without --strict; a line for each package gives "
    "the reason.\n";

static int
set_libpython(struct kiln_ctx *ctx, struct kiln_link_options *options, const char *kind)
{
    if (strcmp(kind, "static") == 0) {
        options->libpython = KILN_LIBPYTHON_STATIC;
    }
    else if (strcmp(kind, "shared") == 0) {
        options->libpython = KILN_LIBPYTHON_SHARED;
    }
    else {
        return kiln_fail(ctx, KILN_ERR_USAGE, "link: --libpython is static or shared, not %s",
                         kind);
    }
    return 0;
}

static int
set_from(struct kiln_ctx *ctx, struct kiln_link_options *options, const char *way)
{
    static const char *const ways[] = {
        [KILN_FROM_AUTO] = "auto",
        [KILN_FROM_OBJECTS] = "objects",
        [KILN_FROM_WHEELS] = "wheels",
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(way, ways[i]) == 0) {
            options->from = (enum kiln_from)i;
            return 0;
        }
    }
    return kiln_fail(ctx, KILN_ERR_USAGE, "link: --from is objects, wheels or auto, not %s", way);
}

static int
set_linker(struct kiln_ctx *ctx, struct kiln_link_options *options, const char *name)
{
    static const char *const names[] = {"bfd", "gold", "lld", "mold"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            options->linker = name;
            return 0;
        }
    }
    return kiln_fail(ctx, KILN_ERR_USAGE, "link: --linker is bfd, gold, lld or mold, not %s", name);
}

static int
run(struct kiln_ctx *ctx, int argc, char **argv)
{
    enum {
        PYTHON = 1,
        FROM,
        KEEP,
        PIE,
        NO_PIE,
        SEPARATE_CODE,
        STRICT,
        LIBPYTHON,
        LINKER,
        EXPORT,
        SHARE,
        PATH_MAP,
        REPORT,
        BINDINGS,
        STRIP,
        SPLIT_DEBUG
    };
    static const struct option options[] = {
        {"python", required_argument, NULL, PYTHON},
        {"output", required_argument, NULL, 'o'},
        {"from", required_argument, NULL, FROM},
        {"keep", required_argument, NULL, KEEP},
        {"pie", no_argument, NULL, PIE},
        {"no-pie", no_argument, NULL, NO_PIE},
        {"separate-code", no_argument, NULL, SEPARATE_CODE},
        {"strict", no_argument, NULL, STRICT},
        {"libpython", required_argument, NULL, LIBPYTHON},
        {"linker", required_argument, NULL, LINKER},
        {"export", required_argument, NULL, EXPORT},
        {"share", required_argument, NULL, SHARE},
        {"path-map", required_argument, NULL, PATH_MAP},
        {"report", required_argument, NULL, REPORT},
        {"bindings", required_argument, NULL, BINDINGS},
        {"strip", no_argument, NULL, STRIP},
        {"split-debug", no_argument, NULL, SPLIT_DEBUG},
        KILN_COMMON_OPTIONS,
        {0},
    };
    struct kiln_link_options link = {0};
    int result = 0;
    for (int option; result == 0 && (option = getopt_long(argc, argv, "o:", options, NULL)) != -1;)
    {
        switch (option) {
        case PYTHON:
            link.python = optarg;
            break;
        case 'o':
            link.output = optarg;
            break;
        case LIBPYTHON:
            result = set_libpython(ctx, &link, optarg);
            break;
        case FROM:
            result = set_from(ctx, &link, optarg);
            break;
        case KEEP:
            kiln_strings_add(&ctx->arena, &link.keeps, optarg);
            break;
        case PIE:
            link.pie = KILN_PIE_YES;
            break;
        case NO_PIE:
            link.pie = KILN_PIE_NO;
            break;
        case SEPARATE_CODE:
            link.separate_code = true;
            break;
        case STRICT:
            link.strict = link.separate_code = true;
            break;
        case EXPORT:
            kiln_strings_add(&ctx->arena, &link.exports, optarg);
            break;
        case PATH_MAP:
            if (strchr(optarg, '=') == NULL) {
                result =
                    kiln_fail(ctx, KILN_ERR_USAGE, "link: --path-map is OLD=NEW, not %s", optarg);
            }
            kiln_strings_push(&ctx->arena, &link.path_maps, optarg);
            break;
        case REPORT:
            link.report = optarg;
            break;
        case BINDINGS:
            link.bindings = optarg;
            break;
        case SHARE:
            kiln_strings_add(&ctx->arena, &link.shares, optarg);
            break;
        case STRIP:
            link.strip = true;
            break;
        case SPLIT_DEBUG:
            link.split_debug = true;
            break;
        case LINKER:
            result = set_linker(ctx, &link, optarg);
            break;
        default:
            if (!kiln_command_common_option(ctx, option)) {
                return kiln_command_bad_option(ctx, &kiln_command_link, argv);
            }
        }
    }
    for (int i = optind; i < argc; i++) {
        kiln_strings_push(&ctx->arena, &link.paths, argv[i]);
    }
    return result < 0 ? result : kiln_link(ctx, &link);
}

const struct kiln_command kiln_command_link = {
    .name = "link",
    .summary = "bake extensions into one executable",
    .usage = USAGE,
    .run = run,
};
