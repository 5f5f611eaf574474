"""What symbols of shared objects that Kiln has not built are bound to: scopes, versions, visibility,
weak, unique and indirect symbols, interposition, the addresses of functions and data."""

import signal

from constructs import OneOf, construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

UNIQUE = r"""
--- h.h
inline int counter() { static int n = 0; return ++n; }
template<class T> struct Held { static int value; };
template<class T> int Held<T>::value = 100;
inline int variable = 1000;
inline int *pointer = &variable;
struct Made { int n; Made() : n(7) {} };
inline Made made;
--- a.cc
#include "module.h"
#include "h.h"
F(f) { ++*pointer; return Py_BuildValue("iiii", counter(), ++Held<int>::value, variable, made.n++); }
MODULE(M(f))
--- build
"""
UNIQUE_CODE = 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), a.f()]'
SHARED = [[1, 101, 1001, 7], [2, 102, 1002, 8], [3, 103, 1003, 9]]
# `made` is constructed by each extension unless they share its guard, too.
OWN = [[1, 101, 1001, 7], [1, 101, 1001, 7], [2, 102, 1002, 8]]

# A library of the system, a package's, and extensions count with one variable.
COUNT = r"""
--- h.h
inline int NAME() { static int n = 0; return ++n; }
--- s.cc
#include "h.h"
int count_in_system() { return NAME(); }
--- l.cc
#include "h.h"
int count_in_library() { return NAME(); }
--- a.cc
#include "module.h"
#include "h.h"
#ifdef SYSTEM
int count_in_system();
#else
#define count_in_system() 0
#endif
#ifdef LIBRARY
int count_in_library();
#else
#define count_in_library() 0
#endif
F(f) {
    int own = NAME(), in_library = count_in_library(), in_system = count_in_system();
    return Py_BuildValue("iii", own, in_library, in_system);
}
MODULE(M(f))
--- build
mkdir -p $EXTERN
s=lib${CON}_s.so
g++ -shared -fPIC s.cc -DNAME=$CON -Wl,-soname,$s -o $EXTERN/$s
libcc l l.cc -DNAME=$CON
with_system() { local name=$1; shift; extcc $name a.cc -DNAME=$CON -DSYSTEM "$@" $EXTERN/$s -Wl,-rpath,$EXTERN; }
with_library() { local name=$1; shift; extcc $name a.cc -DNAME=$CON -DLIBRARY "$@" ${L}l; }
"""
# The process has one table, and none can tell it from a copy.
CONSTANT = r"""
--- a.cc
#include "module.h"
template<class T> struct Table { static constexpr int values[] = {1, 2, VALUE}; };
template<class T> constexpr int Table<T>::values[];
volatile int at = 2;
F(f) { return N(Table<char[SIZE]>::values[at]); }
MODULE(M(f))
--- build
extcc _a a.cc -std=c++14 -Wl,-z,initfirst -DSIZE=VALUE_SIZE -DVALUE=3
"""

# A library asks whoever is first in the scope that it is loaded in.
BACK = r"""
--- b.c
#include <stddef.h>
#ifndef WEAK
#define WEAK
#endif
int which(void) WEAK;
extern int number WEAK;
static int (*const table[])(void) = {which};
static int *const numbers[] = {&number};
int ask(void) { return which == NULL ? 0 : which(); }
int ask_number(void) { return &number == NULL ? 0 : number; }
int ask_table(void) { return table[0] == NULL ? 0 : table[0](); }
int ask_numbers(void) { return numbers[0] == NULL ? 0 : *numbers[0]; }
--- a.c
#include "module.h"
DEFINITION
int ask(void), ask_number(void), ask_table(void), ask_numbers(void);
F(f) { return Py_BuildValue("iiii", ask(), ask_number(), ask_table(), ask_numbers()); }
MODULE(M(f))
--- build
lib one b.c
"""
IN_ORDERS = """
answer = [in_child(lambda: [load("_a").f(), load("_b").f()]), in_child(lambda: [load("_b").f(), load("_a").f()])]
"""
UNDEFINED = "HERE/lib/libinterposed_by_the_first_or_by_nothing_one.so: undefined symbol: number"

IFUNC = r"""
--- ifunc.h
static int one(void) { return 11; }
static int two(void) { return 22; }
extern int wanted;
static int (*resolve(void))(void) { return wanted == 5 ? two : one; }
int wanted = 5;
int chosen(void) __attribute__((ifunc("resolve")));
static int hidden(void) __attribute__((ifunc("resolve")));
--- b.c
#include "ifunc.h"
int (*const in_library)(void) = chosen;
int call_chosen(void) { return chosen() + hidden(); }
--- a.c
#include "module.h"
#ifdef OWN
#include "ifunc.h"
#else
int chosen(void);
#define hidden chosen
#endif
static int (*const table[])(void) = {chosen, hidden};
static int early;
__attribute__((constructor)) static void start(void) { early = chosen() + table[0](); }
int call(int (*function)(void)) { return function(); }
F(f) { return Py_BuildValue("iiiiii", chosen(), hidden(), call(chosen), table[0](), table[1](), early); }
F(address) { return Py_BuildValue("i", (void *)table[0] == (void *)chosen); }
MODULE(M(f), M(address))
--- build
"""
IFUNC_CODE = 'a = load("_a"); answer = [a.f(), a.address()]'
IFUNC_ANSWER = [[22, 22, 22, 22, 22, 44], 1]

# one() of the library calls two() and reads `data`, which the extension has as well.
INTERPOSED = r"""
--- b.c
VISIBLE int data = 1;
VISIBLE int two(void) { return 2; }
int one(void) { return two() * 10 + data; }
int (*get_two(void))(void) { return two; }
int *get_data(void) { return &data; }
--- a.c
#include "module.h"
int one(void), (*get_two(void))(void), *get_data(void);
int data = 5;
int two(void) { return 6; }
F(f) { return Py_BuildValue("iiiii", one(), get_two()(), *get_data(), get_two() == two, get_data() == &data); }
MODULE(M(f))
--- build
"""
INTERPOSED_CODE = 'a = load("_a"); answer = a.f()'


