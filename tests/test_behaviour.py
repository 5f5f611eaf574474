"""What programs do with imported modules, from importlib's functions to pydoc: a baked module next to the
same source as a shared library under the stock interpreter, with and without the library on disk."""

import json

import pytest

from conftest import COMBINED
from runner import PURE, Runner

pytestmark = pytest.mark.usefixtures("fast_path")


@pytest.fixture(params=COMBINED["ours"])
def ours(request, baked, shared):
    """The baked executable; the extensions' files are not where packages are, or they are."""
    return baked if request.param == "absent" else Runner(baked.program, shared.site)


@pytest.fixture
def same(ours, shared):
    """A function that runs code in both, sees that they answer the same, and returns it."""
    def compare(code, *options, **kwargs):
        answers = [plain(runner, json.dumps(runner(code, *options, **kwargs))) for runner in (ours, shared)]
        assert answers[0] == answers[1]
        return json.loads(answers[0])
    return compare


@pytest.fixture
def same_output(ours, shared):
    """The same for standard output, standard error and exit status of any command line."""
    def compare(*argv, change=lambda text: text, **kwargs):
        outcomes = []
        for runner in (ours, shared):
            result = runner.run(*argv, check=False, **kwargs)
            outcomes.append((result.returncode, plain(runner, result.stdout), change(plain(runner, result.stderr))))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]
    return compare


def plain(runner, text):
    return text.replace(str(runner.site), "SITE").replace(str(runner.program), "PROGRAM")


ATTEMPT = """
def attempt(function, *args):
    try:
        result = function(*args)
        return result if isinstance(result, (int, list, type(None))) else str(result)
    except BaseException as error:
        return [type(error).__name__, str(error), getattr(error, "name", None), getattr(error, "path", None)]
"""

# --- importlib ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pkg.multi", "pkg.static", "extpkg", "walk.deep", "walk.deep.leaf"])
def test_find_spec_says_what_it_says_of_a_shared_library(name, same):
    answer = same(f"""
import importlib.util, sys
spec = importlib.util.find_spec({name!r})
answer = [spec.name, spec.origin, spec.has_location, spec.parent, spec.cached, spec.loader_state,
          spec.submodule_search_locations, {name!r} in sys.modules]
""")
    assert answer[0] == name and answer[-1] is False


def test_find_spec_of_an_imported_module_is_its_spec(same):
    assert same("import importlib.util, pkg.multi as m; answer = importlib.util.find_spec('pkg.multi') is m.__spec__") is True


def test_find_spec_takes_relative_names_and_misses_what_is_missing(same):
    answer = same(ATTEMPT + """
import importlib.util
find = lambda *args: getattr(importlib.util.find_spec(*args), "origin", None)
answer = [attempt(find, *args) for args in [(".multi", "pkg"), (".nope", "pkg"), ("nope.multi",), ("pkg.multi.x",),
                                            ("..multi", "pkg"), ("",), (".multi",)]]
""")
    assert answer[0].startswith("SITE/pkg/multi.") and answer[1] is None and answer[5] is None
    assert answer[2][:2] == ["ModuleNotFoundError", "No module named 'nope'"] and answer[3][0] == "ModuleNotFoundError"
    assert [kind for kind, *_ in (answer[4], answer[6])] in (["ImportError"] * 2, ["ValueError"] * 2)  # before 3.9


def test_module_from_spec_and_exec_module_make_a_module_that_is_not_registered(same):
    assert same("""
import importlib.util, sys
spec = importlib.util.find_spec("pkg.types")
made = [importlib.util.module_from_spec(spec) for _ in range(2)]
before = hasattr(made[0], "Point")
for module in made: spec.loader.exec_module(module)
answer = [before, made[0].add(1, 2), made[0].Point is made[1].Point, "pkg.types" in sys.modules]
""") == [False, 3, False, False]


def test_lazy_loader_loads_at_first_use(same):
    assert same("""
import importlib.util, sys
spec = importlib.util.find_spec("pkg.types")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["pkg.types"] = module
spec.loader.exec_module(module)
before = "Point" in object.__getattribute__(module, "__dict__")
answer = [before, module.add(2, 3), "Point" in vars(module), type(module).__name__]
""") == [False, 5, True, "module"]


