/* Reading a compiler's command line: whether it links a shared object, what the traced link is
 * given, and which objects it must show; and response files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "cc/cc.h"

static struct kiln_ctx ctx;

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){0};
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

static struct kiln_strings
split(const char *text)
{
    struct kiln_strings args = {0};
    kiln_response_parse(&ctx, kiln_span_of_string(text), &args);
    return args;
}

static const char *
join(const struct kiln_strings *list)
{
    const char *text = "";
    for (size_t i = 0; i < list->count; i++) {
        text = kiln_arena_printf(&ctx.arena, "%s%s%s", text, i == 0 ? "" : "|", list->items[i]);
    }
    return text;
}

static struct kiln_command_line
parse(const char *text)
{
    struct kiln_command_line line;
    struct kiln_strings args = split(text);
    kiln_command_line_parse(&ctx, &args, &line);
    return line;
}

static const char *
get_trace(const char *text)
{
    struct kiln_command_line line = parse(text);
    return join(&line.trace);
}

static const char *
get_combine(const char *text)
{
    struct kiln_command_line line = parse(text);
    return join(&line.combine);
}

static void
test_a_shared_link_is_told_from_all_else(void **state)
{
    (void)state;
    static const char *const links[] = {
        "-shared a.o",
        "--shared a.c -o a.so",
        "a.o -shared -o /dev/null",
        "-Wl,-shared a.o",
        "-shared -lfoo",
        "-shared -x c -",
        "-v -shared a.o",
        "-Xlinker --shared a.o",
        "-shared -MD -MF -c a.c",
        "-shared -include -E a.c",
        "-shared -D -c a.c",
        "-shared -o -c a.o",
    };
    static const char *const others[] = {
        "",
        "a.o -o a",
        "-c -shared a.c",
        "-shared -S a.c",
        "-E a.c -shared",
        "-shared -r a.o",
        "-shared -Wl,-r a.o",
        "-shared -fsyntax-only a.c",
        "-shared -M a.c",
        "-shared -MM a.c",
        "-shared -### a.o",
        "-shared --version",
        "-shared",
        "-shared -v",
        "-shared -print-file-name=libc.so a.o",
        "-shared -dumpversion a.o",
        "--help=warnings -shared a.o",
        "-o -shared a.o",
        "-D -shared a.c",
        "-Xlinker",
        "-o",
    };
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (!parse(links[i]).makes_shared) {
            fail_msg("not seen as a link: %s", links[i]);
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (parse(others[i]).makes_shared) {
            fail_msg("seen as a link: %s", others[i]);
        }
    }
}

static void
test_the_output_is_found_in_every_spelling(void **state)
{
    (void)state;
    assert_string_equal(parse("-shared a.o").output, "a.out");
    assert_string_equal(parse("-shared a.o -o x.so").output, "x.so");
    assert_string_equal(parse("-shared -ox.so a.o").output, "x.so");
    assert_string_equal(parse("-shared a.o --output=x.so").output, "x.so");
    assert_string_equal(parse("-shared --output x.so a.o").output, "x.so");
    assert_string_equal(parse("-shared a.o -o x.so -o y.so").output, "y.so");
    assert_string_equal(parse("-shared a.o -Wl,-o,z.so").output, "z.so");
}

static void
test_the_traced_link_writes_and_prints_nothing_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(get_trace("-shared a.o -o x.so -lm"), "-shared|a.o|-lm");
    assert_string_equal(get_trace("-MD -MF x.d -MT x -MP -MMD -MQy a.c"), "a.c");
    assert_string_equal(get_trace("-Wp,-MD,x.d a.c -Wp,-DX,-MMD,y.d -Wp,-DY"),
                        "a.c|-Wp,-DX|-Wp,-DY");
    assert_string_equal(get_trace("-Wl,-Map,x.map,-O1,-Map=y.map,--cref -Wl,-M"), "-Xlinker|-O1");
    assert_string_equal(get_trace("-Xlinker -Map -Xlinker x.map -Xlinker -O1"), "-Xlinker|-O1");
    assert_string_equal(get_trace("-Wl,--dependency-file=x.d,--out-implib,x.lib a.o"), "a.o");
    assert_string_equal(get_trace("-save-temps=cwd --save-temps -pipe -v -time a.o"), "a.o");
    assert_string_equal(get_trace("-gsplit-dwarf -fstack-usage -fdump-tree-all -dumpdir d/ a.c"),
                        "a.c");
    assert_string_equal(get_trace("--coverage -ftest-coverage a.c"), "-fprofile-arcs|a.c");
    assert_string_equal(get_trace("-Wl,--trace,-t,--verbose=2,--stats,--fatal-warnings a.o"),
                        "a.o");
}

static void
test_linker_arguments_keep_their_order_and_values(void **state)
{
    (void)state;
    assert_string_equal(get_trace("-Wl,-rpath -Wl,/x a.o -Wl,--whole-archive b.a"),
                        "-Xlinker|-rpath|-Xlinker|/x|a.o|-Xlinker|--whole-archive|b.a");
    assert_string_equal(get_trace("-Wl,-soname,libx.so a.o"),
                        "-Xlinker|-soname|-Xlinker|libx.so|a.o");
    assert_string_equal(get_trace("-Wl,-Map a.o -Wl,x.map"), "a.o");
    assert_string_equal(get_trace("-Wl,--lto-O2,-O1"), "-Xlinker|--lto-O2|-Xlinker|-O1");
}

/* -unwindlib= is not -u, -static not -s. */
static void
test_options_are_not_mistaken_for_others(void **state)
{
    (void)state;
    static const char line[] = "-undef -unwindlib=none -pthread -pg -static-libgcc -shared-libgcc "
                               "-stdlib=libc++ -rtlib=x -fopenmp -fprofile-generate "
                               "-Wl,-static,-dn,-Bstatic,-pop-state,-unique,--undefined-version";
    assert_string_equal(get_trace(line),
                        "-undef|-unwindlib=none|-pthread|-pg|-static-libgcc|-shared-libgcc|"
                        "-stdlib=libc++|-rtlib=x|-fopenmp|-fprofile-generate|"
                        "-Xlinker|-static|-Xlinker|-dn|-Xlinker|-Bstatic|-Xlinker|-pop-state|"
                        "-Xlinker|-unique|-Xlinker|--undefined-version");
    assert_string_equal(get_combine(line), "");
    assert_null(parse(line).obstacle);
}

