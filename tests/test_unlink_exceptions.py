"""Exceptions and unwinding in shared objects that Kiln has not built."""

from constructs import construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

WITHIN = r"""
--- a.cc
#include "module.h"
#include <stdexcept>
#include <string>
static int gone;
struct Guard { ~Guard() { gone++; } };
__attribute__((noinline)) void thrower(int n) {
    Guard guard;
    if (n == 0) throw std::runtime_error("zero " + std::to_string(n));
    if (n == 1) throw 42;
    throw std::string("text");
}
F(f) {
    std::string said;
    for (int n = 0; n < 3; n++) {
        try { Guard guard; thrower(n); }
        catch (const std::exception &error) { said += error.what(); }
        catch (int value) { said += " int " + std::to_string(value); }
        catch (...) { said += " other"; }
    }
    return Py_BuildValue("si", said.c_str(), gone);
}
MODULE(M(f))
--- build
"""
WITHIN_CODE = 'early = Early(); a = load("_a"); answer = [a.f(), in_thread(a.f), early(a.f)]'
WITHIN_ANSWER = [["zero 0 int 42 other", 6], ["zero 0 int 42 other", 12], ["zero 0 int 42 other", 18]]

ACROSS = r"""
--- h.h
#include <exception>
struct Base : std::exception { virtual int code() const { return 1; } };
struct Failure : Base { int n; Failure(int n) : n(n) {} int code() const override { return n; }
                        const char *what() const noexcept override { return "failure"; } };
void fail(int n);
int guarded(void (*call)());
--- b.cc
#include "h.h"
void fail(int n) { throw Failure(n); }
int guarded(void (*call)()) {
    try { call(); } catch (const Failure &failure) { return failure.n; }
    return -1;
}
--- a.cc
#include "module.h"
#include "h.h"
static void thrower() { throw Failure(8); }
F(f) {
    int got = 0;
    try { fail(7); } catch (const Base &base) { got = base.code(); }
    return Py_BuildValue("ii", got, guarded(thrower));
}
MODULE(M(f))
--- build
"""
ACROSS_CODE = 'a = load("_a"); answer = [a.f(), in_thread(a.f)]'

