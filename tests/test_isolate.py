"""kiln isolate: each construct that C and C++ extensions are made of, twice in one executable."""

import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import run, small_disk
from isolating import LINKERS, MACHINE, TARGET, Workshop, only_native, only_x86, run_for_target, tool

INIT = "void *PyInit_m(void) { return (void *)(long)value(); }\n"
USE = "extern int value(void);\n" + INIT
# Assembly: return the word lo_data; return V.
LOAD_LO_DATA = "\tadrp x0, lo_data\n\tldr w0, [x0, :lo12:lo_data]\n\tret\n" if MACHINE == "aarch64" else \
    "\tmov lo_data(%rip), %eax\n\tret\n"
RETURN_V = "\tmov w0, V\n\tret\n" if MACHINE == "aarch64" else "\tmov $V, %eax\n\tret\n"
CXX_INIT = 'extern "C" void *PyInit_m() { return (void *)(long)value(); }\n'

# name: (sources, options). Options: flags, cc, link (flags of the final link), driver (of the final
# link), needs (a program), runtime (a library of clang's), linkers (those that can do it), machine (the only
# one that has it), native (not under qemu-user).
# Every one of them reports V.
CASES = {
    "functions, data and statics of the same names": ({
        "a.c": "int data = V; static int own = 10; int add(int x) { return x + data + own; }",
        "b.c": "extern int add(int); static int own = -10; int value(void) { return add(own); }\n"
               + INIT}, {}),
    "common symbols": ({
        "a.c": "int shared[100]; void set(void) { shared[99] = V; }",
        "b.c": "int shared[100]; extern void set(void); int value(void) { set(); return "
               "shared[99]; }\n" + INIT}, {"flags": ["-fcommon"]}),
    "a weak function that another object of the module overrides": ({
        "a.c": "__attribute__((weak)) int value(void) { return 99; }\n" + INIT,
        "b.c": "int value(void) { return V; }"}, {}),
    "a weak reference to nothing": ({
        "a.c": "__attribute__((weak)) extern int nothing(void);\n"
               "int value(void) { return nothing ? 99 : V; }\n" + INIT}, {}),
    "a weak reference to what only the other module has": ({
        "a.c": "__attribute__((weak)) extern int only_one(void);\n"
               "#if V == 1\nint only_one(void) { return 1; }\n#endif\n"
               "int value(void) { return only_one ? only_one() : V; }\n" + INIT}, {}),
    "aliases": ({
        "a.c": "int real(void) { return V; }\n"
               'int value(void) __attribute__((alias("real")));\n' + INIT}, {}),
    "names given to the assembler": ({
        "a.c": 'int value(void) __asm__("other.name$1"); int value(void) { return V; }\n' + INIT},
        {}),
    "hidden, protected and internal symbols": ({
        "a.c": '__attribute__((visibility("hidden"))) int h = V;\n'
               '__attribute__((visibility("protected"))) int p(void) { return h; }\n'
               '__attribute__((visibility("internal"))) int i(void) { return p(); }\n',
        "b.c": '__attribute__((visibility("internal"))) int i(void);\n'
               "int value(void) { return i(); }\n" + INIT}, {}),
    "calls without a PLT": ({"a.c": "int value(void) { return V; }", "b.c": USE},
                            {"flags": ["-fno-plt"]}),
    "the medium code model": ({
        "a.c": "static char big[100000]; int data = V; int value(void) { return data + big[9]; }\n"
               + INIT}, {"flags": ["-mcmodel=medium"], "machine": "x86_64"}),
    "tables of pointers": ({
        "a.c": "static int one(void) { return V; } int two(void) { return 0; }\n"
               "int (*const table[])(void) = {one, two}; extern int pick;\n"
               "int value(void) { return table[pick](); }\n" + INIT,
        "b.c": "int pick = 0;"}, {}),
    "an indirect function": ({
        "a.c": "static int one(void) { return V; }\n"
               "static void *choose(void) { return one; }\n"
               'int chosen(void) __attribute__((ifunc("choose")));\n'
               "int value(void) { return chosen(); }\n" + INIT}, {}),
    "thread-local variables, global-dynamic": ({
        "a.c": "__thread int t = V; static __thread int u; int *at(void) { return &u; }",
        "b.c": "extern __thread int t; extern int *at(void);\n"
               "int value(void) { return t + *at(); }\n" + INIT}, {}),
    "thread-local variables, initial-exec": ({
        "a.c": "__thread int t = V;",
        "b.c": "extern __thread int t; int value(void) { return t; }\n" + INIT},
        {"flags": ["-ftls-model=initial-exec"]}),
    "thread-local variables, descriptors": ({
        "a.c": "__thread int t = V;",
        "b.c": "extern __thread int t; int value(void) { return t; }\n" + INIT},
        {"flags": ["-mtls-dialect=" + ("desc" if MACHINE == "aarch64" else "gnu2")]}),
    "thread-local objects with destructors": ({
        "a.cc": "struct T { int v; T() : v(V) {} ~T() {} }; inline thread_local T t;\n"
                "static int value() { int v = t.v; t.v = v; return v; }\n" + CXX_INIT}, {}),
    "thread-local variables of many threads": ({
        "a.cc": "#include <thread>\nthread_local int t = V;\n"
                "static int value() { int seen = 0; t = 50; std::thread([&] { seen = t; }).join(); "
                "return seen; }\n" + CXX_INIT}, {}),
    "templates and their static members": ({
        "t.cc": "template <class T> struct S { static T v; static T get() { return v; } };\n"
                "template <class T> T S<T>::v = V;\nint first() { return S<int>::get(); }",
        "u.cc": "template <class T> struct S { static T v; static T get() { return v; } };\n"
                "template <class T> T S<T>::v = V;\nint first();\n"
                "static int value() { return (first() + S<int>::get()) / 2; }\n" + CXX_INIT}, {}),
    "inline variables, one in each module": ({
        "a.cc": "inline int v = 0; void set() { v += V; }",
        "b.cc": "inline int v = 0; void set();\n"
                "static int value() { v = 0; set(); return v; }\n" + CXX_INIT},
        {"flags": ["-std=c++17"]}),
    "static locals of inline functions": ({
        "a.cc": "inline int next() { static int n = V; return n; } int first() { return next(); }",
        "b.cc": "inline int next() { static int n = V; return n; } int first();\n"
                "static int value() { return first() == next() ? next() : 99; }\n" + CXX_INIT}, {}),
    "constructors in groups of their own kind (C5, D5)": ({
        "a.cc": "struct B { virtual ~B(); int v; }; inline B::~B() {}\n"
                "struct X : virtual B { X() { v = V; } }; int first() { X x; return x.v; }",
        "b.cc": "struct B { virtual ~B(); int v; }; inline B::~B() {}\n"
                "struct X : virtual B { X() { v = V; } }; int first();\n"
                "static int value() { X x; return x.v == first() ? x.v : 99; }\n" + CXX_INIT}, {}),
    "virtual functions, type information and casts": ({
        "a.cc": "struct A { virtual ~A() {} virtual int f() { return 99; } };\n"
                "struct B : A { int f() override { return V; } }; A *make() { return new B; }",
        "b.cc": "struct A { virtual ~A() {} virtual int f() { return 99; } };\n"
                "struct B : A { int f() override { return V; } }; A *make();\n"
                "static int value() { A *a = make(); B *b = dynamic_cast<B *>(a);\n"
                "int v = b ? b->f() : 99; delete a; return v; }\n" + CXX_INIT}, {}),
    "exceptions inside a module": ({
        "a.cc": "struct E { int v; virtual ~E() {} }; void fail() { E e; e.v = V; throw e; }",
        "b.cc": "struct E { int v; virtual ~E() {} }; void fail();\n"
                "static int value() { try { fail(); } catch (E &e) { return e.v; } return 99; }\n"
                + CXX_INIT}, {}),
    "exceptions from one module into the other": ({
        "a.cc": '#include <stdexcept>\n#include <string>\nextern "C" void *slot;\n'
                "static void fail() { throw std::runtime_error(std::to_string(V)); }\n"
                "static int value() { if (!slot) { slot = (void *)fail; return V; }\n"
                "  if (V == 1) return 1;\n"
                "  try { ((void (*)())slot)(); } catch (std::runtime_error &e)\n"
                "  { return std::stoi(e.what()) + 1; } return 99; }\n" + CXX_INIT}, {}),
    "output streams used by a constructor": ({
        "a.cc": "#include <iostream>\n#include <sstream>\n"
                "static int seen = [] { std::ostringstream s; s << V; std::cerr.flush();\n"
                "  return std::stoi(s.str()); }();\nstatic int value() { return seen; }\n"
                + CXX_INIT}, {}),
    "constructors in COMDAT groups, gcc": ({
        "a.cc": "template <class T> struct S { static T v; }; int make() { return V; }\n"
                "template <class T> T S<T>::v = make();\n"
                "static int value() { return S<int>::v; }\n" + CXX_INIT}, {}),
    "constructors in COMDAT groups, clang": ({
        "a.cc": "template <class T> struct S { static T v; }; int make() { return V; }\n"
                "template <class T> T S<T>::v = make();\n"
                "static int value() { return S<int>::v; }\n" + CXX_INIT},
        {"cc": "clang++", "needs": "clang++"}),
    "C++ by clang": ({
        "a.cc": "#include <map>\n#include <string>\ninline std::map<std::string, int> m;\n"
                'void set() { m["v"] = V; }',
        "b.cc": "#include <map>\n#include <string>\ninline std::map<std::string, int> m;\n"
                'void set();\nstatic int value() { set(); return m["v"]; }\n' + CXX_INIT},
        {"cc": "clang++", "flags": ["-std=c++17"], "needs": "clang++"}),
    "the old ABI of std::string": ({
        "a.cc": "#include <string>\nstatic int value() { return std::stoi(std::string(\"0\") + "
                "char('0' + V)); }\n" + CXX_INIT}, {"flags": ["-D_GLIBCXX_USE_CXX11_ABI=0"]}),
    "versions of symbols": ({
        "a.c": '__asm__(".symver f_old,f@OLD\\n.symver f_new,f@@NEW\\n.symver ref,f@OLD\\n");\n'
               "int f_old(void) { return V; } int f_new(void) { return 40; } extern int ref(void);"
               "\nint value(void) { return ref(); }\n" + INIT}, {}),
    "the default version of a symbol": ({
        "a.c": '__asm__(".symver f_old,f@OLD\\n.symver f_new,f@@NEW\\n");\n'
               "int f_old(void) { return 40; } int f_new(void) { return V; }",
        "b.c": "extern int f(void); int value(void) { return f(); }\n" + INIT}, {}),
    "a set of data between __start and __stop": ({
        "a.c": '__attribute__((section("my_set"), used)) static int one = V;',
        "b.c": "extern int __start_my_set[], __stop_my_set[];\n"
               "int value(void) { int n = 0; for (int *p = __start_my_set; p < __stop_my_set; p++) "
               "n += *p; return n; }\n" + INIT}, {}),
    "a set of data, with --gc-sections": ({
        "a.c": '__attribute__((section("my_set"), used)) int one = V;',
        "b.c": "extern int __start_my_set[], __stop_my_set[];\n"
               "int value(void) { int n = 0; for (int *p = __start_my_set; p < __stop_my_set; p++) "
               "n += *p; return n; }\n" + INIT}, {"link": ["-Wl,--gc-sections"]}),
    "a set that only the other module has": ({
        "a.c": "#if V == 1\n"
               '__attribute__((section("my_set"), used)) static int one = 1;\n'
               "int value(void) { return one; }\n#else\n"
               "__attribute__((weak)) extern int __start_my_set[], __stop_my_set[];\n"
               "int value(void) { return 2 + (int)(__stop_my_set - __start_my_set); }\n#endif\n"
               + INIT}, {}),
    ".gnu.linkonce sections": ({
        "a.S": '\t.section .gnu.linkonce.t.lo,"ax",@progbits\n\t.globl lo\nlo:\n'
               + LOAD_LO_DATA +
               '\t.section .gnu.linkonce.d.lo,"aw",@progbits\n\t.globl lo_data\n'
               'lo_data:\n\t.long V\n'
               '\t.section .gnu.linkonce.odd.lo,"aw",@progbits\n\t.long V\n'
               '\t.section .note.GNU-stack,"",@progbits\n',
        "b.c": "extern int lo(void); int value(void) { return lo(); }\n" + INIT}, {}),
    "functions in sections of their own": ({
        "a.c": "int value(void) { return V; } int unused(void) { return 9; }", "b.c": USE},
        {"flags": ["-ffunction-sections", "-fdata-sections"], "link": ["-Wl,--gc-sections"]}),
    "objects of gcc's LTO": ({
        "a.c": "int data = V; int get(void) { return data; }",
        "b.c": "extern int get(void); int value(void) { return get(); }\n" + INIT},
        {"flags": ["-flto"]}),
    "objects of gcc's LTO in C++": ({
        "a.cc": "#include <string>\ninline int v = V; std::string get() { return "
                "std::to_string(v); }",
        "b.cc": "#include <string>\ninline int v = V; std::string get();\n"
                "static int value() { return std::stoi(get()); }\n" + CXX_INIT},
        {"flags": ["-flto", "-std=c++17"]}),
    "objects of gcc's LTO with machine code": ({
        "a.c": "int data = V; int get(void) { return data; }",
        "b.c": "extern int get(void); int value(void) { return get(); }\n" + INIT},
        {"flags": ["-flto", "-ffat-lto-objects"], "link": ["-flto"]}),
    "objects of clang's full LTO": ({
        "a.c": "int data = V; int get(void) { return data; }",
        "b.c": "extern int get(void); int value(void) { return get(); }\n" + INIT},
        {"cc": "clang", "flags": ["-flto"], "needs": "ld.lld"}),
    "objects of clang's thin LTO": ({
        "a.c": "int data = V; int get(void) { return data; }",
        "b.c": "extern int get(void); int value(void) { return get(); }\n" + INIT},
        {"cc": "clang", "flags": ["-flto=thin"], "needs": "ld.lld"}),
    "sections with an order (patchable entries, clang)": ({
        "a.c": "int value(void) { return V; }\n" + INIT},
        {"cc": "clang", "flags": ["-fpatchable-function-entry=4", "-ffunction-sections"],
         "needs": "clang"}),
    "retained sections": ({
        "a.c": '__attribute__((used, retain, section("keep_me"))) static int k = V;\n'
               "int value(void) { return k; }\n" + INIT}, {"link": ["-Wl,--gc-sections"]}),
    "control-flow protection": ({"a.c": "int value(void) { return V; }", "b.c": USE},
                                {"flags": ["-fcf-protection=full"], "machine": "x86_64"}),
    "branch protection": ({"a.c": "int value(void) { return V; }", "b.c": USE},
                          {"flags": ["-mbranch-protection=standard"], "machine": "aarch64"}),
    "atomics by helper functions": ({
        "a.c": "static int n; int value(void) { __atomic_store_n(&n, 0, 5);\n"
               "return __atomic_add_fetch(&n, V, __ATOMIC_SEQ_CST); }\n" + INIT},
        {"flags": ["-moutline-atomics"], "machine": "aarch64"}),
    "atomics of later processors": ({
        "a.c": "static int n; int value(void) { __atomic_store_n(&n, 0, 5);\n"
               "return __atomic_add_fetch(&n, V, __ATOMIC_SEQ_CST); }\n" + INIT},
        {"flags": ["-march=armv8.1-a"], "machine": "aarch64"}),
    "the tiny code model": ({"a.c": "int data = V;",
                             "b.c": "extern int data; int value(void) { return data; }\n" + INIT},
                            {"flags": ["-mcmodel=tiny"], "machine": "aarch64", "linkers": ["bfd"]}),
    "an init function that the module itself calls": ({
        "a.c": "extern void *PyInit_m(void); static int depth;\n"
               "void *PyInit_m(void) { if (depth++ == 0) { void *v = PyInit_m(); depth = 0; "
               "return v; } return (void *)V; }\n"}, {}),
    "a hidden init function": ({
        "a.c": '__attribute__((visibility("hidden"))) void *PyInit_m(void) '
               "{ return (void *)V; }\n"}, {}),
    "OpenMP": ({
        "a.c": "int t; \n#pragma omp threadprivate(t)\nint value(void) { int n = 0;\n"
               "#pragma omp parallel num_threads(2) reduction(+ : n)\n{ t = V; n += t; }\n"
               "return n / 2; }\n" + INIT}, {"flags": ["-fopenmp"], "link": ["-fopenmp"]}),
    "coverage": ({"a.c": "int value(void) { return V; }\n" + INIT},
                 {"flags": ["--coverage"], "link": ["--coverage"]}),
    "the address sanitizer": ({
        "a.c": "int data[3] = {0, V, 0}; int at = 1; int value(void) { return data[at]; }\n"
               + INIT},
        {"flags": ["-fsanitize=address"], "link": ["-fsanitize=address"]}),
    "the address sanitizer of clang": ({
        "a.c": "int data[3] = {0, V, 0}; int at = 1; int value(void) { return data[at]; }\n"
               + INIT},
        {"cc": "clang", "flags": ["-fsanitize=address"], "link": ["-fsanitize=address"],
         "driver": "clang++", "runtime": "libclang_rt.asan"}),
    "the undefined-behaviour sanitizer": ({
        "a.c": "int big = 2147483646; int value(void) { return big + V - 2147483646; }\n" + INIT},
        {"flags": ["-fsanitize=undefined"], "link": ["-fsanitize=undefined"]}),
    "the thread sanitizer": ({
        "a.c": "int data = V; int value(void) { return data; }\n" + INIT},
        {"flags": ["-fsanitize=thread"], "link": ["-fsanitize=thread"], "native": True}),
    "code that writes a profile": ({
        "a.c": "int value(void) { int n = 0; for (int i = 0; i < V; i++) n++; return n; }\n" + INIT},
        {"flags": ["-fprofile-generate"], "link": ["-fprofile-generate"]}),
    "code that writes a profile, clang": ({
        "a.c": "int value(void) { int n = 0; for (int i = 0; i < V; i++) n++; return n; }\n" + INIT},
        {"cc": "clang", "flags": ["-fprofile-instr-generate", "-fcoverage-mapping"],
         "link": ["-fprofile-instr-generate"], "driver": "clang++", "runtime": "libclang_rt.profile"}),
    "functions in sections of their own, all kept": ({
        "a.c": "int value(void) { return V; } int unused(void) { return 9; }", "b.c": USE},
        {"flags": ["-ffunction-sections", "-fdata-sections"]}),
    "thread-local variables, local-exec": ({
        "a.c": "__thread int t = V; static __thread int u;\n"
               "int value(void) { u++; return t + u - u; }\n" + INIT},
        {"flags": ["-ftls-model=local-exec"]}),
    "code that is not position-independent": ({
        "a.c": "int table[4] = {0, V}; int *at = &table[1];",
        "b.c": "extern int table[4], *at;\n"
               "int value(void) { return at == &table[1] ? table[1] : 99; }\n" + INIT},
        {"flags": ["-fno-pic"], "link": ["-no-pie"]}),
    "the large code model": ({
        "a.c": "static char big[100000]; int data = V; int get(void) { return data + big[9]; }",
        "b.c": "extern int get(void); int value(void) { return get(); }\n" + INIT},
        {"flags": ["-mcmodel=large"], "machine": "x86_64"}),
    "switches by tables": ({
        "a.c": "volatile int pick = V; int value(void) { switch (pick) { case 0: return 7;\n"
               "case 1: return 1; case 2: return 2; case 3: return 90; case 4: return 91;\n"
               "case 5: return 17; case 6: return 3; case 7: return 55; default: return 99; } }\n"
               + INIT}, {"flags": ["-O2"]}),
    "data of a library that is copied into the program": ({
        "a.cc": "#include <cstdio>\n#include <iostream>\n"
                "static int value() { return stdout && &std::cout && std::cout.good() ? V : 99; }\n"
                + CXX_INIT}, {"flags": ["-fPIE", "-fno-pic", "-Wno-address"], "link": ["-no-pie"]}),
    "an allocator of its own": ({
        "a.c": "#include <stddef.h>\nstatic char pool[1000]; static size_t used;\n"
               "void *malloc(size_t n) { used += n; return pool + used - n; }\n"
               "void free(void *p) { (void)p; }\n"
               "int owns(char *p) { return p >= pool && p < pool + 1000; }",
        "b.c": "#include <stdlib.h>\nextern int owns(char *);\n"
               "int value(void) { char *p = malloc(8); int own = owns(p); free(p);\n"
               "return own ? V : 99; }\n" + INIT}, {"flags": ["-fno-builtin"]}),
    "identical functions that the linker folds": ({
        "a.c": "int one(void) { return V; } int two(void) { return V; }\n"
               "int value(void) { return one() + two() - V; }\n" + INIT},
        {"cc": "clang", "flags": ["-ffunction-sections", "-faddrsig"], "link": ["-Wl,--icf=all"],
         "linkers": ["gold", "lld", "mold"]}),
    "unwinding through functions that were merged": ({
        "a.cc": "struct D { int *n; ~D() { ++*n; } };\n"
                "inline int fall(int d, int *n) { D x{n}; if (d == 0) throw V; return fall(d - 1, n) + 1; }\n"
                "int first(int *n) { try { return fall(3, n); } catch (int v) { return v; } }",
        "b.cc": "struct D { int *n; ~D() { ++*n; } };\n"
                "inline int fall(int d, int *n) { D x{n}; if (d == 0) throw V; return fall(d - 1, n) + 1; }\n"
                "int first(int *);\nstatic int value() { int n = 0, v = first(&n);\n"
                "try { fall(5, &n); } catch (int w) { return v == w && n == 10 ? v : 99; } return 98; }\n"
                + CXX_INIT}, {}),
    "the same, with --gc-sections": ({
        "a.cc": "struct D { int *n; ~D() { ++*n; } };\n"
                "inline int fall(int d, int *n) { D x{n}; if (d == 0) throw V; return fall(d - 1, n) + 1; }\n"
                "static int value() { int n = 0; try { fall(5, &n); } catch (int v) { return n == 6 ? v : 99; }\n"
                "return 98; }\n" + CXX_INIT},
        {"flags": ["-ffunction-sections"], "link": ["-Wl,--gc-sections"]}),
    "the C++ library inside each module": ({
        "a.cc": "#include <stdexcept>\n#include <sstream>\n#include <vector>\n"
                "static int value() { std::vector<int> v(V); std::ostringstream s;\n"
                "try { v.at(9); } catch (const std::out_of_range &e) { s << v.size(); }\n"
                "return std::stoi(s.str()); }\n" + CXX_INIT}, {"archives": ["libstdc++.a", "libgcc_eh.a"]}),
}