static void
test_what_changes_symbols_goes_to_the_combining_link(void **state)
{
    (void)state;
    assert_string_equal(get_combine("-Wl,--wrap=a,-wrap,b -Wl,--defsym -Wl,c=d"),
                        "--wrap=a|--wrap=b|--defsym=c=d");
    assert_string_equal(get_combine("-u a -ub -Wl,-u,c,-ud,--undefined=e,--require-defined,f"),
                        "--undefined=a|--undefined=b|--undefined=c|--undefined=d|--undefined=e|"
                        "--require-defined=f");
    assert_string_equal(get_combine("-Wl,-z,muldefs -z muldefs -Wl,-z,now"),
                        "--allow-multiple-definition");
    assert_string_equal(get_combine("-s -Wl,-S,--strip-all"), "--strip-debug");
    assert_string_equal(
        get_combine("-undef -Wl,--unresolved-symbols=ignore-all,--unique,-Bsymbolic,--gc-sections "
                    "-Wl,--version-script=x"),
        "");
}

static void
test_a_layout_of_its_own_is_an_obstacle(void **state)
{
    (void)state;
    assert_null(parse("-shared a.o -Wl,--version-script=x.map,-Bsymbolic").obstacle);
    static const char *const layouts[] = {"-T x.ld", "-Tx.ld", "-Wl,-T,x.ld", "-Wl,--script=x.ld",
                                          "-Wl,-dT,x.ld"};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        const char *obstacle = parse(layouts[i]).obstacle;
        assert_non_null(obstacle);
        assert_non_null(strstr(obstacle, "layout of its own"));
        assert_non_null(strstr(obstacle, "x.ld"));
        assert_non_null(strstr(obstacle, "link without it"));
    }
    assert_non_null(strstr(parse("-Wl,-init,start").obstacle, "start"));
    assert_non_null(strstr(parse("-Wl,-b,binary,x.png").obstacle, "binary"));
    assert_non_null(strstr(parse("-shared -x c -").obstacle, "standard input"));
    assert_non_null(strstr(parse("-shared a/x.c b/x.cc").obstacle, "x.cc"));
    assert_null(parse("-shared a/x.o b/x.o a/x.c").obstacle);
}

static void
test_sources_are_told_from_objects(void **state)
{
    (void)state;
    assert_false(parse("-shared a.o b.a c.so d.so.1.2 e.rlib f").has_sources);
    assert_true(parse("-shared a.o b.c").has_sources);
    assert_true(parse("-shared -x c a.o").has_sources);
    assert_false(parse("-shared -x c -x none a.o").has_sources);
}