def test_reload_keeps_the_module_and_fails_when_it_is_gone(same):
    assert same(ATTEMPT + """
import importlib, sys, pkg.types as m
m.mark, point = 1, m.Point
answer = [importlib.reload(m) is m, m.mark, m.Point is point]
del sys.modules["pkg.types"]
answer.append(attempt(importlib.reload, m))
""") == [True, 1, True, ["ImportError", "module pkg.types not in sys.modules", "pkg.types", None]]


def test_module_has_the_attributes_and_repr_of_one_from_a_file(same):
    answer = same("""
import pkg.multi as m, extpkg
answer = [[repr(x), x.__name__, x.__package__, x.__doc__, x.__file__, hasattr(x, "__cached__"), hasattr(x, "__path__"),
           sorted(vars(x))] for x in (m, extpkg)]
""")
    assert answer[0][3] == "The doc."


def test_attributes_that_are_missing_are_told_in_the_same_words(same):
    of_module, of_import = same(ATTEMPT + """
import pkg.multi
def take(): from pkg.multi import nope
answer = [attempt(lambda: pkg.multi.nope), attempt(take)]
""")
    assert of_module[:2] == ["AttributeError", "module 'pkg.multi' has no attribute 'nope'"]
    assert of_import[:2] == ["ImportError", f"cannot import name 'nope' from 'pkg.multi' ({of_import[3]})"]


def test_loader_reads_data_and_knows_the_file(same):
    assert same("""
import pkg.multi as m, extpkg, pkgutil
answer = [m.__loader__.get_filename("pkg.multi") == m.__file__, m.__loader__.is_package("pkg.multi"),
          m.__loader__.get_code("pkg.multi"), m.__loader__.get_source("pkg.multi"),
          extpkg.__loader__.get_filename("extpkg") == extpkg.__file__,
          pkgutil.get_data("extpkg", "data.txt").decode(), pkgutil.get_data("pkg", "data.txt").decode()]
""") == [True, False, None, None, True, "data", "data"]


LOADERS = ["pkg.multi", "pkg.static", "extpkg", "walk.deep.leaf"]


@pytest.mark.parametrize("name", LOADERS)
def test_loader_is_one_of_an_extension_file(name, same):
    answer = same(f"""
import importlib.abc, importlib.machinery, importlib.util, inspect
m = importlib.import_module({name!r})
loader, found = m.__loader__, importlib.util.find_spec({name!r}).loader
abcs = [n for n in sorted(vars(importlib.abc)) if isinstance(getattr(importlib.abc, n), type)]
answer = [loader.name, loader.path == m.__file__, sorted(vars(loader)), found is m.__loader__, m.__spec__.loader is loader,
          isinstance(loader, importlib.machinery.ExtensionFileLoader),
          [n for n in abcs if isinstance(loader, getattr(importlib.abc, n))], [n for n in dir(loader) if n[0] != "_"],
          [str(inspect.signature(getattr(loader, n))) for n in ("create_module", "exec_module", "is_package", "load_module")]]
""")
    assert answer[:6] == [name, True, ["name", "path"], True, True, True] and "InspectLoader" in answer[6]


def test_each_module_has_a_loader_of_its_own(same):
    assert same("""
import pkg.multi, pkg.types
a, b = pkg.multi.__loader__, pkg.types.__loader__
copied = type(a)(a.name, a.path)
answer = [a == b, a is b, copied == a, copied is a, hash(copied) == hash(a), a != 3, len({a, b, copied})]
a.mark = 1
answer += [copied == a, a.mark, hasattr(b, "mark")]
""") == [False, False, True, False, True, True, 2, False, 1, False]


@pytest.mark.parametrize("name", LOADERS)
def test_specs_and_loaders_are_copied_and_pickled(name, same):
    assert same(f"""
import copy, importlib.util, pickle
m = importlib.import_module({name!r})
answer = []
for make in [copy.copy, copy.deepcopy] + [lambda x, n=n: pickle.loads(pickle.dumps(x, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]:
    spec, loader = make(m.__spec__), make(m.__loader__)
    answer.append([spec == m.__spec__, loader == m.__loader__, loader is m.__loader__, type(loader) is type(m.__loader__)])
answer = [answer, importlib.util.module_from_spec(copy.deepcopy(m.__spec__)).__name__]
""")[0] == [[True, True, False, True]] * 8


