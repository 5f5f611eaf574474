"""Files that `kiln link` leaves alone, with a reason, and instrumented extensions, which it may."""

import subprocess

from constructs import OneOf, construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

# _a is what the construct makes of it, _good is baked all the same.
BESIDE = r"""
--- a.c
#include "module.h"
static int n = 5;
int *pointer = &n;
F(f) { return N((*pointer)++); }
MODULE(M(f))
--- build
ext _good a.c
"""
GOOD = 'good = load("_good"); answer = [good.f(), '
LOADS = GOOD + 'load("_a").f()]'
LEFT = GOOD + '0]'
FAILS = GOOD + 'failure("_a")[1].replace(SUFFIX, "SUFFIX")]'


def left(name, build, stays, code=LEFT, expect=(5, 0), **more):
    return construct(name, BESIDE + build, code, list(expect) if isinstance(expect, tuple) else expect, stays=stays, **more)


def patched(name, place, byte, stays, **more):
    """_a with one byte changed."""
    return left(name, f"ext _a a.c; printf '\\x{byte:02x}' | dd of=$OUT/_a$SUF bs=1 seek={place} conv=notrunc status=none", stays, **more)


INSTRUMENTED = r"""
--- a.c
#include "module.h"
__attribute__((noinline)) static int choose(int n) { int values[4] = {1, 2, 3, 4}; return n < 0 ? -1 : values[n & 3] + n; }
F(f) { int *heap = malloc(40); heap[3] = choose(2); int got = heap[3]; free(heap); return N(got); }
MODULE(M(f))
--- build
"""
# A child that ends as programs do writes its counts.
COUNTS = """
if os.fork() == 0:
    a = load("_a")
    os.write(1, f"{a.f()}\\n".encode())
    sys.stdout.flush()
    import ctypes
    ctypes.CDLL(None).exit(0)
os.wait()
answer = sorted(name.split(".")[-1] for name in os.listdir(HERE) if name.endswith(".gcda"))
"""


def find_library(name):
    return subprocess.run(["gcc", f"-print-file-name={name}"], stdout=subprocess.PIPE, text=True).stdout.strip()