static void
test_objects_are_remembered_unless_the_link_may_pass_them_over(void **state)
{
    (void)state;
    struct kiln_command_line line =
        parse("-pthread -L a.o -Lb.o --library-directory c.o -Wl,-L,d.o -Wl,--library-path -Wl,e.o "
              "x.o -lm.o -l n.o y.a z.so f.c -Wl,--start-lib lazy.o -Wl,--end-lib -Wl,x/y.o -o "
              "out.o x.o");
    assert_string_equal(join(&line.objects), "x.o|x/y.o|x.o");
}

/* -- Response files -- */

static void
test_response_files_follow_gccs_quoting(void **state)
{
    (void)state;
    static const struct {
        const char *text, *args;
    } cases[] = {
        {"a b\tc\nd\r\ne\vf\fg", "a|b|c|d|e|f|g"},
        {"  a  ", "a"},
        {"", ""},
        {" \n ", ""},
        {"'a b' \"c d\"", "a b|c d"},
        {"'a\"b' \"c'd\"", "a\"b|c'd"},
        {"a\\ b \\'c \\\\d \\\"e", "a b|'c|\\d|\"e"},
        {"'a\\'b' \"c\\\"d\" 'e\\f'", "a'b|c\"d|ef"},
        {"a'b c'd", "ab cd"},
        {"'' a \"\"", "|a|"},
        {"'unended a", "unended a"},
        {"a\\", "a"},
        {"a\\\nb", "a\nb"},
        {"#a", "#a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kiln_strings args = split(cases[i].text);
        assert_string_equal(join(&args), cases[i].args);
    }
}

static void
test_what_is_formatted_is_read_back(void **state)
{
    (void)state;
    struct kiln_strings args = {0}, again = {0};
    static const char *const texts[] = {"a", "", "b c", "d'e\"f\\g", "\n", "\\", "@x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        kiln_strings_push(&ctx.arena, &args, texts[i]);
    }
    kiln_response_parse(&ctx, kiln_response_format(&ctx, &args), &again);
    assert_int_equal(again.count, args.count);
    for (size_t i = 0; i < args.count; i++) {
        assert_string_equal(again.items[i], args.items[i]);
    }
}

static const char *
write_response(const char *name, const char *text)
{
    const char *path = kiln_arena_printf(&ctx.arena, "%s/%s", kiln_ctx_get_tmpdir(&ctx), name);
    assert_int_equal(kiln_file_write(&ctx, path, kiln_span_of_string(text)), 0);
    return path;
}

static void
test_response_files_nest_and_may_be_missing(void **state)
{
    (void)state;
    const char *inner = write_response("inner", "-shared 'a b.o'");
    const char *outer =
        write_response("outer", kiln_arena_printf(&ctx.arena, "@%s @/no/such/file -o x.so", inner));
    struct kiln_command_line line = parse(kiln_arena_printf(&ctx.arena, "@%s", outer));
    assert_true(line.makes_shared);
    assert_true(line.has_response);
    assert_string_equal(line.output, "x.so");
    assert_string_equal(join(&line.trace), "-shared|a b.o|@/no/such/file");
    assert_string_equal(get_trace(kiln_arena_printf(&ctx.arena, "-Wl,@%s", inner)),
                        "-Xlinker|-shared|-Xlinker|a b.o");
}

static void
test_response_files_without_end_are_left_to_the_compiler(void **state)
{
    (void)state;
    const char *path = kiln_arena_printf(&ctx.arena, "%s/loop", kiln_ctx_get_tmpdir(&ctx));
    write_response("loop", kiln_arena_printf(&ctx.arena, "-shared a.o @%s", path));
    assert_false(parse(kiln_arena_printf(&ctx.arena, "-shared a.o @%s", path)).makes_shared);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_shared_link_is_told_from_all_else),
        TEST(test_the_output_is_found_in_every_spelling),
        TEST(test_the_traced_link_writes_and_prints_nothing_of_its_own),
        TEST(test_linker_arguments_keep_their_order_and_values),
        TEST(test_options_are_not_mistaken_for_others),
        TEST(test_what_changes_symbols_goes_to_the_combining_link),
        TEST(test_a_layout_of_its_own_is_an_obstacle),
        TEST(test_sources_are_told_from_objects),
        TEST(test_objects_are_remembered_unless_the_link_may_pass_them_over),
        TEST(test_response_files_follow_gccs_quoting),
        TEST(test_what_is_formatted_is_read_back),
        TEST(test_response_files_nest_and_may_be_missing),
        TEST(test_response_files_without_end_are_left_to_the_compiler),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