@pytest.fixture(scope="session")
def built(kiln, tmp_path_factory):
    """The two modules of a case, made once for all linkers."""
    cache = {}

    def get(case):
        if case not in cache:
            sources, options = CASES[case]
            workshop = Workshop(kiln, tmp_path_factory.mktemp("case"))
            archives = [run(*tool("g++"), f"-print-file-name={name}").stdout.strip()
                        for name in options.get("archives", ())]
            objects = workshop.modules(sources, options.get("flags", ()), options.get("cc"), archives)
            cache[case] = workshop, objects
        return cache[case]
    return get


def find_clang_runtime(name):
    directory = run("clang", "-print-resource-dir").stdout.strip()
    return list(pathlib.Path(directory).glob(f"lib/linux/{name}-{MACHINE}.a"))


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("case", CASES)
def test_two_modules_of_the_same_sources_do_not_meet(case, linker, built):
    options = CASES[case][1]
    if options.get("machine", MACHINE) != MACHINE:
        pytest.skip(f"this is of {options['machine']}")
    if TARGET and "native" in options:
        pytest.skip("under qemu-user it cannot be done")
    for program in options.get("needs"), options.get("cc"):
        if program is not None and not shutil.which(program):
            pytest.skip(f"no {program}")
    if "runtime" in options and not find_clang_runtime(options["runtime"]):
        pytest.skip(f"no {options['runtime']}")
    if linker not in options.get("linkers", LINKERS):
        pytest.skip(f"ld.{linker} cannot do this")
    workshop, objects = built(case)
    exe = workshop.link(objects, linker, options.get("link", ()), options.get("driver", "g++"))
    assert workshop.numbers(exe) == [-1, 1, 2, 1]