def test_pickled_loader_works_in_another_process(same):
    """The type is there before any module is imported that is baked."""
    assert same("""
import os, pickle, subprocess, sys, pkg.multi
code = "import pickle, sys; l = pickle.loads(bytes.fromhex(sys.argv[1])); import pkg; print(l.load_module('pkg.multi').__name__, l.name)"
answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code, pickle.dumps(pkg.multi.__loader__).hex()],
                        stdout=subprocess.PIPE, universal_newlines=True).stdout
""") == "pkg.multi pkg.multi\n"


def test_loaders_load_modules_and_refuse_those_of_others(same):
    assert same(ATTEMPT + """
import sys, warnings, pkg.types as m
warnings.simplefilter("ignore")
loader = m.__loader__
answer = [loader.load_module("pkg.types") is m, loader.load_module() is m, loader.get_filename() == m.__file__]
del sys.modules["pkg.types"]
again = loader.load_module("pkg.types")
answer += [again is m, again is sys.modules["pkg.types"], again.add(1, 2), again.__file__ == m.__file__,
           attempt(loader.load_module, "pkg.multi"), attempt(loader.get_filename, "pkg.multi"), attempt(loader.get_resource_reader, "pkg")]
""")[:7] == [True, True, True, False, True, 3, True]


def test_finders_have_find_module_where_they_have_it(same, bakery):
    answer = same(ATTEMPT + """
import importlib.util, pkgutil, sys, warnings
warnings.simplefilter("ignore")
def find(name, path=None):
    for finder in sys.meta_path:
        loader = finder.find_module(name, path) if hasattr(finder, "find_module") else None
        if loader is not None: return loader.name
import pkg
answer = [find("extpkg"), find("pkg.multi", pkg.__path__), find("nope_nope")]
if sys.version_info < (3, 12):
    answer += [pkgutil.find_loader("extpkg").load_module("extpkg").__name__, pkgutil.get_loader("pkg.multi").name,
               importlib.find_loader("extpkg").path == importlib.util.find_spec("extpkg").origin]
""")
    assert answer[:3] == (["extpkg", "pkg.multi", None] if bakery.version < (3, 12) else [None, None, None])


def test_repr_of_a_loader_tells_the_module_and_the_place(ours):
    assert ours("import pkg.multi as m; answer = repr(m.__loader__) == f'<loader of {m.__name__!r}, baked by Kiln from {m.__file__!r}>'")


# --- Import as such -----------------------------------------------------------------------------

TELL = """
import importlib, sys
def tell(name):
    try:
        module = importlib.import_module(name)
        return [type(module).__name__, getattr(module, "answer", None), module is sys.modules.get(name)]
    except BaseException as error:
        return [type(error).__name__, str(error), getattr(error, "name", None), getattr(error, "path", None),
                name in sys.modules]
"""


@pytest.mark.parametrize("name, told", [
    ("pkg.replaced", ["Other", 42, True]), ("pkg.replaced_single", ["module", None, True]),
    ("pkg.removed", ["KeyError", "'pkg.removed'", None, None, False])])
def test_module_may_change_sys_modules_while_it_is_executed(name, told, same):
    assert same(TELL + f"answer = [tell({name!r}), tell({name!r})]") == [told] * 2


@pytest.mark.parametrize("name", ["circle", "circle_single"])
def test_circle_of_a_baked_and_a_pure_module_closes(name, same):
    """A single-phase module is not in sys.modules before its init function has returned."""
    code = TELL + "answer = [tell('pkg.{}'), getattr(sys.modules.get('pkg.pure_" + name + "'), 'seen', None)]"
    # The pure module has seen whether the variables `first` and `last` were there.
    assert same(code.format(name)) == [["module", None, True], [True, name == "circle_single"]]
    assert same(code.format("pure_" + name)) == [["module", None, True], [True, True]]


def test_circle_of_baked_modules_closes(same):
    assert same("import pkg.ring_a as a, pkg.ring_b as b; answer = [a.other is b, b.other is a]") == [True, True]


