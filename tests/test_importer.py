"""Importing baked modules: what a program sees of them, next to the same modules as shared libraries."""

import json
import re

import pytest

from sources import BAD, GOOD

pytestmark = pytest.mark.usefixtures("fast_path")

DESCRIBE = """
import importlib
def describe(name):
    module = importlib.import_module(name)
    spec = module.__spec__
    return dict(name=module.__name__, package=module.__package__, doc=module.__doc__,
                spec_name=spec.name, parent=spec.parent, has_location=spec.has_location,
                same_loader=module.__loader__ is spec.loader, in_modules=importlib.sys.modules[name] is module,
                origin_is_file=spec.origin == module.__file__, cached=spec.cached)
"""


@pytest.mark.parametrize("name", [name for name in GOOD if name not in
                                  ("flat", "pkg.object", "extpkg", "extpkg.inner")])
def test_module_has_the_attributes_it_has_as_a_shared_library(name, baked, shared):
    code = DESCRIBE + f"answer = describe({name!r})"
    answer = baked(code)
    assert answer == shared(code)
    assert answer["name"] == answer["spec_name"] == name and answer["in_modules"] and answer["has_location"]


def test_module_in_a_package_has_the_file_name_it_would_have_been_loaded_from(baked, bakery):
    file = baked("import pkg.multi; answer = pkg.multi.__file__")
    assert file == str(baked.site / "pkg" / ("multi" + bakery.config["EXT_SUFFIX"]))


def test_top_level_module_has_no_file(baked):
    assert baked("import flat; answer = [hasattr(flat, '__file__'), flat.__spec__.origin, repr(flat)]") == [
        False, None, "<module 'flat' (baked by Kiln)>"]


def test_functions_of_single_phase_modules_know_the_whole_name(baked, shared):
    code = "import pkg.static as m; answer = [m.__name__, m.value.__module__, m.value()]"
    assert baked(code) == shared(code) == ["pkg.static", "pkg.static", "single-phase"]


def test_only_the_first_module_of_an_init_function_gets_the_whole_name(baked, shared):
    code = "import pkg.two as m; answer = [m.__name__, m.inner.__name__]"
    assert baked(code) == shared(code) == ["pkg.two", "two"]


def test_an_import_inside_an_init_function_keeps_the_names_apart(baked, shared):
    code = "import pkg.same as m; answer = [m.__name__, m.other.__name__]"
    assert baked(code) == shared(code) == ["pkg.same", "other.same"]


def test_two_modules_with_the_same_init_symbol_are_two_modules(baked):
    assert baked("import first._speedups as a, second._speedups as b; answer = [a.value(), b.value()]") == [
        "first", "second"]


def test_create_slot_may_return_any_object(baked, shared):
    code = "import pkg.object as m; answer = [type(m).__name__, m.asked]"
    assert baked(code) == shared(code) == ["SimpleNamespace", "pkg.object"]


def test_name_that_is_not_ascii(baked):
    assert baked("import pkg.größe as m; answer = [m.__name__, m.value()]") == ["pkg.größe", "multi-phase"]


def test_extension_may_be_a_package_and_have_submodules(baked, bakery):
    directory = baked.site / "extpkg"
    directory.mkdir(exist_ok=True)
    (directory / "pure.py").write_text("here = True")
    code = ("import extpkg.inner, extpkg.pure, extpkg as m\n"
            "answer = [list(m.__path__), m.__package__, m.__file__, extpkg.inner.__name__, extpkg.pure.here,\n"
            "          m.__loader__.is_package('extpkg'), extpkg.inner.__loader__.is_package('extpkg.inner')]")
    assert baked(code) == [[str(directory)], "extpkg", str(directory / ("__init__" + bakery.config["EXT_SUFFIX"])),
                           "extpkg.inner", True, True, False]


def test_extension_package_without_a_directory_imports(baked, tmp_path):
    code = "import extpkg as m, extpkg.inner; answer = [list(m.__path__), hasattr(m, '__file__')]"
    assert baked(code, PYTHONPATH=str(tmp_path)) == [[], False]


def test_baked_module_wins_over_a_file_of_its_name(baked, tmp_path):
    (tmp_path / "flat.py").write_text("value = 'a file'")
    assert baked("import flat; answer = flat.value()", PYTHONPATH=str(tmp_path)) == "multi-phase"


def test_finder_of_the_user_before_ours_is_asked_first(baked):
    assert baked("""
import sys
class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "flat":
            import importlib.util
            return importlib.util.spec_from_loader(name, Finder)
    create_module = staticmethod(lambda spec: None)
    exec_module = staticmethod(lambda module: setattr(module, "mine", True))
sys.meta_path.insert(0, Finder)
import flat
answer = flat.mine
""") is True


# --- Failures -----------------------------------------------------------------------------------

