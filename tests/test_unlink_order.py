"""When constructors and destructors of shared objects that Kiln has not built run, and what they are given."""

from constructs import construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

# Each says its name (WHO) when it starts and ends, in all ways there are.
SAYING = r"""
--- say.h
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void say(const char *what) { char line[100] = WHO " "; strcat(strcat(line, what), "\n"); if (write(1, line, strlen(line)) < 0) abort(); }
--- b.c
#include "say.h"
__attribute__((constructor)) static void start(void) { say("starts"); }
__attribute__((destructor)) static void end(void) { say("ends"); }
#ifdef NEEDS
int NEEDS(void);
int CALL(void) { return 1 + NEEDS(); }
#else
int CALL(void) { return 1; }
#endif
--- a.c
#include "module.h"
#include "say.h"
__attribute__((constructor)) static void start(void) { say("starts"); }
__attribute__((destructor)) static void end(void) { say("ends"); }
#ifdef NEEDS
int NEEDS(void);
#else
#define NEEDS() 0
#endif
#ifdef DEFINED
DEFINED
#endif
#ifdef NEEDS2
int NEEDS2(void);
#else
#define NEEDS2() 0
#endif
F(f) { say("called"); return N(NEEDS() + NEEDS2()); }
MODULE(M(f))
--- build
one() { lib $1 b.c "-DWHO=\"$1\"" -DCALL=$1 $2; }
"""


def said(text):
    """What a program writes: a line for each `name what` in TEXT, separated by commas."""
    return "".join(line.strip() + "\n" for line in text.split(","))


