"""Forms of shared objects that Kiln has not built: what linkers and their options make of segments,
sections, hash tables and relocations."""


from constructs import construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

# A source with something of everything: own and foreign calls, pointers, relocated and read-only data,
# a jump table, .bss, a constructor.
PLAIN = r"""
--- b.c
int number = 40;
int add(int n) { return number += n; }
const char *const words[] = {"zero", "one", "two"};
--- a.c
#include "module.h"
#include <math.h>
extern int number;
extern const char *const words[];
int add(int n);
static int started, zeros[5000];
__attribute__((constructor)) void start(void) { started = 1; }
static const char *const names[] = {"a", "b", "c"};
static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*const functions[])(void) = {one, two};
double root = 2;
__attribute__((noinline)) static int choose(int n) {
    switch (n) {
    case 0: return 12; case 1: return 75; case 2: return -3; case 3: return add(0); case 4: return zeros[7]; case 5: return 44;
    default: return -1;
    }
}
__attribute__((noinline)) static int jump(int n) {
    static void *const labels[] = {&&first, &&second};
    goto *labels[n];
first: return 100;
second: return 200;
}
F(f) {
    int sum = 0;
    for (int i = 0; i < 7; i++) sum += choose(i);
    zeros[7]++;
    int added = add(2);
    return Py_BuildValue("iissiiiid", started, sum, names[2], words[1], functions[0]() + functions[1](), added, number, jump(1),
                         sqrt(root));
}
MODULE(M(f))
--- build
"""
PLAIN_CODE = 'a = load("_a"); answer = [a.f(), a.f()]'
PLAIN_ANSWER = [[1, 167, "c", "one", 3, 42, 42, 200, 2 ** 0.5], [1, 170, "c", "one", 3, 44, 44, 200, 2 ** 0.5]]
DEFAULT = "lib one b.c FLAGS; ext _a a.c ${L}one -lm FLAGS"
FINISH = "{}\nfor file in $OUT/*.so $OUT/lib/*.so; do\n{}\ndone"


def plain(name, flags="", build=DEFAULT, **more):
    return construct(name, PLAIN + build.replace("FLAGS", flags), PLAIN_CODE, PLAIN_ANSWER, **more)


def finished(name, command, **more):
    """With COMMAND run on each file."""
    return plain(name, build=FINISH.format(DEFAULT.replace("FLAGS", ""), command), **more)


# Without the section headers: the file ends with the last segment.
CUT_SECTIONS = r"""python3 - $file <<'X'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
phoff, = struct.unpack_from("<Q", data, 32)
count, = struct.unpack_from("<H", data, 56)
end = max(sum(struct.unpack_from("<8xQ", data, phoff + 56 * i) + struct.unpack_from("<32xQ", data, phoff + 56 * i)) for i in range(count))
struct.pack_into("<Q", data, 40, 0)
struct.pack_into("<HH", data, 60, 0, 0)
open(sys.argv[1], "wb").write(data[:end])
X
"""

LINKERS = {"bfd": "ld.bfd", "gold": "ld.gold", "lld": "ld.lld", "mold": "mold"}

ALIGNED = r"""
--- a.c
#include "module.h"
__attribute__((aligned(ALIGN))) int data[3] = {1, 2, 3};
__attribute__((aligned(ALIGN))) static int zeros[3];
F(f) {
    data[0]++; zeros[0]++;
    return Py_BuildValue("nniii", (size_t)data % ALIGN, (size_t)zeros % ALIGN, data[0], data[2], zeros[0]);
}
MODULE(M(f))
--- build
"""