FAIL = """
import importlib, sys
try:
    importlib.import_module(name)
except BaseException as error:
    cause = error.__cause__
    answer = [type(error).__name__, str(error), type(cause).__name__, str(cause), name in sys.modules]
"""


@pytest.mark.parametrize("name", BAD)
def test_failing_module_fails_as_a_shared_library_does(name, baked, shared):
    code = f"name = {name!r}" + FAIL
    # Some messages have the module's file.
    ours, theirs = (json.dumps(runner(code)).replace(str(runner.site), "SITE") for runner in (baked, shared))
    assert ours == theirs
    kind, words, *_, is_there = json.loads(ours)
    assert (kind, is_there) == ("ValueError" if name.endswith("_raises") else "SystemError", False)
    assert words == "no luck" if kind == "ValueError" else name.rpartition("_")[2] in words


@pytest.mark.parametrize("name", BAD)
def test_failing_module_can_be_tried_again(name, baked):
    once = baked(f"name = {name!r}" + FAIL)
    assert once[0] in ("ValueError", "SystemError") and once[4] is False
    assert baked(f"name = {name!r}" + FAIL + FAIL) == once


def test_good_module_imports_after_a_failing_one(baked):
    assert baked("name = 'pkg.init_null'" + FAIL + "import pkg.static; answer = pkg.static.__name__") == "pkg.static"


@pytest.mark.parametrize("name", ["missing", "pkg.missing", "missing.sub", "pkg.mult", "pkg.multi2", "a" * 100_000,
                                  "pkg." + "\U0001f600", "\ud800"])
def test_missing_module_is_missing(name, baked):
    answer = baked(f"name = {name!r}" + FAIL)
    assert answer[0] == "ModuleNotFoundError"


def test_loader_refuses_what_is_not_baked(baked):
    assert baked("""
import _kiln, importlib.machinery as m
answer = []
loader = _kiln.Loader("nope", "/nope.so")
for call in (lambda: loader.create_module(m.ModuleSpec("nope", None)), lambda: loader.is_package("nope"),
             lambda: loader.load_module("nope"), lambda: loader.load_module("flat"), lambda: loader.get_filename("flat"),
             lambda: _kiln.finder.find_spec("flat").loader.get_filename("flat"),
             lambda: loader.create_module(m.ModuleSpec(3, None)), lambda: loader.create_module(None),
             lambda: type(_kiln.finder)(), lambda: _kiln.finder.find_spec(),
             lambda: _kiln.finder.find_spec(1), lambda: _kiln.finder.find_spec("flat", nope=1),
             lambda: _kiln.finder.find_spec("pkg.multi", 3), lambda: _kiln.nope):
    try:
        call()
    except Exception as error:
        answer.append([type(error).__name__, getattr(error, "name", None)][:1 + isinstance(error, ImportError)])
""") == 3 * [["ImportError", "nope"]] + 3 * [["ImportError", "flat"]] + [["TypeError"], ["AttributeError"]] + 5 * [["TypeError"]] + [["AttributeError"]]


def test_finder_takes_its_arguments_by_keyword(baked):
    assert baked("import _kiln; answer = _kiln.finder.find_spec(path=None, fullname='flat', target=None).name") == "flat"


def test_finder_has_no_place_for_a_module_of_an_empty_path(baked):
    assert baked("import _kiln; answer = [_kiln.finder.find_spec('pkg.multi', path).origin "
                 "for path in (None, [], [3])]") == [None] * 3


# --- Again and again ----------------------------------------------------------------------------

AGAIN = """
import importlib, sys
first = importlib.import_module(name)
first.mark = 1
second = importlib.import_module(name)
count = lambda m: (getattr(m, "executed", 0), getattr(m, "initialised", 0))
answer = [first is second, count(first)]
del sys.modules[name]
third = importlib.import_module(name)
answer += [third is first, hasattr(third, "mark"), count(third), third.__name__, third.__spec__.name]
reloaded = importlib.reload(third)
answer += [reloaded is third, hasattr(reloaded, "mark"), count(reloaded), reloaded.__name__]
"""


@pytest.mark.parametrize("name", ["pkg.multi", "pkg.static", "pkg.zero", "pkg.state", "other.same"])
def test_importing_again_and_reloading_do_what_they_do_to_a_shared_library(name, baked, shared):
    code = f"name = {name!r}" + AGAIN
    ours, theirs = baked(code), shared(code)
    # CPython before 3.12 forgets the package when it creates a single-phase module again.
    assert {ours[5], ours[10]} == {name} and {theirs[5], theirs[10]} <= {name, name.rpartition(".")[2]}
    del ours[10], ours[5], theirs[10], theirs[5]
    assert ours == theirs


