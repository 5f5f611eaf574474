"""Libraries that wheels bring along, in shared objects that Kiln has not built, and languages besides C."""

from constructs import OneOf, construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

# As auditwheel does it: copies of the system's libraries under names of their own. `vendor FILE` leaves the new
# name in `name` and makes files ask for it.
VENDOR = r"""
vendor() { local real=$(gcc -print-file-name=$1); mkdir -p $OUT/lib
    name=${1%%.so*}-0a1b2c3d.so.${1##*.so.}; cp -L $real $OUT/lib/$name; chmod u+w $OUT/lib/$name
    patchelf --set-soname $name --force-rpath --set-rpath '$ORIGIN' $OUT/lib/$name
    for file in $OUT/*.so $OUT/lib/*; do patchelf --replace-needed $1 $name $file; done; }
"""

OPENMP = r"""
--- a.c
#include "module.h"
#include <omp.h>
static int per_thread;
#pragma omp threadprivate(per_thread)
F(f) {
    long sum = 0;
    int threads = 0;
    omp_set_num_threads(3);
    #pragma omp parallel reduction(+ : sum)
    {
        per_thread = omp_get_thread_num();
        #pragma omp for schedule(dynamic)
        for (int i = 0; i < 1000; i++) sum += i;
        #pragma omp critical
        threads++;
    }
    return Py_BuildValue("li", sum, threads);
}
MODULE(M(f))
--- build
"""

FORTRAN = r"""
--- b.f90
subroutine solve(n, total) bind(C, name="solve")
  use iso_c_binding
  integer(c_int), value :: n
  real(c_double) :: total
  real(16) :: wide
  real(c_double), allocatable :: values(:)
  character(len=20) :: text
  integer :: i
  allocate(values(n))
  do i = 1, n
    values(i) = sqrt(real(i, c_double))
  end do
  wide = 2
  write(text, '(F8.3)') sum(values)
  read(text, *) total
  total = total + real(sqrt(wide), c_double)
  deallocate(values)
end subroutine
--- a.c
#include "module.h"
void solve(int n, double *total);
F(f) { double total; solve(10, &total); return N(total * 1000); }
MODULE(M(f))
--- build
gfortran -fPIC -O1 -c b.f90 -o b.o
"""

SAME_SONAME = r"""
--- b.c
static int n;
int who(void) { return WHO * 100 + ++n; }
--- a.c
#include "module.h"
int who(void);
F(f) { return N(who()); }
MODULE(M(f))
--- build
for p in one two; do
    mkdir -p $OUT/$p/lib; touch $OUT/$p/__init__.py
    gcc -shared -fPIC b.c -DWHO=$((${#p} + WHO_$p)) -Wl,-soname,lib${CON}_same.so -o $OUT/$p/lib/lib${CON}_same.so
    gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT/$p/lib/lib${CON}_same.so '-Wl,-rpath,$ORIGIN/lib' -o $OUT/$p/_a$SUF
done
"""

RUST = r"""
--- lib.rs
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::raw::{c_char, c_int, c_long};

thread_local! { static CALLS: RefCell<Vec<i32>> = RefCell::new(vec![1]); }

#[no_mangle]
pub extern "C" fn rust_work(what: c_int) -> c_long {
    match what {
        0 => {
            let mut map = HashMap::new();
            for word in "a b a c a".split(' ') { *map.entry(word).or_insert(0) += 1; }
            map["a"]
        }
        1 => {
            std::panic::set_hook(Box::new(|_| {}));
            match std::panic::catch_unwind(|| { let v: Vec<i32> = vec![]; v[std::env::args().count() + 5] }) { Ok(_) => 0, Err(_) => 77 }
        }
        2 => (0..4).map(|n| std::thread::spawn(move || n * 10)).map(|t| t.join().unwrap()).sum(),
        3 => CALLS.with(|calls| { calls.borrow_mut().push(2); calls.borrow().len() as c_long }),
        4 => std::thread::spawn(|| -> c_long { panic!("in a thread") }).join().is_err() as c_long,
        5 => format!("{}", std::backtrace::Backtrace::force_capture()).contains("rust_work") as c_long,
        _ => -1,
    }
}

#[no_mangle]
pub extern "C" fn rust_text() -> *mut c_char { CString::new(format!("{:.2} {:?}", 3.14159, "text")).unwrap().into_raw() }
--- a.c
#include "module.h"
long rust_work(int what);
char *rust_text(void);
F(f) { int what; if (!PyArg_ParseTuple(args_, "i", &what)) return NULL; return N(rust_work(what)); }
F(text) { return S(rust_text()); }
MODULE(M(f), M(text))
--- build
"""
RUST_CODE = """
early = Early()
a = load("_a")
answer = [a.f(0), a.f(1), a.f(2), a.f(3), a.f(3), early(lambda: a.f(3)), in_thread(lambda: a.f(3)), a.f(4), a.text()]
"""
RUST_ANSWER = [3, 77, 60, 2, 3, 2, 2, 1, '3.14 "text"']