CONSTRUCTS = [
    construct("order_chain", SAYING + """
one low; one middle "-DNEEDS=low ${L}low"; one high "-DNEEDS=middle ${L}middle"
ext _a a.c '-DWHO="a"' -DNEEDS=high ${L}high
""", 'answer = load("_a").f()', 3, prints=said("low starts, middle starts, high starts, a starts, a called, a ends, high ends, middle ends, low ends")),
    construct("order_diamond", SAYING + """
one low; one left "-DNEEDS=low ${L}low"; one right "-DNEEDS=low ${L}low"
ext _a a.c '-DWHO="a"' -DNEEDS=left -DNEEDS2=right ${L}left ${L}right
""", 'answer = load("_a").f()', 4, prints=said("low starts, right starts, left starts, a starts, a called, a ends, left ends, right ends, low ends")),
    construct("order_two_leaves", SAYING + """
one left; one right
ext _a a.c '-DWHO="a"' -DNEEDS=left -DNEEDS2=right ${L}left ${L}right
""", 'answer = load("_a").f()', 2, prints=said("right starts, left starts, a starts, a called, a ends, left ends, right ends")),
    construct("order_nested_tree", SAYING + """
one deep; one left "-DNEEDS=deep ${L}deep"; one right
ext _a a.c '-DWHO="a"' -DNEEDS=right -DNEEDS2=left ${L}right ${L}left
""", 'answer = load("_a").f()', 3, prints=said("deep starts, left starts, right starts, a starts, a called, a ends, right ends, left ends, deep ends")),
    # The last library is bound to one that it needs by way of others only, and so ends before it.
    construct("order_ends_with_indirect_needs", SAYING.split("--- a.c")[0] + r"""
--- l0.c
#include "say.h"
__attribute__((destructor)) static void end(void) { say("ends"); }
int n0(void) __attribute__((weak));
int n3(void) { return 1; }
int l0(void) { return n0 == NULL ? 0 : n0(); }
--- l1.c
#include "say.h"
__attribute__((destructor)) static void end(void) { say("ends"); }
int n0(void) __attribute__((weak)), n3(void) __attribute__((weak));
int l1(void) { return (n0 == NULL ? 0 : n0()) + (n3 == NULL ? 0 : n3()); }
--- l2.c
#include "say.h"
__attribute__((destructor)) static void end(void) { say("ends"); }
int n3(void) __attribute__((weak));
int n0(void) { return 2; }
int l2(void) { return n3 == NULL ? 0 : n3(); }
--- l3.c
#include "say.h"
__attribute__((destructor)) static void end(void) { say("ends"); }
int l3(void) { return 1; }
--- a.c
#include "module.h"
#include "say.h"
int l0(void), l1(void), l2(void);
__attribute__((destructor)) static void end(void) { say("ends"); }
F(f) { return N(l0() + l1() + l2()); }
MODULE(M(f))
--- build
for l in l1 l2; do lib $l $l.c "-DWHO=\"$l\""; done
lib l3 l3.c '-DWHO="l3"' -Wl,--no-as-needed ${L}l1 ${L}l2
lib l0 l0.c '-DWHO="l0"' -Wl,--no-as-needed ${L}l3
ext _a a.c '-DWHO="a"' -Wl,--no-as-needed ${L}l1 ${L}l0 ${L}l2
""", 'answer = load("_a").f()', 6, prints="a ends\nl0 ends\nl3 ends\nl1 ends\nl2 ends\n"),
    construct("order_two_roots", SAYING + """
one low
ext _a a.c '-DWHO="a"' -DNEEDS=low ${L}low; ext _b a.c '-DWHO="b"' -DNEEDS=low ${L}low; ext _c a.c '-DWHO="c"'
""", 'answer = [load("_c").f(), load("_a").f(), load("_b").f()]', [0, 1, 1],
              prints=said("c starts, c called, low starts, a starts, a called, b starts, b called, c ends, a ends, b ends, low ends")),
    construct("order_cycle", SAYING + """
one left; one right "-DNEEDS=left ${L}left"; one left "-DNEEDS=right ${L}right -DCYCLE"
sed -i 's/int CALL(void) { return 1 + NEEDS(); }/int NEEDS(void); int CALL(void) { static int in; if (in++) return 0; int n = 1 + NEEDS(); in = 0; return n; }/' b.c
one left; one right "-DNEEDS=left ${L}left"; one left "-DNEEDS=right ${L}right"
ext _a a.c '-DWHO="a"' -DNEEDS=left ${L}left
""", 'answer = load("_a").f()', 2, prints=said("left starts, right starts, a starts, a called, a ends, right ends, left ends")),
    # What references of a library lead to was brought by the first extension; what that leads to depends on which is first.
    construct("order_end_by_references_to_what_is_there", SAYING.replace("#ifdef NEEDS\nint NEEDS(void);\nint CALL", """
#ifdef ASKS
extern int ASKS __attribute__((weak));
int *asked(void) { return &ASKS; }
#endif
#ifdef NEEDS
int NEEDS(void);
int CALL""", 1) + """
one middle "-DASKS=number"; one left "-DASKS=middle"; one right "-DASKS=middle"
ext _a a.c '-DWHO="a"' -Wl,--no-as-needed ${L}middle ${L}left -DNEEDS=left '-DDEFINED=int number = 1;'
ext _b a.c '-DWHO="b"' -Wl,--no-as-needed ${L}right ${L}middle -DNEEDS=right
""", 'answer = [load("_a").f(), load("_b").f()]', [1, 1], prints=said("""
left starts, middle starts, a starts, a called, right starts, b starts, b called, b ends, right ends, a ends, middle ends, left ends""")),
    # What does not need another library ends before it if it is bound to that, unless that stays for good in any case.
    *(construct(f"order_end_bound_{name}", SAYING.split("--- a.c")[0] + r"""
--- h.h
inline int variable = 1;
--- right.cc
#include "say.h"
__attribute__((destructor)) static void end(void) { say("ends"); }
#ifdef UNIQUE
#include "h.h"
int *get(void) { return &variable; }
#endif
extern "C" int right(void) { return 1; }
--- left.cc
#include "say.h"
#include <dlfcn.h>
__attribute__((destructor)) static void end(void) { say("ends"); }
#ifdef UNIQUE
#include "h.h"
int *get_too(void) { return &variable; }
extern "C" int right(void); /* called only, and so bound after the variable */
extern "C" int left(void) { return right(); }
#else
extern "C" int right(void) __attribute__((weak));
#ifdef FIND
extern "C" int left(void) { return dlsym(RTLD_DEFAULT, "right") != NULL; }
#else
extern "C" int left(void) { return right ? right() : 0; }
#endif
#endif
--- a.c
#include "module.h"
#include "say.h"
int left(void);
__attribute__((destructor)) static void end(void) { say("ends"); }
F(f) { return N(left()); }
MODULE(M(f))
--- build
""" + f"libcc left left.cc '-DWHO=\"left\"' {options}; libcc right right.cc '-DWHO=\"right\"' {options} {more}" + """
ext _a a.c '-DWHO="a"' -Wl,--no-as-needed ${L}right ${L}left
""", 'answer = load("_a").f()', 1, prints=said(f"a ends, {first} ends, {second} ends"))
      for name, options, more, first, second in (
          ("to_another", "", "", "left", "right"), ("to_nodelete", "", "-Wl,-z,nodelete", "right", "left"),
          ("to_what_is_unique", "-DUNIQUE -std=c++17", "", "right", "left"), ("by_dlsym", "-DFIND", "", "left", "right"))),
    construct("order_atexit", r"""
--- say.h
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void say(const char *what) { if (write(1, what, strlen(what)) < 0) abort(); }
--- b.cc
#include "say.h"
struct Said { const char *at; Said(const char *at) : at(at) { say(at); } ~Said() { say(at); say("gone\n"); } };
static Said first("library first\n"), second("library second\n");
extern "C" void use() { static Said third("library third\n"); }
--- a.cc
#include "module.h"
#include "say.h"
extern "C" void use();
struct Said { const char *at; Said(const char *at) : at(at) { say(at); } ~Said() { say(at); say("gone\n"); } };
static Said first("first\n"), second("second\n");
static void one() { say("atexit one\n"); }
static void two() { say("atexit two\n"); }
F(f) { atexit(one); use(); atexit(two); static Said third("third\n"); return N(0); }
MODULE(M(f))
--- build
libcc one b.cc
extcc _a a.cc ${L}one
""", 'answer = load("_a").f()', 0, prints="library first\nlibrary second\nfirst\nsecond\nlibrary third\nthird\n"
              "third\ngone\natexit two\nlibrary third\ngone\natexit one\nsecond\ngone\nfirst\ngone\n"
              "library second\ngone\nlibrary first\ngone\n"),
    construct("order_init_fini_and_arrays", r"""
--- a.c
#include "module.h"
#include "say.h"
void own_init(int argc, char **argv, char **envp) { say(argc == 6 && strcmp(argv[1], "-c") == 0 && envp[0] ? "init" : "init without arguments"); }
static void array(int argc, char **argv, char **envp) { say(argc == 6 && strcmp(argv[3], "order_init_fini_and_arrays") == 0 && getenv("PATH") && envp[0] ? "array" : "array without arguments"); }
static void array_second(void) { say("array second"); }
void own_fini(void) { say("fini"); }
static void end_array(void) { say("end array"); }
static void end_array_second(void) { say("end array second"); }
__attribute__((section(".init_array"), used)) static void (*const starts[])() = {(void (*)())array, array_second};
__attribute__((section(".fini_array"), used)) static void (*const ends[])(void) = {end_array, end_array_second};
F(f) { say("called"); return N(0); }
MODULE(M(f))
--- say.h
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void say(const char *what) { if (write(1, what, strlen(what)) < 0 || write(1, "\n", 1) < 0) abort(); }
--- build
ext _a a.c -nostartfiles -Wl,-init=own_init -Wl,-fini=own_fini
""", 'answer = load("_a").f()', 0, prints=said("init, array, array second, called, end array second, end array, fini")),
    construct("order_priorities", r"""
--- a.cc
#include "module.h"
#include "say.h"
struct Said { const char *at; Said(const char *at) : at(at) { say(at); } };
__attribute__((init_priority(300))) static Said third("300\n");
__attribute__((init_priority(200))) static Said second("200\n");
static Said last("none\n");
__attribute__((constructor(150))) static void first() { say("150\n"); }
__attribute__((destructor(150))) static void end_last() { say("end 150\n"); }
__attribute__((destructor(300))) static void end_second() { say("end 300\n"); }
__attribute__((destructor)) static void end_first() { say("end\n"); }
F(f) { return N(0); }
MODULE(M(f))
--- say.h
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void say(const char *what) { if (write(1, what, strlen(what)) < 0) abort(); }
--- build
extcc _a a.cc
""", 'answer = load("_a").f()', 0, prints=said("150, 200, 300, none, end, end 300, end 150")),
    construct("order_constructor_uses_libraries", r"""
--- b.cc
#include <map>
#include <string>
static std::map<std::string, int> registered;
int enter(const std::string &name, int n) { registered[name] = n; return n; }
int get(const std::string &name) { return registered.at(name); }
--- a.cc
#include "module.h"
#include <string>
int enter(const std::string &, int);
int get(const std::string &);
static int entered = enter(MOD, NUMBER);
static const long of_python = PyLong_AsLong(PyLong_FromLong(31));
F(f) { return Py_BuildValue("iil", get(MOD), entered, of_python); }
MODULE(M(f))
--- build
libcc one b.cc
extcc _a a.cc -DNUMBER=1 ${L}one
extcc _b a.cc -DNUMBER=2 ${L}one
""", 'answer = [load("_a").f(), load("_b").f()]', [[1, 1, 31], [2, 2, 31]]),
    construct("order_nothing_runs_before_the_import", SAYING + """
one low
ext _a a.c '-DWHO="a"' -DNEEDS=low ${L}low; ext _b a.c '-DWHO="b"' -DNEEDS=low ${L}low
""", "answer = 1", 1, prints=""),
    construct("order_constructor_imports", r"""
--- a.c
#include "module.h"
static PyObject *held;
__attribute__((constructor)) static void start(void) { held = PyImport_ImportModule(PKG "._b"); if (!held) PyErr_Clear(); }
F(f) { return held ? PyObject_CallMethod(held, "f", NULL) : S("nothing"); }
MODULE(M(f))
--- b.c
#include "module.h"
F(f) { return S("of b"); }
MODULE(M(f))
--- build
ext _a a.c "-DPKG=\"$CON\""
ext _b b.c
""", 'answer = load("_a").f()', "of b"),
    construct("order_quick_exit_runs_no_destructors", SAYING + """ext _a a.c '-DWHO="a"'""", """
a = load("_a"); answer = a.f()
import atexit; atexit.register(os._exit, 3)
""", 0, prints="a starts\na called\n", status=3),
]
