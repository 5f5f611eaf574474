/* Unlinking made-up shared objects: the reason for each thing that lets one stay a file, that others
 * are not harmed by it, and that what is written is an object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "dso.h"
#include "elf/elf.h"
#include "kiln/internal/images.h"
#include "unlink/unlink.h"

enum { MODULES = 3 };

static struct kiln_ctx ctx;
static struct test_dso dsos[MODULES];
static struct kiln_unlink_module modules[MODULES];
static bool is_pie;

/* The first of them, which most tests damage. */
static struct test_dso *const dso = &dsos[0];

static const char *
get_path(const char *name)
{
    return kiln_arena_printf(&ctx.arena, "%s/%s", kiln_ctx_get_tmpdir(&ctx), name);
}

static void
write_dso(const char *name, const struct test_dso *bytes)
{
    assert_int_equal(kiln_file_write(&ctx, get_path(name), test_dso_bytes(bytes)), 0);
}

/* A program with a libc, whose functions answer every version. */
static void
write_program(void)
{
    struct test_dso bytes;
    test_dso_init(&bytes, "libc.so.6");
    test_dso_find_tag(&bytes, DT_VERSYM)->d_un.d_ptr = 0;
    test_dso_add_function(&bytes, "malloc");
    test_dso_add_symbol(&bytes, "errno", STB_GLOBAL, STT_TLS, 1, 8);
    write_dso("libc.so.6", &bytes);
    test_dso_init(&bytes, NULL);
    test_dso_find_tag(&bytes, DT_VERSYM)->d_un.d_ptr = 0;
    test_dso_add_text(&bytes, DT_RUNPATH, "$ORIGIN");
    test_dso_add_text(&bytes, DT_NEEDED, "libc.so.6");
    test_dso_add_function(&bytes, "PyModule_Create2");
    write_dso("program", &bytes);
}

static int
set_up(void **state)
{
    (void)state;
    ctx = (struct kiln_ctx){0};
    is_pie = false;
    write_program();
    for (size_t i = 0; i < MODULES; i++) {
        test_dso_init(&dsos[i], NULL);
        test_dso_add_text(&dsos[i], DT_RUNPATH, "$ORIGIN");
        test_dso_add_function(&dsos[i], "PyInit_m");
    }
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    kiln_ctx_release(&ctx);
    return 0;
}

/* Unlink the first COUNT of them to output.o. Returns the number of images. */
static size_t
unlink_modules(size_t count)
{
    struct kiln_unlink unlink = {.modules = modules,
                                 .module_count = count,
                                 .program = get_path("program"),
                                 .machine = kiln_machine_find(EM_X86_64),
                                 .pie = is_pie};
    kiln_strings_push(&ctx.arena, &unlink.roots, kiln_ctx_get_tmpdir(&ctx));
    for (size_t i = 0; i < count; i++) {
        const char *name = kiln_arena_printf(&ctx.arena, "m%zu.so", i);
        write_dso(name, &dsos[i]);
        modules[i] = (struct kiln_unlink_module){
            .name = "m",
            .path = get_path(name),
            .inits = {{"PyInit_m", kiln_arena_printf(&ctx.arena, "kiln_%zu", i)},
                      {"none", "none"}}};
    }
    assert_int_equal(kiln_unlink(&ctx, &unlink, get_path("output.o")), 0);
    return unlink.image_count;
}

static void
assert_unlinked(void)
{
    unlink_modules(1);
    if (modules[0].reason != NULL) {
        fail_msg("%s", modules[0].reason);
    }
}

/* Both ways; a copy is kept, as the test goes on with it. */
static void
assert_stays(const char *reason)
{
    for (int pie = 0; pie < 2; pie++) {
        is_pie = pie;
        unlink_modules(1);
        if (modules[0].reason == NULL || strcmp(modules[0].reason, reason) != 0) {
            fail_msg("\"%s\" is not \"%s\"",
                     modules[0].reason == NULL ? "unlinked" : modules[0].reason, reason);
        }
    }
    is_pie = false;
    test_dso_init(dso, NULL);
    test_dso_add_text(dso, DT_RUNPATH, "$ORIGIN");
    test_dso_add_function(dso, "PyInit_m");
}