CONSTRUCTS = [
    construct("eh_within", WITHIN + "extcc _a a.cc", WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_clang", WITHIN + "CC=clang++ extcc _a a.cc", WITHIN_CODE, WITHIN_ANSWER, needs=("clang++",)),
    construct("eh_static_libgcc", WITHIN + "extcc _a a.cc -static-libgcc", WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_static_libstdcxx", WITHIN + "extcc _a a.cc -static-libgcc -static-libstdc++", WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_static_libstdcxx_hidden", WITHIN + "extcc _a a.cc -static-libgcc -static-libstdc++ -Wl,--exclude-libs,ALL",
              WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_large_model", WITHIN + "extcc _a a.cc -mcmodel=large", WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_by_gold", WITHIN + "extcc _a a.cc -fuse-ld=gold", WITHIN_CODE, WITHIN_ANSWER, needs=("ld.gold",)),
    construct("eh_by_lld", WITHIN + "extcc _a a.cc -fuse-ld=lld", WITHIN_CODE, WITHIN_ANSWER, needs=("ld.lld",)),
    construct("eh_by_mold", WITHIN + "extcc _a a.cc -fuse-ld=mold", WITHIN_CODE, WITHIN_ANSWER, needs=("mold",)),
    construct("eh_across_libraries", ACROSS + "libcc one b.cc; extcc _a a.cc ${L}one", ACROSS_CODE, [[7, 8], [7, 8]]),
    construct("eh_across_libraries_of_two_compilers", ACROSS + "CC=clang++ libcc one b.cc; extcc _a a.cc ${L}one",
              ACROSS_CODE, [[7, 8], [7, 8]], needs=("clang++",)),
    construct("eh_hidden_types_are_equal_by_name", ACROSS + """
libcc one b.cc; extcc _a a.cc ${L}one -fvisibility=hidden -Wl,--exclude-libs,ALL -Wl,-Bsymbolic
""", ACROSS_CODE, [[7, 8], [7, 8]]),
    construct("eh_through_c", r"""
--- b.c
int call(int (*function)(int), int n) { return function(n) + 1; }
--- a.cc
#include "module.h"
extern "C" int call(int (*function)(int), int n);
static int thrower(int n) { if (n) throw n; return 0; }
static int compare(const void *, const void *) { throw 3.5; }
F(f) {
    int got = 0;
    double sorted = 0;
    try { got = call(thrower, 5); } catch (int n) { got = n * 10; }
    int numbers[] = {2, 1};
    try { qsort(numbers, 2, sizeof *numbers, compare); } catch (double d) { sorted = d; }
    return Py_BuildValue("idi", got, sorted, call(thrower, 0));
}
MODULE(M(f))
--- build
lib one b.c -fexceptions
extcc _a a.cc ${L}one
""", ACROSS_CODE, [[50, 3.5, 1], [50, 3.5, 1]]),
    construct("eh_of_libstdcxx", r"""
--- a.cc
#include "module.h"
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
F(f) {
    std::string said;
    try { std::vector<int>(3).at(5); } catch (const std::out_of_range &) { said += "range "; }
    try { std::stoi("x"); } catch (const std::invalid_argument &e) { said += e.what(); }
    try { std::map<int, int>().at(1); } catch (const std::exception &) { said += " map"; }
    try { volatile size_t n = (size_t)1 << 62; operator delete(operator new(n)); } catch (const std::bad_alloc &) { said += " alloc"; }
    try { PyObject *o = nullptr; (void)o; throw std::bad_alloc(); } catch (...) { said += " all"; }
    return S(said.c_str());
}
MODULE(M(f))
--- build
extcc _a a.cc
""", ACROSS_CODE, ["range stoi map alloc all"] * 2),
    construct("eh_pointers_between_threads", r"""
--- a.cc
#include "module.h"
#include <exception>
#include <future>
#include <string>
#include <thread>
F(f) {
    std::exception_ptr held;
    std::thread([&] { try { throw std::string("there"); } catch (...) { held = std::current_exception(); } }).join();
    std::string said;
    try { std::rethrow_exception(held); } catch (const std::string &text) { said = text; }
    auto later = std::async(std::launch::async, []() -> int { throw 9; });
    try { later.get(); } catch (int n) { said += std::to_string(n); }
    try { try { throw 1; } catch (...) { std::throw_with_nested(std::runtime_error("outer")); } }
    catch (const std::exception &e) { try { std::rethrow_if_nested(e); } catch (int n) { said += e.what() + std::to_string(n); } }
    return S(said.c_str());
}
MODULE(M(f))
--- build
extcc _a a.cc -pthread
""", ACROSS_CODE, ["there9outer1"] * 2),
    construct("eh_in_constructor", r"""
--- a.cc
#include "module.h"
static int got;
struct Thrower { Thrower(int n) { if (n) throw n; } };
static struct Starter { Starter() { try { Thrower thrower(4); } catch (int n) { got = n; } } } starter;
F(f) { return N(got); }
MODULE(M(f))
--- build
extcc _a a.cc
""", ACROSS_CODE, [4, 4]),
    construct("eh_init_function_fails", r"""
--- a.cc
#include <Python.h>
#include <stdexcept>
static int tries;
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_a", NULL, -1, NULL, NULL, NULL, NULL, NULL};
static PyObject *make() { if (tries++ < 2) throw std::runtime_error("not yet"); return PyModule_Create(&def); }
PyMODINIT_FUNC PyInit__a(void) {
    try { return make(); } catch (const std::exception &error) { PyErr_SetString(PyExc_ImportError, error.what()); return NULL; }
}
--- build
extcc _a a.cc
""", 'answer = [failure("_a"), failure("_a"), failure("_a")]', [["ImportError", "not yet"], ["ImportError", "not yet"], None]),
    construct("eh_thread_cancelled", r"""
--- a.cc
#include "module.h"
#include <pthread.h>
#include <unistd.h>
static volatile int steps;
struct Guard { ~Guard() { __sync_fetch_and_add(&steps, 10); } };
static void clean(void *) { __sync_fetch_and_add(&steps, 100); }
__attribute__((noinline)) static void wait() { Guard guard; for (;;) { __sync_fetch_and_or(&steps, 1); usleep(1000); } }
static void *run(void *) { pthread_cleanup_push(clean, NULL); Guard guard; wait(); pthread_cleanup_pop(0); return NULL; }
static void *leave(void *) { Guard guard; pthread_exit((void *)3); }
F(f) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, run, NULL);
    while (!(steps & 1)) usleep(100);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    int cancelled = result == PTHREAD_CANCELED;
    pthread_create(&thread, NULL, leave, NULL);
    pthread_join(thread, &result);
    return Py_BuildValue("iii", (int)steps, cancelled, (int)(size_t)result);
}
MODULE(M(f))
--- build
extcc _a a.cc -pthread -fno-inline
""", 'a = load("_a"); answer = a.f()', [131, 1, 3]),
    construct("eh_from_signal_handler", r"""
--- a.cc
#include "module.h"
#include <signal.h>
static void handler(int, siginfo_t *info, void *) { throw info->si_signo; }
__attribute__((noinline)) static int read(volatile int *at) { return *at; }
F(f) {
    struct sigaction action = {}, old;
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &old);
    int got = 0;
    try { got = read((volatile int *)16); } catch (int n) { got = n == SIGSEGV ? 77 : -1; }
    sigaction(SIGSEGV, &old, NULL);
    return N(got);
}
MODULE(M(f))
--- build
extcc _a a.cc -fnon-call-exceptions -fasynchronous-unwind-tables
""", 'a = load("_a"); answer = [a.f(), in_thread(a.f)]', [77, 77]),
    construct("eh_between_extensions", r"""
--- h.h
#include <string>
struct Shared { std::string text; Shared(const char *text) : text(text) {} virtual ~Shared() {} };
--- a.cc
#include "module.h"
#include "h.h"
static void thrower() { throw Shared{"from a"}; }
F(get) { return PyCapsule_New((void *)thrower, NULL, NULL); }
MODULE(M(get))
--- b.cc
#include "module.h"
#include "h.h"
F(f) {
    PyObject *capsule;
    if (!PyArg_ParseTuple(args_, "O", &capsule)) return NULL;
    try { ((void (*)())PyCapsule_GetPointer(capsule, NULL))(); } catch (const Shared &shared) { return S(shared.text.c_str()); }
    return S("nothing");
}
MODULE(M(f))
--- build
extcc _a a.cc
extcc _b b.cc
""", 'a, b = load("_a"), load("_b"); answer = b.f(a.get())', "from a"),
    construct("eh_backtrace_names_frames", r"""
--- a.c
#define _GNU_SOURCE
#include "module.h"
#include <dlfcn.h>
#include <execinfo.h>
#include <unwind.h>
static PyObject *names;
static _Unwind_Reason_Code see(struct _Unwind_Context *context, void *count) {
    Dl_info info;
    if (dladdr((void *)(_Unwind_GetIP(context) - 1), &info) && info.dli_sname && strncmp(info.dli_sname, "kt_", 3) == 0) {
        PyObject *name = S(info.dli_sname);
        PyList_Append(names, name);
        Py_DECREF(name);
    }
    return ++*(int *)count < 200 ? _URC_NO_REASON : _URC_END_OF_STACK;
}
__attribute__((noinline)) int kt_inner(void) { int count = 0; _Unwind_Backtrace(see, &count); return count; }
__attribute__((noinline)) int kt_outer(void) { return kt_inner() + 1; }
F(f) {
    names = PyList_New(0);
    void *frames[100];
    int unwound = kt_outer(), listed = backtrace(frames, 100);
    return Py_BuildValue("Nii", names, unwound > 5, listed > 5);
}
MODULE(M(f))
--- build
ext _a a.c -fasynchronous-unwind-tables
""", 'a = load("_a"); answer = a.f()', [["kt_inner", "kt_outer"], 1, 1]),
    construct("eh_longjmp", r"""
--- a.c
#include "module.h"
#include <setjmp.h>
static jmp_buf place;
__attribute__((noinline)) static void jump(int n) { longjmp(place, n); }
F(f) { volatile int got = setjmp(place); if (got < 3) jump(got + 1); return N(got); }
MODULE(M(f))
""", 'a = load("_a"); answer = [a.f(), in_thread(a.f)]', [3, 3]),
    construct("eh_cleanup_attribute", r"""
--- b.cc
extern "C" void raise_it() { throw 1; }
extern "C" int catch_it(void (*call)(void)) { try { call(); } catch (int n) { return n; } return 0; }
--- a.c
#include "module.h"
void raise_it(void);
int catch_it(void (*call)(void));
static int cleaned;
static void clean(int *n) { cleaned += *n; }
static void middle(void) { int n __attribute__((cleanup(clean))) = 5; raise_it(); }
F(f) { int got = catch_it(middle); return Py_BuildValue("ii", got, cleaned); }
MODULE(M(f))
--- build
libcc one b.cc
ext _a a.c -fexceptions ${L}one
""", 'a = load("_a"); answer = [a.f(), a.f()]', [[1, 5], [1, 10]]),
    construct("eh_sections_per_function", WITHIN + "extcc _a a.cc -ffunction-sections -fdata-sections -Wl,--gc-sections -O2",
              WITHIN_CODE, WITHIN_ANSWER),
    construct("eh_uncaught", r"""
--- a.cc
#include "module.h"
#include <unistd.h>
#include <exception>
static void ended() { _exit(write(1, "terminate\n", 10) == 10 ? 57 : 1); }
F(f) { std::set_terminate(ended); throw 1; }
MODULE(M(f))
--- build
extcc _a a.cc
""", """
a = load("_a")
import ctypes
sys.stdout.flush()
a.f()
""", None, prints="terminate\n", status=57),
    construct("eh_old_abi_strings", r"""
--- b.cc
#include <stdexcept>
#include <string>
std::string *make() { return new std::string("old"); }
size_t measure(std::string *text) { try { throw std::runtime_error(*text + "er"); } catch (const std::exception &e) {
    return std::string(e.what()).size(); } }
--- a.cc
#include "module.h"
#include <stdexcept>
#include <string>
static std::string joined(const char *a) { std::string text(a); text += " of more than fifteen characters"; return text; }
#ifdef OLD
std::string *make();
size_t measure(std::string *text);
F(f) { return Py_BuildValue("snn", joined("old").c_str(), sizeof(std::string), measure(make())); }
#else
F(f) { return Py_BuildValue("snn", joined("new").c_str(), sizeof(std::string), 0); }
#endif
MODULE(M(f))
--- build
libcc one b.cc -D_GLIBCXX_USE_CXX11_ABI=0
extcc _a a.cc -D_GLIBCXX_USE_CXX11_ABI=0 -DOLD ${L}one
extcc _b a.cc
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f()]',
              [["old of more than fifteen characters", 8, 5], ["new of more than fifteen characters", 32, 0]]),
]
