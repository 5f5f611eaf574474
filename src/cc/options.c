/* What the options of gcc, clang and the linkers mean to kiln-cc: two tables and a lookup.
 *
 * An option is listed if it changes what happens (no link, another output), if it writes a file that
 * the traced link must not write, if `ld -r` must be told, if its value is the next argument, which
 * would be mistaken for an input, or if its name would be mistaken for another's. All others are passed
 * on. */
#include "cc/cc.h"

#define EXACT  KILN_OPTION_EXACT
#define PREFIX KILN_OPTION_PREFIX
#define JOINED KILN_OPTION_JOINED
#define NEXT   KILN_OPTION_NEXT
#define EQUALS KILN_OPTION_EQUALS

static const struct kiln_option driver_options[] = {
    /* What the command does. */
    {"-shared", EXACT, KILN_MEANS_SHARED, NULL},
    {"--shared", EXACT, KILN_MEANS_SHARED, NULL},
    {"-c", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--compile", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-S", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--assemble", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-E", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--preprocess", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-r", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-fsyntax-only", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-M", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-MM", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--dependencies", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--user-dependencies", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-###", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--version", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--help", PREFIX, KILN_MEANS_NO_LINK, NULL},
    {"-help", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--target-help", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-dumpversion", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-dumpfullversion", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-dumpmachine", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-dumpspecs", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-print-", PREFIX, KILN_MEANS_NO_LINK, NULL},
    {"--print-", PREFIX, KILN_MEANS_NO_LINK, NULL},
    {"--analyze", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--precompile", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-emit-ast", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"--emit-static-lib", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-o", JOINED, KILN_MEANS_OUTPUT, NULL},
    {"--output", EQUALS, KILN_MEANS_OUTPUT, NULL},
    {"-x", JOINED, KILN_MEANS_LANGUAGE, NULL},
    {"--language", EQUALS, KILN_MEANS_LANGUAGE, NULL},
    {"-l", JOINED, KILN_MEANS_LIBRARY, NULL},
    {"-ffile-prefix-map=", PREFIX, KILN_MEANS_PATH_MAP, NULL},

    /* Symbols and layout. */
    {"-u", JOINED, KILN_MEANS_COMBINE, "--undefined"},
    {"-undef", EXACT, KILN_MEANS_NOTHING, NULL},
    {"-unwindlib=", PREFIX, KILN_MEANS_NOTHING, NULL},
    {"--force-link", EQUALS, KILN_MEANS_COMBINE, "--undefined"},
    {"-T", JOINED, KILN_MEANS_SCRIPT, NULL},
    {"-s", EXACT, KILN_MEANS_STRIP, NULL},

    /* Other outputs. */
    {"-MD", EXACT, KILN_MEANS_DROP, NULL},
    {"-MMD", EXACT, KILN_MEANS_DROP, NULL},
    {"--write-dependencies", EXACT, KILN_MEANS_DROP, NULL},
    {"--write-user-dependencies", EXACT, KILN_MEANS_DROP, NULL},
    {"-MP", EXACT, KILN_MEANS_DROP, NULL},
    {"-MG", EXACT, KILN_MEANS_DROP, NULL},
    {"-MV", EXACT, KILN_MEANS_DROP, NULL},
    {"-MF", JOINED, KILN_MEANS_DROP, NULL},
    {"-MT", JOINED, KILN_MEANS_DROP, NULL},
    {"-MQ", JOINED, KILN_MEANS_DROP, NULL},
    {"-MJ", JOINED, KILN_MEANS_DROP, NULL},
    {"-Wp,", PREFIX, KILN_MEANS_PREPROCESSOR, NULL},
    {"-save-temps", PREFIX, KILN_MEANS_DROP, NULL},
    {"--save-temps", PREFIX, KILN_MEANS_DROP, NULL},
    {"-pipe", EXACT, KILN_MEANS_DROP, NULL},
    {"-v", EXACT, KILN_MEANS_DROP, NULL},
    {"--verbose", EXACT, KILN_MEANS_DROP, NULL},
    {"-H", EXACT, KILN_MEANS_DROP, NULL},
    {"-Q", EXACT, KILN_MEANS_DROP, NULL},
    {"-time", PREFIX, KILN_MEANS_DROP, NULL},
    {"-ftime-report", PREFIX, KILN_MEANS_DROP, NULL},
    {"-ftime-trace", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fmem-report", PREFIX, KILN_MEANS_DROP, NULL},
    {"-dumpdir", NEXT, KILN_MEANS_DROP, NULL},
    {"-dumpbase", NEXT, KILN_MEANS_DROP, NULL},
    {"-dumpbase-ext", NEXT, KILN_MEANS_DROP, NULL},
    {"-fdump-", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fopt-info", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fsave-optimization-record", PREFIX, KILN_MEANS_DROP, NULL},
    {"-foptimization-record-file=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fstack-usage", EXACT, KILN_MEANS_DROP, NULL},
    {"-fcallgraph-info", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fdiagnostics-format=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fdiagnostics-add-output=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fdiagnostics-set-output=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-ftest-coverage", EXACT, KILN_MEANS_DROP, NULL},
    {"--coverage", EXACT, KILN_MEANS_COVERAGE, NULL},
    {"-coverage", EXACT, KILN_MEANS_COVERAGE, NULL},
    {"-fprofile-note=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fmodule-output", PREFIX, KILN_MEANS_DROP, NULL},
    {"-gsplit-dwarf", PREFIX, KILN_MEANS_DROP, NULL}, /* a .dwo file would be lost */
    {"-aux-info", NEXT, KILN_MEANS_DROP, NULL},
    {"-serialize-diagnostics", NEXT, KILN_MEANS_DROP, NULL},
    {"--serialize-diagnostics", NEXT, KILN_MEANS_DROP, NULL},
    {"-gen-cdb-fragment-path", NEXT, KILN_MEANS_DROP, NULL},

    /* Listed for their values only. */
    {"-I", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-L", JOINED, KILN_MEANS_NOTHING, NULL},
    {"--library-directory", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-D", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-U", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-A", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-B", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-F", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-R", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-z", JOINED, KILN_MEANS_KEYWORD, NULL},
    {"-h", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-e", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-G", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-arch", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-target", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-mllvm", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-include", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-include-pch", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-imacros", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-isystem", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-iquote", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-idirafter", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-iprefix", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-iwithprefix", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-iwithprefixbefore", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-cxx-isystem", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-isysroot", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-ivfsoverlay", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-imultilib", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-working-directory", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-resource-dir", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-gcc-toolchain", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-Xassembler", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-Xpreprocessor", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-Xclang", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-Xanalyzer", NEXT, KILN_MEANS_NOTHING, NULL},
    {"--param", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--sysroot", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--specs", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--prefix", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--entry", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--include", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--include-directory", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--define-macro", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"--undefine-macro", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-wrapper", NEXT, KILN_MEANS_NOTHING, NULL},
};

/* With one dash; kiln_option_find_linker() removes a second one. */
static const struct kiln_option linker_options[] = {
    {"-shared", EXACT, KILN_MEANS_SHARED, NULL},
    {"-Bshareable", EXACT, KILN_MEANS_SHARED, NULL},
    {"-r", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-relocatable", EXACT, KILN_MEANS_NO_LINK, NULL},
    {"-o", JOINED, KILN_MEANS_OUTPUT, NULL},
    {"-output", EQUALS, KILN_MEANS_OUTPUT, NULL},

    {"-l", JOINED, KILN_MEANS_LIBRARY, NULL},
    {"-library", EQUALS, KILN_MEANS_LIBRARY, NULL},
    {"-start-lib", EXACT, KILN_MEANS_START_LIB, NULL},
    {"-end-lib", EXACT, KILN_MEANS_END_LIB, NULL},

    {"-wrap", EQUALS, KILN_MEANS_COMBINE, "--wrap"},
    {"-defsym", EQUALS, KILN_MEANS_COMBINE, "--defsym"},
    {"-u", JOINED, KILN_MEANS_COMBINE, "--undefined"},
    {"-undefined", EQUALS, KILN_MEANS_COMBINE, "--undefined"},
    {"-unique", PREFIX, KILN_MEANS_NOTHING, NULL},
    {"-undefined-version", EXACT, KILN_MEANS_NOTHING, NULL},
    {"-unresolved-symbols", EQUALS, KILN_MEANS_DROP, NULL},
    {"-require-defined", EQUALS, KILN_MEANS_COMBINE, "--require-defined"},
    {"-allow-multiple-definition", EXACT, KILN_MEANS_COMBINE_FLAG, "--allow-multiple-definition"},
    {"-s", EXACT, KILN_MEANS_STRIP, NULL},
    {"-strip-all", EXACT, KILN_MEANS_STRIP, NULL},
    {"-S", EXACT, KILN_MEANS_STRIP, NULL},
    {"-strip-debug", EXACT, KILN_MEANS_STRIP, NULL},

    {"-T", JOINED, KILN_MEANS_SCRIPT, NULL},
    {"-script", EQUALS, KILN_MEANS_SCRIPT, NULL},
    {"-dT", NEXT, KILN_MEANS_SCRIPT, NULL},
    {"-default-script", EQUALS, KILN_MEANS_SCRIPT, NULL},
    {"-section-start", EQUALS, KILN_MEANS_SCRIPT, NULL},
    {"-init", EQUALS, KILN_MEANS_ENTRY_POINT, NULL},
    {"-fini", EQUALS, KILN_MEANS_ENTRY_POINT, NULL},
    {"-b", JOINED, KILN_MEANS_BINARY, NULL},
    {"-format", EQUALS, KILN_MEANS_BINARY, NULL},

    {"-Map", EQUALS, KILN_MEANS_DROP, NULL},
    {"-M", EXACT, KILN_MEANS_DROP, NULL},
    {"-print-map", EXACT, KILN_MEANS_DROP, NULL},
    {"-cref", EXACT, KILN_MEANS_DROP, NULL},
    {"-dependency-file", EQUALS, KILN_MEANS_DROP, NULL},
    {"-out-implib", EQUALS, KILN_MEANS_DROP, NULL},
    {"-t", EXACT, KILN_MEANS_DROP, NULL},
    {"-trace", EXACT, KILN_MEANS_DROP, NULL},
    {"-y", JOINED, KILN_MEANS_DROP, NULL},
    {"-trace-symbol", EQUALS, KILN_MEANS_DROP, NULL},
    {"-v", EXACT, KILN_MEANS_DROP, NULL},
    {"-V", EXACT, KILN_MEANS_DROP, NULL},
    {"-version", EXACT, KILN_MEANS_DROP, NULL},
    {"-verbose", PREFIX, KILN_MEANS_DROP, NULL},
    {"-stats", PREFIX, KILN_MEANS_DROP, NULL},
    {"-perf", EXACT, KILN_MEANS_DROP, NULL},
    {"-print-memory-usage", EXACT, KILN_MEANS_DROP, NULL},
    {"-print-gc-sections", PREFIX, KILN_MEANS_DROP, NULL},
    {"-print-icf-sections", PREFIX, KILN_MEANS_DROP, NULL},
    {"-print-archive-stats", EQUALS, KILN_MEANS_DROP, NULL},
    {"-print-symbol-order", EQUALS, KILN_MEANS_DROP, NULL},
    {"-print-dependencies", PREFIX, KILN_MEANS_DROP, NULL},
    {"-why-extract", EQUALS, KILN_MEANS_DROP, NULL},
    {"-reproduce", EQUALS, KILN_MEANS_DROP, NULL},
    {"-repro", EXACT, KILN_MEANS_DROP, NULL},
    {"-time-trace", PREFIX, KILN_MEANS_DROP, NULL},
    {"-save-temps", PREFIX, KILN_MEANS_DROP, NULL},
    {"-opt-remarks-filename", EQUALS, KILN_MEANS_DROP, NULL},
    {"-lto-obj-path", PREFIX, KILN_MEANS_DROP, NULL},
    {"-plugin-opt=obj-path=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-plugin-opt=dwo_dir=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-plugin-opt=stats-file=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-plugin-opt=opt-remarks-filename=", PREFIX, KILN_MEANS_DROP, NULL},
    {"-gdb-index", EXACT, KILN_MEANS_DROP, NULL},
    {"-build-id", PREFIX, KILN_MEANS_DROP, NULL},
    {"-fatal-warnings", EXACT, KILN_MEANS_DROP, NULL},

    {"-z", JOINED, KILN_MEANS_KEYWORD, NULL},
    {"-L", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-library-path", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-m", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-mllvm", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-h", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-soname", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-e", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-entry", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-f", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-F", NEXT, KILN_MEANS_NOTHING, NULL},
    {"-auxiliary", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-filter", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-R", JOINED, KILN_MEANS_NOTHING, NULL},
    {"-just-symbols", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-rpath", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-rpath-link", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-dynamic-linker", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-dynamic-list", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-dynamic-list-data", EXACT, KILN_MEANS_NOTHING, NULL},
    {"-version-script", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-exclude-libs", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-retain-symbols-file", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-hash-style", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-plugin", EQUALS, KILN_MEANS_NOTHING, NULL},
    {"-plugin-opt", EQUALS, KILN_MEANS_NOTHING, NULL},
};

#undef EXACT
#undef PREFIX
#undef JOINED
#undef NEXT
#undef EQUALS

/* Returns whether ARG is OPTION. If so, *VALUE is the value that it contains, or NULL. */
static bool
match(const struct kiln_option *option, size_t name_len, const char *arg, const char **value)
{
    if (strncmp(arg, option->name, name_len) != 0) {
        return false;
    }
    const char *rest = arg + name_len;
    *value = NULL;
    switch (option->form) {
    case KILN_OPTION_EXACT:
    case KILN_OPTION_NEXT:
        return *rest == '\0';
    case KILN_OPTION_PREFIX:
        *value = rest;
        return true;
    case KILN_OPTION_JOINED:
        *value = *rest == '\0' ? NULL : rest;
        return true;
    case KILN_OPTION_EQUALS:
        *value = *rest == '=' ? rest + 1 : NULL;
        return *rest == '=' || *rest == '\0';
    }
    return false;
}

static const struct kiln_option *
find(const struct kiln_option *options, size_t count, const char *arg, size_t min_len,
     const char **value)
{
    const struct kiln_option *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < count; i++) {
        const char *this_value;
        size_t len = strlen(options[i].name);
        if (len >= min_len && len > best_len && match(&options[i], len, arg, &this_value)) {
            best = &options[i];
            best_len = len;
            *value = this_value;
        }
    }
    return best;
}

const struct kiln_option *
kiln_option_find_driver(const char *arg, const char **value)
{
    return find(driver_options, sizeof driver_options / sizeof driver_options[0], arg, 0, value);
}

const struct kiln_option *
kiln_option_find_linker(const char *arg, const char **value)
{
    /* --lto-O2 is not -l: options of one letter have one dash. */
    size_t min_len = 0;
    if (arg[0] == '-' && arg[1] == '-' && arg[2] != '\0') {
        arg++;
        min_len = 3;
    }
    return find(linker_options, sizeof linker_options / sizeof linker_options[0], arg, min_len,
                value);
}
