"""What dlopen() and its relatives say of shared objects that Kiln has not built: asked by themselves, by
other shared objects, and by ctypes."""

from constructs import construct, linked, pytest_generate_tests, test_from_files, test_in_the_executable, trees  # noqa: F401

LIBRARY = r"""
--- b.c
static int n = 10;
int bump(void) { return ++n; }
int value = 5;
--- a.c
#define _GNU_SOURCE
#include "module.h"
#include <dlfcn.h>
#include <link.h>
int bump(void);
int exported(void) { return 7; }
typedef int function(void);
static int call(void *at) { return at ? ((function *)at)() : -1; }
static const char *path;
#define PATH() if (!PyArg_ParseTuple(args_, "s", &path)) return NULL
BODY
--- build
lib one b.c
ext _a a.c ${L}one -ldl
"""


def asked(name, body, code, expect, build="", **more):
    return construct(name, LIBRARY.replace("BODY", body.strip()) + build, code, expect, **more)


BUMP = "F(f) { return N(bump()); }\n"
OPEN = BUMP + r"""
F(open) { PATH(); void *handle = dlopen(path, RTLD_NOW); int got = handle ? call(dlsym(handle, "bump")) : -2;
          if (handle) dlclose(handle); return N(got); }
F(noload) { PATH(); void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD); if (handle) dlclose(handle); return N(handle != NULL); }
F(symbol) { PATH(); void *handle = dlopen(path, RTLD_LAZY); return N(handle ? call(dlsym(handle, "exported")) : -2); }
F(error) { PATH(); void *handle = dlopen(path, RTLD_NOW); return handle ? S("opened") : S(dlerror()); }
MODULE(M(f), M(open), M(noload), M(symbol), M(error))
"""
WHERE = 'PATH = HERE + "/_a" + SUFFIX; LIB = HERE + f"/lib/lib{PKG}_one.so"\n'

# A library asks for a name that it does not say, in the scope that it was loaded in.
ASKING = r"""
--- b.c
#define _GNU_SOURCE
#include <dlfcn.h>
int who(void) { return 1; }
int ask(const char *name, int next) {
    int (*found)(void) = dlsym(next ? RTLD_NEXT : RTLD_DEFAULT, name);
    return found == 0 ? -1 : found();
}
--- d.c
int who(void) { return 2; }
int later(void) { return 3; }
--- a.c
#include "module.h"
int ask(const char *name, int next), later(void);
int hook(void) { return 7; }
F(f) {
    return Py_BuildValue("iiiii", ask("hook", 0), ask("hook", 1), ask("who", 0), ask("who", 1), ask("later", 1) + 0 * later());
}
MODULE(M(f))
--- build
lib one b.c; lib two d.c
"""