@pytest.fixture
def workshop(kiln, tmp_path):
    return Workshop(kiln, tmp_path)


CTORS = """
    extern void note(long);
    __attribute__((constructor)) static void late(void) { note(10 * V + 2); }
    __attribute__((constructor(200))) static void early(void) { note(10 * V + 1); }
    __attribute__((destructor)) static void first(void) { note(-10 * V - 1); }
    __attribute__((destructor(200))) static void last(void) { note(-10 * V - 2); }
    int value(void) { return V; }
""" + INIT


@pytest.mark.parametrize("linker", LINKERS)
def test_constructors_run_once_before_the_first_call_and_by_priority(workshop, linker):
    exe = workshop.link(workshop.modules({"a.c": CTORS}), linker)
    assert workshop.numbers(exe) == [-1, 11, 12, 1, 21, 22, 2, 1, -21, -22, -11, -12]


@pytest.mark.parametrize("linker", LINKERS)
def test_constructors_and_destructors_of_an_unused_module_never_run(workshop, linker):
    exe = workshop.link(workshop.modules({"a.c": CTORS}), linker)
    assert workshop.numbers(exe, "one") == [-1, 11, 12, 1, -11, -12]


def test_a_module_that_has_destructors_only(workshop):
    source = """
        extern void note(long);
        __attribute__((destructor)) static void end(void) { note(-V); }
        int value(void) { return V; }
    """ + INIT
    exe = workshop.link(workshop.modules({"a.c": source}))
    assert workshop.numbers(exe) == [-1, 1, 2, 1, -2, -1]


