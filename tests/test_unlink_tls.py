"""Thread-local variables of shared objects that Kiln has not built: models, sizes, threads."""

from constructs import OneOf, construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

COUNT = r"""
--- a.c
#include "module.h"
LINKAGE __thread long before = 7, count = 42, zero;
F(f) { zero++; return Py_BuildValue("lll", before, count++, zero); }
MODULE(M(f))
--- build
ext _a a.c """
COUNT_CODE = """
early = Early()
a = load("_a")
answer = [a.f(), a.f(), early(a.f), in_thread(a.f), early(a.f), a.f()]
"""
COUNTED = [[7, 42, 1], [7, 43, 2], [7, 42, 1], [7, 42, 1], [7, 43, 2], [7, 44, 3]]

LARGE = r"""
--- a.c
#include "module.h"
EXTRA __thread struct { int first; char space[SIZE]; int last; } block = {1, {0}, 9};
F(f) { char *at = block.space + sizeof block.space / 2; return Py_BuildValue("iii", block.first++, block.last--, (*at)++); }
F(address) { return N((size_t)&block % ALIGN); }
MODULE(M(f), M(address))
--- build
ext _a a.c """
LARGE_CODE = """
early = Early()
a = load("_a")
answer = [a.f(), a.f(), early(a.f), in_thread(a.f), early(a.f), a.address(), early(a.address), in_thread(a.address)]
"""
LARGE_ANSWER = [[1, 9, 0], [2, 8, 1], [1, 9, 0], [1, 9, 0], [2, 8, 1], 0, 0, 0]

CROSS = r"""
--- b.c
__thread int shared = 5;
__thread char more[100];
int bump(void) { return ++shared; }
--- a.c
#include "module.h"
extern __thread int shared;
extern __thread char more[];
int bump(void);
F(f) { bump(); shared += 10; return Py_BuildValue("ii", shared, more[99]++); }
MODULE(M(f))
--- build
lib one b.c FLAGS
ext _a a.c ${L}one FLAGS
"""
CROSS_ANSWER = [[16, 0], [27, 1], [16, 0], [16, 0]]
CROSS_CODE = 'early = Early(); a = load("_a"); answer = [a.f(), a.f(), early(a.f), in_thread(a.f)]'

# What ld.so says of static blocks that do not fit: an executable has room for them.
REFUSED = ["ImportError", "HERE/_a{}: cannot allocate memory in static TLS block"]
REFUSED_CODE = 'e = failure("_a"); answer = e and e[1].endswith("cannot allocate memory in static TLS block") or "loads"'


def count(name, *flags, linkage="", more="", **kwargs):
    return construct(name, COUNT + " ".join([f"-DLINKAGE={linkage}", *flags]) + more, COUNT_CODE, COUNTED, **kwargs)


def large(name, size, *flags, align=4, extra="", **kwargs):
    defines = [f"-DSIZE={size}", f"-DALIGN={align}", f"'-DEXTRA={extra}'"]
    return construct(name, LARGE + " ".join([*defines, *flags]), LARGE_CODE, LARGE_ANSWER, **kwargs)


