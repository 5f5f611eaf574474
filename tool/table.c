/* kiln table: a list of names to the assembly of the table, for build systems that link by themselves. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "command.h"
#include "table/table.h"

static const char usage[] =
    "usage: kiln table [-o FILE.S] [NAMES|@FILE...]\n"
    "\n"
    "Lays the modules listed in the files NAMES (default: standard input) out as a table, to be\n"
    "linked into the executable with them and libkiln.a, and writes it as assembly for\n"
    "`cc -c` or `as`. A line of NAMES is\n"
    "\n"
    "    dotted.name symbol [package]\n"
    "\n"
    "with the name to import the module by, its init function (what `kiln isolate` gave it)\n"
    "or PEP 793 export hook (kiln_export_... or PyModExport_...), and `package` if it is the\n"
    "__init__ of a package. # begins a comment. The order of the lines, and of the files, makes\n"
    "no difference. @FILE stands for the names of files in FILE.\n"
    "\n"
    "  -o, --output FILE.S  write there, not to standard output\n"
    "  --quiet, --verbose   print less, print more\n";

/* An executable has CET (gcc -fcf-protection) only if every object has. `as` by itself takes these
 * lines for comments. */
static const char head[] = "#if defined(__CET__)\n#include <cet.h>\n#endif\n";
static const char tail[] = "\t.section .note.GNU-stack,\"\",%progbits\n";

static int
read_names(struct kiln_ctx *ctx, const char *path, struct kiln_table_names *names)
{
    const char *name = path == NULL ? "<stdin>" : path;
    int fd = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return kiln_fail_errno(ctx, "%s: cannot read", name);
    }
    struct kiln_span text;
    int result = kiln_file_read(ctx, fd, name, &text);
    if (path != NULL) {
        close(fd);
    }
    return result < 0 ? result : kiln_table_read(ctx, names, text, name);
}

static int
write_text(struct kiln_ctx *ctx, const char *path, struct kiln_span text)
{
    if (path != NULL) {
        return kiln_file_write(ctx, path, text);
    }
    if (fwrite(text.ptr, 1, text.len, stdout) != text.len) {
        return kiln_fail_errno(ctx, "standard output: cannot write");
    }
    return 0;
}

/* The text is complete before it is written, so that an error leaves no partial output. */
static int
write_table(struct kiln_ctx *ctx, const char *path, const struct kiln_table_names *names)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    if (stream == NULL) {
        return kiln_fail_errno(ctx, "cannot make the table");
    }
    fputs(head, stream);
    int result = kiln_table_emit(ctx, names->items, names->count, stream, NULL);
    fputs(tail, stream);
    if (fclose(stream) == EOF && result == 0) {
        result = kiln_fail_errno(ctx, "cannot make the table");
    }
    if (result == 0) {
        result = write_text(ctx, path, kiln_span_of(text, len));
    }
    free(text);
    return result;
}

static int
run(struct kiln_ctx *ctx, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        KILN_COMMON_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    const char *out_path = NULL;
    int result = kiln_command_expand(ctx, &kiln_command_table, &argc, &argv);
    if (result < 0) {
        return result;
    }
    for (int option; (option = getopt_long(argc, argv, "o:", options, NULL)) != -1;) {
        if (option == 'o') {
            out_path = optarg;
        }
        else if (!kiln_command_common_option(ctx, option)) {
            return kiln_command_bad_option(ctx, &kiln_command_table, argv);
        }
    }
    struct kiln_table_names names = {0};
    if (optind == argc) {
        result = read_names(ctx, NULL, &names);
    }
    for (int i = optind; i < argc; i++) {
        int failed = read_names(ctx, strcmp(argv[i], "-") == 0 ? NULL : argv[i], &names);
        result = failed < 0 ? failed : result;
    }
    if (result < 0) {
        /* Report what is wrong with the lines that could be parsed, too. */
        kiln_table_sort(ctx, names.items, names.count);
        return result;
    }
    result = write_table(ctx, out_path, &names);
    if (result == 0) {
        kiln_say(ctx, KILN_DETAIL, "%zu modules", names.count);
    }
    return result;
}

const struct kiln_command kiln_command_table = {
    .name = "table",
    .summary = "lay module names out as a table, in assembly",
    .usage = usage,
    .run = run,
};