def test_constructors_have_the_arguments_of_the_program(workshop):
    source = """
        #include <stdlib.h>
        static int seen;
        __attribute__((constructor)) static void c(int argc, char **argv, char **envp)
        { seen = argc == 1 && argv[0] != NULL && argv[1] == NULL && envp[0] != NULL; }
        int value(void) { return seen ? V : 99; }
    """ + INIT
    exe = workshop.link(workshop.modules({"a.c": source}))
    assert workshop.numbers(exe) == [-1, 1, 2, 1]


LEGACY = """
    extern void note(long);
    static void one(void) { note(BASE + 1); } static void two(void) { note(BASE + 2); }
    static void three(void) { note(BASE + 3); } static void four(void) { note(BASE + 4); }
    static void end(void) { note(BASE + 5); } static void end2(void) { note(BASE + 6); }
    #define ARRAY(section_, name, ...) \\
        static void (*name[])(void) __attribute__((section(section_), used, aligned(8))) = \\
            {__VA_ARGS__};
    ARRAY(".ctors", a, one, two)
    ARRAY(PRIORITY, b, three, four)
    ARRAY(".dtors", c, end, end2)
    __attribute__((constructor)) static void modern(void) { note(BASE + 7); }
    __attribute__((constructor(150))) static void modern_early(void) { note(BASE + 8); }
"""


def test_legacy_constructors_run_in_the_order_of_a_shared_object(workshop):
    objects = [
        workshop.compile("x.c", LEGACY, "-DBASE=100", '-DPRIORITY=".ctors.65435"'),
        workshop.compile("y.c", LEGACY, "-DBASE=200", '-DPRIORITY=".ctors.65335"'),
        workshop.compile("i.c", "void *PyInit_m(void) { return (void *)5; }"),
    ]
    # What ld.bfd makes of them in a shared object is the measure.
    shared = workshop.dir / "shared.so"
    run(*tool("gcc"), "-shared", "-fuse-ld=bfd", "-o", shared, *objects)
    loader = workshop.compile("load.c", """
        #include <dlfcn.h>
        #include <stdio.h>
        void note(long n) { printf("%ld ", n); fflush(stdout); }
        int main(int argc, char **argv) { return dlclose(dlopen(argv[argc - 1], RTLD_NOW)); }
    """)
    run(*tool("gcc"), "-o", workshop.dir / "load", loader, "-Wl,-export-dynamic", "-ldl")
    expected = workshop.numbers(workshop.dir / "load", shared)
    assert len(expected) == 16

    second = workshop.modules({"m.c": "void *PyInit_m(void) { return (void *)9; }"})[1]
    exe = workshop.link([workshop.isolate("p1.m", *objects), second])
    assert workshop.numbers(exe, "one") == [-1, *expected[:12], 5, *expected[12:]]


def test_legacy_constructors_in_an_archive_keep_their_order(workshop):
    member = workshop.compile("x.c", LEGACY + "int value(void) { return 5; }", "-DBASE=100",
                              '-DPRIORITY=".ctors.65435"')
    init = workshop.compile("i.c", USE)
    run(*tool("ar"), "rcs", workshop.dir / "libx.a", member)
    modules = [workshop.isolate(f"p{v}.m", init, workshop.dir / "libx.a") for v in (1, 2)]
    exe = workshop.link(modules)
    assert workshop.numbers(exe, "one") == [-1, 104, 103, 108, 107, 102, 101, 5, 105, 106]


VALUE = "int value(void) { return 5; }"


def archive(workshop, name="libx.a", *, program="ar", how="rcs", **sources):
    """An archive of objects {name: text}."""
    members = []
    for member, text in sources.items():
        out = workshop.compile(f"{name}-{member}.c", text, out=f"{name}.d/{member}.o")
        members.append(out)
    (workshop.dir / name).unlink(missing_ok=True)
    run(*tool(program), how, workshop.dir / name, *members)
    return workshop.dir / name


def defined(path):
    """The names of the global symbols that an object defines."""
    lines = run(*tool("nm"), "-g", "--defined-only", "-P", path).stdout.splitlines()
    return {line.split()[0] for line in lines}


def test_an_archive_gives_what_is_needed(workshop):
    init = workshop.compile("i.c", USE)
    lib = archive(workshop, value=VALUE, other="int other(void) { return 6; }")
    names = defined(workshop.isolate("p.m", init, lib))
    assert "value.p_dm" in names and "other.p_dm" not in names


def test_whole_archive_gives_all(workshop):
    init = workshop.compile("i.c", USE)
    lib = archive(workshop, value=VALUE, other="int other(void) { return 6; }")
    names = defined(workshop.isolate("p.m", "--whole-archive", init, lib))
    assert {"value.p_dm", "other.p_dm"} <= names