@pytest.mark.parametrize("name, kind, words", [
    ("pkg.circle_from", "ImportError", "cannot import name 'last' from partially initialized module 'pkg.circle_from'"),
    ("pkg.wants", "ModuleNotFoundError", "No module named 'missing_module'"),
    ("pkg.divides", "ZeroDivisionError", "division by zero"), ("pkg.divides_single", "ZeroDivisionError", "division by zero"),
    ("pkg.nope", "ModuleNotFoundError", "No module named 'pkg.nope'"),
    ("nope.multi", "ModuleNotFoundError", "No module named 'nope'"),
    ("pkg.multi.nope", "ModuleNotFoundError", "No module named 'pkg.multi.nope'; 'pkg.multi' is not a package"),
    ("pkg.types.Point", "ModuleNotFoundError", "No module named 'pkg.types.Point'; 'pkg.types' is not a package")])
def test_failing_import_is_told_in_the_same_words(name, kind, words, same):
    first, second = same(TELL + f"answer = [tell({name!r}), tell({name!r})]")
    assert first[0] == kind and first[1].startswith(words) and first[4] is False and second == first


@pytest.mark.parametrize("name, last", [
    ("pkg.divides", "ZeroDivisionError: division by zero"), ("pkg.divides_single", "ZeroDivisionError: division by zero"),
    ("pkg.wants", "ModuleNotFoundError: No module named 'missing_module'"),
    ("pkg.circle_from", "ImportError: cannot import name 'last'"), ("pkg.exec_raises", "ValueError: no luck"),
    ("pkg.init_raises", "ValueError: no luck"), ("pkg.init_null", "SystemError: initialization of init_null failed without"),
    ("pkg.init_other", "SystemError: initialization of init_other did not return"),
    ("pkg.init_unreported", "SystemError: initialization of init_unreported raised unreported"),
    ("pkg.multy", "ModuleNotFoundError: No module named 'pkg.multy'")])
def test_traceback_has_the_frames_it_has_with_a_shared_library(name, last, same):
    # Of pkg.multy, CPython 3.15 says "Did you mean: 'pkg.multi'?"
    answer = same(f"""
import traceback
try:
    import {name}
except BaseException:
    answer = traceback.format_exc()
""")
    assert "Traceback (most recent call last):\n" in answer and f"\n{last}" in answer
    assert "importlib" not in answer


def test_relative_imports_in_a_module_work(same):
    assert same(TELL + "answer = tell('pkg.relative')[0]") == "module"


def test_parent_whose_path_changes_gives_the_changed_place(same, tmp_path):
    """What is imported afterwards is looked for in, and so placed in, the new first directory."""
    answer = same("""
import pkg, sys
directory, = pkg.__path__
pkg.__path__ = [directory]
import pkg.multi
pkg.__path__.append("/elsewhere")
import pkg.types
answer = [pkg.multi.__file__, pkg.types.__file__]
""")
    assert answer[0].startswith("SITE/pkg/multi")


def test_parent_without_a_path_is_no_package(same):
    answer = same(TELL + "import pkg; del pkg.__path__; answer = tell('pkg.multi')")
    assert answer[:2] == ["ModuleNotFoundError", "No module named 'pkg.multi'; 'pkg' is not a package"]


def test_parent_may_be_a_namespace_package(same):
    answer = same("import spread.far as m; answer = [m.value(), m.__file__, m.__package__]")
    assert answer[0] == "declaring"


def test_parent_that_is_none_in_sys_modules_stops_the_import(same):
    answer = same(TELL + "sys.modules['pkg.multi'] = None; answer = tell('pkg.multi')")
    assert answer[:2] == ["ModuleNotFoundError", "import of pkg.multi halted; None in sys.modules"]


def test_submodule_is_bound_in_its_parent(same):
    assert same("import pkg.multi, sys; answer = [pkg.multi is sys.modules['pkg.multi'], 'multi' in vars(pkg)]") == [True, True]


def test_import_star_and_from_imports(same):
    assert same("""
from pkg.types import *
from pkg import types as m
from pkg.types import Point as P
answer = [add(1, 1), m.Point is P is Point, sorted(name for name in globals() if not name.startswith("_"))]
""") == [2, True, ["Error", "Fixed", "P", "Point", "add", "fail", "m"]]


def test_python_file_beside_an_extension_of_the_same_name_loses(same, ours, shared):
    for site in {ours.site, shared.site}:
        (site / "pkg/multi.py").write_text("def value(): return 'a file'")
    try:
        assert same("import pkg.multi as m; answer = m.value()") == "multi-phase"
    finally:
        for site in {ours.site, shared.site}:
            (site / "pkg/multi.py").unlink()