def interposed(name, answer, flags="", visible="", extension="", **more):
    text = INTERPOSED + f"lib one b.c '-DVISIBLE={visible}' {flags}; ext _a a.c ${{L}}one {extension}"
    return construct(name, text, INTERPOSED_CODE, answer, **more)


CXX = r"""
--- h.h
#include <string>
#include <typeinfo>
#include <vector>
struct Shape { virtual ~Shape(); virtual std::string name() const = 0; virtual int area() const { return 0; } };
struct Side { virtual ~Side() {} int n = 3; };
struct Square : Shape, virtual Side { std::string name() const override; int area() const override { return n * n; } };
struct Plain { virtual ~Plain() {} };
Shape *make();
bool is_square(Shape *shape);
--- b.cc
#include "h.h"
Shape::~Shape() {}
std::string Square::name() const { return "square"; }
Shape *make() { return new Square; }
bool is_square(Shape *shape) { return dynamic_cast<Square *>(shape) != nullptr; }
--- a.cc
#include "module.h"
#include "h.h"
struct Round : Shape { std::string name() const override { return "round"; } };
F(f) {
    Shape *square = make(), *round = new Round;
    Side *side = dynamic_cast<Side *>(square);
    Square own;
    PyObject *answer = Py_BuildValue("siiiiiii", square->name().c_str(), square->area(), side ? side->n : -1,
        is_square(square), is_square(round), dynamic_cast<Square *>(round) != nullptr, typeid(*square) == typeid(Square),
        is_square(&own));
    delete square;
    delete round;
    return answer;
}
MODULE(M(f))
--- build
"""
CXX_ANSWER = ["square", 9, 3, 1, 0, 0, 1, 1]

STATIC_STREAMS = r"""
--- a.cc
#include "module.h"
#include <sstream>
F(f) { std::ostringstream out; out << "static " << 1.25 << std::endl; return S(out.str().c_str()); }
MODULE(M(f))
--- build
"""

# Variables of one name with other values, sizes, addresses in them and constructors.
VERSIONS = r"""
--- h.h
inline const char *say() { return NAME; }
template<class T> struct Held { static int number; static const char *(*function)(); static int counter; static char more[SIZE]; };
template<class T> int Held<T>::number = VERSION;
template<class T> const char *(*Held<T>::function)() = own;
template<class T> char Held<T>::more[SIZE] = {VERSION};
int start();
template<class T> int Held<T>::counter = start();
--- a.cc
#include "module.h"
static const char *own() { return NAME; }
#include "h.h"
int start() { return VERSION * 10; }
F(f) {
    const char *said = Held<int>::function();
    return Py_BuildValue("issi", Held<int>::number + Held<int>::more[0] * 0, said, Held<int>::function == own ? "own" : "other",
                         Held<int>::counter++);
}
MODULE(M(f))
--- b.cc
static const char *own() { return NAME; }
#include "h.h"
int start() { return VERSION * 10; }
int all() { return Held<int>::number + *Held<int>::function() + Held<int>::counter + Held<int>::more[0]; }
--- build
extcc _a a.cc -DVERSION=1 '-DNAME="a"' -DSIZE=8 -fvisibility-inlines-hidden
extcc _b a.cc -DVERSION=2 '-DNAME="b"' -DSIZE=5000 -fvisibility-inlines-hidden
libcc three b.cc -DVERSION=4 '-DNAME="d"' -DSIZE=3
extcc _c a.cc -DVERSION=3 '-DNAME="c"' -DSIZE=16 -fvisibility-inlines-hidden ${L}three -Wl,--no-as-needed
"""