def test_an_archive_alone_gives_its_init_function(workshop):
    lib = archive(workshop, value=VALUE, init=USE, other="int other(void) { return 6; }")
    names = defined(workshop.isolate("p.m", lib))
    assert "kiln_init_p_dm" in names and "other.p_dm" not in names


def test_a_member_can_be_named(workshop):
    init = workshop.compile("i.c", USE)
    lib = archive(workshop, value=VALUE, other="int other(void) { return 6; }")
    names = defined(workshop.isolate("p.m", init, f"{lib}(value.o)", f"{lib}(other.o)"))
    assert {"value.p_dm", "other.p_dm"} <= names


def test_all_members_of_one_name_are_taken_if_all_are_named(workshop):
    init = workshop.compile("i.c", USE)
    first = workshop.compile("v.c", VALUE, out="one/same.o")
    second = workshop.compile("o.c", "int other(void) { return 6; }", out="two/same.o")
    lib = workshop.dir / "libx.a"
    run(*tool("ar"), "qcs", lib, first, second)
    names = defined(workshop.isolate("p.m", init, f"{lib}(same.o)", f"{lib}(same.o)"))
    assert {"value.p_dm", "other.p_dm"} <= names


def test_of_members_of_one_name_the_needed_one_is_taken(workshop):
    init = workshop.compile("i.c", USE)
    first = workshop.compile("o.c", "int other(void) { return 6; }", out="one/same.o")
    second = workshop.compile("v.c", VALUE, out="two/same.o")
    lib = workshop.dir / "libx.a"
    run(*tool("ar"), "qcs", lib, first, second)
    names = defined(workshop.isolate("p.m", init, f"{lib}(same.o)"))
    assert "value.p_dm" in names and "other.p_dm" not in names


def test_a_member_of_a_thin_archive_can_be_named(workshop):
    init = workshop.compile("i.c", USE)
    lib = archive(workshop, how="rcsT", value=VALUE)
    assert "value.p_dm" in defined(workshop.isolate("p.m", init, f"{lib}(libx.a.d/value.o)"))


def test_a_member_that_is_lto_bytecode_is_lowered_and_taken_if_needed(workshop):
    init = workshop.compile("i.c", USE)
    a = workshop.compile("v.c", VALUE, "-flto")
    b = workshop.compile("o.c", "int other(void) { return 6; }", "-flto")
    run(*tool("gcc-ar"), "rcs", workshop.dir / "libx.a", a, b)
    names = defined(workshop.isolate("p.m", init, workshop.dir / "libx.a"))
    assert "value.p_dm" in names and "other.p_dm" not in names


def test_an_init_function_in_lto_bytecode_is_found(workshop):
    a = workshop.compile("v.c", VALUE + INIT, "-flto")
    run(*tool("gcc-ar"), "rcs", workshop.dir / "libx.a", a)
    assert "kiln_init_p_dm" in defined(workshop.isolate("p.m", workshop.dir / "libx.a"))


def test_bytecode_of_gcc_and_of_llvm_can_be_mixed_with_machine_code(workshop):
    if not (shutil.which("clang") and shutil.which("ld.lld")):
        pytest.skip("no clang with lld")
    objects = [workshop.compile("i.c", "extern int one(void), two(void);\n"
                                "int value(void) { return one() + two(); }\n" + INIT),
               workshop.compile("one.c", "int one(void) { return 2; }", "-flto"),
               workshop.compile("two.c", "int two(void) { return 3; }", "-flto", cc="clang")]
    modules = [workshop.isolate(f"p{v}.m", *objects) for v in (1, 2)]
    assert workshop.numbers(workshop.link(modules)) == [-1, 5, 5, 5]


def test_wrap_and_defsym_are_those_of_the_linker(workshop):
    source = workshop.compile("a.c", """
        int real(void) { return 40; }
        extern int wrapped(void), __real_wrapped(void), renamed(void);
        int __wrap_wrapped(void) { return __real_wrapped() + 2; }
        int value(void) { return wrapped() + renamed() - 40; }
    """ + INIT)
    other = workshop.compile("b.c", "int wrapped(void) { return 3; }")
    modules = [workshop.isolate(f"p{v}.m", "--wrap=wrapped", "--defsym=renamed=real", source, other)
               for v in (1, 2)]
    assert workshop.numbers(workshop.link(modules)) == [-1, 5, 5, 5]


def test_more_sections_than_a_header_can_count(workshop):
    count = 66000
    lines = [f'\t.section .data.v{i},"aw"\n\t.globl v{i}\nv{i}:\t.long V' for i in range(count)]
    source = "\n".join(lines) + '\n\t.section .note.GNU-stack,"",@progbits\n'
    use = (f"extern int v0, v{count - 1}; int value(void) {{ return (v0 + v{count - 1}) / 2; }}\n"
           + INIT)
    modules = workshop.modules({"many.S": source, "b.c": use})
    for linker in LINKERS:
        assert workshop.numbers(workshop.link(modules, linker)) == [-1, 1, 2, 1]


@pytest.mark.parametrize("linker", LINKERS)
def test_debug_information_stays_true(workshop, linker):
    source = "\n\nint helper(int x)\n{\n    return x + V;\n}\n" \
             "void *PyInit_m(void)\n{\n    return (void *)helper;\n}\n"
    exe = workshop.link(workshop.modules({"a.c": source}, ["-g", "-O0"]), linker, ["-no-pie"])
    address = workshop.numbers(exe)[1]
    where = run(*tool("addr2line"), "-e", exe, "-f", hex(address)).stdout.split()
    assert where[0] == "helper" and where[1].endswith("a.c:4")


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
@pytest.mark.parametrize("flags", [["-g3"], ["-g", "-gsplit-dwarf"], ["-gdwarf-4", "-fdebug-types-section"]],
                         ids=["macros", "split", "types"])
def test_every_form_of_debug_information_stays_true(workshop, flags):
    source = "struct S { int x; };\n\nint helper(struct S *s)\n{\n    return s->x + V;\n}\n" \
             "void *PyInit_m(void)\n{\n    return (void *)helper;\n}\n"
    exe = workshop.link(workshop.modules({"a.c": source}, ["-O0", *flags]), "bfd", ["-no-pie"])
    for address in workshop.numbers(exe)[1:3]:
        said = run("gdb", "-batch", "-nx", "-ex", f"info line *{address}", exe, cwd=workshop.dir).stdout
        assert 'Line 4 of "a.c" starts at address' in said and "<helper" in said


@only_native
@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_gdb_stops_by_function_and_by_line_and_names_the_callers(workshop):
    source = "\nstatic int helper(int x)\n{\n    return x + V;\n}\n" \
             "void *PyInit_m(void)\n{\n    return (void *)(long)helper(0);\n}\n"
    exe = workshop.link(workshop.modules({"a.c": source}, ["-g", "-O0"]))
    said = run("gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "break helper", "-ex", "run",
               "-ex", "backtrace", "-ex", "delete", "-ex", "break a.c:8", "-ex", "continue", exe,
               cwd=workshop.dir, check=False)
    if "ptrace" in said.stderr or "Couldn't" in said.stderr:
        pytest.skip("no permission to debug")
    assert "Breakpoint 1 at" in said.stdout and "(2 locations)" in said.stdout
    assert "helper (x=0) at a.c:4" in said.stdout and "in PyInit_m () at a.c:8" in said.stdout
    assert "main" in said.stdout


def test_a_module_that_looks_itself_up_needs_an_export(workshop):
    source = workshop.compile("a.c", """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        int own_name = 5;
        void *PyInit_m(void) { int *p = dlsym(RTLD_DEFAULT, "own_name"); return (void *)(long)(p ? *p : 99); }
    """)
    second = workshop.modules({"m.c": "void *PyInit_m(void) { return (void *)2; }"})[1]
    for arguments, expected in ([], 99), (["--export", "own_name"], 5):
        exe = workshop.link([workshop.isolate("p1.m", *arguments, source), second], "bfd", ["-ldl"])
        assert workshop.numbers(exe) == [-1, expected, 2, expected]