static uint32_t
add_outside(const char *name)
{
    return test_dso_add_symbol(dso, name, STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0);
}

/* -- What is written -- */

static struct kiln_span
get_section(const char *name)
{
    struct kiln_file file;
    struct kiln_elf elf;
    assert_int_equal(kiln_file_map(&ctx, get_path("output.o"), &file), 0);
    assert_int_equal(kiln_elf_init(&ctx, file.bytes, "output.o", &elf), 0);
    size_t index = kiln_elf_find_section(&elf, name);
    assert_true(index != 0);
    struct kiln_span bytes = kiln_elf_get_contents(&elf, index);
    char *copy = kiln_arena_alloc(&ctx.arena, bytes.len + 1);
    memcpy(copy, bytes.ptr, bytes.len);
    bytes.ptr = (const uint8_t *)copy;
    kiln_elf_release(&elf);
    kiln_file_release(&file);
    return bytes;
}

/* One of each kind of word. */
static void
add_words(void)
{
    uint32_t only =
        test_dso_add_symbol(dso, "only", STB_GNU_UNIQUE, STT_OBJECT, 1, TEST_DSO_AT(data[8]));
    uint32_t local = test_dso_add_symbol(dso, "local", STB_GLOBAL, STT_TLS, 1, 8);
    uint32_t chosen =
        test_dso_add_symbol(dso, "chosen", STB_GLOBAL, STT_GNU_IFUNC, 1, TEST_DSO_AT(code));
    uint32_t malloc_symbol = add_outside("malloc"), create = add_outside("PyModule_Create2");
    const struct {
        uint32_t type, symbol;
    } words[] = {{R_X86_64_RELATIVE, 0},       {R_X86_64_64, only},
                 {R_X86_64_TPOFF64, local},    {R_X86_64_64, chosen},
                 {R_X86_64_64, malloc_symbol}, {R_X86_64_JUMP_SLOT, malloc_symbol},
                 {R_X86_64_GLOB_DAT, create},  {R_X86_64_DTPMOD64, 0}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        test_dso_add_rela(dso, TEST_DSO_AT(data[16]) + i * 16, words[i].type, words[i].symbol, 0);
    }
    dso->relr[0] = TEST_DSO_AT(data[60]);
    dso->data[60] = TEST_DSO_AT(code);
    test_dso_add_tag(dso, DT_RELR, TEST_DSO_AT(relr));
    test_dso_add_tag(dso, DT_RELRSZ, 8);
}

static void
test_what_is_written_is_an_object(void **state)
{
    (void)state;
    add_words();
    for (int pie = 0; pie < 2; pie++) {
        is_pie = pie;
        assert_unlinked();
        struct kiln_span image = get_section(".kiln_image");
        assert_int_equal(image.len, sizeof dsos[0]); /* whole pages */
        assert_memory_equal(image.ptr + TEST_DSO_AT(symbols), dso->symbols, sizeof dso->symbols);
        get_section(".text.kiln_images");
        const char *command =
            kiln_arena_printf(&ctx.arena, "readelf -W -a %s 2>&1 >/dev/null", get_path("output.o"));
        char line[200] = "";
        FILE *readelf = popen(command, "r"); /* says what it does not like to standard error */
        assert_non_null(readelf);
        if (fgets(line, sizeof line, readelf) != NULL && strstr(line, "not found") == NULL) {
            fail_msg("%s", line);
        }
        pclose(readelf);
    }
}

static void
test_same_inputs_give_the_same_bytes(void **state)
{
    (void)state;
    struct kiln_file first, second;
    add_words();
    assert_unlinked();
    assert_int_equal(rename(get_path("output.o"), get_path("first.o")), 0);
    assert_unlinked();
    assert_int_equal(kiln_file_map(&ctx, get_path("first.o"), &first), 0);
    assert_int_equal(kiln_file_map(&ctx, get_path("output.o"), &second), 0);
    assert_true(kiln_span_equal(first.bytes, second.bytes));
    kiln_file_release(&first);
    kiln_file_release(&second);
}

/* -- One that stays a file, and the others -- */