def test_parent_in_a_zip_file(baked, tmp_path):
    """There a shared library cannot be loaded from."""
    import zipfile
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("pkg/__init__.py", "")
        packed.writestr("pkg/data.txt", "packed")
        packed.writestr("pkg/pure.py", "here = True")
    path = str(tmp_path / "packed.zip")
    answer = baked("""
import pkg.multi as m, pkg.pure, pkgutil, extpkg, sys
answer = [m.value(), m.__file__, pkg.pure.here, pkgutil.get_data("pkg", "data.txt").decode(), list(extpkg.__path__)]
""", PYTHONPATH=path)
    assert answer[0] == "multi-phase" and answer[1].startswith(path + "/pkg/multi.") and answer[2:] == [True, "packed", []]


# --- The interpreter tells of imports -----------------------------------------------------------

AUDIT = """
import sys, pkg, other, zipfile
seen = []
on = True
def hook(event, args):
    if on and event == "import":
        seen.append([str(args[0]), args[1] and str(args[1]), [x is y for x, y in zip(args[2:], (sys.path, sys.meta_path, sys.path_hooks))],
                     args[2:] == (None,) * 3])
sys.addaudithook(hook)
for name in ("pkg.multi", "pkg.static", "pkg.object", "other.same", "pkg.nope", "extpkg"):
    try:
        __import__(name)
    except ImportError:
        pass
    sys.modules.pop(name, None)
    sys.modules.pop("types", None)
import pkg.static
on = False
answer = [event for event in seen if event[0] != "types"]
"""


def test_audit_hooks_are_told_the_same(same):
    answer = same(AUDIT)
    assert len(answer) > 10 and answer[0] == ["pkg.multi", None, [True, True, True], False]
    assert answer[1][1].startswith("SITE/pkg/multi.") and [event[0] for event in answer].count("pkg.static") > 2


def test_audit_hooks_are_told_of_a_single_phase_module_once(same):
    """CPython raises no event for a module in its cache, even if it calls the init function again."""
    assert same("""
import sys, pkg
seen, on = [], True
sys.addaudithook(lambda event, args: on and event == "import" and args[0] == "pkg.zero" and args[1] and seen.append(args[1]))
for _ in range(3):
    import pkg.zero
    del sys.modules["pkg.zero"]
on = False
answer = [len(seen), set(seen) == {pkg.zero.__file__}]
""") == [1, True]


def test_audit_hook_may_forbid_an_import(same):
    assert same(TELL + """
def hook(event, args):
    if event == "import" and args[0] == "pkg.multi" and args[1] is not None:
        raise PermissionError("not " + args[0])
sys.addaudithook(hook)
answer = [tell("pkg.multi"), tell("pkg.static")]
""") == [["PermissionError", "not pkg.multi", None, None, False], ["module", None, True]]


def test_import_times_list_the_same_imports(same_output):
    def names(text):
        return [line.rpartition("|")[2] for line in text.partition("MARK")[2].splitlines() if "import time:" in line]
    outcome = same_output("-X", "importtime", "-c", "import pkg, sys; print('MARK', file=sys.stderr, flush=True)\n"
                          "import pkg.multi, pkg.static, pkg.circle, extpkg", change=names)
    assert outcome[2] == [" pkg.multi", " pkg.static", "     pkg.pure_circle".replace("     ", "   "), " pkg.circle", " extpkg"]


def test_verbose_import_names_the_module_and_says_that_it_is_baked(baked):
    said = baked.run("-v", "-c", "import pkg.multi").stderr
    assert "import 'pkg.multi' # <loader of 'pkg.multi', baked by Kiln from " in said


# --- Running ------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, words", [
    ("pkg.multi", "No code object available for pkg.multi"), ("extpkg", "No module named extpkg.__main__; 'extpkg' is a package"),
    ("runnable", "No code object available for runnable.__main__"), ("runnable.part", "No code object available for runnable.part"),
    ("runnable.__main__", "No code object available for runnable.__main__"),
    ("pkg", "No module named pkg.__main__; 'pkg' is a package"), ("pkg.nope", "No module named pkg.nope"),
    ("pkg.multi.nope", "Error while finding module specification for 'pkg.multi.nope'"),
    ("pkg.exec_raises", "No code object available for pkg.exec_raises")])