CONSTRUCTS = [
    left("stays_text_relocations", r"""
cat >b.s <<'X'
    .text
    .globl get
get: movabs $value, %rax
    mov (%rax), %eax
    ret
    .data
    .globl value
value: .long 44
    .section .note.GNU-stack,"",@progbits
X
cat >a.c <<'X'
#include "module.h"
int get(void) __attribute__((visibility("hidden")));
F(f) { return N(get()); }
MODULE(M(f))
X
ext _a a.c b.s -fuse-ld=bfd -Wl,-z,notext
""", "(?i)text", LOADS, [5, 44]),
    left("stays_version_missing", r"""
cat >b.c <<'X'
int get(void) { return 44; }
int other(void) { return 1; }
X
cat >c.c <<'X'
#include "module.h"
__attribute__((weak)) int get(void);
int other(void);
F(f) { return N(get == NULL ? other() : get()); }
MODULE(M(f))
X
echo 'BOTH { global: other; }; OLD { global: get; };' >old.map
echo 'BOTH { global: other; }; NEW { global: get; };' >new.map
lib one b.c -Wl,--version-script=old.map
ext _a c.c "$OUT/lib/lib${CON}_one.so" -fuse-ld=lld
lib one b.c -Wl,--version-script=new.map
""", "version `OLD' of .*_one.so not found", GOOD + "\"version `OLD' not found\" in failure('_a')[1]]", [5, True], needs=("ld.lld",)),
    left("stays_executable_stack", "ext _a a.c -Wl,-z,execstack", "(?i)stack",
         GOOD + '(failure("_a") or [0, str(load("_a").f())])[1].replace(SUFFIX, "SUFFIX")]',
         OneOf([[5, "5"], [5, "HERE/_aSUFFIX: cannot enable executable stack as shared object requires: Invalid argument"]])),
    left("stays_writable_code", r"""
cat >b.s <<'X'
    .section .changing, "awx", @progbits
    .globl get
get: mov $45, %eax
    ret
    .section .note.GNU-stack,"",@progbits
X
cat >a.c <<'X'
#include "module.h"
int get(void) __attribute__((visibility("hidden")));
F(f) { char *at = (char *)get; at[1]++; return N(get()); }
MODULE(M(f))
X
ext _a a.c b.s -fuse-ld=bfd
""", "(?i)writ.*exec|exec.*writ|W\\+X", LOADS, [5, 46]),
    left("stays_rel_instead_of_rela", "ext _a a.c -fuse-ld=lld -Wl,-z,rel", "DT_REL\\b", needs=("ld.lld",)),
    left("stays_initfirst", "ext _a a.c -Wl,-z,initfirst", "(?i)initfirst", LOADS, [5, 5]),
    left("stays_global", "ext _a a.c -fuse-ld=bfd -Wl,-z,global", "(?i)global", LOADS, [5, 5]),
    left("stays_filter", "mkdir $OUT/lib; ext _a a.c -Wl,-F,libm.so.6", "(?i)filter", LOADS, [5, 5]),
    left("stays_auxiliary", "ext _a a.c -Wl,-f,libm.so.6", "(?i)auxiliary", LOADS, [5, 5]),
    left("stays_audit", "ext _a a.c -fuse-ld=bfd -Wl,--audit=libnonexistent.so", "(?i)audit", LOADS, [5, 5]),
    left("stays_not_to_be_opened", "ext _a a.c -Wl,-z,nodlopen", "(?i)open", FAILS,
         [5, "HERE/_aSUFFIX: shared object cannot be dlopen()ed"]),
    left("stays_program", "echo 'int main(void) { return 0; }' >b.c; gcc -pie -fPIE b.c -o $OUT/_a$SUF", "(?i)program|executable|PIE", FAILS,
         [5, "HERE/_aSUFFIX: cannot dynamically load position-independent executable"]),
    left("stays_program_at_an_address", "echo 'int main(void) { return 0; }' >b.c; gcc -no-pie b.c -o $OUT/_a$SUF", "(?i)program|executable|shared object",
         FAILS, [5, "HERE/_aSUFFIX: cannot dynamically load executable"]),
    left("stays_object_file", "gcc -c -fPIC -I$INC -I. -DINIT=PyInit__a '-DMOD=\"_a\"' a.c -o $OUT/_a$SUF", "(?i)object|shared", FAILS,
         [5, "HERE/_aSUFFIX: only ET_DYN and ET_EXEC can be loaded"]),
    left("stays_32_bit", "echo 'int n;' >b.c; gcc -m32 -shared -nostdlib -fPIC b.c -o $OUT/_a$SUF", "(?i)32|class|64|machine", FAILS,
         [5, "HERE/_aSUFFIX: wrong ELF class: ELFCLASS32"]),
    patched("stays_other_machine", 18, 183, "(?i)machine|aarch64|x86", code=FAILS,
            expect=[5, "HERE/_aSUFFIX: cannot open shared object file: No such file or directory"]),
    patched("stays_big_endian", 5, 2, "(?i)endian|order|data|ELF", code=FAILS, expect=[5, "HERE/_aSUFFIX: ELF file data encoding not little-endian"]),
    patched("stays_other_system", 7, 9, "(?i)ABI|system|ELF", code=FAILS, expect=[5, "HERE/_aSUFFIX: ELF file OS ABI invalid"]),
    left("stays_cut", "ext _a a.c; truncate -s 9000 $OUT/_a$SUF", "(?i)cut|short|beyond|damaged|end|outside|truncated"),
    left("stays_cut_in_the_header", "ext _a a.c; truncate -s 40 $OUT/_a$SUF", "(?i)cut|short|beyond|damaged|end|outside|truncated|ELF", FAILS,
         [5, "HERE/_aSUFFIX: file too short"]),
    left("stays_empty", ": >$OUT/_a$SUF", "(?i)empty|short|ELF|shared", FAILS, [5, "HERE/_aSUFFIX: file too short"]),
    left("stays_garbage", "head -c 20000 /dev/zero | tr '\\0' 'x' >$OUT/_a$SUF", "(?i)ELF|shared", FAILS, [5, "HERE/_aSUFFIX: invalid ELF header"]),
    left("stays_linker_script", "echo 'INPUT(-lm)' >$OUT/_a$SUF; printf '%0200d' 0 >>$OUT/_a$SUF", "(?i)ELF|shared"),
    left("stays_debug_information_only", "ext _a a.c -g; objcopy --only-keep-debug $OUT/_a$SUF x; mv x $OUT/_a$SUF", "."),
    left("stays_things_that_are_no_files", """
mkdir $OUT/directory$SUF; ln -s nowhere $OUT/dangling$SUF; mkfifo $OUT/fifo$SUF; ln -s /dev/zero $OUT/zero$SUF; ln -s . $OUT/circle
""", ""),
    construct("stays_with_its_library", r"""
--- a.c
#include "module.h"
int of_one(void);
F(f) { return N(of_one()); }
MODULE(M(f))
--- b.c
#include "module.h"
int of_two(void);
F(f) { return N(of_two()); }
MODULE(M(f))
--- c.c
#include "module.h"
F(f) { return N(9); }
MODULE(M(f))
--- build
echo 'static int n = 10; int of_two(void) { return n++; }' >two.c; lib two two.c
echo 'int of_two(void); int of_one(void) { return of_two(); }' >one.c; lib one one.c ${L}two -Wl,-z,initfirst
ext _a a.c ${L}one; ext _b b.c ${L}two; ext _good c.c
""", 'answer = [load("_a").f(), load("_b").f(), load("_a").f(), load("_good").f()]', [10, 11, 12, 9], stays="one"),
    construct("instrumented_address", INSTRUMENTED + "ext _a a.c -fsanitize=address -g", 'answer = load("_a").f()', 5, stays="(?i)asan|sanitizer", either=True,
              env={"LD_PRELOAD": find_library("libasan.so"), "ASAN_OPTIONS": "detect_leaks=0"}),
    construct("instrumented_address_without_preload", INSTRUMENTED + "ext _a a.c -fsanitize=address -g", 'answer = load("_a").f()', None, status=1,
              stays="(?i)asan|sanitizer", either=True),
    construct("instrumented_undefined", INSTRUMENTED + "ext _a a.c -fsanitize=undefined -g", 'answer = load("_a").f()', 5, stays="(?i)ubsan|sanitizer", either=True),
    construct("instrumented_undefined_and_stripped", INSTRUMENTED + "ext _a a.c -fsanitize=undefined -fno-sanitize-recover -s", 'answer = load("_a").f()', 5,
              stays="sanitizer"),
    construct("instrumented_leak", INSTRUMENTED + "ext _a a.c -fsanitize=leak -g", 'answer = load("_a").f()', 5, stays="sanitizer",
              env={"LD_PRELOAD": find_library("liblsan.so"), "LSAN_OPTIONS": "detect_leaks=0"}),
    construct("instrumented_thread", INSTRUMENTED + "ext _a a.c -fsanitize=thread -g", 'a = failure("_a"); answer = a and a[1].endswith("cannot allocate memory in static TLS block")',
              True, stays="(?i)tsan|sanitizer", either=True),
    construct("instrumented_coverage", INSTRUMENTED + "ext _a a.c --coverage", COUNTS, ["gcda"], prints="5\n", stays="(?i)gcov|coverage|profil", either=True,
              env={"GCOV_PREFIX": "HERE", "GCOV_PREFIX_STRIP": "100"}),
    construct("instrumented_profile", INSTRUMENTED + "ext _a a.c -fprofile-generate -fprofile-update=atomic", COUNTS, ["gcda"], prints="5\n",
              stays="(?i)gcov|coverage|profil", either=True, env={"GCOV_PREFIX": "HERE", "GCOV_PREFIX_STRIP": "100"}),
    construct("instrumented_gprof", INSTRUMENTED + "ext _a a.c -pg", 'answer = load("_a").f()', 5, stays="(?i)mcount|profil", either=True),
    # libc has functions of these names, and comes first.
    construct("instrumented_functions", r"""
--- a.c
#include "module.h"
static int entered, left;
__attribute__((no_instrument_function)) void __cyg_profile_func_enter(void *f, void *site) { entered++; }
__attribute__((no_instrument_function)) void __cyg_profile_func_exit(void *f, void *site) { left++; }
__attribute__((noinline)) static int inner(void) { return 1; }
F(f) { inner(); return Py_BuildValue("ii", entered > 1, left > 0); }
MODULE(M(f))
--- build
ext _a a.c -finstrument-functions
""", 'answer = load("_a").f()', [0, 0]),
    construct("instrumented_stack_protector", INSTRUMENTED + "ext _a a.c -fstack-protector-all -D_FORTIFY_SOURCE=2 -O2 -fstack-clash-protection",
              'answer = load("_a").f()', 5),
]
