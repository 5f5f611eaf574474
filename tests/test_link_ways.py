"""The rule: which extension is baked from its objects, which is unlinked, which stays a file (docs/scope.md). Whichever
it is, each answers as from its file."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, require_libpython, run
from extensions import ask, extension

LINKERS = [name for name in ("bfd", "gold", "lld", "mold") if shutil.which(f"ld.{name}")]

HEAD = r"""
#define _GNU_SOURCE
#include <Python.h>
#include <dlfcn.h>
#include <link.h>
#include <math.h>
#include <string.h>
"""
TAIL = r"""
static PyObject *value(PyObject *m, PyObject *a) { return PyLong_FromLong((long)(ANSWER)); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
#ifdef __cplusplus
extern "C"
#endif
__attribute__((visibility("default"))) PyObject *INIT(void);
PyObject *INIT(void) { return PyModuleDef_Init(&def); }
"""


class Case:
    """One extension, with declarations and an expression of C."""

    def __init__(self, code, answer, way, why="", flags=(), before=(), library=None, compiler=None):
        self.source = HEAD + code + f"\n#define ANSWER {answer}\n" + TAIL
        self.way, self.why, self.flags, self.before = way, why, list(flags), list(before)
        self.library, self.compiler = library, compiler  # C of a shared library outside of the packages


HOOK = "int hook(int x); int help(int x) { return hook(x) + 1; }"
CXX = ["-x", "c++", "-std=c++17", "-fno-exceptions", "-fno-rtti"]
UNIQUE = "template <class T> struct S { static int n; }; template <class T> int S<T>::n = 0;\n"

CASES = {
    "plain": Case("", "7", "objects"),
    "defines.own": Case("int own(int x) { return x + 1; } int (*volatile f)(int) = own;", "f(4)", "objects"),
    "weak.nowhere": Case("extern int weak_name(void) __attribute__((weak));", "weak_name ? weak_name() : -1", "objects"),
    # What another module defines does not answer it.
    "weak.definer": Case("int weak_name(void) { return 42; }", "weak_name()", "objects"),
    "weak.called": Case("extern int weak_call(void) __attribute__((weak)); int (*volatile p)(void) = weak_call;",
                        "p ? 1 : weak_call ? 2 : 3", "objects"),
    "tls": Case("__thread int local = 3; int *at(void) { return &local; }", "++*at()", "objects"),
    "bounds": Case('__attribute__((section("mine"), used)) static int items[3]; extern int __start_mine[], __stop_mine[];',
                   "__stop_mine - __start_mine", "objects"),
    "libgcc": Case("volatile unsigned __int128 big = 1000; volatile unsigned __int128 small = 7;", "big / small", "objects"),
    "destructor": Case("static int n; __attribute__((destructor)) static void end(void) { n++; }", "n + 4", "image", "it has destructors"),
    "exits": Case("static void end(void) {}", "atexit(end)", "objects"),
    "hidden.cxx": Case(UNIQUE, "++S<int>::n", "objects", before=[*CXX, "-fvisibility=hidden"]),
    "unique.one": Case(UNIQUE, "++S<int>::n", "image", "one for the process", before=CXX),
    "unique.two": Case(UNIQUE, "++S<int>::n", "image", "one for the process", before=CXX),
    "interposed": Case("int strverscmp(const char *a, const char *b) { return 99; }\nint (*volatile f)(const char *, "
                       "const char *) = strverscmp;", 'f("a", "a")', "image", "it defines strverscmp, and so does"),
    "python.name": Case('const char *Py_GetCopyright(void) { return "m"; }', "Py_GetCopyright()[0]", "image",
                        "it defines Py_GetCopyright, and so does"),
    # What it keeps to itself is its own, in its file as well.
    "hidden.name": Case("__attribute__((visibility(\"hidden\"))) int strverscmp(const char *a, const char *b) { return 98; }",
                        'strverscmp("a", "a")', "objects"),
    # Sections that linkers, or Kiln, write for the executable.
    **{f"section{name.replace('.', '_')}": Case(f'__attribute__((section("{name}"), used)) static const char mine[] = "/nowhere";', "mine[1]", "image",
                                                f"section {name} has the name of one that the executable has")
       for name in (".interp", ".kiln", ".dynamic")},
    # What lld would look for.
    "deplibs": Case('__asm__(".section .deplibs,\\"MS\\",@0x6fff4c04,1\\n.asciz \\"/nowhere/lib.a\\"\\n.text\\n");', "5", "objects"),
    "version": Case('__asm__(".symver old_realpath, realpath@GLIBC_2.2.5"); char *old_realpath(const char *, char *);',
                    'old_realpath("/", NULL) == NULL', "image", "another version"),
    "default.version": Case('__asm__(".symver this_strverscmp, strverscmp@GLIBC_2.2.5");\n'
                            "int this_strverscmp(const char *, const char *);", 'this_strverscmp("a", "a")', "objects"),
    "dladdr": Case("int f(void) { return 1; } static Dl_info info;", 'dladdr((void *)f, &info) && !strcmp(info.dli_sname, "f")',
                   "image", "it uses dladdr"),
    "dlsym": Case("int looked_for(void) { return 5; }", 'dlsym(RTLD_DEFAULT, "looked_for") != NULL', "image", "it uses dlsym"),
    "phdr": Case("static int count(struct dl_phdr_info *i, size_t n, void *p) { return strstr(i->dlpi_name, \"phdr\") != NULL; }",
                 "dl_iterate_phdr(count, NULL)", "image", "it uses dl_iterate_phdr"),
    "resolver": Case("static int two(void) { return 2; } static int (*choose(void))(void) { return two; }\n"
                     "int chosen(void) __attribute__((ifunc(\"choose\")));", "chosen()", "image", "resolver"),
    "hidden.resolver": Case("static int two(void) { return 2; } static int (*choose(void))(void) { return two; }\n"
                            "static int chosen(void) __attribute__((ifunc(\"choose\"), used));", "chosen()", "image", "resolver"),
    "header": Case("extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility(\"hidden\")));",
                   "__ehdr_start.e_type == ET_DYN", "image", "its link took __ehdr_start"),
    "end": Case("extern char _end[] __attribute__((visibility(\"hidden\"))); static char mine;",
                "_end > &mine && _end - &mine < 100000", "image", "its link took _end"),
    "library": Case("int help(int);", "help(3)", "image", "it needs liblibrary.so", library="int help(int x) { return x * 2; }"),
    # Two libraries of one function, which each package has from its own.
    "library.other": Case("int help(int);", "help(3)", "image", "it needs liblibrary.other.so",
                          library="int help(int x) { return x * 3; }"),
    "looks.back": Case("int help(int); int hook(int x) { return x * 5; }", "help(3)", "file",
                       "refers to hook, which this file defines before it", library=HOOK),
    "looks.back.too": Case("int help(int); int hook(int x) { return x * 6; }", "help(3)", "file",
                           "refers to hook, which this file defines before it", library=HOOK),
    "missing": Case("int nowhere_at_all(void);", "nowhere_at_all()", "file", "undefined symbol: nowhere_at_all"),
    "cxx": Case("#include <string>\n", 'std::to_string(42).size()', "image", "it needs libstdc++.so.6",
                before=["-x", "c++"], compiler="kiln-c++"),
    "cxx.static": Case("#include <string>\n", 'std::to_string(42).size()', "image", "",
                       before=["-x", "c++"], flags=["-static-libstdc++", "-static-libgcc"], compiler="kiln-c++"),
    "list": Case("static int count(void) { int n = 0; for (struct link_map *l = _r_debug.r_map; l != NULL; l = l->l_next) "
                 'n += strstr(l->l_name, "/list/") != NULL; return n; }', "count()", "file", "_r_debug"),
    "global": Case("", "8", "file", "DF_1_GLOBAL", flags=["-Wl,-z,global"]),
    "level": Case("", "8", "file", "GNU_PROPERTY_X86_ISA_1_NEEDED", flags=["-Wl,-z,x86-64-v2"]),
    # What would be everybody's from the start: room, and rights.
    "zeros": Case("char zeros[600 << 20];", "++zeros[5]", "file", "bytes of memory"),
    "tls.large": Case("static __thread volatile char large[1 << 20];", "++large[5]", "image", "bytes of thread-local variables"),
    "writable.code": Case('int five(void) __attribute__((visibility("hidden")));\n__asm__(".section .both,\\"awx\\",@progbits\\n'
                          '.hidden five\\n.globl five\\nfive: mov $5,%eax\\nret\\n.text");', "five()", "file",
                          "both writable and executable"),
    "own.init": Case("static int begun; void _init(void) { begun = 5; }", "begun", "image", "it has its own _init()",
                     flags=["-nostartfiles"]),
    "not.isolated": Case('__asm__(".section .init_array_of_mine,\\"aw\\",@progbits\\n.quad 5\\n.text");', "5", "image", "not isolated"),
    "weak.end": Case("extern char _end[] __attribute__((visibility(\"hidden\"), weak)); static char mine;",
                     "_end > &mine && _end - &mine < 100000", "image", "its link took _end"),
    "weak.handle": Case("extern void *__dso_handle __attribute__((visibility(\"hidden\"), weak));", "&__dso_handle != NULL",
                        "objects"),
    "finalize": Case("""
extern void *__dso_handle __attribute__((visibility("hidden")));
int __cxa_atexit(void (*)(void *), void *, void *);
void __cxa_finalize(void *);
static int ended;
static void end(void *arg) { ended++; }
static int run(void) { __cxa_atexit(end, NULL, &__dso_handle); __cxa_finalize(&__dso_handle); return ended; }
""", "run()", "image", "it calls __cxa_finalize()"),
}
if "crtfastmath.o" in run("cc", "-###", "-shared", "-Ofast", "-x", "c", "/dev/null").stderr:  # gcc before 13
    CASES["fast"] = Case("#include <xmmintrin.h>\n", "_mm_getcsr() & 0x8040", "image", "its link added constructors", flags=["-Ofast"])
if "lld" in LINKERS:  # it drops what nobody refers to by name
    CASES["collected"] = Case("""
__attribute__((section("mine"))) static int one = 1, two = 2;
extern int __start_mine[] __attribute__((weak, visibility("hidden"))), __stop_mine[] __attribute__((weak, visibility("hidden")));
__attribute__((visibility("hidden"))) int *get_items(void) { return &one + two; }
""", "__stop_mine - __start_mine", "image", "did not keep all of its section mine",
                              before=["-ffunction-sections", "-fdata-sections"],
                              flags=["-fuse-ld=lld", "-Wl,--gc-sections,-z,start-stop-gc"])


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    root = tmp_path_factory.mktemp("ways")
    for name, case in CASES.items():
        flags = list(case.flags)
        if case.library is not None:
            library = root / f"lib{name}.so"
            run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, f"-Wl,-soname,{library.name}", input=case.library)
            flags += ["-x", "none", library, f"-Wl,-rpath,{root}"]
        extension(root / "site", f"{name}.m", python, source=case.source, before=case.before, more=flags,
                  compiler=BUILD / (case.compiler or "kiln-cc"))
    return root / "site"


def link(python, output, *args, **kwargs):
    return run(BUILD / "kiln", "link", "--python", python, "-o", output, "--report", f"{output}.json", *args, **kwargs)


def ways(output):
    """{module: (its way, why not objects or a file)}"""
    report = json.loads(output.with_name(f"{output.name}.json").read_text())
    found = {module["name"]: (module["way"], module["not_objects"] or "")
             for module in report["modules"] if "/lib-dynload/" not in module["file"]}
    return found | {file["name"]: ("file", file["reason"]) for file in report["files"]}


@pytest.fixture(scope="module", params=LINKERS)
def baked(request, tmp_path_factory, site, python):
    output = tmp_path_factory.mktemp("baked") / "app"
    link(python, output, "--linker", request.param, site)
    return output


def answers(program, site, names):
    """What the modules say, all in one process."""
    script = f"""
import importlib, json
def ask(name):
    try:
        return importlib.import_module(name).value()
    except ImportError as error:
        return str(error)
print(json.dumps([ask(name) for name in {names!r}]))"""
    return json.loads(run(program, "-c", script, env={**os.environ, "PYTHONPATH": str(site)}).stdout)


def test_each_extension_goes_its_way_for_its_reason(baked):
    found = ways(baked)
    assert {name: found[f"{name}.m"][0] for name in CASES} == {name: case.way for name, case in CASES.items()}
    for name, case in CASES.items():
        assert (found[f"{name}.m"][1] == "") == (case.way == "objects")
        assert case.why in found[f"{name}.m"][1]


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_each_answers_as_from_its_file(order, baked, site, python):
    names = [f"{name}.m" for name in CASES]
    names = names if order == "forwards" else names[::-1]
    assert answers(baked, site, names) == answers(python, site, names)


def test_what_is_loaded_at_the_start_is_what_python_loads(baked, python):
    def libraries(program):
        return set(re.findall(r"^\t(\S+)", run("ldd", program).stdout, re.MULTILINE))
    version = ask(python, "import sysconfig; answer = sysconfig.get_config_var('LDVERSION')")
    assert {name for name in libraries(baked) - libraries(python) if f"libpython{version}" not in name} == set()


@pytest.mark.parametrize("linker", LINKERS)
def test_what_only_a_shared_libpython_needs_is_named_in_its_order(bakery, python, tmp_path, linker):
    require_libpython(bakery, "shared")
    extension(tmp_path / "plain", "m", python, source=CASES["plain"].source)
    extension(tmp_path / "root", "m", python, source=HEAD + "volatile double x = 27;\n#define ANSWER cbrt(x)\n" + TAIL, more=["-lm"])
    loaded = {}
    for name in ("plain", "root"):
        link(python, tmp_path / f"app-{name}", "--libpython", "shared", "--linker", linker, tmp_path / name)
        assert ways(tmp_path / f"app-{name}")["m"] == ("objects", "")
        loaded[name] = re.findall(r"^\t(lib\S+)", run("ldd", tmp_path / f"app-{name}").stdout, re.MULTILINE)
    assert answers(tmp_path / "app-root", tmp_path / "root", ["m"]) == answers(python, tmp_path / "root", ["m"]) == [3]
    assert loaded["root"] == loaded["plain"]


def test_nothing_of_an_extension_is_exported(baked):
    names = set(re.findall(r" (\S+)$", run("nm", "-D", "--defined-only", baked).stdout, re.MULTILINE))
    assert not names & {"own", "weak_name", "looked_for", "strverscmp", "hook", "help", "INIT", "PyInit_m"}


def test_from_objects_leaves_files_and_from_wheels_unlinks_all(site, python, tmp_path):
    link(python, tmp_path / "objects", "--from", "objects", site)
    found = ways(tmp_path / "objects")
    assert {name: found[f"{name}.m"][0] for name in CASES} == {
        name: "objects" if case.way == "objects" else "file" for name, case in CASES.items()}
    assert "its objects are not what its file is: it needs libstdc++.so.6" in found["cxx.m"][1]
    link(python, tmp_path / "wheels", "--from", "wheels", site)
    found = ways(tmp_path / "wheels")
    assert {name: found[f"{name}.m"][0] for name in CASES} == {
        name: "file" if case.way == "file" else "image" for name, case in CASES.items()}


def test_a_library_that_is_gone_fails_the_import_that_needs_it_and_nothing_else(python, tmp_path):
    library = tmp_path / "libgone.so"
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-Wl,-soname,libgone.so", input="int help(int x) { return x; }")
    extension(tmp_path / "site", "gone.m", python, source=CASES["library"].source,
              more=[library, f"-Wl,-rpath,{tmp_path}"])
    extension(tmp_path / "site", "plain.m", python, source=CASES["plain"].source)
    link(python, tmp_path / "app", tmp_path / "site")
    library.unlink()
    names = ["gone.m", "plain.m"]
    said = answers(tmp_path / "app", tmp_path / "site", names)
    assert said == answers(python, tmp_path / "site", names)
    assert said == ["libgone.so: cannot open shared object file: No such file or directory", 7]


def test_an_extension_that_another_file_needs_has_one_copy(python, tmp_path):
    """`user` is linked against the file of `owner`, which counts."""
    counting = "static int n; int count(void) { return ++n; }"
    owner = extension(tmp_path / "site", "owner", python, source=HEAD + counting + "\n#define ANSWER count()\n" + TAIL)
    extension(tmp_path / "site", "user", python, source=HEAD + "int count(void);\n#define ANSWER count()\n" + TAIL,
              more=[f"-L{owner.parent}", f"-l:{owner.name}", f"-Wl,-rpath,{owner.parent}"])
    link(python, tmp_path / "app", tmp_path / "site")
    names = ["owner", "user", "owner"]
    assert answers(tmp_path / "app", tmp_path / "site", names) == answers(python, tmp_path / "site", names) == [1, 2, 3]
    assert ways(tmp_path / "app")["owner"] == ("image", f"another file needs {owner.name}")


def test_an_extension_that_a_library_elsewhere_needs_has_one_copy(python, tmp_path):
    """`user` needs a library outside of the packages, and that needs the file of `owner`."""
    counting = "static int n; int count(void) { return ++n; }"
    owner = extension(tmp_path / "site", "owner", python, source=HEAD + counting + "\n#define ANSWER count()\n" + TAIL,
                      more=["-Wl,-soname,owner.of.count"])
    (tmp_path / "owner.of.count").symlink_to(owner)
    library = tmp_path / "libbetween.so"
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-x", "none", owner, f"-Wl,-soname,{library.name}",
        f"-Wl,-rpath,{tmp_path}", input="int count(void); int between(void) { return count(); }")
    extension(tmp_path / "site", "user", python, source=HEAD + "int between(void);\n#define ANSWER between()\n" + TAIL,
              more=[library, f"-Wl,-rpath,{tmp_path},-rpath-link,{tmp_path}"])
    link(python, tmp_path / "app", tmp_path / "site")
    names = ["owner", "user", "owner"]
    assert answers(tmp_path / "app", tmp_path / "site", names) == answers(python, tmp_path / "site", names) == [1, 2, 3]


def test_an_extension_that_a_file_has_symbols_from_stays_one(python, tmp_path):
    """Its package opens it with RTLD_GLOBAL, which works between files only."""
    extension(tmp_path / "site", "giver", python, source=HEAD + "int given(void) { return 5; }\n#define ANSWER given()\n" + TAIL)
    extension(tmp_path / "site", "taker", python, source=HEAD + "int given(void);\n#define ANSWER given()\n" + TAIL)
    link(python, tmp_path / "app", tmp_path / "site")
    script = """
import os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
import giver, taker
print(taker.value())"""
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    assert run(tmp_path / "app", "-c", script, env=env).stdout == run(python, "-c", script, env=env).stdout == "5\n"
    assert "it defines given, which another file needs from anywhere" in ways(tmp_path / "app")["giver"][1]


def test_a_large_thread_local_variable_is_no_burden_to_threads(python, tmp_path):
    extension(tmp_path / "site", "heavy", python, source=CASES["tls.large"].source)
    link(python, tmp_path / "app", tmp_path / "site")
    script = """
import threading
threading.stack_size(256 * 1024)
thread = threading.Thread(target=print, args=["started"])
thread.start()
thread.join()"""
    assert run(tmp_path / "app", "-c", script).stdout == "started\n"


def test_constructors_get_the_environment_of_the_import(python, tmp_path):
    extension(tmp_path / "site", "early", python, source=HEAD + """
extern char **environ;
static int seen;
__attribute__((constructor)) static void look(int argc, char **argv, char **envp) { seen = envp == environ; }
#define ANSWER seen
""" + TAIL)
    link(python, tmp_path / "app", tmp_path / "site")
    script = "import os\nfor i in range(50): os.environ[f'KILN_TEST_{i}'] = 'x'\nimport early; print(early.value())"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    assert run(tmp_path / "app", "-c", script, env=env).stdout == run(python, "-c", script, env=env).stdout == "1\n"
    assert ways(tmp_path / "app")["early"] == ("objects", "")


def test_one_file_of_two_modules_has_one_state(python, tmp_path):
    counting = HEAD + "static int n;\n#define ANSWER ++n\n" + TAIL
    one = extension(tmp_path / "site", "one.m", python, source=counting)
    (tmp_path / "site/two").mkdir()
    (tmp_path / "site/two/__init__.py").touch()
    (tmp_path / "site/two" / one.name).symlink_to(one)
    link(python, tmp_path / "app", tmp_path / "site")
    assert answers(tmp_path / "app", tmp_path / "site", ["one.m", "two.m"]) == answers(
        python, tmp_path / "site", ["one.m", "two.m"])
    assert {way for way, _ in ways(tmp_path / "app").values()} == {"file"}


def test_a_file_that_was_edited_after_its_link_is_what_counts(python, tmp_path):
    code = 'static const char *volatile prefix = "/a/place/holder";'
    for name in ["edited", "stripped", "patched"]:
        path = extension(tmp_path / "site", f"{name}.m", python, source=HEAD + code + "\n#define ANSWER strlen(prefix)\n" + TAIL)
        if name == "edited":
            path.write_bytes(path.read_bytes().replace(b"/a/place/holder", b"/usr\0ace/holder", 1))
        elif name == "stripped":
            run("strip", path)
        else:
            run("patchelf", "--set-rpath", "/a/directory/with/a/long/name", "--set-soname", "other.so", path)
    link(python, tmp_path / "app", tmp_path / "site")
    names = ["edited.m", "stripped.m", "patched.m"]
    assert answers(tmp_path / "app", tmp_path / "site", names) == answers(python, tmp_path / "site", names) == [4, 15, 15]
    assert ways(tmp_path / "app") == {"edited.m": ("image", "its code or data have been edited since they were linked"),
                                      "stripped.m": ("objects", ""), "patched.m": ("objects", "")}


@pytest.mark.skipif("gold" not in LINKERS, reason="gold is not installed")
def test_gold_gives_a_function_of_a_library_no_address_in_the_program(python, tmp_path):
    code = "static double (*volatile f)(double) = j1;"
    for name, code_of, answer in [("other", code, "f != NULL"), ("called", "static volatile double x;", "j1(x) == 0")]:
        source = HEAD + code_of + f"\n#define ANSWER {answer}\n" + TAIL
        extension(tmp_path / "site", f"{name}.m", python, source=source, more=["-lm"])
    extension(tmp_path / "site", "image.m", python, source=HEAD + code + "\n#define ANSWER f != NULL\n" + TAIL, compiler="cc",
              more=["-lm"])
    link(python, tmp_path / "app", "--linker", "gold", tmp_path / "site", "--libpython", "static", "--no-pie")
    found = ways(tmp_path / "app")
    assert found["other.m"] == ("image", "gold would give j1, of a library, another address")
    assert found["called.m"] == ("objects", "")
    names = ["other.m", "called.m", "image.m"]
    assert answers(tmp_path / "app", tmp_path / "site", names) == answers(python, tmp_path / "site", names) == [1, 1, 1]


def get_versions(*files):
    """The versions of glibc that these need."""
    found = {"2.0"}
    for file in files:
        needs = run("readelf", "-VW", file).stdout.partition("Version needs section")[2]
        found |= set(re.findall(r"Name: GLIBC_([0-9.]+)", needs))
    return {tuple(map(int, version.split("."))) for version in found}


def test_a_version_that_python_does_not_need_is_not_needed_at_the_start(python, tmp_path):
    libraries = re.findall(r"(\S*/lib(?:c\.so\.6|python\S*))", run("ldd", python).stdout)
    newest = max(get_versions(python, *[library for library in libraries if "libpython" in library]))
    libc = next(library for library in libraries if "libc.so.6" in library)
    symbols = re.findall(r" FUNC +GLOBAL +DEFAULT +\d+ (\w+)@@GLIBC_([0-9.]+)", run("readelf", "--dyn-syms", "-W", libc).stdout)
    newer = [(name, version) for name, version in symbols if tuple(map(int, version.split("."))) > newest]
    if not newer:
        pytest.skip("Python needs the newest version of the C library")
    name, version = newer[0]
    code = f"extern void {name}_as_is(void) __asm__(\"{name}\"); static void (*volatile at)(void) = {name}_as_is;"
    extension(tmp_path / "site", "newer.m", python, source=HEAD + code + "\n#define ANSWER at != NULL\n" + TAIL)
    link(python, tmp_path / "app", tmp_path / "site")
    assert ways(tmp_path / "app")["newer.m"] == (
        "image", f"it looks for {name} in GLIBC_{version}, which is newer than what Python needs")
    assert max(get_versions(tmp_path / "app")) <= newest
    assert answers(tmp_path / "app", tmp_path / "site", ["newer.m"]) == [1]


@pytest.mark.parametrize("libpython", ["static", "shared"])
def test_libraries_of_one_name_are_each_packages_own(libpython, python, tmp_path):
    for number, name in enumerate(["one", "two"], 1):
        directory = tmp_path / "site" / name
        directory.mkdir(parents=True)
        run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", directory / "libsame.so.1", "-Wl,-soname,libsame.so.1",
            input=f"int help(int x) {{ return x * {number}; }}")
        extension(tmp_path / "site", f"{name}.m", python, source=CASES["library"].source,
                  more=[directory / "libsame.so.1", "-Wl,-rpath,$ORIGIN"])
    result = link(python, tmp_path / "app", "--libpython", libpython, tmp_path / "site", check=False)
    if "it is not installed" in result.stderr or "does not link" in result.stderr:
        pytest.skip(f"no {libpython} libpython")
    assert result.returncode == 0, result.stderr
    for names in ["one.m"], ["two.m"], ["one.m", "two.m"], ["two.m", "one.m"]:
        assert answers(tmp_path / "app", tmp_path / "site", names) == answers(python, tmp_path / "site", names)