def test_dash_m_does_what_it_does_with_a_shared_library(name, words, same_output):
    status, out, error = same_output("-m", name, "argument")
    assert (status, out) == (1, "") and error.startswith(f"PROGRAM: {words}")


@pytest.mark.parametrize("function", ["run_module", "_get_module_details"])
def test_runpy_refuses_in_the_same_words(function, same):
    answer = same(ATTEMPT + f"import runpy; answer = attempt(runpy.{function}, 'pkg.multi')")
    assert answer[:2] == ["ImportError", "No code object available for pkg.multi"]


# --- inspect, pydoc, pickle ---------------------------------------------------------------------

def test_inspect_finds_what_it_finds_of_a_shared_library(same):
    answer = same(ATTEMPT + """
import inspect, pkg.types as m
answer = [attempt(f, x) for f in (inspect.getfile, inspect.getsourcefile, inspect.getabsfile, inspect.getmodule,
          inspect.getsource, inspect.getsourcelines, inspect.getcomments, inspect.getdoc, inspect.getmodulename,
          inspect.signature) for x in (m, m.add, m.Point, m.Fixed, m.Error) if f is not inspect.getmodulename]
answer.append(inspect.getmodulename(m.__file__))
""")
    assert answer[0].startswith("SITE/pkg/types.")


def test_help_is_the_same(same):
    answer = same("import pydoc, pkg.types as m, extpkg; answer = [pydoc.render_doc(x, renderer=pydoc.plaintext) for x in (m, extpkg)]")
    assert "add(a, b, /)" in answer[0] and "FILE" in answer[0]


def test_functions_types_and_exceptions_are_pickled_by_name(same):
    assert same("""
import pickle, pickletools, sys, pkg.types as m
things = [m.add, m.Point, m.Fixed, m.Error]
made = [pickle.dumps(things, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
ok = [all(x is y for x, y in zip(pickle.loads(data), things)) for data in made]
made.append(pickle.dumps([m.Point(), m.Error("x")]))
del sys.modules["pkg.types"], m
import pkg
del pkg.types
again = pickle.loads(made[-1])
answer = [all(ok), type(again[0]).__module__, type(again[0]) is pkg.types.Point, again[1].args[0], [data.hex() for data in made]]
""")[:4] == [True, "pkg.types", True, "x"]


def test_module_is_not_pickled(same):
    answer = same(ATTEMPT + "import pickle, pkg.multi; answer = attempt(pickle.dumps, pkg.multi)")
    assert answer[:2] == ["TypeError", "cannot pickle 'module' object"]


def test_import_in_a_worker_process_unpickles(same):
    assert same("""
import multiprocessing, pkg.types
with multiprocessing.get_context("fork").Pool(1) as pool:
    answer = pool.apply(pkg.types.add, (1, 2))
""") == 3


# --- Data and metadata --------------------------------------------------------------------------

def test_resources_of_packages_are_found(same):
    answer = same(ATTEMPT + """
import importlib.resources as r
def read(package):
    if hasattr(r, "files"):
        return r.files(package).joinpath("data.txt").read_text()
    return r.read_text(package, "data.txt")
answer = [attempt(read, name) for name in ("pkg", "extpkg", "pkg.multi", "nope")]
""")
    assert answer[:2] == ["data", "data"] and answer[3][:2] == ["ModuleNotFoundError", "No module named 'nope'"]


def test_metadata_of_distributions_is_found(same):
    assert same("""
import importlib.metadata as m, pkg.multi
answer = [m.version("pkg"), [str(f) for f in m.files("pkg")], m.metadata("pkg")["Name"]]
""") == ["1.0", ["pkg/__init__.py", "pkg/data.txt"], "pkg"]


WALK = """
import pkgutil, sys, walk
answer = [sorted([m.name, m.ispkg] for m in pkgutil.iter_modules(walk.__path__, "walk.")),
          [[m.name, m.ispkg] for m in pkgutil.walk_packages(walk.__path__, "walk.")],
          sorted(name for name in sys.modules if name.startswith("walk"))]
"""


