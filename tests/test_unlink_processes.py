"""Shared objects that Kiln has not built in threads, children and interpreters, and imports that fail."""

from constructs import construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

COUNTED = r"""
--- b.c
static int started, calls;
__attribute__((constructor)) static void start(void) { started++; }
int get_started(void) { return started; }
int call(void) { return ++calls; }
--- a.c
#include "module.h"
int get_started(void), call(void);
static int started;
__attribute__((constructor)) static void start(void) { started++; }
F(f) { return Py_BuildValue("iii", started, get_started(), call()); }
MODULE(M(f))
--- build
lib one b.c
for n in 0 1 2 3 4 5 6 7; do ext _a$n a.c ${L}one; done
"""

PHASES = r"""
--- a.c
#include <Python.h>
static int executed, initialised, started;
__attribute__((constructor)) static void start(void) { started++; }
static PyObject *get(PyObject *m, PyObject *none) { return Py_BuildValue("iii", started, initialised, executed); }
static PyMethodDef methods[] = {{"get", get, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static int exec(PyObject *m) { executed++; EXEC; return PyModule_AddStringConstant(m, "kind", "multi-phase"); }
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_a", "doc", 0, methods, slots, NULL, NULL, NULL};
PyMODINIT_FUNC INIT(void) { initialised++; INIT_BODY; return PyModuleDef_Init(&def); }
--- build
ext _a a.c '-DEXEC=' '-DINIT_BODY='
"""

SINGLE = r"""
--- a.c
#include <Python.h>
static int tries;
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_a", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC INIT(void) {
    if (tries++ < 2) { BODY return NULL; }
    PyObject *m = PyModule_Create(&def);
    PyModule_AddIntConstant(m, "tries", tries);
    return m;
}
--- build
ext _a a.c
"""
TRY = """
answer = [failure("_a"), failure("_a"), failure("_a")]
answer.append(load("_a").tries)
"""

MISSING = r"""
--- b.c
int there(void) { return 1; }
#ifdef GONE
int gone(void) { return 2; }
#endif
--- a.c
#include "module.h"
int there(void), gone(void);
F(f) { return N(there() + gone()); }
MODULE(M(f))
--- c.c
#include "module.h"
F(f) { return S("well"); }
MODULE(M(f))
--- build
ext _good c.c
"""

# A library of the system's, so to say: outside of the tree, found by an absolute RUNPATH.
OUTSIDE = r"""
--- b.c
static int n;
int outside(void) { return ++n; }
--- a.c
#include "module.h"
int outside(void);
static int started;
__attribute__((constructor)) static void start(void) { started++; }
F(f) { return Py_BuildValue("ii", outside(), started); }
MODULE(M(f))
--- build
mkdir -p $EXTERN
gcc -shared -fPIC b.c -Wl,-soname,lib${CON}_x.so.1 -o $EXTERN/lib${CON}_x.so.1
ext _a a.c $EXTERN/lib${CON}_x.so.1 -Wl,-rpath,$EXTERN
ext _b a.c $EXTERN/lib${CON}_x.so.1 -Wl,-rpath,$EXTERN
echo "$EXTERN/lib${CON}_x.so.1" >$OUT/path.txt
"""