CONSTRUCTS = [
    construct("unique_shared_by_extensions", UNIQUE + "extcc _a a.cc; extcc _b a.cc", UNIQUE_CODE, SHARED),
    construct("unique_in_three_and_a_library", UNIQUE.replace("--- build", """--- b.cc
#include "h.h"
int bump() { ++variable; return counter(); }
--- c.cc
#include "module.h"
int bump();
F(f) { return N(bump()); }
MODULE(M(f))
--- build""") + "libcc one b.cc; extcc _a a.cc; extcc _b a.cc; extcc _c c.cc ${L}one",
              'a, c, b = load("_a"), load("_c"), load("_b"); answer = [a.f()[::2], c.f(), b.f()[::2], c.f()]',
              [[1, 1001], 2, [3, 1003], 4]),
    # As two packages with two versions of a library of templates have it: what one of them imports alone is its own.
    *(construct(f"unique_of_another_version_{name}", VERSIONS, code, answer) for name, code, answer in (
        ("alone", 'answer = load("_b").f()', [2, "b", "own", 20]),
        ("first", 'a = load("_a").f(); answer = [a, load("_b").f()]', [[1, "a", "own", 10], [1, "a", "other", 11]]),
        ("last", 'b = load("_b").f(); answer = [b, load("_a").f()]', [[2, "b", "own", 20], [2, "b", "other", 21]]),
        ("library", 'c = load("_c").f(); answer = [c, load("_a").f()]', [[3, "c", "own", 30], [3, "c", "other", 31]]))),
    construct("unique_of_library_and_system", COUNT + "with_system _a -DLIBRARY ${L}l", 'a = load("_a"); answer = [a.f(), a.f()]',
              [[1, 2, 3], [4, 5, 6]]),
    construct("unique_of_two_and_system", COUNT + "with_system _a; with_system _b", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f()]',
              [[1, 0, 2], [3, 0, 4]]),
    *(construct(f"unique_of_system_brought_by_{name}", COUNT + "with_system _good; with_library _a", code, answer,
                stays=r"one variable \S+, which \S+_s.so defines, too") for name, code, answer in (
        ("the_first", 'good = load("_good").f(); answer = [good, load("_a").f()]', [[1, 0, 2], [3, 4, 0]]),
        ("the_second", 'a = load("_a").f(); answer = [a, load("_good").f()]', [[1, 2, 0], [3, 0, 4]]))),
    # What stays a file for another reason.
    *(construct(f"unique_of_file_{name}", COUNT + "with_library _a; extcc _b a.cc -DNAME=$CON -Wl,-z,initfirst", code, answer,
                stays=r"one variable \S+, which \S+ defines, too") for name, code, answer in (
        ("first", 'b = load("_b").f(); answer = [b, load("_a").f()]', [[1, 0, 0], [2, 3, 0]]),
        ("last", 'a = load("_a").f(); answer = [a, load("_b").f()]', [[1, 2, 0], [3, 0, 0]]))),
    construct("unique_constant_of_file", CONSTANT.replace("VALUE_SIZE", "11") + "extcc _good a.cc -std=c++14 -DSIZE=11 -DVALUE=3",
              'answer = [load("_a").f(), load("_good").f()]', [3, 3], stays="DF_1_INITFIRST"),
    construct("unique_constant_of_file_differs", CONSTANT.replace("VALUE_SIZE", "12") + "extcc _b a.cc -std=c++14 -DSIZE=12 -DVALUE=4",
              'answer = [load("_a").f(), load("_b").f()]', [3, 3], stays=r"one variable \S+, which \S+ defines, too"),
    # Its extensions bring different libraries of the system that define it: no other's is opened for it.
    construct("unique_of_two_systems", COUNT + r"""
sed s/count_in_system/count_in_other/ s.cc >o.cc
g++ -shared -fPIC o.cc -DNAME=$CON -Wl,-soname,lib${CON}_o.so -o $EXTERN/lib${CON}_o.so
sed s/count_in_system/count_in_other/g a.cc >c.cc
with_system _a -DLIBRARY ${L}l
extcc _b c.cc -DNAME=$CON -DSYSTEM -DLIBRARY ${L}l $EXTERN/lib${CON}_o.so -Wl,-rpath,$EXTERN
echo $EXTERN/lib${CON}_o.so >$OUT/other.txt
""", """
with open(f"{HERE}/other.txt") as file:
    other = file.read().strip()
os.rename(other, other + ".away")
answer = [in_child(lambda: load("_a").f()), in_child(lambda: failure("_b")[0])]
os.rename(other + ".away", other)
""", [[1, 2, 3], "ImportError"], stays="one variable"),
    # A tag is known by its address.
    construct("unique_tag_of_a_file", r"""
--- a.cc
#include "module.h"
template<class T> struct Tag { static constexpr char id = 0; };
template<class T> constexpr char Tag<T>::id;
F(f) { return N((long)&Tag<int[3]>::id); }
MODULE(M(f))
--- build
extcc _a a.cc -std=c++14 -Wl,-z,initfirst; extcc _b a.cc -std=c++14
""", 'answer = load("_a").f() == load("_b").f()', True, stays="one variable"),
    construct("unique_switched_off", UNIQUE + "extcc _a a.cc -fno-gnu-unique; extcc _b a.cc -fno-gnu-unique", UNIQUE_CODE, OWN),
    construct("unique_hidden", UNIQUE + "extcc _a a.cc -fvisibility=hidden; extcc _b a.cc -fvisibility=hidden",
              UNIQUE_CODE, OWN),
    construct("unique_by_clang", UNIQUE + "CC=clang++ extcc _a a.cc; CC=clang++ extcc _b a.cc", UNIQUE_CODE, OWN, needs=("clang++",)),
    construct("unique_of_libstdcxx", r"""
--- a.cc
#include "module.h"
#include <locale>
#include <memory>
#include <regex>
#include <sstream>
F(f) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << 1.5 << ' ' << std::regex_match("abc123", std::regex("[a-c]+\\d+")) << std::make_shared<int>(7).use_count();
    return Py_BuildValue("si", out.str().c_str(), std::has_facet<std::numpunct<char>>(std::locale()));
}
MODULE(M(f))
--- build
extcc _a a.cc; extcc _b a.cc
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f()]', [["1.5 11", 1], ["1.5 11", 1]]),
    construct("ifunc_own", IFUNC + "ext _a a.c -DOWN", IFUNC_CODE, IFUNC_ANSWER),
    construct("ifunc_own_symbolic", IFUNC + "ext _a a.c -DOWN -Wl,-Bsymbolic", IFUNC_CODE, IFUNC_ANSWER),
    construct("ifunc_own_hidden", IFUNC + "ext _a a.c -DOWN -fvisibility=hidden", IFUNC_CODE, IFUNC_ANSWER),
    construct("ifunc_own_lld", IFUNC + "ext _a a.c -DOWN -fuse-ld=lld", IFUNC_CODE, IFUNC_ANSWER, needs=("ld.lld",)),
    construct("ifunc_of_library", IFUNC + "lib one b.c; ext _a a.c ${L}one", IFUNC_CODE, IFUNC_ANSWER),
    construct("ifunc_of_library_through_data", IFUNC.replace("int call(int", """extern int (*const in_library)(void);
int call_chosen(void);
F(g) { return Py_BuildValue("iii", in_library(), in_library == chosen, call_chosen()); }
int call(int""").replace("M(address)", "M(address), M(g)") + "lib one b.c; ext _a a.c ${L}one",
              'a = load("_a"); answer = [a.g(), a.f()]', [[22, 1, 44], IFUNC_ANSWER[0]]),
    construct("ifunc_of_libc_and_libm", r"""
--- a.c
#include "module.h"
#include <math.h>
#include <string.h>
#include <time.h>
static double (*const functions[])(double) = {sin, cos, atan, exp, floor};
static void *(*const copy)(void *, const void *, size_t) = memcpy;
static size_t (*length)(const char *) = strlen;
F(f) {
    char text[8];
    double sum = 0;
    for (int i = 0; i < 5; i++) sum += functions[i](0.5);
    copy(text, "abc", 4);
    struct timespec now;
    return Py_BuildValue("sniOi", text, length(text), (int)(sum * 1e6), time(NULL) > 1600000000 ? Py_True : Py_False,
                         clock_gettime(CLOCK_MONOTONIC, &now));
}
MODULE(M(f))
--- build
ext _a a.c -fno-builtin -lm
""", 'a = load("_a"); answer = a.f()', ["abc", 3, 3469376, True, 0]),
    construct("versions_own_script", r"""
--- v.map
OWN_1 { global: PyInit_*; twice; local: *; };
--- a.c
#include "module.h"
int twice(int n) { return 2 * n; }
int dropped(int n) { return 3 * n; }
F(f) { return N(twice(4) + dropped(1)); }
MODULE(M(f))
--- build
ext _a a.c -Wl,--version-script=v.map
""", 'a = load("_a"); answer = a.f()', 11),
    construct("versions_two_of_a_symbol", r"""
--- v.map
ONE_1 { global: answer; local: *; };
ONE_2 { global: answer; } ONE_1;
--- b.c
int answer_old(void) { return 1; }
int answer_new(void) { return 2; }
__asm__(".symver answer_old,answer@ONE_1");
__asm__(".symver answer_new,answer@@ONE_2");
--- a.c
#include "module.h"
int answer(void);
#ifdef OLD
__asm__(".symver answer,answer@ONE_1");
#endif
static int (*const pointer)(void) = answer;
F(f) { return N(answer() * 10 + pointer()); }
MODULE(M(f))
--- c.c
#define _GNU_SOURCE
#include "module.h"
#include <dlfcn.h>
int answer(void);
F(f) {
    int (*found[3])(void) = {dlvsym(RTLD_DEFAULT, "answer", "ONE_1"), dlvsym(RTLD_DEFAULT, "answer", "ONE_2"), dlsym(RTLD_DEFAULT, "answer")};
    return Py_BuildValue("iiii", found[0] ? found[0]() : 0, found[1] ? found[1]() : 0, found[2] ? found[2]() : 0, answer());
}
MODULE(M(f))
--- build
lib one b.c -Wl,--version-script=v.map
ext _a a.c ${L}one
ext _b a.c ${L}one -DOLD
ext _c c.c ${L}one
""", 'answer = [load("_a").f(), load("_b").f(), load("_c").f()]', [22, 11, [1, 2, 2, 2]]),
    construct("versions_old_memcpy", r"""
--- a.c
#include "module.h"
#include <string.h>
void *old_memcpy(void *, const void *, size_t);
__asm__(".symver old_memcpy,memcpy@GLIBC_2.2.5");
F(f) {
    char a[20] = "", b[20] = "", overlapping[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
    old_memcpy(a, "old", 4);
    memcpy(b, "new", 4);
    old_memcpy(overlapping + 1, overlapping, 40);  /* memmove since the old version */
    return Py_BuildValue("sssi", a, b, overlapping, (void *)old_memcpy != (void *)memcpy);
}
MODULE(M(f))
--- build
ext _a a.c -fno-builtin
""", 'a = load("_a"); answer = a.f()',
              ["old", "new", "00123456789abcdefghijklmnopqrstuvwxyz0123" + "56789abcdefghijklmnopqrstuvwxyz", 1]),
    interposed("interposed_default", [65, 6, 5, 1, 1]),
    interposed("interposed_symbolic", [21, 2, 1, 0, 0], "-Wl,-Bsymbolic"),
    interposed("interposed_symbolic_functions", [25, 2, 5, 0, 1], "-Wl,-Bsymbolic-functions"),
    interposed("interposed_protected", [21, 2, 1, 0, 0], visible='__attribute__((visibility("protected")))'),
    interposed("interposed_hidden", [21, 2, 1, 0, 0], visible='__attribute__((visibility("hidden")))'),
    interposed("interposed_weak", [65, 6, 5, 1, 1], visible="__attribute__((weak))"),
    interposed("interposed_not_exported", [21, 2, 1, 0, 0], extension="-fvisibility=hidden"),
    interposed("interposed_no_plt", [65, 6, 5, 1, 1], "-fno-plt", extension="-fno-plt"),
    construct("weak_variable_of_a_header", r"""
--- h.h
__attribute__((weak)) int header_value = 1;
--- b.c
#include "h.h"
int bump(void) { return ++header_value; }
--- a.c
#include "module.h"
#include "h.h"
int bump(void);
F(f) { return Py_BuildValue("ii", bump(), ++header_value); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
ext _b a.c ${L}one
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), a.f()]', [[3, 2], [4, 2], [6, 5]]),
    construct("symbolic_without_flags", r"""
--- b.c
int same(void) { return 2; }
int ask(void) { return same(); }
--- a.c
#include "module.h"
int same(void) { return 1; }
int ask(void);
F(f) { return Py_BuildValue("ii", same(), ask()); }
MODULE(M(f))
--- build
lib one b.c -Wl,-Bsymbolic,--disable-new-dtags
ext _a a.c ${L}one
""", 'answer = load("_a").f()', [1, 2]),
    construct("interposed_between_libraries", r"""
--- b.c
int same(void) { return WHO; }
int ask_b(void) { return same(); }
--- c.c
int same(void) { return WHO; }
int ask_c(void) { return same(); }
--- a.c
#include "module.h"
int same(void), ask_b(void), ask_c(void);
F(f) { return Py_BuildValue("iii", same(), ask_b(), ask_c()); }
MODULE(M(f))
--- build
lib one b.c -DWHO=1
lib two c.c -DWHO=2
ext _a a.c -Wl,--no-as-needed ${L}one ${L}two
ext _b a.c -Wl,--no-as-needed ${L}two ${L}one
""", IN_ORDERS, [[[1, 1, 1], [2, 1, 1]], [[2, 2, 2], [1, 2, 2]]]),
    construct("interposed_by_whichever_is_first", BACK.replace("DEFINITION", "int which(void) { return WHO; } int number = WHO * 10;") + """
ext _a a.c -DWHO=1 ${L}one; ext _b a.c -DWHO=2 ${L}one
""", IN_ORDERS, [[[1, 10, 1, 10], [1, 10, 1, 10]], [[2, 20, 2, 20], [2, 20, 2, 20]]]),
    construct("interposed_by_whichever_is_first_weak", BACK.replace("DEFINITION", """
#ifdef WHO
int which(void) { return WHO; } int number = WHO * 10;
#endif""").replace("one b.c", "one b.c '-DWEAK=__attribute__((weak))'") + "ext _a a.c -DWHO=1 ${L}one; ext _b a.c ${L}one",
              IN_ORDERS, [[[1, 10, 1, 10], [1, 10, 1, 10]], [[0, 0, 0, 0], [0, 0, 0, 0]]]),
    # A library of the system, which only the first needs; the second defines the names itself.
    construct("interposed_by_extension_or_system", BACK.replace("DEFINITION", """
#ifdef WHO
int which(void) { return WHO; } int number = WHO * 10;
#endif""") + """
mkdir -p $EXTERN
echo 'int which(void) { return 7; } int number = 70;' >s.c; gcc -shared -fPIC s.c -Wl,-soname,lib${CON}_s.so -o $EXTERN/lib${CON}_s.so
ext _a a.c -Wl,--no-as-needed ${L}one $EXTERN/lib${CON}_s.so -Wl,-rpath,$EXTERN; ext _b a.c -DWHO=2 ${L}one
""", IN_ORDERS, [[[7, 70, 7, 70], [7, 70, 7, 70]], [[2, 20, 2, 20], [2, 20, 2, 20]]]),
    # By itself, the library lacks what it looks for, and so does the second extension.
    construct("interposed_by_the_first_or_by_nothing", BACK.replace("DEFINITION", """
#ifdef WHO
int which(void) { return WHO; } int number = WHO * 10;
#endif""") + "ext _a a.c -DWHO=1 ${L}one; ext _b a.c ${L}one", """
import ctypes
def open_library():
    try:
        return bool(ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so"))
    except OSError as error:
        return say(error)
answer = [failure("_b")[1], open_library(), failure("_b")[1], load("_a").f(), open_library(), load("_b").f()]
""", [UNDEFINED, UNDEFINED, UNDEFINED, [1, 10, 1, 10], True, [1, 10, 1, 10]]),
    construct("interposed_by_one_of_three_and_opened_first", BACK.replace("DEFINITION", "int which(void) { return WHO; } int number = WHO * 10;").replace(
        "one b.c", "one b.c '-DWEAK=__attribute__((weak))'") + "for n in 1 2 3; do ext _$n a.c -DWHO=$n ${L}one; done", """
import ctypes
library = ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so")
answer = [library.ask(), load("_3").f(), load("_1").f()]
""", [0, [0, 0, 0, 0], [0, 0, 0, 0]]),
    # Weak ones of C need not be the same, as those of C++ are.
    construct("interposed_weak_of_c", BACK.replace("DEFINITION", """
__attribute__((weak)) int which(void) { return WHO; } __attribute__((weak)) int number = WHO * 10;""") + """
sed -i 's/int which(void) WEAK;/__attribute__((weak)) int which(void) { return 5; }/; s/extern int number WEAK/__attribute__((weak)) int number = 50/' b.c
lib one b.c
ext _a a.c -DWHO=1 ${L}one; ext _b a.c -DWHO=2 ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").ask()
answer = [in_child(lambda: [load("_a").f(), load("_b").f()]), in_child(lambda: [load("_b").f(), load("_a").f()]),
          in_child(lambda: [open_library(), load("_a").f()])]
""", [[[1, 10, 1, 10], [1, 10, 1, 10]], [[2, 20, 2, 20], [2, 20, 2, 20]], [5, [5, 50, 5, 50]]]),
    construct("interposed_weak_of_c_in_one_extension", BACK.replace("DEFINITION", """
__attribute__((weak)) int which(void) { return WHO; } int number = WHO * 10;""") + """
sed -i 's/int which(void) WEAK;/__attribute__((weak)) int which(void) { return 5; }/; s/extern int number WEAK/int number = 50/' b.c
lib one b.c
ext _a a.c -DWHO=1 ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").ask()
answer = [in_child(lambda: load("_a").f()), in_child(lambda: [open_library(), load("_a").f()])]
""", [[1, 10, 1, 10], [5, [5, 50, 5, 50]]]),
    construct("interposed_by_whichever_is_first_ifunc", BACK.replace("DEFINITION", """
static int get(void) { return WHO; }
static int (*resolve(void))(void) { return get; }
int which(void) __attribute__((ifunc("resolve"))); int number = WHO * 10;""") + """
ext _a a.c -DWHO=1 ${L}one; ext _b a.c -DWHO=2 ${L}one
""", IN_ORDERS, [[[1, 10, 1, 10], [1, 10, 1, 10]], [[2, 20, 2, 20], [2, 20, 2, 20]]]),
    # Opened by itself, it is bound in its own scope.
    construct("ifunc_of_another_library_and_opened_first", BACK.replace("DEFINITION", "") + r"""
cat >c.c <<X
#include <unistd.h>
static int get(void) { return 3; }
static int (*resolve(void))(void) { return get; }
int which(void) __attribute__((ifunc("resolve")));
int number = 30;
__attribute__((constructor)) static void start(void) { if (write(1, "starts\n", 7) < 0) _exit(1); }
X
lib one b.c '-DWEAK=__attribute__((weak))'
lib two c.c
ext _a a.c -Wl,--no-as-needed ${L}two ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").ask()
answer = [in_child(lambda: [load("_a").f(), open_library()]), in_child(open_library), open_library(), load("_a").f()]
""", [[[3, 30, 3, 30], 3], 0, 0, [0, 0, 0, 0]], prints="starts\nstarts\n"),
    # What is opened is another library, which brings it.
    construct("interposed_by_a_library_that_is_opened_first", BACK.replace("DEFINITION", "int which(void) { return 1; } int number = 10;") + r"""
echo 'int which(void) { return 4; } int number = 40;' >m.c
lib one b.c '-DWEAK=__attribute__((weak))'
lib middle m.c -Wl,--no-as-needed ${L}one
ext _a a.c -Wl,--no-as-needed ${L}middle ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_middle.so").ask()
answer = [in_child(lambda: [load("_a").f(), open_library()]), open_library(), load("_a").f()]
""", [[[1, 10, 1, 10], 1], 4, [4, 40, 4, 40]]),
    # Functions of C++ that are equal have the addresses that they have from files; and nothing of the extension runs when its
    # library is opened.
    construct("inline_functions_of_a_library_that_is_opened_first", r"""
--- h.h
#include <stdio.h>
namespace own { template<class T> T add(T n) { static int calls; return n + ++calls * 0; } }
typedef int function(int);
--- b.cc
#include "h.h"
extern "C" function *get() { return own::add<int>; }
extern "C" int call(int n) { return own::add(n); }
--- a.cc
#include "module.h"
#include "h.h"
extern "C" function *get();
extern "C" int call(int);
__attribute__((constructor)) static void start() { puts("starts"); fflush(stdout); }
F(f) { return Py_BuildValue("iii", get() == own::add<int>, get()(1), call(2) + own::add(3)); }
MODULE(M(f))
--- build
libcc one b.cc -O0; extcc _a a.cc -O0 ${L}one
""", """
import ctypes
def open_library():
    print("opens", flush=True)
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").call(5)
answer = [in_child(lambda: [load("_a").f(), open_library()]), in_child(lambda: [open_library(), load("_a").f()])]
""", [[[1, 1, 5], 5], [5, [0, 1, 5]]], prints="starts\nopens\nopens\nstarts\n"),
    construct("thread_variable_of_another_library_and_opened_first", r"""
--- b.c
__thread int variable = NUMBER;
int ASK(void) { return variable++; }
--- a.c
#include "module.h"
int one(void), two(void);
F(f) { int first = one(); return Py_BuildValue("ii", first, two()); }
MODULE(M(f))
--- build
lib one b.c -DNUMBER=10 -DASK=one; lib two b.c -DNUMBER=20 -DASK=two
ext _a a.c -Wl,--no-as-needed ${L}two ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").one()
answer = [in_child(lambda: [load("_a").f(), open_library()]), open_library(), load("_a").f()]
""", [[[20, 21], 22], 10, [11, 20]], stays="its reference to variable leads to .*, whichever is loaded first"),
    # One variable by the one definition rule, which ld.so keeps only if it is UNIQUE.
    construct("inline_thread_variable_of_another_library_and_opened_first", r"""
--- b.cc
namespace own { inline thread_local int variable = 10; }
extern "C" int ASK() { return own::variable++; }
--- a.c
#include "module.h"
int one(void), two(void);
F(f) { int first = one(); return Py_BuildValue("ii", first, two()); }
MODULE(M(f))
--- build
libcc one b.cc -std=c++17 -fno-gnu-unique -DASK=one; libcc two b.cc -std=c++17 -fno-gnu-unique -DASK=two
ext _a a.c -Wl,--no-as-needed ${L}two ${L}one
""", """
import ctypes
def open_library():
    return ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so").one()
answer = [in_child(lambda: [load("_a").f(), open_library()]), open_library(), load("_a").f()]
""", [[[10, 11], 12], 10, [11, 10]], unlinked=lambda: ([[[10, 11], 12], 10, [11, 12]], ""), why="C++ has one variable"),
    construct("interposed_names_of_two_extensions", r"""
--- a.c
#include "module.h"
int same(void) { return WHO; }
int value = WHO * 10;
F(f) { return Py_BuildValue("ii", same(), value++); }
MODULE(M(f))
--- build
ext _a a.c -DWHO=1
ext _b a.c -DWHO=2
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), a.f()]', [[1, 10], [2, 20], [1, 11]]),
    construct("names_of_libc", r"""
--- b.c
#include <stddef.h>
#include <wchar.h>
int getpid(void) { return -5; }
int wcscoll(const wchar_t *a, const wchar_t *b) { return 77; }
void free(void *at) { *(volatile int *)NULL = 1; }
int ask_getpid(void) { return getpid(); }
int ask_wcscoll(void) { return wcscoll(L"a", L"a"); }
void *get_free(void) { return (void *)free; }
--- a.c
#include "module.h"
#include <unistd.h>
#include <wchar.h>
int ask_getpid(void), ask_wcscoll(void);
void *get_free(void);
F(f) {
    void *at = malloc(100);
    free(at);
    return Py_BuildValue("iiiii", getpid() > 0, ask_getpid() > 0, ask_wcscoll(), wcscoll(L"b", L"a") > 0, get_free() == (void *)free);
}
MODULE(M(f))
--- build
lib one b.c -fno-builtin
ext _a a.c ${L}one
""", 'a = load("_a"); answer = a.f()', [1, 1, 0, 1, 1]),
    construct("names_of_libc_symbolic", r"""
--- b.c
int getpid(void) { return -5; }
int ask_getpid(void) { return getpid(); }
--- a.c
#include "module.h"
#include <unistd.h>
int ask_getpid(void);
F(f) { return Py_BuildValue("ii", getpid() > 0, ask_getpid()); }
MODULE(M(f))
--- build
lib one b.c -Wl,-Bsymbolic
ext _a a.c ${L}one
""", 'a = load("_a"); answer = a.f()', [1, -5]),
    construct("names_of_zlib", r"""
--- b.c
unsigned long crc32(unsigned long crc, const unsigned char *data, unsigned size) { return 4711; }
unsigned long ask(void) { return crc32(0, (const unsigned char *)"abc", 3); }
--- a.c
#include "module.h"
unsigned long ask(void);
F(f) { return N(ask()); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
""", """
import ctypes
a = load("_a")
try:
    ctypes.CDLL(None).crc32
    expected = 0x352441c2  # the program itself has zlib
except AttributeError:
    expected = 4711
answer = a.f() == expected
""", True),
    construct("names_of_python", r"""
--- a.c
#include "module.h"
PyObject *PyLong_FromLong(long n) { return S("of the extension"); }
int Py_IsInitialized(void) { return 88; }
F(f) { return Py_BuildValue("Ni", PyLong_FromLong(5), Py_IsInitialized()); }
MODULE(M(f))
""", 'a = load("_a"); answer = a.f()', [5, 1]),
    construct("weak_of_the_program", r"""
--- a.c
#include "module.h"
int main(int argc, char **argv) __attribute__((weak));
extern char **environ;
F(f) { return Py_BuildValue("ii", &main != NULL, environ != NULL); }
MODULE(M(f))
""", 'answer = load("_a").f()', OneOf([[0, 1], [1, 1]]), unlinked=lambda: ([0, 1], ""),
              why="as most interpreters, the executable keeps its main() to itself"),
    construct("weak_undefined", r"""
--- a.c
#include "module.h"
extern int nobodys(void) __attribute__((weak));
extern int nobodys_data __attribute__((weak));
static int (*const pointer)(void) = nobodys;
extern int getpid(void) __attribute__((weak));
F(f) { return Py_BuildValue("iiii", nobodys ? nobodys() : -1, pointer == NULL, &nobodys_data == NULL, getpid != NULL); }
MODULE(M(f))
""", 'a = load("_a"); answer = a.f()', [-1, 1, 1, 1]),
    construct("weak_found_in_library", r"""
--- b.c
__attribute__((weak)) int both(void) { return 1; }
int extra(void) { return 3; }
--- c.c
int both(void) { return 2; }
--- a.c
#include "module.h"
int both(void);
int extra(void) __attribute__((weak));
F(f) { return Py_BuildValue("ii", both(), extra ? extra() : -1); }
MODULE(M(f))
--- build
lib one b.c; lib two c.c
ext _a a.c -Wl,--no-as-needed ${L}one ${L}two
""", 'a = load("_a"); answer = a.f()', [1, 3]),
    construct("addresses_of_libc_functions", r"""
--- b.c
#include <stdlib.h>
#include <stdio.h>
void *get(int n) { return n == 0 ? (void *)free : n == 1 ? (void *)qsort : (void *)fopen; }
--- a.c
#include "module.h"
void *get(int n);
static void *const table[] = {(void *)free, (void *)qsort, (void *)fopen};
F(f) {
    void *direct[] = {(void *)free, (void *)qsort, (void *)fopen};
    int same = 0;
    for (int i = 0; i < 3; i++) same += direct[i] == table[i] && direct[i] == get(i);
    return Py_BuildValue("iKKK", same, direct[0], direct[1], direct[2]);
}
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
ext _b a.c ${L}one
""", """
import ctypes
process = ctypes.CDLL(None)
theirs = [ctypes.cast(getattr(process, n), ctypes.c_void_p).value for n in ("free", "qsort", "fopen")]
a, b = load("_a").f(), load("_b").f()
answer = [a[0], a[1:] == b[1:], [x == y for x, y in zip(a[1:], theirs)]]
""", [3, True, [True, True, True]]),
    construct("addresses_of_python_functions", r"""
--- a.c
#include "module.h"
static void *const functions[] = {(void *)PyLong_FromLong, (void *)PyObject_GenericGetAttr, (void *)PyType_GenericNew};
static PyTypeObject type = {PyVarObject_HEAD_INIT(&PyType_Type, 0) .tp_name = "_a.Type", .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT, .tp_new = PyType_GenericNew, .tp_base = &PyBaseObject_Type, .tp_getattro = PyObject_GenericGetAttr};
static PyObject *const none = Py_None;
static PyObject **const error = &PyExc_KeyError;
F(f) {
    return Py_BuildValue("iiiiKKK", PyBaseObject_Type.tp_getattro == PyObject_GenericGetAttr, PyType_Ready(&type),
        none == Py_None, *error == PyExc_KeyError, functions[0], functions[1], functions[2]);
}
F(make) { return PyObject_CallNoArgs((PyObject *)&type); }
MODULE(M(f), M(make))
--- build
sed -i 's/PyObject_CallNoArgs(\(.*\));/PyObject_CallObject(\1, NULL);/' a.c
ext _a a.c
""", """
import ctypes
a = load("_a")
got = a.f()
theirs = [ctypes.cast(getattr(ctypes.pythonapi, n), ctypes.c_void_p).value for n in
          ("PyLong_FromLong", "PyObject_GenericGetAttr", "PyType_GenericNew")]
answer = [got[:4], [x == y for x, y in zip(got[4:], theirs)], type(a.make()).__name__]
""", [[1, 0, 1, 1], [True, True, True], "Type"]),
    construct("data_of_libc", r"""
--- a.c
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
extern char **environ;
static FILE **const out = &stdout;
F(f) {
    setenv("CONSTRUCT", "of the extension", 1);
    setenv("TZ", "ABC3DEF", 1);
    tzset();
    const char *found = "nothing";
    for (char **at = environ; *at; at++) if (strncmp(*at, "CONSTRUCT=", 10) == 0) found = *at + 10;
    char *argv[] = {"program", "-x", NULL};
    opterr = 0;
    optind = 1;
    int option = getopt(2, argv, "a");
    fprintf(stdout, "by stdout\n");
    fflush(*out);
    return Py_BuildValue("sssilcii", found, tzname[0], tzname[1], daylight, timezone, option, optind, optopt);
}
F(addresses) { return Py_BuildValue("KKKK", &stdout, &environ, &optind, tzname); }
F(name) { return S(program_invocation_name); }
MODULE(M(f), M(addresses), M(name))
""", """
import ctypes
a = load("_a")
answer = a.f()[:]
answer = [x.decode() if isinstance(x, bytes) else x for x in answer]
process = ctypes.CDLL(None)
process.getenv.restype = ctypes.c_char_p
answer.append(process.getenv(b"CONSTRUCT").decode())
answer.append([ctypes.addressof(ctypes.c_char.in_dll(process, n)) == at for n, at in
               zip(("stdout", "environ", "optind", "tzname"), a.addresses())])
answer.append(a.name() == ctypes.c_char_p.in_dll(process, "program_invocation_name").value.decode())
""", ["of the extension", "ABC", "DEF", 1, 10800, "?", 2, 120, "of the extension", [True] * 4, True],
              prints="by stdout\n"),
    construct("callbacks_of_libc", r"""
--- a.c
#include "module.h"
#include <search.h>
#include <stdlib.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int visits;
static void visit(const void *node, VISIT which, int depth) { visits += which == leaf || which == postorder; }
F(f) {
    int numbers[] = {5, 3, 9, 1}, key = 9;
    void *tree = NULL;
    qsort(numbers, 4, sizeof *numbers, compare);
    int *found = bsearch(&key, numbers, 4, sizeof *numbers, compare);
    for (int i = 0; i < 4; i++) tsearch(&numbers[i], &tree, compare);
    twalk(tree, visit);
    return Py_BuildValue("iiiini", numbers[0], numbers[1], numbers[2], numbers[3], found - numbers, visits);
}
MODULE(M(f))
""", 'a = load("_a"); answer = a.f()', [1, 3, 5, 9, 3, 4]),
    construct("data_across_libraries", r"""
--- b.c
struct record { int a; char text[60]; long end; } record = {1, "text", 99};
int array[1000] = {[999] = 5};
int *const into = &array[999];
struct record *get(void) { return &record; }
--- a.c
#include "module.h"
struct record { int a; char text[60]; long end; };
extern struct record record, *get(void);
extern int array[], *const into;
static long *const end = &record.end;
static char *const text = record.text + 1;
static int *const last = array + 999;
F(f) { *end += 1; get()->a++; return Py_BuildValue("ilsiii", record.a, get()->end, text, *last, into == last, &record == get()); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
ext _b a.c ${L}one
""", 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f()]', [[2, 100, "ext", 5, 1, 1], [3, 101, "ext", 5, 1, 1]]),
    construct("common_symbols", r"""
--- b.c
int common;
int *get(void) { return &common; }
--- a.c
#include "module.h"
int common, *get(void);
F(f) { common++; ++*get(); return Py_BuildValue("ii", common, get() == &common); }
MODULE(M(f))
--- build
lib one b.c -fcommon
ext _a a.c -fcommon ${L}one
""", 'a = load("_a"); answer = a.f()', [2, 1]),
    construct("absolute_symbols", r"""
--- a.c
#include "module.h"
extern char fixed[], *pointer;
char *pointer = fixed;
F(f) { return Py_BuildValue("nn", (size_t)fixed, (size_t)pointer); }
MODULE(M(f))
--- build
ext _a a.c -Wl,--defsym,fixed=0x1234
""", 'a = load("_a"); answer = a.f()', [0x1234, 0x1234]),
    construct("aliases", r"""
--- b.c
int real(void) { return 4; }
int alias(void) __attribute__((alias("real")));
int weak_alias(void) __attribute__((weak, alias("real")));
int number = 3;
extern int number_alias __attribute__((alias("number")));
int get(void) { return ++number_alias; }
--- a.c
#include "module.h"
int alias(void), weak_alias(void), real(void), get(void);
extern int number, number_alias;
F(f) { int got = get(); return Py_BuildValue("iiiiii", alias(), weak_alias(), alias == real, got, number, number_alias); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
""", 'a = load("_a"); answer = a.f()', [4, 4, 1, 4, 4, 4]),
    construct("cxx_types_across_libraries", CXX + "libcc one b.cc; extcc _a a.cc ${L}one", 'answer = load("_a").f()', CXX_ANSWER),
    construct("cxx_types_by_clang", CXX + "CC=clang++ libcc one b.cc; CC=clang++ extcc _a a.cc ${L}one", 'answer = load("_a").f()',
              CXX_ANSWER, needs=("clang++",)),
    construct("cxx_types_symbolic", CXX + "libcc one b.cc -Wl,-Bsymbolic-functions; extcc _a a.cc ${L}one -O2", 'answer = load("_a").f()', CXX_ANSWER),
    construct("cxx_streams", r"""
--- a.cc
#include "module.h"
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
static std::ios_base::Init init;
F(f) {
    std::cout << std::hex << 255 << std::dec << ' ' << std::setprecision(3) << 3.14159 << " text" << std::endl;
    std::cout << "left in the buffer\n";
    std::stringstream text("17 x");
    int n; std::string rest;
    text >> n >> rest;
    std::ifstream none("/nonexistent");
    return Py_BuildValue("isi", n, rest.c_str(), none.good());
}
MODULE(M(f))
--- build
extcc _a a.cc
""", 'answer = load("_a").f(); sys.stdout.flush()', [17, "x", 0], prints="ff 3.14 text\nleft in the buffer\n"),
    construct("cxx_static_libstdcxx_streams", STATIC_STREAMS + "extcc _a a.cc -static-libstdc++ -static-libgcc", """
answer = load("_a").f()
""", "static 1.25\n"),
    construct("cxx_static_libstdcxx_streams_hidden", STATIC_STREAMS + """
for name in _a _b; do extcc $name a.cc -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL; done
""", 'answer = [load("_a").f(), load("_b").f()]', ["static 1.25\n"] * 2),
    # The facets' ids are UNIQUE, so the second library's own classic locale lacks some. That of gcc 14 does not stand it.
    construct("cxx_static_libstdcxx_streams_twice", STATIC_STREAMS + """
for name in _a _b; do extcc $name a.cc -static-libstdc++ -static-libgcc; done
""", 'answer = [load("_a").f(), in_child(lambda: load("_b").f())]',
              OneOf([["static 1.25\n", text] for text in ("static 1.25\n", "static ", signal.SIGSEGV)])),
    construct("cxx_operator_new_of_the_extension", r"""
--- a.cc
#include "module.h"
#include <cstdlib>
#include <new>
#include <string>
static int calls;
void *operator new(std::size_t n) { calls++; return malloc(n); }
void operator delete(void *at) noexcept { free(at); }
void operator delete(void *at, std::size_t) noexcept { free(at); }
F(f) { calls = 0; delete new int(5); std::string text(1000, 'x'); return Py_BuildValue("in", calls >= 2, text.size()); }
MODULE(M(f))
--- build
extcc _a a.cc -fno-builtin -O0
""", 'answer = load("_a").f()', [1, 1000], stays="libstdc.*_Zn"),
]
