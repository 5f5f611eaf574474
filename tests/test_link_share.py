"""`kiln link --share`: one copy of a static library for several extensions."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from extensions import extension

# value() of an extension is EXPRESSION, an int.
MODULE = r"""
#include <Python.h>
#ifdef __cplusplus
#define C extern "C"
#else
#define C
#endif
DECLARATIONS
static PyObject *value(PyObject *m, PyObject *a) { return PyLong_FromLong(EXPRESSION); }
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {0}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "x", NULL, 0, methods, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""

# A library with a state.
COUNTER = "int counter_start = 10; static int counter; int count(void) { return counter_start + ++counter; }"

LINKERS = ["bfd", "gold", "lld", "mold"]


def library(path, *flags, compiler="cc", thin=False, **members):
    """A static library of MEMBERS, {name: source}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, source in members.items():
        objects.append(path.parent / f"{name}.o")
        run(compiler, "-x", "c++" if "++" in compiler else "c", "-", "-c", "-fPIC", "-O1", *flags, "-o", objects[-1],
            input=source)
    run("ar", "rcsT" if thin else "rcs", path, *objects)
    if not thin:
        for member in objects:
            member.unlink()
    return path


def user(site, name, python, expression, declarations, *libraries, cxx=False, more=()):
    source = MODULE.replace("DECLARATIONS", declarations).replace("EXPRESSION", expression)
    extension(site, name, python, source=source, more=[*(["-x", "none"] if cxx else []), *libraries, *more],
              compiler=BUILD / ("kiln-c++" if cxx else "kiln-cc"), before=["-x", "c++"] if cxx else [])


def link(python, root, *args, check=True, site=None):
    return run(BUILD / "kiln", "link", "--python", python, "-o", root / "app", *args, site or root / "site", check=check)


def values(program, site, *names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    return json.loads(run(program, "-c", script % (names,), env={**os.environ, "PYTHONPATH": str(site)}).stdout)


def error(python, root, *args):
    """What is said when it fails: one error, and there is no output."""
    result = link(python, root, *args, check=False)
    assert result.returncode == 1 and result.stderr.count("error: ") == 1, result.stderr
    assert not (root / "app").exists()
    return result.stderr


@pytest.fixture(scope="module")
def counters(tmp_path_factory, python):
    """The site-packages with one, pkg.two, which count by libcounter.a, and three, which has no library."""
    root = tmp_path_factory.mktemp("counters")
    archive = library(root / "lib" / "libcounter.a", counter=COUNTER, other="int other(void) { return 1000; }")
    user(root / "site", "one", python, "count()", "int count(void);", archive)
    user(root / "site", "pkg.two", python, "count() + other()", "int count(void); int other(void);", archive)
    user(root / "site", "three", python, "3", "")
    shutil.rmtree(root / "lib")
    return root / "site"


# What sharing does.

def test_by_default_each_extension_has_its_own(counters, python, tmp_path):
    link(python, tmp_path, site=counters)
    assert values(tmp_path / "app", counters, "one", "pkg.two", "one") == [11, 1011, 12]


@pytest.mark.parametrize("libpython", ["static", "shared"])
@pytest.mark.parametrize("linker", LINKERS)
def test_a_shared_library_is_one_for_all(counters, linker, libpython, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    result = link(python, tmp_path, "--share", "libcounter.a", "--linker", linker, "--libpython", libpython, site=counters,
                  check=False)
    if f"no {libpython} libpython" in result.stderr:
        pytest.skip(f"no {libpython} libpython")
    assert result.returncode == 0, result.stderr
    assert values(tmp_path / "app", counters, "one", "pkg.two", "one", "three") == [11, 1012, 13, 3]
    symbols = run("nm", tmp_path / "app").stdout
    assert len(re.findall(r" count\.", symbols)) == 1 and " T count.libcounter_da_l" in symbols.replace(" t ", " T ")
    assert len(re.findall(r" other\.", symbols)) == 1
    assert " count" not in run("nm", "-D", tmp_path / "app").stdout


@pytest.mark.parametrize("name", ["counter", "one,pkg.two", "one,pkg.*", "*"])
def test_a_library_or_a_set_of_extensions_can_be_named(counters, name, python, tmp_path):
    link(python, tmp_path, "--share", name, site=counters)
    assert values(tmp_path / "app", counters, "one", "pkg.two", "one") == [11, 1012, 13]


def test_extensions_that_are_not_of_the_set_keep_their_own(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER)
    for name in "one", "two", "three", "four", "five":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    link(python, tmp_path, "--share", "one,two", "--share", "three,four")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two", "three", "four", "five") == [11, 12, 11, 12, 11]


def test_a_shared_library_is_in_the_executable_once(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a",
                      counter=COUNTER + "const char filler[200000] = {1}; const char *use(void) { return filler; }")
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)

    def call(output, *args):
        run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", tmp_path / output, *args, tmp_path / "site")
        return values(tmp_path / output, tmp_path / "site", "one", "two")
    assert call("private") == [11, 11]
    assert call("shared", "--share", "counter") == [11, 12]
    assert call("again", "--share", "counter") == [11, 12]
    assert (tmp_path / "shared").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "shared").stat().st_size < (tmp_path / "private").stat().st_size - 150000


def test_a_thin_archive_can_be_shared(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER, thin=True)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    shutil.rmtree(tmp_path / "lib")
    link(python, tmp_path, "--share", "counter")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [11, 12]


@pytest.mark.parametrize("linker", LINKERS)
def test_constructors_run_once_and_before_those_of_the_extensions(linker, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    archive = library(tmp_path / "lib" / "libcounter.a", counter=r"""
        #include <stdio.h>
        static int made;
        __attribute__((constructor)) static void make(void) { made += 10; }
        __attribute__((destructor)) static void end(void) { printf("the end %d\n", made); }
        int count(void) { return ++made; }
    """)
    for name, extra in ("one", ""), ("two", ""), ("early", """
        static int seen; __attribute__((constructor)) static void look(void) { seen = count(); }
    """):
        user(tmp_path / "site", name, python, "count()" if not extra else "seen", "int count(void);" + extra, archive)
    link(python, tmp_path, "--share", "counter", "--linker", linker)
    script = "import early, one, two; print(early.value(), one.value(), two.value(), one.value(), flush=True)"
    said = run(tmp_path / "app", "-c", script, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}).stdout
    assert said == "11 12 13 14\nthe end 14\n"
    assert run(tmp_path / "app", "-c", "").stdout == ""


CXX = """
#include <string>
#include <map>
struct Registry { std::map<std::string, int> names; int made; Registry() : made(++all) {} static inline int all = 0; };
inline Registry &registry() { static Registry one; return one; }
template <class T> struct Slot { static int used; };
template <class T> int Slot<T>::used = 100;
"""


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("compiler", ["c++", "clang++"])
def test_a_cxx_library_with_inline_state_is_one_for_all(compiler, linker, python, tmp_path, monkeypatch):
    monkeypatch.setenv("KILN_CXX", compiler)
    if shutil.which(f"ld.{linker}") is None or shutil.which(compiler) is None:
        pytest.skip(f"no ld.{linker} or no {compiler}")
    archive = library(tmp_path / "lib" / "libregistry.a", "-std=c++17", compiler=compiler, registry=CXX + r"""
        static Registry global;
        int enter(const char *name) { return ++registry().names[name] * 10 + global.made; }
        int slot() { return ++Slot<int>::used; }
    """)
    for name in "one", "pkg.two":
        user(tmp_path / "site", name, python, "enter(\"a\") + 1000 * (int)registry().names.size() + 10000 * Registry::all"
             " + 100000 * (slot() + ++Slot<int>::used)", CXX + "int enter(const char *); int slot();", archive, cxx=True,
             more=["-std=c++17"])
    link(python, tmp_path, "--linker", linker)
    alone = values(tmp_path / "app", tmp_path / "site", "one")[0]
    # The two are made once, whoever asks first; the second finds what the first has entered.
    # By gold, a program has an address of its own for a function of libstdc++, which images may not have.
    way = ["--from", "objects"] if linker == "gold" else []
    link(python, tmp_path, *way, "--linker", linker, "--share", "registry")
    first, second, third = values(tmp_path / "app", tmp_path / "site", "one", "pkg.two", "one")
    assert first == alone
    assert second - first == 10 + 100000 * 4 and third - second == 10 + 100000 * 4


@pytest.mark.parametrize("linker", ["bfd", "lld"])
def test_exceptions_and_types_of_a_cxx_library_are_one(linker, python, tmp_path):
    header = """
        #include <stdexcept>
        struct Trouble : std::runtime_error { using std::runtime_error::runtime_error; int code = 7; };
        struct Base { virtual ~Base() = default; }; struct Derived : Base { int n = 5; };
        Base *make(); [[noreturn]] void trouble();
    """
    archive = library(tmp_path / "lib" / "libthrow.a", compiler="c++", throw=header + """
        Base *make() { return new Derived; } void trouble() { throw Trouble("x"); }
    """)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "look()", header + """
            static int look() {
                try { trouble(); } catch (const Trouble &t) {
                    Derived *d = dynamic_cast<Derived *>(make());
                    return d ? t.code * 10 + d->n : -1;
                }
            }
        """, archive, cxx=True)
    link(python, tmp_path, "--share", "throw", "--linker", linker)
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [75, 75]


def test_what_is_shared_can_be_stripped_and_split(counters, python, tmp_path):
    link(python, tmp_path, "--share", "counter", "--strip", "--split-debug", site=counters)
    assert values(tmp_path / "app", counters, "one", "pkg.two", "one") == [11, 1012, 13]


def test_libraries_of_extensions_linked_without_debug_information_have_none(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", "-g", counter=COUNTER)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive, more=["-Wl,--strip-debug"])
    said = link(python, tmp_path, "--share", "counter").stderr
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [11, 12]
    assert "libcounter" not in run("readelf", "--debug-dump=info", tmp_path / "app").stdout and "warning" not in said


def test_libraries_that_use_each_other_are_shared_together(python, tmp_path):
    inner = library(tmp_path / "lib" / "libinner.a", inner="static int n; int inner(void) { return ++n; }")
    outer = library(tmp_path / "lib" / "libouter.a", outer="int inner(void); int outer(void) { return 100 + inner(); }")
    user(tmp_path / "site", "one", python, "outer()", "int outer(void);", outer, inner)
    user(tmp_path / "site", "two", python, "outer() + inner()", "int outer(void); int inner(void);", outer, inner)
    user(tmp_path / "site", "three", python, "inner()", "int inner(void);", inner)
    link(python, tmp_path, "--share", "inner", "--share", "outer")
    assert values(tmp_path / "app", tmp_path / "site", "one", "three", "two", "three") == [101, 2, 107, 5]


def test_a_member_that_the_link_asked_for_by_name_is_shared(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER, extra="int extra(void) { return 1; }")
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive, more=["-Wl,-u,extra"])
    link(python, tmp_path, "--share", "counter", "--report", tmp_path / "report")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [11, 12]
    assert json.loads((tmp_path / "report").read_text())["shared_libraries"][0]["members"] == 2


def test_thread_local_state_is_one_for_all(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter="static __thread int n; int count(void) { return ++n; }")
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    link(python, tmp_path, "--share", "counter")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two", "one") == [1, 2, 3]


def test_debug_information_may_differ_and_stays_true(python, tmp_path):
    for name in "one", "two":
        archive = library(tmp_path / name / "lib" / "libcounter.a", "-g", f"-fdebug-prefix-map={os.getcwd()}=/build/{name}",
                          counter=COUNTER)
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive, more=["-g"])
    link(python, tmp_path, "--share", "counter")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two") == [11, 12]
    address, = re.findall(r"(\w+) . count\.libcounter", run("nm", tmp_path / "app").stdout)
    assert run("addr2line", "-f", "-e", tmp_path / "app", address).stdout.startswith("count\n")


# What is told.

def test_the_report_and_ls_tell_what_is_shared(counters, python, tmp_path):
    said = link(python, tmp_path, "--from", "objects", "--share", "counter", "--report", tmp_path / "report", "--verbose", site=counters).stderr
    report = json.loads((tmp_path / "report").read_text())
    assert {m["name"]: m["shared_libraries"] for m in report["modules"]} == {
        "one": ["libcounter.a"], "pkg.two": ["libcounter.a"], "three": []}
    shared, = report["shared_libraries"]
    assert shared["libraries"] == ["libcounter.a"] and shared["modules"] == ["one", "pkg.two"]
    assert shared["members"] == 2 and shared["size"] > 0 and shared["constructors"] == 0
    assert shared["suffix"] == ".libcounter_da_l"
    assert "libcounter.a: shared by one, pkg.two; 2 members" in said
    listing = json.loads(run(BUILD / "kiln", "ls", "--json", tmp_path / "app").stdout)
    assert {m["name"]: m["shared_libraries"] for m in listing["modules"]} == {
        "one": ["libcounter.a"], "pkg.two": ["libcounter.a"], "three": []}
    assert run(BUILD / "kiln", "ls", tmp_path / "app").stdout.count("shares libcounter.a") == 2


def test_ls_tells_the_libraries_of_a_fat_extension(counters, python):
    path, = counters.glob("one.*")
    assert [os.path.basename(a) for a in json.loads(run(BUILD / "kiln", "ls", "--json", path).stdout)["archives"]] == [
        "libcounter.a"]
    assert re.search(r"^archive +/.*/libcounter\.a$", run(BUILD / "kiln", "ls", path).stdout, re.M)


def test_a_library_of_one_extension_stays_its_own_and_that_is_said(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER)
    user(tmp_path / "site", "one", python, "count()", "int count(void);", archive)
    assert "only one was linked with it" in link(python, tmp_path, "--share", "counter").stderr
    assert values(tmp_path / "app", tmp_path / "site", "one", "one") == [11, 12]


# What cannot be.

def test_an_unknown_name_is_an_error_that_lists_what_there_is(counters, python, tmp_path):
    shutil.copytree(counters, tmp_path / "site")
    said = error(python, tmp_path, "--share", "counters")
    assert "--share counters" in said and "libcounter.a (one, pkg.two)" in said


def test_an_unknown_extension_in_a_set_is_an_error(counters, python, tmp_path):
    shutil.copytree(counters, tmp_path / "site")
    assert "there is no extension pkg.too" in error(python, tmp_path, "--share", "one,pkg.too")


def test_a_set_without_a_library_in_common_is_an_error(counters, python, tmp_path):
    shutil.copytree(counters, tmp_path / "site")
    assert "no two of these extensions have a static library in common" in error(python, tmp_path, "--share", "one,three")


def test_different_versions_are_an_error_that_lists_who_has_which(python, tmp_path):
    for name, version in ("one", 1), ("two", 1), ("three", 2):
        archive = library(tmp_path / name / "libcounter.a", counter=COUNTER.replace("10", str(version)))
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive)
    said = error(python, tmp_path, "--share", "counter")
    versions = dict(re.findall(r"^  (\w+): (\w{16}), \d+ bytes, of /\S+/libcounter.a$", said, re.M))
    assert set(versions) == {"one", "two", "three"} and "counter.o" in said
    assert versions["one"] == versions["two"] != versions["three"]
    link(python, tmp_path, "--share", "one,two")
    assert values(tmp_path / "app", tmp_path / "site", "one", "two", "three") == [2, 3, 3]


def test_a_function_that_extensions_define_for_the_library_is_an_error(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcall.a", call="int hook(void); int call(void) { return hook(); }")
    for name in "one", "two":
        user(tmp_path / "site", name, python, "call()", "int call(void); int hook(void) { return VALUE[0]; }", archive)
    said = error(python, tmp_path, "--share", "call")
    assert "one cannot share libcall.a" in said and "hook" in said


def test_a_library_that_the_shared_one_needs_must_be_shared_too(python, tmp_path):
    inner = library(tmp_path / "lib" / "libinner.a", inner="int inner(void) { return 1; }")
    outer = library(tmp_path / "lib" / "libouter.a", outer="int inner(void); int outer(void) { return inner(); }")
    for name in "one", "two":
        user(tmp_path / "site", name, python, "outer()", "int outer(void);", outer, inner)
    said = error(python, tmp_path, "--share", "outer")
    assert "inner" in said and "libinner.a" in said and "shared, too" in said


def test_a_function_that_only_some_take_from_the_library_is_an_error(python, tmp_path):
    archive = library(tmp_path / "lib" / "libweak.a", user="""
        int extra(void) __attribute__((weak)); int use(void) { return extra ? extra() : 0; }
    """, extra="int extra(void) { return 7; }")
    user(tmp_path / "site", "one", python, "use()", "int use(void);", archive)
    user(tmp_path / "site", "two", python, "use() + extra()", "int use(void); int extra(void);", archive)
    said = error(python, tmp_path, "--share", "weak")
    assert "extra" in said and "one" in said and "two" in said


def test_a_library_compiled_with_lto_is_an_error(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", "-flto", counter=COUNTER)
    run("gcc-ranlib", archive, check=False)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", "int count(void);", archive, more=["-flto"])
    result = link(python, tmp_path, "--share", "counter", check=False)
    assert result.returncode == 1 and "-flto" in result.stderr and "cannot share libcounter.a" in result.stderr


def test_a_link_that_wraps_a_function_cannot_share(python, tmp_path):
    archive = library(tmp_path / "lib" / "libcounter.a", counter=COUNTER)
    for name in "one", "two":
        user(tmp_path / "site", name, python, "count()", """
            int count(void); int __real_count(void); int __wrap_count(void) { return -__real_count(); }
        """, archive, more=["-Wl,--wrap=count"])
    result = link(python, tmp_path, "--share", "counter", check=False)
    assert result.returncode == 1 and "--wrap" in result.stderr


def test_a_symbol_of_a_shared_library_cannot_be_exported(counters, python, tmp_path):
    shutil.copytree(counters, tmp_path / "site")
    assert "is to be exported" in error(python, tmp_path, "--share", "counter", "--export", "count")