static void
test_one_that_is_damaged_does_no_harm_to_others(void **state)
{
    (void)state;
    memset(dso, 0xff, sizeof *dso);
    assert_int_equal(unlink_modules(2), 1);
    assert_string_equal(modules[0].reason, "it is not an ELF file");
    assert_null(modules[1].reason);
}

/* -- Reasons -- */

static void
test_a_variable_of_the_process_must_be_inside(void **state)
{
    (void)state;
    static const uint64_t values[] = {sizeof *dso + 1, UINT64_MAX, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint32_t only = test_dso_add_symbol(dso, "only", STB_GNU_UNIQUE, STT_OBJECT, 1, values[i]);
        test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, only, 0);
        assert_stays(kiln_arena_printf(&ctx.arena, "the symbol only of %s is outside of it",
                                       get_path("m0.so")));
    }
}

static void
test_what_resolves_an_ifunc_must_be_inside(void **state)
{
    (void)state;
    uint32_t chosen =
        test_dso_add_symbol(dso, "chosen", STB_GLOBAL, STT_GNU_IFUNC, 1, UINT64_C(1) << 33);
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, chosen, 0);
    assert_stays(kiln_arena_printf(&ctx.arena, "the symbol chosen of %s is outside of it",
                                   get_path("m0.so")));
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_IRELATIVE, 0, INT64_MIN);
    assert_stays("a relocation leads out of it");
}

static void
test_relocations_must_be_inside(void **state)
{
    (void)state;
    test_dso_add_rela(dso, sizeof *dso - 7, R_X86_64_RELATIVE, 0, 0);
    assert_stays("a relocation is for a place outside of it");
    test_dso_add_rela(dso, UINT64_MAX - 3, R_X86_64_RELATIVE, 0, 0);
    assert_stays("a relocation is for a place outside of it");
    test_dso_add_rela(dso, TEST_DSO_AT(code), R_X86_64_RELATIVE, 0, 0);
    assert_stays("a relocation is for a place that cannot be written");
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_RELATIVE, 0, -1);
    assert_stays("a relocation leads out of it");
    uint32_t data = test_dso_add_symbol(dso, "data", STB_GLOBAL, STT_OBJECT, 1, TEST_DSO_AT(data));
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, data, INT64_MAX); /* wraps around */
    assert_stays("a relocation leads out of it");
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_RELATIVE, 0, 0);
    test_dso_add_rela(dso, TEST_DSO_AT(data) + 4, R_X86_64_64, 0, 0);
    dso->relas[1].r_info = ELF64_R_INFO(add_outside("malloc"), R_X86_64_64);
    assert_stays("two of its relocations overlap");
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, 1000, 0);
    assert_stays("a relocation names a symbol that it has not");
    test_dso_add_rela(dso, TEST_DSO_AT(data), 99, 0, 0);
    assert_stays("it has a relocation of an unknown type, 99");
    test_dso_find_tag(dso, DT_RELASZ)->d_un.d_val = UINT64_MAX;
    assert_stays("its relocations are damaged");
}

/* Each byte of a bitmap names eight words: 4 KB of them, again and again, are more than there are. */
static void
test_relr_names_no_more_words_than_there_are(void **state)
{
    (void)state;
    dso->relr[0] = TEST_DSO_AT(data);
    dso->relr[1] = dso->relr[3] = UINT64_MAX;
    dso->relr[2] = TEST_DSO_AT(data);
    test_dso_add_tag(dso, DT_RELR, TEST_DSO_AT(relr));
    test_dso_add_tag(dso, DT_RELRSZ, 16);
    assert_unlinked();
    test_dso_find_tag(dso, DT_RELRSZ)->d_un.d_val = 32;
    assert_stays("two of its relocations overlap");
    dso->relr[0] = sizeof *dso - 16;
    dso->relr[1] = UINT64_MAX;
    test_dso_add_tag(dso, DT_RELR, TEST_DSO_AT(relr));
    test_dso_add_tag(dso, DT_RELRSZ, 16);
    assert_stays("its relative relocations are damaged");
}