CONSTRUCTS = [
    count("tls_general_dynamic", "-ftls-model=global-dynamic"),
    count("tls_local_dynamic", "-ftls-model=local-dynamic", linkage="static"),
    count("tls_local_dynamic_unoptimized", "-O0 -ftls-model=local-dynamic", linkage="static"),
    count("tls_hidden", "-fvisibility=hidden"),
    count("tls_initial_exec", "-ftls-model=initial-exec"),
    count("tls_initial_exec_local", "-ftls-model=initial-exec", linkage="static"),
    count("tls_descriptors", "-mtls-dialect=gnu2"),
    count("tls_descriptors_local", "-mtls-dialect=gnu2", linkage="static"),
    count("tls_descriptors_now", "-mtls-dialect=gnu2 -Wl,-z,now"),
    count("tls_descriptors_lld", "-mtls-dialect=gnu2 -fuse-ld=lld", needs=("ld.lld",)),
    count("tls_clang", more="; CC=clang ext _a a.c -DLINKAGE=static", needs=("clang",)),
    count("tls_by_gold", "-fuse-ld=gold", needs=("ld.gold",)),
    count("tls_by_lld", "-fuse-ld=lld", needs=("ld.lld",)),
    count("tls_by_mold", "-fuse-ld=mold", needs=("mold",)),
    count("tls_no_plt", "-fno-plt"),
    count("tls_large_model", "-mcmodel=large"),
    large("tls_300k", 300000),
    large("tls_300k_descriptors", 300000, "-mtls-dialect=gnu2"),
    large("tls_300k_local", 300000, extra="static"),
    large("tls_aligned_64", 100, align=64, extra="_Alignas(64)"),
    large("tls_aligned_4096", 5000, align=4096, extra="_Alignas(4096)"),
    large("tls_aligned_4096_descriptors", 5000, "-mtls-dialect=gnu2", align=4096, extra="_Alignas(4096)"),
    construct("tls_unique_of_two_extensions", r"""
--- h.h
inline thread_local int shared_value = 5;
inline int bump() { return ++shared_value; }
--- a.cc
#include "module.h"
#include "h.h"
F(f) { return N(bump()); }
MODULE(M(f))
--- build
extcc _a a.cc -std=c++17
extcc _b a.cc -std=c++17
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), a.f()]', [6, 7, 8]),
    # The other definer's constructors do not run because of it.
    construct("tls_unique_of_one_that_is_not_imported", r"""
--- a.cc
#include "module.h"
inline thread_local int shared_value = 5;
__attribute__((constructor)) static void construct() { setenv("CONSTRUCTED", MOD, 1); }
F(f) { return Py_BuildValue("is", ++shared_value, getenv("CONSTRUCTED")); }
MODULE(M(f))
--- build
extcc _a a.cc -std=c++17
extcc _b a.cc -std=c++17
""", 'b = load("_b").f(); answer = [b, load("_a").f(), in_thread(load("_a").f)]', [[6, "_b"], [7, "_a"], [6, "_a"]]),
    construct("tls_unique_of_another_version", r"""
--- a.cc
#include "module.h"
inline thread_local int versioned_value = VERSION;
F(f) { return N(++versioned_value); }
MODULE(M(f))
--- build
extcc _a a.cc -std=c++17 -DVERSION=5
extcc _b a.cc -std=c++17 -DVERSION=50
extcc _c a.cc -std=c++17 -DVERSION=5
""", 'b = load("_b"); answer = [b.f(), load("_a").f(), b.f(), load("_c").f()]', [51, 52, 53, 54],
              stays="one thread-local variable versioned_value, and its definitions differ"),
    construct("tls_unique_with_an_address", r"""
--- a.cc
#include "module.h"
static int number = VERSION;
inline thread_local int *pointer = &number;
F(f) { return N((*pointer)++); }
MODULE(M(f))
--- build
for name in _a _b _c; do extcc $name a.cc -std=c++17 -DVERSION=${#name}; done
""", 'answer = [load("_c").f(), load("_a").f(), load("_b").f()]', [2, 3, 4], stays="one thread-local variable pointer, and its definitions differ"),
    construct("tls_across_libraries", CROSS.replace("FLAGS", ""), CROSS_CODE, CROSS_ANSWER),
    construct("tls_across_libraries_descriptors", CROSS.replace("FLAGS", "-mtls-dialect=gnu2"), CROSS_CODE, CROSS_ANSWER),
    construct("tls_across_libraries_initial_exec", CROSS.replace("FLAGS", "-ftls-model=initial-exec"), CROSS_CODE, CROSS_ANSWER),
    construct("tls_mixed_models", CROSS.replace("one b.c FLAGS", "one b.c").replace("FLAGS", "-ftls-model=initial-exec"),
              CROSS_CODE, CROSS_ANSWER),
    construct("tls_initial_exec_200k", LARGE + "-DSIZE=200000 -DALIGN=4 -DEXTRA= -ftls-model=initial-exec", REFUSED_CODE, True,
              unlinked=lambda: ("loads", ""), why="the executable has room for static blocks of any size"),
    construct("tls_initial_exec_aligned", LARGE + "-DSIZE=5000 -DALIGN=4096 '-DEXTRA=_Alignas(4096)' -ftls-model=initial-exec",
              REFUSED_CODE, True, unlinked=lambda: ("loads", ""), why="the same"),
    construct("tls_pointers_in_initial_data", r"""
--- a.c
#include "module.h"
static int target = 3;
int global = 4;
static __thread int *own = &target, *other = &global;
static __thread int (*function)(const char *) = atoi;
static __thread PyTypeObject *type = &PyLong_Type;
F(f) { return Py_BuildValue("iiii", (*own)++, (*other)++, function("12"), type == &PyLong_Type); }
MODULE(M(f))
--- build
ext _a a.c
""", 'early = Early(); a = load("_a"); answer = [a.f(), early(a.f), in_thread(a.f)]', [[3, 4, 12, 1], [4, 5, 12, 1], [5, 6, 12, 1]]),
    construct("tls_key_destructor", r"""
--- a.c
#include "module.h"
#include <pthread.h>
static __thread int mine = 10;
static int seen;
static pthread_key_t key;
static void destroy(void *value) { seen = seen * 100 + ++mine; if (mine < 13) pthread_setspecific(key, value); }
F(f) { pthread_setspecific(key, &key); return N(++mine); }
F(get) { return N(seen); }
__attribute__((constructor)) static void make(void) { pthread_key_create(&key, destroy); }
MODULE(M(f), M(get))
""", """
import time
a = load("_a")
answer = [in_thread(a.f)]
for _ in range(500):  # join() may return before the thread's destructors
    if a.get() == 1213: break
    time.sleep(0.01)
answer.append(a.get())
""", [11, 1213]),
    construct("tls_key_destructor_large", r"""
--- a.c
#include "module.h"
#include <pthread.h>
static __thread char space[100000];
static __thread int mine = 10;
static int seen;
static pthread_key_t key;
static void destroy(void *value) { space[5000]++; seen = ++mine + space[5000]; }
F(f) { pthread_setspecific(key, &key); space[5000] = 1; return N(++mine); }
F(get) { return N(seen); }
__attribute__((constructor)) static void make(void) { pthread_key_create(&key, destroy); }
MODULE(M(f), M(get))
""", """
import time
a = load("_a")
answer = [in_thread(a.f)]
for _ in range(500):
    if a.get(): break
    time.sleep(0.01)
answer.append(a.get())
""", [11, 14]),
    construct("tls_cxx_destructors", r"""
--- a.cc
#include "module.h"
#include <atomic>
static std::atomic<int> made, gone;
struct Counted { int n = 5; Counted() { made++; } ~Counted() { gone++; } };
static thread_local Counted counted;
struct Other { int n = 1; ~Other() { gone += 10; } };
thread_local Other other;
F(f) { return N(counted.n++ + other.n); }
F(get) { return Py_BuildValue("ii", (int)made, (int)gone); }
MODULE(M(f), M(get))
--- build
extcc _a a.cc
""", """
import time
a = load("_a")
answer = [a.f(), a.f(), in_thread(a.f), in_thread(a.f)]
for _ in range(500):
    if a.get()[1] == 22: break
    time.sleep(0.01)
answer.append(a.get())
""", [6, 7, 6, 6, [3, 22]]),
    construct("tls_cxx_across_libraries", r"""
--- h.h
struct Value { int n; Value(); ~Value(); };
extern thread_local Value value;
--- b.cc
#include "h.h"
Value::Value() : n(21) {}
Value::~Value() {}
thread_local Value value;
--- a.cc
#include "module.h"
#include "h.h"
F(f) { return N(value.n++); }
MODULE(M(f))
--- build
libcc one b.cc
extcc _a a.cc ${L}one
""", CROSS_CODE, [21, 22, 21, 21]),
    construct("tls_misaligned_stack", r"""
--- a.c
#include "module.h"
__thread struct { char space[20000]; int n; } block = {{0}, 5};
__attribute__((noinline, used)) int get(void) { return block.n++; }
F(f) {
    int got;
    __asm__ volatile("sub $8, %%rsp\n\tcall get@PLT\n\tadd $8, %%rsp" : "=a"(got) : :
                     "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return N(got);
}
MODULE(M(f))
--- build
ext _a a.c -mno-red-zone -ftls-model=global-dynamic -O1
""", 'early = Early(); a = load("_a"); answer = [early(a.f), a.f(), in_thread(a.f), early(a.f)]', [5, 5, 5, 6]),
    construct("tls_descriptors_keep_registers", r"""
--- a.c
#include "module.h"
__thread struct { char space[20000]; double n; } block = {{0}, 0.5};
__attribute__((noinline)) double sum(double a, double b, double c, double d, double e, double f, double g, double h,
                                     long i, long j, long k, long l, long m, long n) {
    block.n += 1;
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + i + 2 * j + 3 * k + 4 * l + 5 * m + 6 * n + block.n;
}
F(f) { return PyFloat_FromDouble(sum(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6)); }
MODULE(M(f))
--- build
ext _a a.c -mtls-dialect=gnu2 -O2
""", CROSS_CODE, OneOf([[296.5, 297.5, 296.5, 296.5], [90.5, 296.5, 90.5, 90.5]]),
              unlinked=lambda: ([296.5, 297.5, 296.5, 296.5], ""),
              why="glibc before 2.40 spoils vector registers where it allocates a block for a descriptor (its bug 31372)"),
    construct("tls_in_constructor", r"""
--- a.c
#include "module.h"
__thread int n = 1;
__attribute__((constructor)) static void start(void) { n = 100; }
F(f) { return N(n++); }
MODULE(M(f))
""", CROSS_CODE, [100, 101, 1, 1]),
    construct("tls_many_threads", r"""
--- a.c
#include "module.h"
static __thread struct { char space[3000]; long n; } block = {{1}, 1000};
F(f) { for (int i = 0; i < 500; i++) { block.n++; block.space[i * 6]++; } return N(block.n + block.space[0]); }
MODULE(M(f))
""", """
a = load("_a")
results = []
threads = [threading.Thread(target=lambda: results.extend([a.f(), a.f()])) for _ in range(60)]
[t.start() for t in threads]
[t.join() for t in threads]
answer = sorted(set(results)) + [len(results)]
""", [1502, 2003, 120]),
    construct("tls_fork", COUNT + "-DLINKAGE=", """
a = load("_a")
a.f()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, json.dumps([a.f(), in_thread(a.f)]).encode())
    os._exit(0)
os.wait()
answer = [json.loads(os.read(read, 1000)), a.f()]
""", [[[7, 43, 2], [7, 42, 1]], [7, 43, 2]]),
    construct("tls_of_libstdcxx", r"""
--- a.cc
#include "module.h"
#include <mutex>
#include <thread>
static int called;
F(f) {
    static std::once_flag once;
    std::call_once(once, [](int by) { called += by; }, 7);
    std::thread([] { std::call_once(once, [] { called += 100; }); called++; }).join();
    return N(called);
}
MODULE(M(f))
--- build
extcc _a a.cc -pthread
""", 'a = load("_a"); answer = [a.f(), a.f()]', [8, 9]),
    construct("tls_errno_of_libc", r"""
--- a.c
#include "module.h"
#include <errno.h>
#include <netdb.h>
F(f) { int before = errno; errno = ENOENT; h_errno = 3; return Py_BuildValue("iOi", errno, before ? Py_True : Py_False, h_errno); }
F(raise) { errno = EACCES; return PyErr_SetFromErrno(PyExc_OSError); }
MODULE(M(f), M(raise))
""", """
a = load("_a")
answer = [a.f()[0], a.f()[2]]
try:
    a.__dict__["raise"]()
except OSError as error:
    answer.append(error.strerror)
""", [2, 3, "Permission denied"]),
    construct("tls_two_extensions_one_library", r"""
--- b.c
static __thread int n = 1;
int next(void) { return n++; }
--- a.c
#include "module.h"
int next(void);
F(f) { return N(next()); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
ext _b a.c ${L}one
""", 'early = Early(); a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), early(b.f), early(a.f), a.f()]', [1, 2, 1, 2, 3]),
]