CONSTRUCTS = [
    construct("lib_openmp_of_the_system", OPENMP + "ext _a a.c -fopenmp", 'a = load("_a"); answer = [a.f(), in_thread(a.f)]',
              [[499500, 3], [499500, 3]]),
    construct("lib_openmp_bundled", OPENMP + VENDOR + "ext _a a.c -fopenmp; ext _b a.c -fopenmp; vendor libgomp.so.1", """
early = Early()
a, b = load("_a"), load("_b")
answer = [a.f(), b.f(), early(a.f)]
""", [[499500, 3]] * 3, needs=("patchelf",)),
    construct("lib_openmp_of_llvm", OPENMP + "CC=clang ext _a a.c -fopenmp || CC=gcc ext _a a.c -fopenmp", 'answer = load("_a").f()',
              [499500, 3], needs=("clang",)),
    construct("lib_fortran_of_the_system", FORTRAN + "ext _a a.c b.o -lgfortran", 'answer = load("_a").f()', 23882, needs=("gfortran",)),
    construct("lib_fortran_bundled", FORTRAN + VENDOR + """
ext _a a.c b.o -lgfortran; ext _b a.c b.o -lgfortran
vendor libgfortran.so.5; vendor libquadmath.so.0; vendor libgcc_s.so.1
""", 'answer = [load("_a").f(), load("_b").f()]', [23882] * 2, needs=("gfortran", "patchelf")),
    construct("lib_fortran_in_a_library", FORTRAN + "lib one b.o -lgfortran; ext _a a.c ${L}one", 'answer = load("_a").f()', 23882,
              needs=("gfortran",)),
    construct("lib_libstdcxx_bundled", r"""
--- a.cc
#include "module.h"
#include <iostream>
#include <stdexcept>
#include <string>
F(f) { try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what() << std::endl; } return N(std::stoi("12")); }
MODULE(M(f))
--- build
""" + VENDOR + "extcc _a a.cc; vendor libstdc++.so.6", 'answer = load("_a").f()', 12, prints="thrown\n", needs=("patchelf",)),
    construct("lib_equal_files_of_two_names", r"""
--- b.c
static int n;
int next(void) { return ++n; }
--- a.c
#include "module.h"
int next(void);
F(f) { return N(next()); }
MODULE(M(f))
--- build
lib one b.c; cp $OUT/lib/lib${CON}_one.so $OUT/lib/lib${CON}_other.so
for p in x y; do
    mkdir -p $OUT/$p/lib; touch $OUT/$p/__init__.py; cp $OUT/lib/lib${CON}_one.so $OUT/$p/lib
    gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT/$p/lib/lib${CON}_one.so '-Wl,-rpath,$ORIGIN/lib' -o $OUT/$p/_a$SUF
done
""", 'answer = [load("x._a").f(), load("y._a").f(), load("x._a").f()]', [1, 2, 3]),
    # Equal files, but what they need is not.
    construct("lib_equal_files_with_different_needs", r"""
--- b.c
int dep(void);
int one(void) { return dep(); }
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
one=lib${CON}_one.so; dep=lib${CON}_dep.so
for p in x y; do
    mkdir -p $OUT/$p/lib; touch $OUT/$p/__init__.py
    echo "const char who[] = \"$p\"; int dep(void) { return who[0]; }" >d.c; gcc -shared -fPIC d.c -Wl,-soname,$dep -o $OUT/$p/lib/$dep
    test -f $one || gcc -shared -fPIC b.c -Wl,-soname,$one $OUT/$p/lib/$dep '-Wl,-rpath,$ORIGIN' -o $one
    cp $one $OUT/$p/lib/
    gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT/$p/lib/$one '-Wl,-rpath,$ORIGIN/lib' -Wl,-rpath-link,$OUT/$p/lib -o $OUT/$p/_a$SUF
done
""", 'answer = [in_child(lambda: load("y._a").f()), in_child(lambda: load("x._a").f())]', [ord("y"), ord("x")],
              stays="is called .*, too, and whoever needs one of that name"),
    construct("lib_of_the_system_by_an_inherited_rpath", r"""
--- a.c
#include "module.h"
int s(void);
F(f) { return N(s()); }
MODULE(M(f))
--- build
mkdir -p $EXTERN
echo 'int q(void) { return 4; }' >q.c; gcc -shared -fPIC q.c -Wl,-soname,lib${CON}_q.so -o $EXTERN/lib${CON}_q.so
echo 'int q(void); int s(void) { return q(); }' >s.c
gcc -shared -fPIC s.c $EXTERN/lib${CON}_q.so -Wl,-soname,lib${CON}_s.so -o $EXTERN/lib${CON}_s.so
ext _a a.c $EXTERN/lib${CON}_s.so -Wl,--disable-new-dtags,-rpath,$EXTERN
""", 'answer = load("_a").f()', 4, stays="the DT_RPATH of .* leads to"),
    construct("lib_with_variants_for_processors", r"""
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
echo 'int one(void) { return 1; }' >b.c; lib one b.c
mkdir -p $OUT/lib/glibc-hwcaps/x86-64-v2
echo 'int one(void) { return 2; }' >b.c; gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_one.so -o $OUT/lib/glibc-hwcaps/x86-64-v2/lib${CON}_one.so
ext _a a.c ${L}one
""", 'answer = load("_a").f()', OneOf([1, 2]), stays="variants"),
    construct("lib_in_a_directory_of_the_system_s_name", r"""
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
echo 'int one(void) { return 1; }' >b.c
for d in lib lib64 lib/x86_64-linux-gnu; do
    mkdir -p $OUT/p/$d; gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_one.so -o $OUT/p/$d/lib${CON}_one.so
done
ext _a a.c $OUT/p/lib/lib${CON}_one.so '-Wl,-rpath,$ORIGIN/p/$LIB'
""", 'answer = load("_a").f()', 1, stays=r"\$LIB, which is the system's|not found"),
    construct("lib_of_the_system_that_is_loaded_already", r"""
--- a.c
#include "module.h"
int count(void);
F(f) { return N(count()); }
MODULE(M(f))
--- build
echo 'int count(void) { static int n; return ++n; }' >b.c
mkdir -p $EXTERN/$CON/first $EXTERN/$CON/second; so=lib${CON}_x.so
gcc -shared -fPIC b.c -Wl,-soname,$so -o $EXTERN/$CON/first/$so; cp $EXTERN/$CON/first/$so $EXTERN/$CON/second/
ext _a a.c $EXTERN/$CON/second/$so -Wl,-rpath,$EXTERN/$CON/second
echo $EXTERN/$CON/first/$so >$OUT/path.txt
""", """
import ctypes
with open(f"{HERE}/path.txt") as file:
    library = ctypes.CDLL(file.read().strip())
answer = [library.count(), load("_a").f(), library.count()]
""", [1, 2, 3]),
    construct("lib_one_file_for_two_modules", r"""
--- a.c
#include "module.h"
static int n;
F(f) { return N(++n); }
MODULE(M(f))
--- build
ext _a a.c; mkdir $OUT/sub; touch $OUT/sub/__init__.py; ln $OUT/_a$SUF $OUT/sub/_a$SUF
""", 'answer = [load("_a").f(), load("sub._a").f()]', [1, 2], stays="its file is that of another module, too"),
    # Opened alone, it has no other answer than its own.
    construct("lib_opened_before_its_extension", r"""
--- b.c
int who(void) { return 1; }
int one(void) { return who(); }
--- a.c
#include "module.h"
int one(void);
int who(void) { return 2; }
__attribute__((constructor)) static void start(void) { setenv("EXTENSION", "started", 1); }
F(f) { return N(one()); }
MODULE(M(f))
--- build
lib one b.c; ext _a a.c ${L}one
""", """
import ctypes
def open_first():
    library = ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so")
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return [library.one(), getenv(b"EXTENSION") is None, load("_a").f()]
answer = [in_child(open_first), in_child(lambda: load("_a").f())]
""", [[1, True, 1], 2]),
    construct("lib_copies_of_one_build", r"""
--- b.c
static int n; int count(void) { return ++n; }
--- a.c
#include "module.h"
int count(void);
F(f) { return N(count()); }
MODULE(M(f))
--- build
same=lib${CON}_same.so
gcc -shared -fPIC -Wl,--build-id=sha1 b.c -Wl,-soname,$same -o $same
for p in one two; do
    mkdir -p $OUT/$p/lib; touch $OUT/$p/__init__.py
    cp $same $OUT/$p/lib/; echo $p >>$OUT/$p/lib/$same
    gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT/$p/lib/$same '-Wl,-rpath,$ORIGIN/lib' -o $OUT/$p/_a$SUF
done
""", 'answer = [load("one._a").f(), load("two._a").f(), load("one._a").f()]', [1, 2, 3]),
    construct("lib_different_files_of_one_soname", SAME_SONAME.replace("WHO_$p", "$(test $p = two && echo 1 || echo 0)"), """
answer = [load("one._a").f(), load("two._a").f(), load("one._a").f()]
""", [301, 302, 303], stays="is called .*, too, and whoever needs one of that name gets the one that is loaded first"),
    construct("lib_different_files_of_one_soname_apart", SAME_SONAME.replace("WHO_$p", "$(test $p = two && echo 1 || echo 0)"), """
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, str(load("two._a").f()).encode())
    os._exit(0)
os.wait()
answer = [load("one._a").f(), os.read(read, 100).decode()]
""", [301, "401"], stays="is called .*, too, and whoever needs one of that name"),
    construct("lib_cycle", r"""
--- b.c
int odd(int n);
int even(int n) { return n == 0 ? 1 : odd(n - 1); }
--- c.c
int even(int n);
int odd(int n) { return n == 0 ? 0 : even(n - 1); }
--- a.c
#include "module.h"
int even(int n), odd(int n);
F(f) { return Py_BuildValue("ii", even(11), odd(11)); }
MODULE(M(f))
--- build
lib two c.c; lib one b.c ${L}two; lib two c.c ${L}one
ext _a a.c ${L}one
""", 'answer = load("_a").f()', [0, 1]),
    construct("lib_calls_the_extension_back", r"""
--- b.c
int of_extension(int n);
extern int data_of_extension;
int twice(int n) { return 2 * of_extension(n) + data_of_extension; }
--- a.c
#include "module.h"
int twice(int n);
int of_extension(int n) { return n + 1; }
int data_of_extension = 100;
F(f) { return N(twice(4)); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
""", 'answer = load("_a").f()', 110),
    construct("lib_calls_different_extensions_back", r"""
--- b.c
int of_extension(int n);
int twice(int n) { return 2 * of_extension(n); }
--- a.c
#include "module.h"
int twice(int n);
int of_extension(int n) { return n + WHO; }
F(f) { return N(twice(4)); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c -DWHO=1 ${L}one
ext _b a.c -DWHO=2 ${L}one
""", """
answer = [in_child(lambda: [load("_a").f(), load("_b").f()]), in_child(lambda: [load("_b").f(), load("_a").f()])]
""", [[10, 10], [12, 12]]),
    construct("lib_underlinked", r"""
--- b.c
double root(double n) { return __builtin_sqrt(n) + 0 * n; }
int call_other(void);
int call(void) { return call_other() + 1; }
--- c.c
int call_other(void) { return 6; }
--- a.c
#include "module.h"
int call(void), call_other(void);
double root(double n);
F(f) { return Py_BuildValue("di", root(9), call() + call_other()); }
MODULE(M(f))
--- build
lib two c.c
lib one b.c -fno-builtin
ext _a a.c -Wl,--no-as-needed ${L}one ${L}two -lm
""", 'answer = load("_a").f()', [3.0, 13]),
    construct("lib_uses_python", r"""
--- b.c
#include "module.h"
PyObject *make(int n) { return Py_BuildValue("[i]", n); }
--- a.c
#include "module.h"
PyObject *make(int n);
F(f) { return make(3); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one
""", 'answer = load("_a").f()', [3]),
    construct("lib_chain_of_directories", r"""
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
mkdir -p $OUT/deep/er $OUT/lib
echo 'int three(void) { return 3; }' >c.c; gcc -shared -fPIC c.c -Wl,-soname,lib${CON}_three.so -o $OUT/deep/er/lib${CON}_three.so
echo 'int three(void); int two(void) { return three() * 10; }' >b.c
gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_two.so $OUT/deep/er/lib${CON}_three.so '-Wl,-rpath,$ORIGIN/er' -o $OUT/deep/lib${CON}_two.so
echo 'int two(void); int one(void) { return two() + 1; }' >d.c
gcc -shared -fPIC d.c -Wl,-soname,lib${CON}_one.so $OUT/deep/lib${CON}_two.so '-Wl,-rpath,${ORIGIN}/../deep' -o $OUT/lib/lib${CON}_one.so
ext _a a.c ${L}one -Wl,-rpath-link,$OUT/deep:$OUT/deep/er
""", 'answer = load("_a").f()', 31),
    construct("lib_rpath_of_the_extension_serves_its_libraries", r"""
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
mkdir -p $OUT/lib
echo 'int two(void) { return 5; }' >b.c; gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_two.so -o $OUT/lib/lib${CON}_two.so
echo 'int two(void); int one(void) { return two() + 1; }' >d.c
gcc -shared -fPIC d.c -Wl,-soname,lib${CON}_one.so $OUT/lib/lib${CON}_two.so -o $OUT/lib/lib${CON}_one.so
ext _a a.c ${L}one -Wl,--disable-new-dtags -Wl,-rpath-link,$OUT/lib
""", 'answer = load("_a").f()', 6),
    construct("lib_of_another_package", r"""
--- a.c
#include "module.h"
int one(void);
F(f) { return N(one()); }
MODULE(M(f))
--- build
mkdir -p $OUT.libs
echo 'static int n = 20; int one(void) { return ++n; }' >b.c; gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_one.so -o $OUT.libs/lib${CON}_one.so
mkdir $OUT/sub; touch $OUT/sub/__init__.py
gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT.libs/lib${CON}_one.so '-Wl,-rpath,$ORIGIN/../lib_of_another_package.libs' -o $OUT/_a$SUF
gcc -shared -fPIC -I$INC -I. '-DMOD="_a"' -DINIT=PyInit__a a.c $OUT.libs/lib${CON}_one.so '-Wl,-rpath,$ORIGIN/../../lib_of_another_package.libs' -o $OUT/sub/_a$SUF
""", 'answer = [load("_a").f(), load("sub._a").f()]', [21, 22]),
    construct("lib_needs_an_extension", r"""
--- a.c
#include "module.h"
int shared_state = 5;
int get(void) { return shared_state++; }
F(f) { return N(get()); }
MODULE(M(f))
--- b.c
#include "module.h"
int get(void);
F(f) { return N(get()); }
MODULE(M(f))
--- build
ext _a a.c -Wl,-soname,_a$SUF
ext _b b.c $OUT/_a$SUF '-Wl,-rpath,$ORIGIN'
""", 'b = load("_b"); answer = [b.f(), load("_a").f(), b.f()]', [5, 6, 7]),
    construct("lib_extension_made_global", r"""
--- a.c
#include "module.h"
int global_number = 5;
int global_next(void) { return ++global_number; }
F(f) { return N(global_next()); }
MODULE(M(f))
--- b.c
#include "module.h"
int global_next(void);
extern int global_number;
F(f) { return N(global_next() + global_number); }
MODULE(M(f))
--- build
ext _a a.c; ext _b b.c; ext _good a.c -Dglobal_next=own_next -Dglobal_number=own_number
""", """
import ctypes
a = load("_a"); ctypes.CDLL(a.__file__, ctypes.RTLD_GLOBAL)
answer = [load("_good").f(), load("_b").f(), a.f()]
""", [6, 12, 7], stays="needs from anywhere"),
    # The symbols are in a library that an extension needs, and in two extensions.
    construct("lib_made_global_with_its_extension", r"""
--- l.c
int global_of_library(void) { return 3; }
--- a.c
#include "module.h"
int global_of_library(void);
int global_of_extension(void) { return 4; }
F(f) { return N(global_of_library()); }
MODULE(M(f))
--- c.c
#include "module.h"
int global_of_another(void) { return 5; }
F(f) { return N(1); }
MODULE(M(f))
--- b.c
#include "module.h"
int global_of_library(void), global_of_extension(void), global_of_another(void);
F(f) { return N(global_of_library() * 100 + global_of_extension() * 10 + global_of_another()); }
MODULE(M(f))
--- build
lib one l.c
ext _a a.c ${L}one; ext _b b.c; ext _c c.c; ext _good c.c -Dglobal_of_another=own_of_another
""", """
import ctypes
for name in "_a", "_c":
    ctypes.CDLL(load(name).__file__, ctypes.RTLD_GLOBAL)
answer = [load("_good").f(), load("_b").f()]
""", [1, 345], stays="needs from anywhere"),
    construct("lib_preloaded_by_path", r"""
--- b.c
static int n;
int next(void) { return ++n; }
--- a.c
#include "module.h"
int next(void);
F(f) { return N(next()); }
MODULE(M(f))
--- build
lib one b.c
ext _a a.c ${L}one; patchelf --remove-rpath $OUT/_a$SUF
""", """
import ctypes
lib = ctypes.CDLL(f"{HERE}/lib/lib{PKG}_one.so", ctypes.RTLD_GLOBAL)
answer = [lib.next(), load("_a").f()]
""", [1, 2], needs=("patchelf",), stays="lib_preloaded_by_path_one"),
    construct("lang_rust", RUST + """
rustc --edition 2021 -O --crate-type staticlib lib.rs -o librust.a
ext _a a.c librust.a -lpthread -ldl -lm -lgcc_s
""", RUST_CODE, RUST_ANSWER, needs=("rustc",)),
    construct("lang_rust_library", RUST + """
mkdir -p $OUT/lib; rustc --edition 2021 -O --crate-type cdylib lib.rs -o $OUT/lib/lib${CON}_one.so
patchelf --set-soname lib${CON}_one.so $OUT/lib/lib${CON}_one.so
ext _a a.c ${L}one
""", RUST_CODE, RUST_ANSWER, needs=("rustc", "patchelf")),
    construct("lang_rust_backtrace_names_functions", RUST + """
rustc --edition 2021 -C opt-level=1 --crate-type staticlib lib.rs -o librust.a
ext _a a.c librust.a -lpthread -ldl -lm -lgcc_s
""", 'answer = load("_a").f(5)', 1, needs=("rustc",)),
    construct("lang_cxx_threads", r"""
--- a.cc
#include "module.h"
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
static std::mutex mutex;
static std::condition_variable ready;
static std::atomic<long> sum;
thread_local int calls = 3;
F(f) {
    std::vector<std::thread> threads;
    int waiting = 0;
    for (int i = 0; i < 6; i++) threads.emplace_back([&] {
        std::unique_lock<std::mutex> lock(mutex);
        sum += ++calls;
        if (++waiting == 6) ready.notify_all();
        ready.wait(lock, [&] { return waiting == 6; });
    });
    for (auto &thread : threads) thread.join();
    return Py_BuildValue("li", (long)sum, calls);
}
MODULE(M(f))
--- build
extcc _a a.cc -pthread
""", 'answer = load("_a").f()', [24, 3]),
    construct("lang_c_threads_and_signals", r"""
--- a.c
#include "module.h"
#include <signal.h>
#include <sys/mman.h>
#include <threads.h>
static once_flag once = ONCE_FLAG_INIT;
static tss_t key;
static int made;
static void make(void) { made++; tss_create(&key, NULL); }
static int run(void *n) { call_once(&once, make); tss_set(key, n); return tss_get(key) == n; }
static volatile int handled;
static void handler(int n) { handled = n; }
F(f) {
    thrd_t threads[3];
    int good = 0, got;
    for (int i = 0; i < 3; i++) thrd_create(&threads[i], run, &threads[i]);
    for (int i = 0; i < 3; i++) { thrd_join(threads[i], &got); good += got; }
    void (*old)(int) = signal(SIGUSR1, handler);
    raise(SIGUSR1);
    signal(SIGUSR1, old);
    return Py_BuildValue("iii", good, made, handled == SIGUSR1);
}
MODULE(M(f))
--- build
ext _a a.c -pthread
""", 'answer = load("_a").f()', [3, 1, 1]),
]
