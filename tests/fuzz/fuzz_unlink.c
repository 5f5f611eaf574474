/* Unlinking, all of it: a shared object as an extension, beside a sound one, for a program that starts with
 * stand-ins of libc, libm, libgcc_s and libstdc++. All of them are files in
 * memory; libraries of other names are looked for where the system has them. What is written must be
 * an object that the gate of src/elf accepts. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/dso.h"
#include "elf/elf.h"
#include "base/file.h"
#include "unlink/dynobj.h"
#include "unlink/unlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_WRITTEN = 4 << 20 }; /* of an image that is worth the time */

static const char *
make_file(int *fd, const void *bytes, size_t len)
{
    static char paths[16][32];
    static size_t count;
    *fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, bytes, len) != (ssize_t)len) {
        abort();
    }
    char *path = paths[count++];
    snprintf(path, sizeof paths[0], "/proc/self/fd/%d", *fd);
    return path;
}

static const char *
make_library(const char *soname, const char *const *functions)
{
    struct test_dso dso;
    int fd;
    test_dso_init(&dso, soname);
    for (; *functions != NULL; functions++) {
        test_dso_add_function(&dso, *functions);
    }
    test_dso_add_symbol(&dso, "errno", STB_GLOBAL, STT_TLS, 1, 8);
    test_dso_add_tag(&dso, DT_FLAGS, DF_STATIC_TLS);
    test_dso_find_tag(&dso, DT_VERSYM)->d_un.d_ptr = 0; /* answers every version */
    return make_file(&fd, &dso, TEST_DSO_FILE_SIZE);
}

static const char *
make_program(void)
{
    static const char *const c[] = {"malloc",          "free",           "memcpy", "strlen",
                                    "__cxa_finalize",  "__tls_get_addr", "dlopen", "dlsym",
                                    "dl_iterate_phdr", "puts",           "abort",  NULL};
    static const char *const cxx[] = {"_Znwm",
                                      "_ZdlPvm",
                                      "_ZdlPv",
                                      "__cxa_throw",
                                      "__cxa_begin_catch",
                                      "__cxa_end_catch",
                                      "__cxa_allocate_exception",
                                      "__cxa_free_exception",
                                      "__cxa_pure_virtual",
                                      "__gxx_personality_v0",
                                      "_ZTIi",
                                      "_ZTVN10__cxxabiv117__class_type_infoE",
                                      "_ZTVN10__cxxabiv120__si_class_type_infoE",
                                      "_ZSt9terminatev",
                                      "__cxa_guard_acquire",
                                      "__cxa_guard_release",
                                      NULL};
    static const char *const m[] = {"sin", "cos", NULL};
    static const char *const gcc[] = {"_Unwind_Resume", "__gcc_personality_v0", NULL};
    struct test_dso dso;
    int fd;
    test_dso_init(&dso, NULL);
    test_dso_add_text(&dso, DT_NEEDED, make_library("libc.so.6", c));
    test_dso_add_text(&dso, DT_NEEDED, make_library("libm.so.6", m));
    test_dso_add_text(&dso, DT_NEEDED, make_library("libgcc_s.so.1", gcc));
    test_dso_add_text(&dso, DT_NEEDED, make_library("libstdc++.so.6", cxx));
    test_dso_add_function(&dso, "PyModule_Create2");
    test_dso_add_function(&dso, "PyModuleDef_Init");
    test_dso_add_symbol(&dso, "_Py_NoneStruct", STB_GLOBAL, STT_OBJECT, 1, TEST_DSO_AT(data));
    test_dso_find_tag(&dso, DT_VERSYM)->d_un.d_ptr = 0;
    return make_file(&fd, &dso, TEST_DSO_FILE_SIZE);
}