CONSTRUCTS = [
    plain("plain"),
    *[plain(f"by_{linker}", f"-fuse-ld={linker}", needs=(tool,)) for linker, tool in LINKERS.items()],
    plain("by_clang", build="CC=clang lib one b.c; CC=clang ext _a a.c ${L}one -lm", needs=("clang",)),
    plain("optimized_2", "-O2"),
    plain("optimized_3_native_tuning", "-O3 -ftree-vectorize"),
    plain("not_optimized", "-O0"),
    plain("debug_information", "-g3 -gz"),
    plain("lto", "-flto -O2"),
    plain("now", "-Wl,-z,now"),
    plain("lazy", "-Wl,-z,lazy"),
    plain("no_relro", "-Wl,-z,norelro"),
    plain("full_relro_no_plt", "-fno-plt -Wl,-z,relro,-z,now"),
    plain("gc_sections", "-ffunction-sections -fdata-sections -Wl,--gc-sections"),
    plain("large_model", "-mcmodel=large"),
    plain("medium_model_large_data", "-mcmodel=medium -mlarge-data-threshold=8"),
    *[plain(f"hash_{style}", f"-Wl,--hash-style={style}") for style in ("sysv", "gnu", "both")],
    plain("separate_code", "-Wl,-z,separate-code"),
    plain("no_separate_code", "-Wl,-z,noseparate-code"),
    plain("one_segment_by_lld", "-fuse-ld=lld -Wl,--no-rosegment", needs=("ld.lld",)),
    plain("rosegment_by_gold", "-fuse-ld=gold -Wl,--rosegment", needs=("ld.gold",)),
    plain("relr_by_lld", "-fuse-ld=lld -Wl,--pack-dyn-relocs=relr", needs=("ld.lld",)),
    plain("relr_by_mold", "-fuse-ld=mold -Wl,--pack-dyn-relocs=relr", needs=("mold",)),
    plain("emitted_relocations", "-Wl,--emit-relocs"),
    plain("no_combined_relocations", "-Wl,-z,nocombreloc"),
    plain("no_start_files", "-nostartfiles"),
    plain("build_id_and_notes", "-Wl,--build-id=sha1 -fcf-protection=full"),
    plain("no_control_flow_protection", "-fcf-protection=none"),
    plain("rpath_of_the_old_kind", "-Wl,--disable-new-dtags"),
    plain("no_unwind_tables", "-fno-asynchronous-unwind-tables -fno-unwind-tables"),
    plain("two_mib_pages", "-Wl,-z,max-page-size=0x200000"),
    plain("pages_of_64k", "-Wl,-z,max-page-size=0x10000 -Wl,-z,common-page-size=0x10000"),
    plain("undefined_in_libraries_allowed", "-Wl,--unresolved-symbols=ignore-all"),
    plain("without_libc", build="lib one b.c -nostdlib; ext _a a.c ${L}one -lm"),
    plain("origin_flag", "-Wl,-z,origin -Wl,-z,nodelete"),
    plain("two_gots", "-Wl,-z,relro -Wl,-O2 -Wl,--sort-common"),
    plain("init_instead_of_array", build="lib one b.c; ext _a a.c -Dconstructor=used ${L}one -lm -Wl,-init=start"),
    plain("assembled", build=DEFAULT.replace("FLAGS", "").replace("a.c", "a.s").replace(
        "lib one b.c", "lib one b.c; gcc -S -O2 -fPIC -I$INC -I. '-DMOD=\"_a\"' -DINIT=PyInit__a a.c -o a.s")),
    finished("stripped", "strip $file"),
    finished("stripped_debug_only", "strip -g $file"),
    finished("stripped_by_llvm", "/usr/bin/llvm-strip-14 $file || strip $file"),
    finished("without_section_headers", CUT_SECTIONS),
    finished("patchelf_rpath", "patchelf --set-rpath '$ORIGIN:$ORIGIN/lib:/nonexistent/of/some/length/that/does/not/fit' $file", needs=("patchelf",)),
    finished("patchelf_old_rpath", "patchelf --force-rpath --set-rpath '$ORIGIN:$ORIGIN/lib:/nonexistent/of/some/length' $file", needs=("patchelf",)),
    finished("patchelf_twice", "for n in 1 2 3; do patchelf --set-rpath \"\\$ORIGIN:\\$ORIGIN/lib:/$(printf %0$((n*700))d 0)\" $file; done",
             needs=("patchelf",)),
    plain("patchelf_needed_of_another_name", build=DEFAULT.replace("FLAGS", "") + r"""
mv $OUT/lib/lib${CON}_one.so $OUT/lib/lib${CON}_one-0a1b2c3d.so.1.2.3
patchelf --set-soname lib${CON}_one-0a1b2c3d.so.1.2.3 $OUT/lib/lib${CON}_one-0a1b2c3d.so.1.2.3
patchelf --replace-needed lib${CON}_one.so lib${CON}_one-0a1b2c3d.so.1.2.3 $OUT/_a$SUF
""", needs=("patchelf",)),
    plain("library_without_soname", build="lib one b.c; gcc -shared -fPIC b.c -o $OUT/lib/lib${CON}_one.so; cd $OUT/lib; cp lib${CON}_one.so x; mv x lib${CON}_one.so; cd -; ext _a a.c ${L}one -lm"),
    plain("library_through_symbolic_links", build=r"""
lib one b.c; cd $OUT/lib; mv lib${CON}_one.so lib${CON}_one.so.1.0; ln -s lib${CON}_one.so.1.0 lib${CON}_one.so; cd - >/dev/null
ext _a a.c ${L}one -lm
"""),
    construct("bss_of_30_mib", r"""
--- a.c
#include "module.h"
static char small[100], block[30 << 20], after[10];
int data = 3;
F(f) { block[0]++; block[sizeof block - 1] += 2; block[15 << 20] = 3; after[9]++; small[0]--; return Py_BuildValue("iiiiii", block[0], block[sizeof block - 1],
    block[15 << 20], block[20 << 20], after[9], small[0]); }
MODULE(M(f))
""", PLAIN_CODE, [[1, 2, 3, 0, 1, -1], [2, 4, 3, 0, 2, -2]]),
    construct("bss_of_70_kib", r"""
--- a.c
#include "module.h"
static char block[70000];
static int data = 9;
F(f) { int sum = 0; for (int i = 0; i < 70000; i++) sum += block[i]; block[69999] = 1; block[0] = 2; return Py_BuildValue("ii", sum, data++); }
MODULE(M(f))
""", PLAIN_CODE, [[0, 9], [3, 10]]),
    construct("data_aligned_to_64_kib", ALIGNED + "ext _a a.c -DALIGN=65536 -Wl,-z,max-page-size=65536", PLAIN_CODE,
              [[0, 0, 2, 3, 1], [0, 0, 3, 3, 2]]),
    construct("data_aligned_to_64_kib_by_lld", ALIGNED + "ext _a a.c -DALIGN=65536 -Wl,-z,max-page-size=65536 -fuse-ld=lld", PLAIN_CODE,
              [[0, 0, 2, 3, 1], [0, 0, 3, 3, 2]], needs=("ld.lld",)),
    construct("data_aligned_to_4_kib", ALIGNED + "ext _a a.c -DALIGN=4096", PLAIN_CODE, [[0, 0, 2, 3, 1], [0, 0, 3, 3, 2]]),
    construct("relro_data", r"""
--- a.c
#include "module.h"
#include <stdio.h>
int target = 5;
int *const constant[2] = {&target, &target};
static int *changing[2] = {&target, 0};
static const char text[] = "text";
static char writable(const void *at) {
    char line[500], got = '?';
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char flags[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, flags) == 3 && from <= (unsigned long)at && (unsigned long)at < to) got = flags[1];
    }
    fclose(maps);
    return got;
}
F(f) { changing[1] = changing[0]; *constant[1] += 1; return Py_BuildValue("ccci", writable(constant), writable(changing), writable(text), *changing[1]); }
MODULE(M(f))
--- build
ext _a a.c -Wl,-z,relro,-z,now
""", "a = load('_a'); answer = [[x.decode() if isinstance(x, bytes) else x for x in a.f()]]", [["-", "w", "-", 6]]),
    construct("sections_of_its_own", r"""
--- a.c
#include "module.h"
struct entry { const char *name; int (*call)(int); };
static int twice(int n) { return 2 * n; }
static int square(int n) { return n * n; }
#define ENTRY(n) __attribute__((used, section("registry"))) static struct entry n##_entry = {#n, n}
ENTRY(twice);
ENTRY(square);
extern struct entry __start_registry[], __stop_registry[];
__attribute__((section(".text.own"), noinline)) static int elsewhere(int n) { return n + 1; }
F(f) {
    int sum = 0;
    for (struct entry *e = __start_registry; e < __stop_registry; e++) sum += e->call(5) + e->name[0] - e->name[0];
    return Py_BuildValue("ini", sum, __stop_registry - __start_registry, elsewhere(1));
}
MODULE(M(f))
""", PLAIN_CODE, [[35, 2, 2]] * 2),
    construct("nothing_to_relocate", r"""
--- a.c
#include <Python.h>
static struct PyModuleDef def;
PyObject *PyInit__a(void) {
    def.m_base.ob_base.ob_refcnt = 1;
    def.m_name = "_a";
    def.m_size = -1;
    PyObject *m = PyModule_Create(&def);
    if (m) PyModule_AddIntConstant(m, "n", 5);
    return m;
}
--- build
ext _a a.c -nostdlib -fno-plt -Wl,-z,now
""", 'a = load("_a"); answer = a.n', 5),
    construct("many_relocations", r"""
--- a.c
#include "module.h"
#define A(n) &cells[n], &cells[n + 1], &cells[n + 2], &cells[n + 3], &cells[n + 4], &cells[n + 5], &cells[n + 6], &cells[n + 7],
#define B(n) A(n) A(n + 8) A(n + 16) A(n + 24) A(n + 32) A(n + 40) A(n + 48) A(n + 56)
#define C(n) B(n) B(n + 64) B(n + 128) B(n + 192) B(n + 256) B(n + 320) B(n + 384) B(n + 448)
int cells[5000];
static int *pointers[] = {C(0) C(512) C(1024) C(1536) C(2048) C(2560) C(3072) C(3584)};
static struct { char gap[24]; int *at; } spread[] = {{"", cells}, {"", cells + 1}, {"", cells + 2}};
F(f) {
    long wrong = 0, n = sizeof pointers / sizeof *pointers;
    for (long i = 0; i < n; i++) wrong += pointers[i] != cells + i;
    for (long i = 0; i < 3; i++) wrong += spread[i].at != cells + i;
    return Py_BuildValue("ll", n, wrong);
}
MODULE(M(f))
--- build
ext _a a.c; ext _b a.c -fuse-ld=lld -Wl,--pack-dyn-relocs=relr; ext _c a.c -fvisibility=hidden
""", 'answer = [load(n).f() for n in ("_a", "_b", "_c")]', [[4096, 0]] * 3, needs=("ld.lld",)),
    construct("vector_constants", r"""
--- a.c
#include "module.h"
#include <immintrin.h>
static const float table[8] __attribute__((aligned(32))) = {1, 2, 3, 4, 5, 6, 7, 8};
F(f) { __m128 sum = _mm_add_ps(_mm_load_ps(table), _mm_load_ps(table + 4)); float out[4]; _mm_storeu_ps(out, sum);
       return Py_BuildValue("ffffn", out[0], out[1], out[2], out[3], (size_t)table % 32); }
MODULE(M(f))
""", PLAIN_CODE, [[6.0, 8.0, 10.0, 12.0, 0]] * 2),
    construct("own_assembly", r"""
--- b.S
    .text
    .globl own_add, own_table
    .type own_add, @function
own_add:
    .cfi_startproc
    endbr64
    push %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    lea table(%rip), %rbx
    movslq (%rbx,%rdi,4), %rax
    add %rbx, %rax
    mov (%rax), %eax
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size own_add, .-own_add
    .section .rodata
table: .long first - table, second - table
first: .long 31
second: .long 32
    .data
    .type own_table, @object
    .size own_table, 16
own_table: .quad own_add, own_table
    .section .note.GNU-stack,"",@progbits
--- a.c
#include "module.h"
int own_add(long);
extern void *own_table[2];
F(f) { return Py_BuildValue("iiii", own_add(0), own_add(1), own_table[0] == (void *)own_add, own_table[1] == own_table); }
MODULE(M(f))
--- build
ext _a a.c b.S
""", PLAIN_CODE, [[31, 32, 1, 1]] * 2),
    construct("equal_extensions", r"""
--- a.c
#include "module.h"
static int n;
F(f) { return N(++n); }
MODULE(M(f))
--- build
ext _a a.c; mkdir $OUT/one $OUT/two; touch $OUT/one/__init__.py $OUT/two/__init__.py
cp $OUT/_a$SUF $OUT/one; cp $OUT/_a$SUF $OUT/two
""", 'answer = [load("_a").f(), load("one._a").f(), load("two._a").f(), load("_a").f()]', [1, 1, 1, 2]),
]