def test_importing_many_times_keeps_nothing(baked):
    """Create, drop and create again: the number of allocated blocks does not grow with it."""
    grown = baked("""
import gc, importlib, sys
def again(count):
    for _ in range(count):
        for name in ("flat", "pkg.multi", "first._speedups"):
            importlib.import_module(name)
            del sys.modules[name]
    gc.collect()
    return sys.getallocatedblocks()
import pkg, first
again(400)
answer = -again(200) + again(800)
""")
    assert grown < 240  # of 2,400 modules


# --- The interpreter around it ------------------------------------------------------------------

def test_finder_is_there_before_site_runs(baked, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import flat, sys; sys.seen = flat.value()")
    assert baked("import sys; answer = sys.seen", PYTHONPATH=str(tmp_path)) == "multi-phase"


@pytest.mark.parametrize("options", [["-I"], ["-S"], ["-E"], ["-O"], ["-B"], ["-X", "dev"], ["-v"],
                                     ["-X", "importtime"], ["-bb", "-W", "error"]])
def test_options_of_python_leave_the_modules_there(options, baked):
    assert baked("import flat; answer = flat.value()", *options) == "multi-phase"


def test_finder_is_first_and_there_once(baked):
    assert baked("""
import sys, _kiln, importlib
first = sys.meta_path[0] is _kiln.finder
for name in ("posix", "_kiln"):
    del sys.modules[name]
    importlib.import_module(name)
answer = [first, sum("_kiln" in str(type(finder)) for finder in sys.meta_path), _kiln.__spec__.name]
""", "-S") == [True, 1, "_kiln"]


def test_builtin_and_frozen_modules_are_as_they_were(baked, shared):
    code = """
import sys, zipimport, posix, _imp
answer = [sorted(set(sys.builtin_module_names) - {"_kiln"}), repr(zipimport), repr(posix), repr(_imp)]
"""
    theirs, ours = shared(code), baked(code)
    assert ours[1:] == theirs[1:] and "'zipimport'" in ours[1]
    # The interpreter and its libpython need not have the same modules built in.
    assert {"posix", "sys", "builtins"} <= set(ours[0])


SUBINTERPRETERS = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import sys
def in_new_interpreter(code, **kwargs):
    try:
        id = interpreters.create(**kwargs)
    except TypeError:
        id = interpreters.create()
    error = interpreters.run_string(id, code)
    interpreters.destroy(id)
    if error is not None:
        raise RuntimeError(error.formatted)
"""


def test_sub_interpreter_has_the_modules(baked, tmp_path):
    out = tmp_path / "out"
    baked(SUBINTERPRETERS + f"""
in_new_interpreter('''
import flat, first._speedups, pkg.multi, _kiln, sys
open({str(out)!r}, "w").write(flat.value() + pkg.multi.__name__ + str(_kiln.finder in sys.meta_path))
''')
answer = 0
""")
    assert out.read_text() == "multi-phase" + "pkg.multi" + "True"


def test_single_phase_module_in_a_sub_interpreter_behaves_as_a_shared_library(baked, shared, tmp_path):
    out = tmp_path / "out"
    code = SUBINTERPRETERS + f"""
import pkg.zero
in_new_interpreter('''
import importlib
with open({str(out)!r}, "w") as out:
    for name in ("pkg.static", "pkg.zero", "pkg.state"):
        try:
            module = importlib.import_module(name)
            print(module.__name__, module.initialised, file=out)
        except ImportError as error:
            print(error, error.name, file=out)
''')
answer = 0
"""
    baked(code)
    ours = out.read_text()
    shared(code)
    # CPython calls them by their short names in some of these cases.
    assert ours == re.sub(r"(^|module )(?!module |pkg)(?=\w)", r"\1pkg.", out.read_text(), flags=re.M)
    # From 3.12 on these modules are refused.
    assert ours.startswith(("pkg.static 1\n", "module pkg.static does not support loading in subinterpreters"))


def test_many_threads_import_the_same_modules(baked):
    assert baked("""
import importlib, sys, threading
names = ["flat", "pkg.multi", "pkg.static", "pkg.zero", "pkg.state", "first._speedups", "pkg.same", "extpkg"]
sys.setswitchinterval(1e-6)
wrong = []
def work(start):
    for i in range(60):
        name = names[(start + i) % len(names)]
        module = importlib.import_module(name)
        if module.__name__ != name:
            wrong.append((name, module.__name__))
        sys.modules.pop(name, None)
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
answer = [w for w in wrong]
""") == []


def test_forked_child_imports(baked):
    assert baked("""
import os, threading, sys, pkg
stop = False
def work():
    while not stop:
        import pkg.multi, flat
        sys.modules.pop("pkg.multi", None); sys.modules.pop("flat", None)
thread = threading.Thread(target=work); thread.start()
codes = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        import pkg.static
        os._exit(0 if pkg.static.__name__ == "pkg.static" else 1)
    codes.append(os.waitpid(pid, 0)[1])
stop = True
thread.join()
answer = codes
""", "-W", "ignore") == [0] * 20