# 32 bits of an address. (What compilers make of -fno-pic is position-independent on some machines.)
ABSOLUTE = "\t.comm table,16\n\t.text\n\t.globl PyInit_m\nPyInit_m:\n\t.4byte table\n" \
    '\t.section .note.GNU-stack,"",%progbits\n'


@pytest.mark.parametrize("linker", LINKERS)
def test_code_that_is_not_position_independent_is_refused_in_a_pie(workshop, linker):
    if (linker, MACHINE) == ("gold", "aarch64"):
        pytest.skip("ld.gold for arm64 links it without a word")
    modules = workshop.modules({"a.S": ABSOLUTE})
    with pytest.raises(AssertionError, match="table|recompile with -fPIC|reloc"):
        workshop.link(modules, linker, ["-pie"])


@pytest.mark.parametrize("linker", LINKERS)
def test_what_is_one_for_the_process_is_one_for_a_distribution(workshop, linker):
    source = "inline int calls = 0; inline int next() { static int n = 10; return ++n; }\n" \
             "static int value() { return next() + ++calls; }\n" + CXX_INIT
    objects = [workshop.compile("a.cc", source, "-std=c++17", out=f"a{v}.o") for v in (1, 2)]
    shared = [workshop.isolate(f"p{v}.m", "--distribution=d", objects[v - 1]) for v in (1, 2)]
    assert workshop.numbers(workshop.link(shared, linker)) == [-1, 12, 14, 16]
    own = [workshop.isolate(f"p{v}.m", f"--distribution=d{v}", objects[v - 1]) for v in (1, 2)]
    assert workshop.numbers(workshop.link(own, linker)) == [-1, 12, 12, 14]


@pytest.mark.parametrize("linker", LINKERS)
def test_many_modules_with_much_thread_local_data(workshop, linker):
    source = "__thread char big[%d] = {V}; int value(void) { return big[0]++; }\n" + INIT
    first, second = workshop.modules({"a.c": source % 40000})
    small = workshop.compile("s.c", source % 2000, "-DV=7", out="s.o")
    objects = [workshop.isolate(f"more.m{i}", "--init=PyInit_m", small) for i in range(50)]
    assert workshop.numbers(workshop.link([first, *objects, second], linker)) == [-1, 1, 2, 2]


@only_x86
def test_the_cet_note_is_kept_beside_the_constructors(workshop):
    module = workshop.modules({"a.c": CTORS}, ["-fcf-protection=full"])[0]
    assert "IBT, SHSTK" in run(*tool("readelf"), "-n", module).stdout


@pytest.mark.skipif(MACHINE != "aarch64", reason="branch protection is of arm64")
def test_the_branch_protection_note_is_kept_beside_the_constructors(workshop):
    module = workshop.modules({"a.c": CTORS}, ["-mbranch-protection=standard"])[0]
    assert "BTI, PAC" in run(*tool("readelf"), "-n", module).stdout


def test_only_hidden_symbols_are_defined(workshop):
    module = workshop.modules({"a.cc": CASES["inline variables, one in each module"][0]["b.cc"]},
                              ["-std=c++17"])[0]
    table = [line.split() for line in run(*tool("readelf"), "-sW", module).stdout.splitlines()]
    visible = [row for row in table if len(row) >= 8 and row[4] in ("GLOBAL", "WEAK", "UNIQUE")
               and row[6] != "UND" and row[5] != "HIDDEN"]
    assert visible == []


def test_nothing_of_a_module_is_exported_by_the_executable(workshop):
    exe = workshop.link(workshop.modules({"a.c": CTORS}))
    dynamic = run(*tool("nm"), "-D", "--defined-only", exe).stdout
    assert "p1_dm" not in dynamic and "value" not in dynamic


def test_names_that_look_alike_do_not_meet(workshop):
    source = workshop.compile("a.c", "int value(void) { return 1; }\n" + INIT)
    names = ["a_b.m", "a.b_m", "foo_.bar", "foo._bar", "a.b.m"]
    objects = [workshop.isolate(name, "--init=PyInit_m", source) for name in names]
    run(*tool("ld.bfd"), "-r", "-o", workshop.dir / "all.o", *objects)
    assert len(defined(workshop.dir / "all.o") & {f"value.{s}" for s in (
        "a__b_dm", "a_db__m", "foo___dbar", "foo_d__bar", "a_db_dm")}) == 5


def test_the_same_inputs_give_the_same_bytes(workshop):
    source = {"a.c": CTORS, "b.cc": "inline int v = 3; int *other() { return &v; }"}
    first = [path.read_bytes() for path in workshop.modules(source, ["-g"])]
    second = [path.read_bytes() for path in workshop.modules(source, ["-g"])]
    assert first == second


def test_lto_gives_the_same_bytes_twice(workshop):
    a = workshop.compile("a.c", "static int own = 3; int *get(void) { return &own; }", "-flto")
    b = workshop.compile("b.c", "extern int *get(void); int value(void) { return *get(); }" + INIT,
                         "-flto")
    first = workshop.isolate("p.m", a, b).read_bytes()
    assert workshop.isolate("p.m", a, b).read_bytes() == first