/* An extension with one of each: a variable that is one for the process, thread-local ones, an ifunc. */
static const char *
make_other(void)
{
    struct test_dso dso;
    int fd;
    test_dso_init(&dso, NULL);
    test_dso_add_function(&dso, "PyInit_other");
    test_dso_add_symbol(&dso, "only", STB_GNU_UNIQUE, STT_OBJECT, 1, TEST_DSO_AT(data));
    test_dso_add_symbol(&dso, "local", STB_GLOBAL, STT_TLS, 1, 8);
    test_dso_add_symbol(&dso, "chosen", STB_GLOBAL, STT_GNU_IFUNC, 1, TEST_DSO_AT(code));
    test_dso_add_symbol(&dso, "malloc", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0);
    for (uint32_t i = 1; i < 6; i++) {
        static const uint32_t types[] = {
            0, R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_TPOFF64, R_X86_64_64, R_X86_64_JUMP_SLOT};
        test_dso_add_rela(&dso, TEST_DSO_AT(data) + i * (uint64_t)16, types[i], i, 0);
    }
    return make_file(&fd, &dso, TEST_DSO_FILE_SIZE);
}

static struct {
    const char *program, *other, *input, *output;
    int input_fd, output_fd;
} files;

static void
make_files(void)
{
    if (files.program == NULL) {
        files.program = make_program();
        files.other = make_other();
        files.input = make_file(&files.input_fd, "", 0);
        files.output = make_file(&files.output_fd, "", 0);
    }
}

static void
check_output(void)
{
    struct kiln_ctx ctx = {0};
    struct kiln_file file;
    struct kiln_elf elf;
    if (kiln_file_map(&ctx, files.output, &file) < 0 ||
        kiln_elf_init(&ctx, file.bytes, "output.o", &elf) < 0)
    {
        abort();
    }
    kiln_elf_release(&elf);
    kiln_file_release(&file);
    kiln_ctx_release(&ctx);
}

static void
unlink_input(bool pie)
{
    struct kiln_ctx ctx = {0};
    struct kiln_unlink_module modules[] = {
        {.name = "m", .path = files.input, .inits = {{"PyInit_m", "kiln_0"}, {"none", "kiln_0"}}},
        {.name = "other",
         .path = files.other,
         .inits = {{"PyInit_other", "kiln_1"}, {"none", "kiln_1"}}}};
    struct kiln_unlink unlink = {.modules = modules,
                                 .module_count = 2,
                                 .program = files.program,
                                 .machine = kiln_machine_find(EM_X86_64),
                                 .pie = pie,
                                 .separate_code = pie,
                                 .bindings = pie ? "/dev/null" : NULL};
    int result = kiln_unlink(&ctx, &unlink, files.output);
    if (getenv("FUZZ_REASONS") != NULL) {
        for (size_t i = 0; i < 2; i++) {
            fprintf(stderr, "%s\n", modules[i].reason == NULL ? "unlinked" : modules[i].reason);
        }
    }
    /* One that is damaged does no harm to another, unless they may have to do with each other as files. */
    const char *reason = modules[1].reason;
    bool is_due = modules[0].reason != NULL && reason != NULL &&
                  (strncmp(reason, "the process has one ", 20) == 0 ||
                   strstr(reason, "needs from anywhere") != NULL);
    if (result < 0 || (reason != NULL && !is_due)) {
        abort();
    }
    check_output();
    kiln_ctx_release(&ctx);
}

/* Every symbol can be asked for, and what is found has that name. */
static bool
read_input(struct kiln_span bytes)
{
    struct kiln_ctx ctx = {0};
    struct kiln_dynobj dso;
    bool result = kiln_dynobj_read(&ctx, bytes, "fuzz.so", &dso) == NULL;
    for (size_t i = 0; result && i < dso.symbol_count && i < 4096; i++) {
        struct kiln_dynobj_symbol symbol, found;
        if (kiln_dynobj_get_symbol(&dso, i, &symbol)) {
            const struct kiln_dynobj_wanted wanted = {
                .name = symbol.name,
                .version = symbol.version == NULL ? NULL : symbol.version->name};
            if (kiln_dynobj_find(&dso, &wanted, &found) && strcmp(found.name, symbol.name) != 0) {
                abort();
            }
        }
    }
    result = result && dso.size <= SIZE_MAX_WRITTEN && dso.tls.p_memsz <= SIZE_MAX_WRITTEN;
    kiln_ctx_release(&ctx);
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_files();
    if (read_input(kiln_span_of(data, size))) {
        if (ftruncate(files.input_fd, 0) != 0 ||
            pwrite(files.input_fd, data, size, 0) != (ssize_t)size) {
            abort();
        }
        unlink_input(false);
        unlink_input(true);
    }
    return 0;
}
