"""Builds of Python without a GIL. Where the Python under test is none, what Kiln does differently there is
compiled for its headers, and run with its GIL."""

import pytest

from bakery import CFLAGS, Bakery, Module
from conftest import ROOT, run
from runner import Runner, make_packages
from sources import GOOD, NOT_A_MODULE_OBJECT, single


@pytest.fixture(scope="module")
def without(python, store, tmp_path_factory):
    """A Runner of a program with the runtime for a build without a GIL."""
    modules = {**GOOD, "pkg.öbject": Module(NOT_A_MODULE_OBJECT, "-DINIT=PyInitU_bject_iua"), "_symtable": single("PyInit__symtable", 0)}
    bakery = Bakery(python, store, ["-DKILN_GIL_IS_OPTIONAL=1"])
    return Runner(bakery.bake_once(modules), make_packages(tmp_path_factory.mktemp("without-gil")))


def test_runtime_compiles_for_a_build_without_a_gil(bakery):
    if bakery.version < (3, 13):
        pytest.skip("this Python has no builds without a GIL")
    for path in sorted((ROOT / "runtime").glob("*/*.c")):
        run("cc", *CFLAGS, "-DPy_GIL_DISABLED=1", *bakery.include, "-fsyntax-only", path)


def test_fast_path_is_left_out(without):
    assert without("""
import importlib._bootstrap as b, pkg.multi, types
answer = isinstance(b._find_and_load, types.FunctionType)
""") is True


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"pkg.größe"}))
def test_module_is_created_by_cpython_whatever_it_declares(name, without):
    assert without(f"""
import importlib, sys
m = importlib.import_module({name!r})
answer = sys.modules[{name!r}] is m
""") is True


def test_name_that_is_not_ascii_is_imported_if_the_module_needs_no_gil(without, bakery):
    if bakery.version < (3, 13):
        pytest.skip("modules of this Python cannot declare that they need no GIL")
    assert without("import pkg.größe; answer = pkg.größe.__name__") == "pkg.größe"


@pytest.mark.parametrize("name", ["pkg.öbject", "_symtable"])
def test_module_that_may_need_the_gil_is_refused_where_cpython_cannot_be_asked_to_turn_it_on(name, without):
    assert without(f"""
import importlib, sys
sys.modules.pop({name!r}, None)
try:
    importlib.import_module({name!r})
except ImportError as error:
    answer = [error.name, "Py_mod_gil" in str(error), {name!r} in sys.modules]
""") == [name, True, False]


STRESS = """
import importlib, importlib.util, sys, threading, pkg, other, first, second
NAMES = ["pkg.multi", "pkg.static", "pkg.zero", "pkg.state", "other.same", "extpkg", "flat", "first._speedups"]
sys.setswitchinterval(1e-6)
wrong, barrier = [], threading.Barrier(8)
def work(index):
    try:
        barrier.wait()
        for i in range(150):
            name = NAMES[(i * (1 + index % 3) + index) % len(NAMES)]
            try:
                m = importlib.import_module(name)
            except KeyError as error: # of importlib: another thread has removed it again
                if error.args != (name,): raise
                continue
            if m.__name__ != name: wrong.append((m.__name__, name))
            sys.modules.pop(name, None)
            importlib.util.find_spec("pkg.nope")
            finder = type("Finder", (), {"find_spec": staticmethod(lambda *args: None)})()
            sys.meta_path.append(finder)
            sys.meta_path.remove(finder)
    except BaseException as error:
        wrong.append(repr(error))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = wrong
"""


def test_many_threads_import_and_drop_many_modules(baked, bakery):
    env = {"PYTHON_GIL": "0"} if bakery.config["Py_GIL_DISABLED"] else {}
    assert baked(STRESS, "-W", "ignore", **env) == []


@pytest.mark.parametrize("name", ["pkg.multi", "pkg.static", "pkg.zero", "pkg.object", "pkg.two", "extpkg", "flat"])
def test_gil_is_turned_on_as_for_a_shared_library_with_the_same_warning(name, baked, shared, bakery):
    if not bakery.config["Py_GIL_DISABLED"]:
        pytest.skip("this Python has a GIL")
    code = f"""
import importlib, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    before = sys._is_gil_enabled()
    importlib.import_module({name!r})
answer = [before, sys._is_gil_enabled(), [[w.category.__name__, str(w.message)] for w in caught]]
"""
    answer = baked(code)
    assert answer == shared(code) and answer[0] is False