CONSTRUCTS = [
    construct("process_fork", COUNTED, """
a = load("_a0")
first = a.f()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, json.dumps([a.f(), load("_a1").f(), in_thread(load("_a2").f)]).encode())
    os._exit(0)
os.wait()
answer = [first, json.loads(os.read(read, 1000)), a.f(), load("_a1").f()]
""", [[1, 1, 1], [[1, 1, 2], [1, 1, 3], [1, 1, 4]], [1, 1, 2], [1, 1, 3]]),
    construct("process_fork_before_the_import", COUNTED, """
read, write = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.write(write, json.dumps([load("_a1").f()]).encode() + b"\\n")
        os._exit(0)
    os.wait()
answer = os.read(read, 1000).decode().split("\\n")[:3] + [load("_a0").f()]
""", ["[[1, 1, 1]]"] * 3 + [[1, 1, 1]]),
    construct("process_spawn", COUNTED, """
import subprocess
code = f"import sys; sys.path.insert(0, {TREE!r}); import {PKG}._a3 as a; print(a.f())"
answer = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout.decode().strip()
""", "(1, 1, 1)"),
    construct("process_threads_import_at_once", COUNTED, """
barrier, results = threading.Barrier(16), []
def work(n):
    barrier.wait()
    results.append(load(f"_a{n % 8}").f())
threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
answer = [sorted(r[2] for r in results), {tuple(r[:2]) for r in results} == {(1, 1)}]
""", [list(range(1, 17)), True]),
    construct("process_threads_without_the_lock", r"""
--- a.c
#include "module.h"
#include <pthread.h>
static __thread int mine;
static int sum;
static void *run(void *n) { for (int i = 0; i < 1000; i++) { mine++; __sync_fetch_and_add(&sum, 1); } return (void *)(long)mine; }
F(f) {
    pthread_t threads[8];
    long got = 0;
    void *result;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, run, NULL);
    for (int i = 0; i < 8; i++) { pthread_join(threads[i], &result); got += (long)result; }
    Py_END_ALLOW_THREADS
    return Py_BuildValue("lii", got, sum, mine);
}
MODULE(M(f))
--- build
ext _a a.c -pthread
""", 'answer = load("_a").f()', [8000, 8000, 0]),
    construct("process_callback_from_a_thread", r"""
--- b.c
#include <pthread.h>
static void *run(void *function) { ((void (*)(void))function)(); return 0; }
void call_in_thread(void (*function)(void)) { pthread_t t; pthread_create(&t, 0, run, function); pthread_join(t, 0); }
--- a.c
#include "module.h"
void call_in_thread(void (*function)(void));
static PyObject *called;
static void back(void) { PyGILState_STATE state = PyGILState_Ensure(); PyObject_CallFunction(called, "i", 5); PyGILState_Release(state); }
F(f) {
    if (!PyArg_ParseTuple(args_, "O", &called)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    call_in_thread(back);
    Py_END_ALLOW_THREADS
    return N(1);
}
MODULE(M(f))
--- build
lib one b.c -pthread
ext _a a.c ${L}one
""", 'got = []; load("_a").f(lambda n: got.append((n, threading.get_ident() != threading.main_thread().ident))); answer = got', [[5, True]]),
    construct("process_interpreters", PHASES, """
try:
    import _interpreters as interpreters
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        interpreters = None
def create():
    try:
        return interpreters.create("legacy")
    except TypeError:
        try:
            return interpreters.create(isolated=False)
        except TypeError:
            return interpreters.create()
a = load("_a")
answer = [a.get()]
read, write = os.pipe()
for n in range(2):
    if interpreters is None:
        os.write(write, f"(1, {n + 2}, {n + 2})".encode())
        continue
    id = create()
    interpreters.run_string(id, f"import os, sys; sys.path.insert(0, {TREE!r}); import {PKG}._a as a; os.write({write}, str(a.get()).encode())")
    interpreters.destroy(id)
answer += [os.read(read, 1000).decode(), a.kind]
""", [[1, 1, 1], "(1, 2, 2)(1, 3, 3)", "multi-phase"]),
    construct("module_multi_phase", PHASES, """
import importlib.util
a = load("_a")
spec = importlib.util.find_spec(PKG + "._a")
again = importlib.util.module_from_spec(spec)
spec.loader.exec_module(again)
answer = [a.get(), again is not a, again.kind, a.__doc__, a.__name__, os.path.basename(a.__file__) == "_a" + SUFFIX]
""", [[1, 2, 2], True, "multi-phase", "doc", "module_multi_phase._a", True]),
    construct("module_single_phase_state", r"""
--- a.c
#include <Python.h>
static int made;
static PyObject *bump(PyObject *m, PyObject *none) { return PyLong_FromLong(++*(int *)PyModule_GetState(m)); }
static PyMethodDef methods[] = {{"bump", bump, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_a", NULL, 16, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC INIT(void) {
    PyObject *m = PyModule_Create(&def);
    PyModule_AddIntConstant(m, "made", ++made);
    return m;
}
--- build
ext _a a.c
""", """
a = load("_a")
first = [a.bump(), a.bump(), a.made]
del sys.modules[PKG + "._a"]
b = load("_a")
answer = [first, b.made, b.bump()]
""", [[1, 2, 1], 2, 1]),
    construct("module_in_a_package_init", r"""
--- a.c
#include "module.h"
F(f) { return N(6); }
MODULE(M(f))
--- build
ext _a a.c; mkdir -p $OUT/native; gcc -shared -fPIC -I$INC -I. '-DMOD="native"' -DINIT=PyInit_native a.c -o $OUT/native/__init__$SUF
""", 'import importlib; m = load("native"); answer = [m.f(), hasattr(m, "__path__"), load("_a").f()]', [6, True, 6]),
    construct("module_of_another_alphabet", PHASES.split("--- build")[0] + """--- build
gcc -shared -fPIC -I$INC -I. '-DMOD="größe"' -DINIT=PyInitU_gre_6ka8i '-DEXEC=' '-DINIT_BODY=' a.c -o "$OUT/größe$SUF"
""", 'answer = load("gr\\xf6\\xdfe").get()', [1, 1, 1]),
    construct("module_abi3_suffix", r"""
--- a.c
#define Py_LIMITED_API 0x03080000
#include <Python.h>
static PyObject *f(PyObject *m, PyObject *none) { return PyLong_FromLong(3); }
static PyMethodDef methods[] = {{"f", f, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_s", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC INIT(void) { return PyModule_Create(&def); }
--- build
ext _s a.c; mv $OUT/_s$SUF $OUT/_s.abi3.so
""", 'answer = load("_s").f()', 3),
    construct("fails_init_raises", SINGLE.replace("BODY", 'PyErr_SetString(PyExc_ValueError, "no luck");'), TRY,
              [["ValueError", "no luck"], ["ValueError", "no luck"], None, 3]),
    construct("fails_init_says_nothing", SINGLE.replace("BODY", ""), TRY,
              [["SystemError", "initialization of _a failed without raising an exception"]] * 2 + [None, 3]),
    construct("fails_in_exec", PHASES.replace("'-DEXEC='", """'-DEXEC=if (executed < 3) { PyErr_SetString(PyExc_RuntimeError, "exec"); return -1; }'"""), """
answer = [failure("_a"), failure("_a"), failure("_a"), load("_a").get()]
""", [["RuntimeError", "exec"]] * 2 + [None, [1, 3, 3]]),
    construct("fails_missing_symbol", MISSING + "ext _a a.c -Wl,-z,lazy", """
answer = [failure("_good"), failure("_a"), failure("_a")]
answer = [a and [a[0], a[1].replace(SUFFIX, "SUFFIX")] for a in answer]
""", [None] + [["ImportError", "HERE/_aSUFFIX: undefined symbol: there"]] * 2, stays="undefined symbol|symbol"),
    construct("fails_symbol_gone_from_library", MISSING + "lib one b.c -DGONE; ext _a a.c ${L}one; lib one b.c", """
answer = [failure("_good"), failure("_a"), failure("_a")]
answer = [a and [a[0], a[1].replace(SUFFIX, "SUFFIX")] for a in answer]
""", [None] + [["ImportError", "HERE/_aSUFFIX: undefined symbol: gone"]] * 2, stays="undefined symbol|symbol"),
    construct("fails_version_gone_from_library", MISSING + """
echo 'ONE_1 { global: there; }; ONE_2 { global: gone; };' >v.map; lib one b.c -DGONE -Wl,--version-script=v.map; ext _a a.c ${L}one
echo 'ONE_1 { global: there; gone; };' >v.map; lib one b.c -DGONE -Wl,--version-script=v.map
""", """
answer = [failure("_good"), failure("_a")]
answer = [a and [a[0], a[1].replace(SUFFIX, "SUFFIX").replace(PKG, "PKG")] for a in answer]
""", [None, ["ImportError", "HERE/lib/libPKG_one.so: version `ONE_2' not found (required by HERE/_aSUFFIX)"]], stays="version|symbol"),
    construct("fails_missing_library", MISSING + "lib one b.c -DGONE; ext _a a.c ${L}one; rm $OUT/lib/*", """
answer = [failure("_good"), failure("_a"), failure("_a")]
answer = [a and [a[0], a[1].replace(PKG, "PKG")] for a in answer]
""", [None] + [["ImportError", "libPKG_one.so: cannot open shared object file: No such file or directory"]] * 2, stays="libfails_missing_library_one"),
    construct("fails_library_of_a_library_missing", MISSING + r"""
echo 'int there(void); int gone(void) { return there(); }' >c.c; lib one b.c; lib two c.c ${L}one
ext _a a.c ${L}two ${L}one; rm $OUT/lib/*_one.so
""", 'a = failure("_a"); answer = [failure("_good"), a[0], a[1].replace(PKG, "PKG")]',
              [None, "ImportError", "libPKG_one.so: cannot open shared object file: No such file or directory"], stays="_one"),
    construct("fails_no_init_function", MISSING.replace("--- build", "--- d.c\nint d;\n--- build") + "ext _b d.c", """
answer = [failure("_good"), failure("_b")]
""", [None, ["ImportError", "dynamic module does not define module export function (PyInit__b)"]], stays="PyInit__b"),
    construct("outside_library", OUTSIDE, 'a, b = load("_a"), load("_b"); answer = [a.f(), b.f(), a.f()]', [[1, 1], [2, 1], [3, 1]]),
    construct("outside_library_without_versions_once", r"""
--- b.c
int answer_old(void) { return 1; }
int answer_new(void) { return 2; }
__asm__(".symver answer_old,answer@V_1");
__asm__(".symver answer_new,answer@@V_2");
--- c.c
int answer(void) { return 0; }
--- a.c
#include "module.h"
int answer(void);
F(f) { return N(answer()); }
MODULE(M(f))
--- build
mkdir -p $EXTERN
so=lib${CON}_x.so.1
gcc -shared -fPIC c.c -Wl,-soname,$so -o $EXTERN/$so
ext _a a.c $EXTERN/$so -Wl,-rpath,$EXTERN
printf 'V_1 { global: answer; local: *; };\nV_2 { global: answer; } V_1;\n' >v.map
gcc -shared -fPIC b.c -Wl,-soname,$so -Wl,--version-script=v.map -o $EXTERN/$so
""", 'answer = load("_a").f()', 1),
    construct("outside_library_gone_and_back", OUTSIDE, """
path = open(HERE + "/path.txt").read().strip()
os.rename(path, path + ".away")
first, second = failure("_a"), failure("_b")
os.rename(path + ".away", path)
answer = [first[0], first[1].replace(PKG, "PKG"), second == first, load("_b").f(), load("_a").f()]
""", ["ImportError", "libPKG_x.so.1: cannot open shared object file: No such file or directory", True, [1, 1], [2, 1]]),
    construct("outside_library_of_another_version", OUTSIDE, """
import subprocess
path = open(HERE + "/path.txt").read().strip()
os.rename(path, path + ".away")
subprocess.run(["gcc", "-shared", "-xc", "-fPIC", "-", "-o", path], input=b"int other(void) { return 1; }", check=True)
first = failure("_a")
os.rename(path + ".away", path)
answer = [first[0], first[1].replace(SUFFIX, "SUFFIX"), load("_b").f()]
""", ["ImportError", "HERE/_aSUFFIX: undefined symbol: outside", [1, 1]]),
]