def test_the_line_for_the_table_goes_to_standard_output(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    result = workshop.isolate("a_b.m", source, check=False)
    assert result.stdout == "a_b.m kiln_init_a__b_dm\n" and result.stderr == ""


def test_the_line_for_the_table_can_go_to_a_file(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    result = workshop.isolate("a.m", "--names", "a.names", source, check=False)
    assert result.stdout == "" and (workshop.dir / "a.names").read_text() == "a.m kiln_init_a_dm\n"
    # One that cannot be written: there is no object without its line.
    result = workshop.isolate("b.m", "--names", "missing/b.names", source, check=False)
    assert result.returncode == 1 and "missing/b.names: cannot write" in result.stderr
    assert not (workshop.dir / "b.m.o").exists()


def test_arguments_can_come_from_a_file(workshop):
    source = workshop.compile("a.c", VALUE + INIT, out="two words.o")
    expected = workshop.isolate("p.m", source).read_bytes()
    (workshop.dir / "inner").write_text("'two words.o'\n")
    (workshop.dir / "arguments").write_text("--python-version 3.11 @inner\n")
    assert workshop.isolate("p.m", "@arguments").read_bytes() == expected


@only_native
def test_the_linker_and_the_assembler_can_be_chosen(workshop):
    source = workshop.compile("a.c", "static int n; __attribute__((constructor)) static void early(void) { n = 4; }" +
                              "int value(void) { return n; }" + INIT)
    expected = workshop.isolate("p.m", source).read_bytes()
    for option, program in ("--ld", "ld.bfd"), ("--as", "as"):
        tool = workshop.dir / f"my {program}"
        tool.write_text(f'#!/bin/sh\necho >"{tool}.called"\nexec {program} "$@"\n')
        tool.chmod(0o755)
        assert workshop.isolate("p.m", option, tool, source).read_bytes() == expected
        assert tool.with_name(tool.name + ".called").exists()
        result = workshop.isolate("p.m", option, "nowhere", source, check=False)
        assert result.returncode == 1 and "cannot run nowhere" in result.stderr


def test_an_export_hook_keeps_its_kind(workshop):
    source = workshop.compile("a.c", "void *PyModExport_m(void) { return 0; }")
    assert workshop.isolate("p.m", source, check=False).stdout == "p.m kiln_export_p_dm\n"


@pytest.mark.parametrize("options, symbol", [
    ([], "kiln_init_p_dm"), (["--python-version", "3.14"], "kiln_init_p_dm"),
    (["--python-version", "3.15"], "kiln_export_p_dm"), (["--python-version", "4.0"], "kiln_export_p_dm"),
    (["--init", "PyModExport_m"], "kiln_export_p_dm")])
def test_of_both_hooks_the_python_decides(options, symbol, workshop):
    source = workshop.compile("a.c", VALUE + INIT + "void *PyModExport_m(void) { return 0; }")
    assert workshop.isolate("p.m", *options, source, check=False).stdout == f"p.m {symbol}\n"


def test_a_version_that_is_none_is_wrong_usage(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    result = workshop.isolate("p.m", "--python-version", "3.x", source, check=False)
    assert result.returncode == 2 and '"3.x" is not a version like 3.15' in result.stderr


def test_of_several_init_functions_the_name_that_is_not_ascii_picks_one(workshop):
    source = workshop.compile("a.c", "void *PyInitU_gre_6ka8i(void) { return 0; } void *PyInit_n(void) { return 0; }\n"
                              "void *PyModExportU_gre_6ka8i(void) { return 0; }")
    assert workshop.isolate("p.größe", source, check=False).stdout == "p.größe kiln_init_p_dgr_xc3_xb6_xc3_x9fe\n"
    assert workshop.isolate("p.größe", "--python-version", "3.15", source, check=False).stdout == \
        "p.größe kiln_export_p_dgr_xc3_xb6_xc3_x9fe\n"


def test_verbose_says_what_was_found(workshop):
    source = workshop.compile("a.c", CTORS, "-DV=1")
    said = workshop.isolate("p.m", "--verbose", source, check=False).stderr
    assert "PyInit_m" in said and "2 constructors and 2 destructors deferred" in said
    assert "p.m: needs note" in said


def test_code_that_is_not_position_independent_is_told(workshop):
    source = workshop.compile("a.S", ABSOLUTE)
    said = workshop.isolate("p.m", "--verbose", source, check=False).stderr
    assert "p.m: not position-independent: section .text, symbol table; compile it with -fPIC" in said


def test_of_several_init_functions_the_one_of_the_name_is_exported(workshop):
    source = workshop.compile("a.c", "void *PyInit_m(void) { return (void *)1; }\n"
                              "void *PyInit_n(void) { return (void *)2; }\n")
    modules = [workshop.isolate("p1.m", source),
               workshop.isolate("p2.m", "--init", "PyInit_n", source)]
    assert workshop.numbers(workshop.link(modules)) == [-1, 1, 2, 1]


def assert_error(workshop, result, *texts):
    """The command failed, says all of TEXTS in one message that names the module, and has left nothing
    behind."""
    assert result.returncode == 1
    assert result.stderr.startswith(("kiln: error: p.m: ", 'kiln: error: "p..m" '))
    assert result.stdout == ""
    for text in texts:
        assert text in result.stderr
    assert result.stderr.count("kiln: error: ") == 1
    assert [path.name for path in workshop.dir.iterdir() if path.name.startswith("p.m")] == []


def test_error_no_init_function(workshop):
    source = workshop.compile("a.c", VALUE)
    result = workshop.isolate("p.m", source, check=False)
    assert_error(workshop, result, "no init function", "a.c.o", "is the right one among them?")


def test_error_another_init_function_lists_those_there_are(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    result = workshop.isolate("p.m", "--init=PyInit_other", source, check=False)
    assert_error(workshop, result, "PyInit_other is not defined", "PyInit_m")


def test_error_name_that_is_none(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    assert_error(workshop, workshop.isolate("p..m", source, check=False), "p..m")


def test_error_object_for_another_machine(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    other = workshop.dir / "other.o"
    data = bytearray(source.read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # e_machine: EM_RISCV
    other.write_bytes(data)
    result = workshop.isolate("p.m", other, check=False)
    assert_error(workshop, result, "other.o", "riscv", "x86-64 and arm64: compile it for one of those")


@pytest.mark.parametrize("order", [0, 1])
def test_error_objects_for_two_machines(workshop, order):
    source = workshop.compile("a.c", VALUE + INIT)
    here, there, number = ("arm64", "x86-64", 62) if MACHINE == "aarch64" else ("x86-64", "arm64", 183)
    other = workshop.dir / "other.o"
    data = bytearray(workshop.compile("b.c", "int other;").read_bytes())
    data[18:20] = number.to_bytes(2, "little")  # e_machine
    other.write_bytes(data)
    result = workshop.isolate("p.m", *[(source, other), (other, source)][order], check=False)
    assert_error(workshop, result, "other.o", "a.c.o", here, there, "compile both for the same")


CROSS = "aarch64-linux-gnu-gcc"


@only_native
@only_x86
@pytest.mark.skipif(not shutil.which(CROSS), reason=f"no {CROSS}")
@pytest.mark.parametrize("flags", [[], ["-flto"]], ids=["machine code", "lto"])
def test_an_object_for_arm64_is_isolated_by_the_tools_for_arm64(workshop, flags):
    source = workshop.compile("a.c", CTORS, "-DV=1", *flags, cc=CROSS)
    names = defined(workshop.isolate("p.m", source))
    assert {"kiln_init_p_dm", "value.p_dm"} <= names


@only_native
@only_x86
@pytest.mark.skipif(not shutil.which(CROSS), reason=f"no {CROSS}")
def test_what_no_pie_can_have_is_known_for_arm64(workshop):
    source = workshop.compile("a.S", ABSOLUTE, cc=CROSS)
    said = workshop.isolate("p.m", "--verbose", source, check=False).stderr
    assert "not position-independent: section .text, symbol table" in said


def test_error_object_of_32_bits(workshop):
    data = bytearray(workshop.compile("a.c", VALUE + INIT).read_bytes())
    data[4] = 1  # EI_CLASS: ELFCLASS32
    (workshop.dir / "small.o").write_bytes(data)
    result = workshop.isolate("p.m", "small.o", check=False)
    assert_error(workshop, result, "small.o", "32-bit")


def test_error_object_cut_short(workshop):
    data = workshop.compile("a.c", VALUE + INIT).read_bytes()
    (workshop.dir / "short.o").write_bytes(data[:len(data) // 2])
    assert_error(workshop, workshop.isolate("p.m", "short.o", check=False), "short.o", "cut short")


def test_error_shared_object_as_input(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    run(*tool("gcc"), "-shared", "-o", workshop.dir / "other.so", source)
    result = workshop.isolate("p.m", source, "other.so", check=False)
    assert_error(workshop, result, "other.so", "shared object", "link it at the end, with the executable")


def test_error_text_as_input(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    (workshop.dir / "lib.ld").write_text("INPUT(-lm)")
    result = workshop.isolate("p.m", source, "lib.ld", check=False)
    assert_error(workshop, result, "lib.ld", "neither an object file nor an archive")


def test_error_missing_file(workshop):
    result = workshop.isolate("p.m", "nothing.o", check=False)
    assert_error(workshop, result, "nothing.o", "No such file")


def test_error_missing_member(workshop):
    lib = archive(workshop, value=VALUE + INIT)
    result = workshop.isolate("p.m", f"{lib}(nothing.o)", check=False)
    assert_error(workshop, result, "libx.a(nothing.o)", "no such member")


def test_error_symbol_defined_twice(workshop):
    objects = [workshop.compile(name, VALUE + INIT) for name in ("a.c", "b.c")]
    result = workshop.isolate("p.m", *objects, check=False)
    assert_error(workshop, result, "multiple definition of `value'")


def test_error_executable_stack(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    nested = workshop.compile("n.c", "extern void use(int (*)(void));\n"
                              "void f(int x) { int g(void) { return x; } use(g); }", "-O0")
    result = workshop.isolate("p.m", source, nested, check=False)
    assert_error(workshop, result, "n.c.o", "executable stack", "avoid nested functions")


def test_error_executable_stack_in_an_archive(workshop):
    source = workshop.compile("a.c", "extern void f(int);\n"
                              "int value(void) { f(1); return 1; }\n" + INIT)
    nested = "extern void use(int (*)(void));\nvoid f(int x) { int g(void) { return x; } use(g); }"
    lib = archive(workshop, nested=nested, value=VALUE)
    result = workshop.isolate("p.m", source, lib, check=False)
    assert_error(workshop, result, "libx.a(nested.o)", "executable stack")


def test_a_member_that_does_not_take_part_may_be_unusable(workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    nested = "extern void use(int (*)(void));\nvoid f(int x) { int g(void) { return x; } use(g); }"
    workshop.isolate("p.m", source, archive(workshop, nested=nested))


@pytest.mark.parametrize("name", ["kiln_ctors_start", "kiln_text_end", "kiln_run_constructors", "kiln_start_PyInit_m"])
def test_error_names_that_combining_uses(name, workshop):
    source = workshop.compile("a.c", VALUE + INIT)
    other = workshop.compile("b.c", f"int {name} = 1;")
    result = workshop.isolate("p.m", source, other, check=False)
    assert_error(workshop, result, f"b.c.o: it defines {name}", "rename it")
    assert workshop.isolate("p.m", source, workshop.compile("b.c", f"static int {name} = 1; int *f(void) {{ return &{name}; }}"))


@pytest.mark.parametrize("section, text", [(".preinit_array", "preinit_array"),
                                           (".init", "_init or _fini"),
                                           (".fini", "_init or _fini")])
def test_error_code_for_the_start_of_a_program(workshop, section, text):
    source = workshop.compile("a.c", VALUE + INIT)
    early = workshop.compile("e.S", f'\t.section {section},"aw"\n\t.quad 0\n'
                             '\t.section .note.GNU-stack,"",@progbits\n')
    result = workshop.isolate("p.m", source, early, check=False)
    assert_error(workshop, result, "e.S.o", text, "use a constructor")


def test_a_missing_note_about_the_stack_makes_no_executable_stack(workshop):
    without = "\t.globl get\nget:" + RETURN_V
    use = "extern int get(void); int value(void) { return get(); }\n" + INIT
    exe = workshop.link(workshop.modules({"a.S": without, "b.c": use}))
    stack = [line for line in run(*tool("readelf"), "-lW", exe).stdout.splitlines() if "GNU_STACK" in line]
    assert "RWE" not in stack[0] and workshop.numbers(exe) == [-1, 1, 2, 1]


@pytest.fixture
def bare_path(workshop):
    """An environment whose PATH has the tools that isolating always needs, and no others."""
    directory = workshop.dir / "bin"
    directory.mkdir()
    for tool in ("ld.bfd", "as", "ar"):
        (directory / tool).symlink_to(shutil.which(tool))
    return {**os.environ, "PATH": str(directory)}


def test_error_llvm_bitcode_without_lld(workshop, bare_path):
    if not shutil.which("clang"):
        pytest.skip("no clang")
    source = workshop.compile("a.c", VALUE + INIT, "-flto", cc="clang")
    result = workshop.isolate("p.m", source, check=False, env=bare_path)
    assert_error(workshop, result, "a.c.o: LLVM bitcode", "no ld.lld", "rebuild it without -flto")


def test_error_llvm_bitcode_that_lld_cannot_read(workshop, bare_path):
    (workshop.dir / "new.o").write_bytes(b"BC\xc0\xde" + b"\xff" * 100)
    (workshop.dir / "bin/ld.lld").symlink_to(shutil.which("ld.lld") or shutil.which("false"))
    result = workshop.isolate("p.m", "new.o", check=False, env=bare_path)
    assert_error(workshop, result, "new.o: LLVM bitcode", "rebuild it without -flto", "ld.lld says")


def test_error_gcc_bytecode_that_the_compiler_cannot_lower(workshop):
    source = workshop.compile("a.c", VALUE + INIT, "-flto")
    if not shutil.which("clang"):
        pytest.skip("no clang")
    result = workshop.isolate("p.m", "--cc=clang", source, check=False)
    assert_error(workshop, result, "a.c.o: bytecode of gcc", "-fno-lto", "clang")


def test_usage_errors(workshop, kiln):
    for arguments in (["a.o"], ["--name", "p.m"], ["--name"], ["--name", "p.m", "--wrong", "a.o"],
                      ["--name", "p.m", "--init", "PyInit_a", "--init", "PyInit_b", "a.o"]):
        assert kiln("isolate", *arguments, check=False, cwd=workshop.dir).returncode == 2


def test_an_output_that_was_there_survives_a_failure(workshop):
    (workshop.dir / "p.m.o").write_text("old")
    assert workshop.isolate("p.m", "nothing.o", check=False).returncode == 1
    assert (workshop.dir / "p.m.o").read_text() == "old"


def test_the_inputs_are_untouched(workshop):
    source = workshop.compile("a.c", LEGACY + VALUE + INIT, "-DBASE=1", '-DPRIORITY=".ctors.5"')
    before = source.read_bytes(), source.stat().st_mtime_ns
    workshop.isolate("p.m", source)
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before


def test_names_of_files_may_have_any_characters(workshop):
    source = workshop.compile("a.c", VALUE + INIT, out="dir with 'quotes\" and \\ back/(a) b.o")
    assert "kiln_init_p_dm" in defined(workshop.isolate("p.m", source))


def test_error_full_disk(workshop):
    source = workshop.compile("a.c", VALUE + "char big[1 << 20] = {1};\n" + INIT)
    with small_disk(workshop.dir / "full", "64k") as full:
        result = workshop.kiln("isolate", "--name", "p.m", "-o", full / "m.o", source, check=False)
        assert result.returncode == 1 and "No space left" in result.stderr
        assert list(full.iterdir()) == []


def test_no_object_is_left_whose_line_could_not_be_written(workshop, build):
    source = workshop.compile("a.c", VALUE + INIT)
    with open("/dev/full", "w") as full:
        result = subprocess.run([build / "kiln", "isolate", "--name", "p.m", "-o", workshop.dir / "p.m.o", source],
                                stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and "standard output" in result.stderr
    assert not (workshop.dir / "p.m.o").exists()


RUST = """
use std::cell::Cell;
use std::sync::Mutex;
static SEEN: Mutex<Vec<i64>> = Mutex::new(Vec::new());
thread_local! { static OWN: Cell<i64> = Cell::new(4); }
#[no_mangle]
pub extern "C" fn PyInit_m() -> *mut u8 {
    std::thread::spawn(|| { SEEN.lock().unwrap().push(1); OWN.with(|t| t.set(9)); })
        .join().unwrap();
    let caught = std::panic::catch_unwind(|| if std::env::args().count() > 0 { panic!("x") });
    let calls = SEEN.lock().unwrap().len() as i64;
    (calls * 100 + OWN.with(|t| t.get()) * 10 + caught.is_err() as i64) as *mut u8
}
"""


@only_native
@pytest.mark.skipif(not shutil.which("rustc"), reason="no rustc")
@pytest.mark.parametrize("flags", [[], ["-Clto=fat"], ["-Clinker-plugin-lto"]],
                         ids=["plain", "lto", "linker-plugin-lto"])
def test_two_rust_libraries_each_with_its_own_std(workshop, flags):
    (workshop.dir / "m.rs").write_text(RUST)
    lib = workshop.dir / "libm.a"
    run("rustc", "-O", *flags, "--crate-type=staticlib", "-o", lib, workshop.dir / "m.rs")
    exe = workshop.link([workshop.isolate(f"p{v}.m", lib) for v in (1, 2)], "bfd", ["-lm", "-ldl"])
    assert workshop.numbers(exe) == [-1, 141, 141, 241]