def test_pkgutil_lists_baked_modules_once(same):
    answer = same(WALK)
    assert answer[0] == [["walk.deep", True], ["walk.ext", False], ["walk.pure", False], ["walk.purepkg", True],
                         ["walk.sub", False]]


def test_pkgutil_lists_baked_modules_at_the_top_level_once(same):
    answer = same("""
import pkgutil
names = "flat", "extpkg", "pkg", "walk"
answer = sorted([m.name, m.ispkg] for m in pkgutil.iter_modules() if m.name in names)
""")
    assert answer[:2] == [["extpkg", True], ["flat", False]] and len(answer) == 4


def test_finder_discovers_what_is_in_a_package_or_in_none(baked):
    assert baked(ATTEMPT + """
import _kiln, importlib.util
find = importlib.util.find_spec
names = lambda *args, **kwargs: sorted(spec.name for spec in _kiln.finder.discover(*args, **kwargs))
answer = [names(), names(find("walk")), names(parent=find("walk.deep")), names(find("json")),
          attempt(_kiln.finder.discover, find("pkg.multi"))[0], attempt(_kiln.finder.discover, 3)[0],
          [spec.origin == find(spec.name).origin for spec in _kiln.finder.discover(find("walk"))]]
""") == [["extpkg", "flat"], ["walk.deep", "walk.ext", "walk.sub"], ["walk.deep.leaf"], [], "ValueError", "AttributeError",
         [True] * 3]


# --- The end ------------------------------------------------------------------------------------

def test_modules_can_be_referred_to_weakly(same):
    assert same("""
import gc, sys, weakref, pkg, pkg.multi, pkg.zero
said = []
refs = [weakref.ref(sys.modules[name], lambda ref, name=name: said.append(name)) for name in ("pkg.multi", "pkg.zero")]
alive = [ref() is not None for ref in refs]
del sys.modules["pkg.multi"], pkg.multi, sys.modules["pkg.zero"], pkg.zero
gc.collect()
answer = [alive, said]
""")[0] == [True, True]


@pytest.mark.parametrize("names", [["freed"], ["freed_zero"], ["freed_static"], ["freed", "freed_zero", "freed_static"],
                                   ["freed_static", "freed_zero", "freed"]])
def test_modules_are_freed_when_and_in_the_order_that_shared_libraries_are(names, same_output):
    imports = "".join(f"import pkg.{name}\n" for name in names)
    drop = "import sys, gc\n" + "".join(f"del pkg.{name}, sys.modules['pkg.{name}']\n" for name in names) + "gc.collect()\n"
    for more in "", drop:
        status, out, error = same_output("-c", imports + more + "print('end', flush=True)")
        assert (status, error) == (0, "") and set(out.splitlines()) == {"end", *(f"freed {name}" for name in names)}


# --- Options ------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [["-I"], ["-S"], ["-E"], ["-s"], ["-B"], ["-O"], ["-OO"], ["-X", "dev"], ["-X", "frozen_modules=off"],
                                     ["-X", "frozen_modules=on"], ["-P"], ["-W", "error"]])
def test_options_of_python_change_nothing_of_a_module(options, ours, shared, bakery):
    if "-P" in options and bakery.version < (3, 11):
        pytest.skip("this Python has no -P")
    code = "import sys; sys.path.insert(0, {site!r})\nimport pkg.multi as m, pkg.types\nanswer = [m.value(), m.__file__, pkg.types.add(1, 2)]"
    answers = [plain(runner, json.dumps(runner(code.format(site=str(runner.site)), *options))) for runner in (ours, shared)]
    assert answers[0] == answers[1]
    value, file, total = json.loads(answers[0])
    assert (value, total) == ("multi-phase", 3) and file.startswith("SITE/pkg/multi.")


def test_warnings_of_importlib_are_the_same(same_output):
    """No ImportWarning: the spec and the loader have all that importlib asks for."""
    status, out, _ = same_output(
        "-X", "dev", "-W", "always", "-c", "import pkg.multi, pkg.static, extpkg, pkg.types, pkg.replaced, importlib\n"
        "importlib.reload(pkg.multi); print(repr(pkg.multi), end='')")
    assert status == 0 and out.startswith("<module 'pkg.multi' from 'SITE/pkg/multi.")


assert PURE["pkg/data.txt"] == PURE["extpkg/data.txt"] == "data"