CONSTRUCTS = [
    construct("dlsym_of_a_library_in_the_scope_of_its_extension", ASKING + "ext _a a.c -Wl,--no-as-needed ${L}one ${L}two",
              'answer = load("_a").f()', [7, -1, 1, 2, 3]),
    construct("dlsym_of_a_library_behind_others", ASKING + "ext _a a.c -Wl,--no-as-needed ${L}two ${L}one",
              'answer = load("_a").f()', [7, -1, 2, -1, -1]),
    # A library is in the scopes of all extensions that bring it, once they are there; what comes next, in the first one's.
    construct("dlsym_of_a_library_in_the_scopes_of_all", ASKING + r"""
cat >>b.c <<X
int ask_later(const char *name, int next) { return ask(name, next); }
X
cat >b_ext.c <<X
#include "module.h"
int ask_later(const char *name, int next), later(void);
int hook(void) { return 8; }
F(f) { return N(later()); }
MODULE(M(f))
X
sed 's/int hook/int hook_of_a/; s/, ask("later", 1) + 0 [*] later()/, ask("later", 0)/; s/, later(void)//' a.c >a_ext.c
lib one b.c
ext _a a_ext.c -Wl,--no-as-needed ${L}one
ext _b b_ext.c -Wl,--no-as-needed ${L}one ${L}two
""", 'a = load("_a"); first = a.f(); load("_b"); answer = [first, a.f()]', [[-1, -1, 1, -1, -1], [8, -1, 1, -1, 3]]),
    construct("dlsym_of_a_symbolic_library", ASKING + r"""
sed -i 's/int hook(void)/int who(void) { return 9; }\n&/' a.c
lib one b.c -Wl,-Bsymbolic
ext _a a.c -Wl,--no-as-needed ${L}one ${L}two
""", 'answer = load("_a").f()', [7, -1, 1, 2, 3]),
    # Libraries of the system have their places among those of the package.
    construct("dlsym_next_of_both_kinds", ASKING + r"""
mkdir -p $EXTERN
for n in 4 5; do echo "int later(void) { return $n; }" | gcc -shared -fPIC -x c - -Wl,-soname,lib${CON}_$n.so -o $EXTERN/lib${CON}_$n.so; done
echo 'int getpagesize(void) { return 6; } int who(void) { return 6; } int six(void) { return 6; }' >six.c
lib six six.c
lib five d.c -Wl,--no-as-needed ${L}six -Wl,-rpath,$EXTERN -L$EXTERN -l${CON}_5
sed -i 's/Py_BuildValue("iiiii",/Py_BuildValue("iiiiii", ask("getpagesize", 1),/' a.c
ext _a a.c -Wl,--no-as-needed ${L}one -L$EXTERN -Wl,-rpath,$EXTERN -l${CON}_4 ${L}five
""", 'answer = load("_a").f()', [4096, 7, -1, 1, 2, 4]),
    asked("dl_own_path", OPEN, WHERE + 'a = load("_a"); answer = [a.f(), a.symbol(PATH), a.open(PATH), a.noload(PATH)]', [11, 7, 12, 1]),
    asked("dl_library_by_path", OPEN, WHERE + 'a = load("_a"); answer = [a.f(), a.noload(LIB), a.open(LIB), a.f()]', [11, 1, 12, 13]),
    asked("dl_library_by_soname", OPEN, WHERE + 'a = load("_a"); answer = [a.f(), a.open(f"lib{PKG}_one.so"), a.f()]', [11, 12, 13]),
    asked("dl_library_found_by_own_runpath", BUMP + r"""
F(open) { PATH(); void *handle = dlopen(path, RTLD_NOW); return N(handle ? call(dlsym(handle, "plug")) : -2); }
MODULE(M(f), M(open))""", 'a = load("_a"); answer = [a.open(f"lib{PKG}_plug.so"), a.open("lib_of_nobody.so")]', [55, -2],
          build="echo 'int plug(void) { return 55; }' >p.c; lib plug p.c"),
    # An extension that stays a file finds the image where its own search path leads to the file.
    construct("dl_library_found_by_the_runpath_of_a_file", r"""
--- p.c
static int n;
int plug(void) { return ++n; }
--- a.c
#include "module.h"
#include <dlfcn.h>
F(open) {
    const char *path;
    if (!PyArg_ParseTuple(args_, "s", &path)) return NULL;
    void *handle = dlopen(path, RTLD_NOW), *found = handle ? dlsym(handle, "plug") : NULL;
    return N(found ? ((int (*)(void))found)() : -2);
}
MODULE(M(open))
--- build
lib plug p.c; ext _a a.c -ldl -Wl,-z,initfirst; ext _good a.c -ldl
""", """
a, good, name = load("_a"), load("_good"), f"lib{PKG}_plug.so"
answer = [a.open(name), good.open(HERE + "/lib/" + name), a.open(name), a.open("lib_of_nobody.so")]""", [1, 2, 3, -2], stays="DF_1_INITFIRST"),
    asked("dl_library_of_another_not_found", r"""
F(open) { PATH(); return N(dlopen(path, RTLD_NOW) != NULL); }
MODULE(M(open))""", 'a = load("_a"); answer = a.open(f"lib{PKG}_elsewhere.so")', 0,
          build="mkdir $OUT/other; echo 'int plug(void) { return 55; }' >p.c; lib elsewhere p.c; mv $OUT/lib/*elsewhere.so $OUT/other"),
    asked("dl_library_with_a_constructor", r"""
F(open) {
    PATH();
    void *handle = dlopen(path, RTLD_NOW), *again = dlopen(path, RTLD_NOW);
    int *n = handle ? dlsym(handle, "started") : NULL;
    return Py_BuildValue("ii", n ? *n : -1, handle == again);
}
MODULE(M(open))""", WHERE + 'a = load("_a"); answer = [a.open(LIB.replace("_one", "_plug")), a.open(f"lib{PKG}_plug.so")]', [[1, 1], [1, 1]],
          build="echo 'int started; __attribute__((constructor)) static void start(void) { started++; }' >p.c; lib plug p.c"),
    asked("dl_system_library", r"""
F(f) {
    void *handle = dlopen("libm.so.6", RTLD_NOW);
    double (*root)(double) = handle ? dlsym(handle, "sqrt") : NULL;
    void *z = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    return Py_BuildValue("di", root ? root(16) : -1.0, z != NULL);
}
MODULE(M(f))""", 'answer = load("_a").f()', [4.0, 1]),
    asked("dl_errors", OPEN, WHERE + """
a = load("_a")
answer = [a.error("/nonexistent/lib.so"), a.error("libnonexistent_of_kiln.so"), say(a.error(PATH))]
""", ["/nonexistent/lib.so: cannot open shared object file: No such file or directory",
      "libnonexistent_of_kiln.so: cannot open shared object file: No such file or directory", "opened"]),
    asked("dl_default_and_next", r"""
int value = 6;
F(f) {
    int *next = dlsym(RTLD_NEXT, "value"), *mine = dlsym(RTLD_DEFAULT, "value");
    void *program = dlopen(NULL, RTLD_NOW);
    return Py_BuildValue("iiiiii", call(dlsym(RTLD_DEFAULT, "exported")), next ? *next : -1, mine ? *mine : -1,
        dlsym(RTLD_DEFAULT, "PyLong_FromLong") == (void *)PyLong_FromLong, dlsym(program, "exported") != NULL,
        dlsym(program, "PyLong_FromLong") != NULL);
}
F(again) { return N(bump()); }
MODULE(M(f), M(again))""", 'answer = load("_a").f()', [7, 5, 6, 1, 0, 1]),
    asked("dl_next_wraps_libc", r"""
#include <unistd.h>
static pid_t (*real)(void);
__attribute__((visibility("hidden"))) pid_t getpid(void) { if (!real) real = (pid_t (*)(void))dlsym(RTLD_NEXT, "getpid"); return real ? -real() : 0; }
F(f) { bump(); return N(getpid()); }
MODULE(M(f))""", 'answer = load("_a").f() == -os.getpid()', True),
    asked("dl_missing_symbol", r"""
F(f) {
    dlerror();
    void *at = dlsym(RTLD_DEFAULT, "nobody_has_this");
    const char *said = dlerror();
    bump();
    int told = said && strstr(said, "undefined symbol: nobody_has_this") != NULL;
    return Py_BuildValue("iii", at == NULL, told, dlerror() == NULL);
}
MODULE(M(f))""", 'answer = load("_a").f()', [1, 1, 1]),
    asked("dl_handles_see_their_libraries", r"""
F(f) {
    PATH();
    void *handle = dlopen(path, RTLD_NOW);
    return Py_BuildValue("iiii", call(dlsym(handle, "bump")), call(dlsym(handle, "exported")), dlsym(handle, "strlen") != NULL, dlclose(handle));
}
F(g) { return N(bump()); }
MODULE(M(f), M(g))""", WHERE + 'a = load("_a"); answer = [a.f(PATH), a.g()]', [[11, 7, 1, 0], 12]),
    asked("dladdr_of_functions", r"""
static int inner(void) { return 1; }
F(f) {
    Dl_info own, hidden, theirs, libc;
    void *at = (char *)exported + 1;
    int found = dladdr(at, &own) + dladdr((void *)inner, &hidden) + dladdr((void *)bump, &theirs) + dladdr((void *)qsort, &libc);
    bump();
    return Py_BuildValue("isssiisssi", found, own.dli_fname, own.dli_sname, hidden.dli_fname, own.dli_saddr == (void *)exported,
        memcmp(own.dli_fbase, "\177ELF", 4), theirs.dli_fname, theirs.dli_sname, libc.dli_sname, strstr(libc.dli_fname, "libc.so") != NULL);
}
MODULE(M(f))""", 'answer = [say(x) if isinstance(x, str) else x for x in load("_a").f()]; answer = [str(x).replace(SUFFIX, "SUFFIX") for x in answer]',
          ["4", "HERE/_aSUFFIX", "exported", "HERE/_aSUFFIX", "1", "0", "HERE/lib/libdladdr_of_functions_one.so", "bump", "qsort", "1"]),
    asked("dladdr_of_data", r"""
static int zeros[20000];
int data[10] = {1};
F(f) {
    Dl_info own, zero;
    bump();
    int found = dladdr(&data[3], &own), found_zero = dladdr(&zeros[19000], &zero);
    return Py_BuildValue("issis", found, own.dli_fname, own.dli_sname, found_zero, zero.dli_fname);
}
MODULE(M(f))""", 'answer = [str(x).replace(SUFFIX, "SUFFIX").replace(HERE, "HERE") for x in load("_a").f()]',
          ["1", "HERE/_aSUFFIX", "data", "1", "HERE/_aSUFFIX"]),
    asked("dladdr_finds_data_beside_the_file", r"""
F(f) { Dl_info info; bump(); return dladdr((void *)exported, &info) ? S(info.dli_fname) : S(""); }
MODULE(M(f))""", 'name = load("_a").f(); answer = open(os.path.dirname(name) + "/data.txt").read()', "data",
          build="printf data >$OUT/data.txt"),
    asked("dladdr1", r"""
F(f) {
    Dl_info info;
    struct link_map *map = NULL;
    const ElfW(Sym) *symbol = NULL;
    bump();
    int found = dladdr1((void *)exported, &info, (void **)&map, RTLD_DL_LINKMAP);
    int found_symbol = dladdr1((void *)exported, &info, (void **)&symbol, RTLD_DL_SYMENT);
    return Py_BuildValue("isiii", found, map ? map->l_name : "", map && (void *)map->l_addr == info.dli_fbase, found_symbol,
        symbol ? ELF64_ST_TYPE(symbol->st_info) : -1);
}
MODULE(M(f))""", 'answer = [str(x).replace(SUFFIX, "SUFFIX").replace(HERE, "HERE") for x in load("_a").f()]',
          ["1", "HERE/_aSUFFIX", "1", "1", "2"]),
    asked("dlinfo_origin", r"""
F(f) {
    PATH();
    char origin[4096] = "";
    struct link_map *map = NULL;
    void *handle = dlopen(path, RTLD_NOW);
    bump();
    int first = dlinfo(handle, RTLD_DI_ORIGIN, origin), second = dlinfo(handle, RTLD_DI_LINKMAP, &map);
    return Py_BuildValue("isis", first, origin, second, map ? map->l_name : "");
}
MODULE(M(f))""", WHERE + 'answer = [str(x).replace(SUFFIX, "SUFFIX").replace(HERE, "HERE") for x in load("_a").f(PATH)]',
          ["0", "HERE", "0", "HERE/_aSUFFIX"]),
    asked("dl_iterate_phdr_finds_itself", r"""
static int mine, named, library, executable_first = -1, unwind;
static int see(struct dl_phdr_info *info, size_t size, void *data) {
    if (executable_first < 0) executable_first = info->dlpi_name[0] == 0;
    int inside = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        size_t offset = (char *)exported - (char *)info->dlpi_addr;
        if (h->p_type == PT_LOAD && offset >= h->p_vaddr && offset < h->p_vaddr + h->p_memsz) inside = 1;
    }
    mine += inside;
    if (inside && strstr(info->dlpi_name, "dl_iterate_phdr_finds_itself/_a.")) {
        named++;
        for (int i = 0; i < info->dlpi_phnum; i++) unwind += info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME;
    }
    library += strstr(info->dlpi_name, "finds_itself_one.so") != NULL;
    return 0;
}
F(f) { bump(); dl_iterate_phdr(see, NULL); return Py_BuildValue("iiiii", mine > 0, named, library, executable_first, unwind); }
MODULE(M(f))""", 'answer = load("_a").f()', [1, 1, 1, 1, 1]),
    asked("dl_by_ctypes", OPEN, WHERE + """
import ctypes
a = load("_a")
own, lib = ctypes.CDLL(PATH), ctypes.CDLL(LIB)
answer = [own.exported(), lib.bump(), a.f(), own.bump(), ctypes.c_int.in_dll(lib, "value").value, hasattr(own, "nobody_has_this")]
""", [7, 11, 12, 13, 5, False]),
    asked("dl_by_ctypes_before_the_import", OPEN, WHERE + """
import ctypes
lib = ctypes.CDLL(LIB)
first = lib.bump()
a = load("_a")
answer = [first, a.f(), lib.bump()]
""", [11, 12, 13]),
    asked("dl_by_ctypes_python_functions", r"""
PyObject *make(long n) { return PyLong_FromLong(n * 2 + 0 * bump()); }
F(f) { return N(0); }
MODULE(M(f))""", WHERE + """
import ctypes
load("_a")
lib = ctypes.PyDLL(PATH)
lib.make.restype, lib.make.argtypes = ctypes.py_object, [ctypes.c_long]
answer = lib.make(21)
""", 42),
    asked("dl_not_global", OPEN, """
import ctypes
a = load("_a")
answer = [a.f(), hasattr(ctypes.CDLL(None), "exported"), hasattr(ctypes.CDLL(None), "bump")]
""", [11, False, False]),
    asked("dl_by_another_extension", OPEN, WHERE + 'a, b = load("_a"), load("_b"); answer = [a.f(), b.symbol(PATH), b.open(LIB), a.f()]',
          [11, 7, 12, 13], build="ext _b a.c ${L}one"),
    asked("dl_versions", BUMP + r"""
F(find) {
    PATH();
    void *handle = dlopen(path, RTLD_NOW);
    return Py_BuildValue("iii", call(dlvsym(handle, "answer", "ONE_1")), call(dlvsym(handle, "answer", "ONE_2")), call(dlsym(handle, "answer")));
}
MODULE(M(f), M(find))""", WHERE + 'answer = load("_a").find(LIB.replace("one", "two"))', [1, 2, 2], build=r"""
cat >v.map <<X
ONE_1 { global: answer; local: *; };
ONE_2 { global: answer; } ONE_1;
X
cat >c.c <<X
int answer_old(void) { return 1; }
int answer_new(void) { return 2; }
__asm__(".symver answer_old,answer@ONE_1");
__asm__(".symver answer_new,answer@@ONE_2");
X
lib two c.c -Wl,--version-script=v.map
"""),
]