static void
test_thread_local_references_lead_to_thread_local_variables(void **state)
{
    (void)state;
    static const uint32_t types[] = {R_X86_64_DTPMOD64, R_X86_64_DTPOFF64, R_X86_64_TPOFF64};
    for (size_t i = 0; i < 3; i++) {
        test_dso_add_rela(dso, TEST_DSO_AT(data), types[i], add_outside("malloc"), 0);
        assert_stays("a thread-local reference leads to what is not thread-local");
    }
    static const int64_t addends[] = {INT64_MAX, -16, 100};
    for (size_t i = 0; i < 3; i++) {
        uint32_t local = test_dso_add_symbol(dso, "local", STB_GLOBAL, STT_TLS, 1, 8);
        test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_TPOFF64, local, addends[i]);
        assert_stays("a thread-local reference leads out of its block");
    }
    uint32_t local = test_dso_add_symbol(dso, "local", STB_GLOBAL, STT_TLS, 1, 8);
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, local, 0);
    assert_stays("a relocation asks for the address of a thread-local variable");
    /* A library's that is there from the start has its place then. */
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_TPOFF64, add_outside("errno"), 0);
    assert_unlinked();
}

static void
test_segments_must_be_of_the_usual_form(void **state)
{
    (void)state;
    dso->phdrs[1].p_flags |= PF_X;
    assert_stays("it has a segment that is both writable and executable");
    dso->phdrs[1].p_align = 3;
    assert_stays("it has a segment with an unusual alignment");
    dso->phdrs[1].p_align = 4 << 20;
    assert_stays("it has a segment with an unusual alignment");
    dso->phdrs[1].p_memsz = 300 << 20;
    assert_stays("more than 256 MB of its memory are zeros");
    dso->phdrs[4].p_memsz = 65 << 20;
    assert_stays("its thread-local segment is damaged, or has an unusual alignment");
    dso->phdrs[4].p_filesz = sizeof *dso;
    assert_stays("its thread-local segment is damaged, or has an unusual alignment");
    dso->phdrs[5].p_vaddr = 0;
    assert_stays("its PT_GNU_RELRO is not in a segment that can be written");
    dso->phdrs[3].p_flags |= PF_X;
    assert_stays("it wants an executable stack");
}

static void
test_functions_that_are_called_must_be_inside(void **state)
{
    (void)state;
    test_dso_add_tag(dso, DT_INIT, UINT64_C(1) << 32 | TEST_DSO_AT(code));
    assert_stays("its DT_INIT or DT_FINI is not a function");
    test_dso_add_tag(dso, DT_FINI, TEST_DSO_AT(data));
    assert_stays("its DT_INIT or DT_FINI is not a function");
    test_dso_add_tag(dso, DT_INIT_ARRAY, TEST_DSO_AT(data));
    test_dso_add_tag(dso, DT_INIT_ARRAYSZ, sizeof *dso);
    assert_stays("its DT_INIT_ARRAY or DT_FINI_ARRAY is damaged");
    test_dso_add_tag(dso, DT_FINI_ARRAY, TEST_DSO_AT(data) + 4);
    test_dso_add_tag(dso, DT_FINI_ARRAYSZ, 8);
    assert_stays("its DT_INIT_ARRAY or DT_FINI_ARRAY is damaged");
    dso->symbols[1].st_value = TEST_DSO_AT(data);
    assert_stays("its PyInit_m is not a function");
    dso->symbols[1].st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC);
    assert_stays("it does not define PyInit_m or none");
}

/* Where what asks dl_iterate_phdr() finds them. */
static void
test_program_headers_may_be_in_any_segment(void **state)
{
    (void)state;
    memcpy(dso->data, dso->phdrs, sizeof dso->phdrs);
    dso->header.e_phoff = offsetof(struct test_dso, data);
    assert_unlinked();
    struct kiln_image record;
    struct kiln_span tables = get_section(".rodata.kiln_images");
    size_t at = (sizeof(struct kiln_images) + 7) / 8 * 8;
    assert_true(kiln_span_read(tables, at, &record, sizeof record));
    assert_int_equal(record.program_headers, TEST_DSO_AT(data));
    /* One that ends before them. */
    dso->header.e_phoff = TEST_DSO_FILE_SIZE - sizeof dso->phdrs;
    memmove((char *)dso + dso->header.e_phoff, dso->phdrs, sizeof dso->phdrs);
    Elf64_Phdr last;
    char *place = (char *)dso + dso->header.e_phoff + sizeof last;
    memcpy(&last, place, sizeof last);
    last.p_filesz -= 8;
    memcpy(place, &last, sizeof last);
    memset((char *)dso + dso->header.e_phoff + 4 * sizeof last, 0, 4); /* no PT_TLS */
    unlink_modules(1);
    assert_string_equal(modules[0].reason, "its program headers are in none of its segments");
}

static void
test_a_reason_is_one_line(void **state)
{
    (void)state;
    test_dso_add_rela(dso, TEST_DSO_AT(data), R_X86_64_64, add_outside("a\nb\033[2J"), 0);
    assert_stays("undefined symbol: a?b?[2J");
}

/* 2 MB for a page each, if they are aligned so. */
static void
test_alignment_counts_as_size(void **state)
{
    (void)state;
    enum { COUNT = 800 };
    struct kiln_unlink_module *many = calloc(COUNT, sizeof *many);
    assert_non_null(many);
    dso->phdrs[0].p_align = dso->phdrs[1].p_align = 2 << 20;
    for (size_t i = 0; i < COUNT; i++) {
        const char *name = kiln_arena_printf(&ctx.arena, "many%zu.so", i);
        write_dso(name, dso);
        many[i] = (struct kiln_unlink_module){
            .name = "m", .path = get_path(name), .inits = {{"PyInit_m", name}, {"none", name}}};
    }
    struct kiln_unlink unlink = {.modules = many,
                                 .module_count = COUNT,
                                 .program = get_path("program"),
                                 .machine = kiln_machine_find(EM_X86_64)};
    assert_int_equal(kiln_unlink(&ctx, &unlink, get_path("output.o")), 0);
    assert_true(unlink.image_count >= 600 && unlink.image_count <= 720); /* of 1.5 GB */
    free(many);
}

/* -- Needs -- */

/* lib0.so to lib<COUNT - 1>.so, each of which needs the next one. */
static void
write_chain(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct test_dso bytes;
        test_dso_init(&bytes, kiln_arena_printf(&ctx.arena, "lib%zu.so", i));
        test_dso_add_text(&bytes, DT_RUNPATH, "$ORIGIN");
        if (i + 1 < count) {
            test_dso_add_text(&bytes, DT_NEEDED, kiln_arena_printf(&ctx.arena, "lib%zu.so", i + 1));
        }
        write_dso(kiln_arena_printf(&ctx.arena, "lib%zu.so", i), &bytes);
    }
    test_dso_add_text(dso, DT_NEEDED, "lib0.so");
}

static void
test_libraries_of_libraries_are_unlinked(void **state)
{
    (void)state;
    write_chain(50);
    assert_int_equal(unlink_modules(1), 51);
    assert_int_equal(modules[0].images.count, 50);
}

static void
test_a_chain_of_needs_has_an_end(void **state)
{
    (void)state;
    write_chain(400);
    assert_int_equal(unlink_modules(2), 1);
    assert_non_null(strstr(modules[0].reason, ": it needs too many libraries"));
    assert_null(modules[1].reason);
}

static void
test_a_library_that_is_damaged_lets_those_that_need_it_stay_files(void **state)
{
    (void)state;
    write_chain(3);
    assert_int_equal(kiln_file_write(&ctx, get_path("lib2.so"),
                                     kiln_span_of("\x7f"
                                                  "ELF",
                                                  4)),
                     0);
    test_dso_add_text(&dsos[1], DT_NEEDED, "lib0.so");
    assert_int_equal(unlink_modules(3), 1);
    assert_non_null(strstr(modules[0].reason, "which is not found"));
    assert_non_null(strstr(modules[1].reason, "which is not found"));
    assert_null(modules[2].reason);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_is_an_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_inputs_give_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_damaged_does_no_harm_to_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_variable_of_the_process_must_be_inside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_resolves_an_ifunc_must_be_inside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_relocations_must_be_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_relr_names_no_more_words_than_there_are, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_thread_local_references_lead_to_thread_local_variables,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_segments_must_be_of_the_usual_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_functions_that_are_called_must_be_inside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_program_headers_may_be_in_any_segment, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_reason_is_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alignment_counts_as_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_libraries_of_libraries_are_unlinked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_chain_of_needs_has_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_library_that_is_damaged_lets_those_that_need_it_stay_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
