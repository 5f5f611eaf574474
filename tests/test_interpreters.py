"""Baked modules in sub-interpreters, threads and forked children, next to the same modules as shared
libraries: one program, which either installs Kiln's importer or does not."""

import re
import signal

import pytest

from conftest import ROOT, all_modules, require_libpython
from runner import Runner, Stock

pytestmark = pytest.mark.usefixtures("fast_path")

# What becomes of importing NAMES, in a line each.
TRY = """
import importlib, sys
def tell(name):
    try:
        m = importlib.import_module(name)
        print(name, [getattr(m, a, None) for a in ("__name__", "executed", "initialised")], sys.modules[name] is m)
    except BaseException as error:
        print(name, type(error).__name__, str(error), getattr(error, "name", None), getattr(error, "path", None),
              name in sys.modules)
for name in %r:
    tell(name)
sys.stdout.flush()
"""
MODULES = ["pkg.multi", "pkg.static", "pkg.zero", "pkg.state", "pkg.undeclared", "pkg.own_gil", "pkg.one_gil",
           "pkg.main_only", "pkg.object", "pkg.types", "other.same", "pkg.exec_raises", "pkg.init_raises", "pkg.init_null"]
# What TRY says of those that fail.
OUTCOMES = {"pkg.exec_raises": "pkg.exec_raises ValueError no luck", "pkg.init_raises": "pkg.init_raises ValueError no luck",
            "pkg.init_null": "pkg.init_null SystemError initialization of init_null failed without raising an exception"}
KINDS = ["legacy", "strict", "own"]


@pytest.fixture(scope="session", params=["static", "shared"])
def embedder(request, bakery):
    """embedder.c with modules inside."""
    require_libpython(bakery, request.param)
    return bakery.bake_once(all_modules(), request.param, main=(ROOT / "tests/support/embedder.c").read_text())


@pytest.fixture(scope="session")
def home(python):
    """The environment by which a program elsewhere finds the standard library."""
    return {"PYTHONHOME": str(python.parent.parent)}


@pytest.fixture(scope="session")
def program(embedder, shared, home):
    """A Runner of embedder.c, with the modules' shared libraries on its path."""
    return Runner(embedder, shared.site, **home)


@pytest.fixture(scope="session")
def stock(embedder, shared, home):
    """A Runner of the same program without Kiln."""
    return Stock(embedder, shared.site, STOCK="1", **home)


def shorten(text):
    """CPython forgets the package of a single-phase module when it creates it again; Kiln does not."""
    return re.sub(r"(\['|[Mm]odule |of )(?:pkg|other)\.(?=\w)", r"\1", text)


def embed(program, *steps, **env):
    result = program.run(*steps, check=False, **env)
    if result.returncode == 77:
        pytest.skip("this Python has no interpreters with a configuration of their own")
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def same(program, stock):
    """A function that runs pairs of kind and code with and without Kiln, sees that the outputs are the same
    but for CHANGE, and returns the lines."""
    def compare(*steps, change=lambda text: text, **env):
        ours, theirs = embed(program, *steps, **env), embed(stock, *steps, **env)
        if theirs[0] == -signal.SIGABRT:
            said = theirs[2].strip("=\n").splitlines()[0]
            pytest.skip(f"this CPython aborts without Kiln, too: {said}")
        assert ours[0] == theirs[0] == 0, ours[2] + theirs[2]
        assert change(ours[1]) == change(theirs[1])
        assert change(ours[2]) == change(theirs[2])
        return ours[1].splitlines()
    return compare


# --- Sub-interpreters ---------------------------------------------------------------------------

@pytest.mark.parametrize("first", [[], ["main", TRY % MODULES]], ids=["alone", "after-main"])
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("kind", KINDS)
def test_module_loads_in_an_interpreter_or_is_refused_as_a_shared_library_is(kind, name, first, same):
    code = TRY % [name, name]
    lines = same(*first, kind, code, kind, code, "main", code, change=shorten)
    assert len(lines) == 6 + len(MODULES) * bool(first) and lines[-1].startswith(OUTCOMES.get(name, f"{name} ['{name}', "))
    if name in REFUSED[kind]:
        assert lines[-6].startswith(f"{name} ImportError module {name} does not support loading in subinterpreters")


@pytest.mark.parametrize("name", ["pkg.static", "pkg.zero", "pkg.state"])
def test_single_phase_module_has_its_whole_name_in_every_interpreter(name, program):
    code = f"import {name} as m; print(m.__name__, m.value.__module__, flush=True)"
    status, out, error = embed(program, "main", code, "legacy", code, "legacy", code, "again", code, "legacy", code)
    assert (status, out) == (0, f"{name} {name}\n" * 5), error


@pytest.mark.parametrize("kind", KINDS)
def test_importer_is_in_every_interpreter_before_its_site(kind, program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import flat, sys\nsys.seen = flat.value()\n")
    code = "import sys, _kiln; print(sys.seen, _kiln.finder in sys.meta_path, flush=True)"
    status, out, error = embed(program, "main", code, kind, code, kind, code, PYTHONPATH=str(tmp_path))
    assert (status, out) == (0, "multi-phase True\n" * 3), error


HEAR = """
import sys
def hear(event, args):
    if event == "import" and args[0] == %r and args[1] is not None:
        print(%r, "heard", args, flush=True)
sys.addaudithook(hear)
"""


@pytest.mark.parametrize("first", [[], ["main", "again"]], ids=["alone", "after-main"])
@pytest.mark.parametrize("name", ["pkg.own_gil", "pkg.multi", "pkg.undeclared", "pkg.static", "pkg.zero", "pkg.init_raises"])
@pytest.mark.parametrize("kind", KINDS)
def test_audit_hooks_of_each_interpreter_hear_what_they_hear_of_a_shared_library(kind, name, first, same):
    code = (TRY % [name] + f"sys.modules.pop({name!r}, None)\n") * 2
    steps = [step for which in [*first, kind, kind, "main"] for step in (which, HEAR % (name, which) + code)]
    lines = same("main", HEAR % (name, "first"), *steps, change=shorten)
    heard = [line for line in lines if "heard" in line]
    assert heard and all(line.endswith(".so', None, None, None)") for line in heard)


COMING = ["pkg.multi", "flat", "extpkg", "pkg.own_gil", "pkg.one_gil", "pkg.main_only", "pkg.undeclared", "pkg.static"]
REFUSED = {"legacy": [], "strict": ["pkg.main_only", "pkg.static"], "own": ["pkg.one_gil", "pkg.main_only", "pkg.undeclared", "pkg.static"]}


def get_line(name, kind, count):
    """What TRY says of NAME in the COUNT-th interpreter of KIND."""
    if name in REFUSED[kind]:
        return f"{name} ImportError module {name} does not support loading in subinterpreters None None False"
    executed = count if name in ("pkg.multi", "flat", "extpkg") else None
    # How often an init function is called is up to CPython.
    return f"{name} ['{name}', {executed}, {'N' if name == 'pkg.static' else None}] True"


@pytest.mark.parametrize("kind", KINDS)
def test_interpreters_come_and_go(kind, program):
    status, out, error = embed(program, *[kind, TRY % COMING] * 20)
    assert status == 0, error
    assert re.sub(r"\d+\] True$", "N] True", out, flags=re.M).splitlines() == [
        get_line(name, kind, count) for count in range(1, 21) for name in COMING]


@pytest.mark.parametrize("kind", KINDS)
def test_interpreters_have_types_and_finders_of_their_own(kind, program):
    code = "import _kiln, sys, pkg.multi; print(id(type(_kiln.finder)), id(_kiln.Loader), id(pkg.multi), flush=True)"
    status, out, error = embed(program, "main", code, kind, code)
    assert status == 0, error
    ours, theirs = (line.split() for line in out.splitlines())
    assert not set(ours) & set(theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_module_is_freed_with_its_interpreter(kind, same):
    assert same(kind, "import pkg.freed", "main", "print('after', flush=True)") == ["freed freed", "after"]


def test_single_phase_modules_are_freed_with_their_interpreter(same):
    lines = same("legacy", "import pkg.freed_zero, pkg.freed_static", "main", "print('after', flush=True)")
    assert set(lines) == {"after", "freed freed_static", "freed freed_zero"}


# --- Initialising again -------------------------------------------------------------------------

@pytest.mark.parametrize("name", [*MODULES, "flat", "extpkg", "pkg.replaced", "pkg.circle"])
def test_module_is_after_initialising_again_what_a_shared_library_is(name, same):
    code = TRY % [name, name]
    lines = same("main", code, "again", code, "again", code, change=shorten)
    assert len(lines) == 6 and all(line.startswith(OUTCOMES.get(name, f"{name} [")) for line in lines)


def test_sub_interpreters_after_initialising_again_have_the_importer(program):
    code = "import _kiln, sys, flat; print(sum('_kiln' in str(type(f)) for f in sys.meta_path), flat.value(), flush=True)"
    status, out, error = embed(program, "main", code, "legacy", code, "again", code, "legacy", code, "again", code)
    assert (status, out) == (0, "1 multi-phase\n" * 5), error


def test_modules_are_freed_when_python_is_finalised(same):
    code = "import pkg.freed, pkg.freed_zero, pkg.freed_static; print('imported', flush=True)"
    lines = same("main", code, "again", code, "again", code)
    assert lines.count("imported") == lines.count("freed freed") == 3


# --- Threads ------------------------------------------------------------------------------------

THREADS = """
import importlib, sys, threading, pkg, other, first, second
sys.setswitchinterval(1e-6)
def in_threads(count, work):
    wrong, barrier = [], threading.Barrier(count)
    def run(index):
        try:
            barrier.wait()
            work(index)
        except BaseException as error:
            wrong.append(repr(error))
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return wrong
def drop(*names):
    for name in names:
        sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        vars(sys.modules[parent]).pop(last, None)
"""


@pytest.mark.parametrize("name", ["pkg.multi", "pkg.static", "pkg.zero", "pkg.types", "other.same", "walk.deep"])
def test_threads_that_import_one_module_at_the_same_time_get_the_same_one(name, baked):
    assert baked(THREADS + f"""
import walk
wrong = []
for _ in range(30):
    got = []
    wrong += in_threads(6, lambda i: got.append(importlib.import_module({name!r})))
    wrong += [str(got)] if len(set(map(id, got))) != 1 else []
    drop({name!r})
answer = wrong
""") == []


def test_thread_that_comes_second_waits_until_the_module_is_executed(baked):
    assert baked(THREADS + """
seen = []
def work(index):
    import pkg.slow
    seen.append(hasattr(pkg.slow, "pure"))
answer = [in_threads(4, work), seen]
""") == [[], [True] * 4]


def test_threads_import_different_modules_while_one_is_executed(baked):
    """No lock of Kiln's is held while a module runs."""
    assert baked(THREADS + """
order = []
def work(index):
    name = ("pkg.slow", "pkg.multi", "pkg.static", "flat")[index]
    if index: start.wait()
    importlib.import_module(name)
    order.append(name)
start = threading.Event()
import pkg
class Watch:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "pkg.pure_slow": start.set()
sys.meta_path.insert(0, Watch)
wrong = in_threads(4, work)
answer = [wrong, order[-1]]
""") == [[], "pkg.slow"]


def test_threads_that_enter_a_circle_at_both_ends_come_out(baked):
    """Seldom with what importlib says of such a circle, of modules of any kind."""
    assert baked(THREADS + """
wrong = []
for _ in range(50):
    wrong += in_threads(4, lambda i: importlib.import_module(("pkg.ring_a", "pkg.ring_b")[i % 2]))
    drop("pkg.ring_a", "pkg.ring_b")
answer = [w for w in wrong if not w.startswith(("_DeadlockError(", "ImportError(\\"cannot import name"))]
""") == []


def test_failing_imports_in_threads_fail_in_each(baked):
    assert baked(THREADS + """
names = ["pkg.exec_raises", "pkg.init_raises", "pkg.init_null", "pkg.nope"]
said = []
for _ in range(10):
    said += in_threads(8, lambda i: importlib.import_module(names[i % 4]))
answer = [len(said), sorted({s.partition("(")[0] for s in said}), [n for n in names if n in sys.modules]]
""") == [80, ["ModuleNotFoundError", "SystemError", "ValueError"], []]


def test_interpreters_in_threads_import_at_the_same_time(baked):
    assert baked(THREADS + """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
ids = [interpreters.create() for _ in range(4)]
code = '''
import importlib, sys
for _ in range(50):
    for name in ("pkg.multi", "flat", "extpkg", "pkg.own_gil"):
        m = importlib.import_module(name)
        assert m.__name__ == name, (m.__name__, name)
        del sys.modules[name]
'''
def work(index):
    failed = interpreters.run_string(ids[index], code)
    if failed is not None: raise RuntimeError(failed.formatted)
wrong = in_threads(4, work)
for id in ids: interpreters.destroy(id)
answer = wrong
""") == []


# --- Fork ---------------------------------------------------------------------------------------

def test_child_that_is_forked_while_another_thread_executes_a_module_imports_others(baked):
    assert baked(THREADS + """
import os, time
thread = threading.Thread(target=lambda: importlib.import_module("pkg.slow"))
thread.start()
while "pkg.slow" not in sys.modules: time.sleep(0.001)
pid = os.fork()
if pid == 0:
    import pkg.multi, pkg.static, flat, _kiln
    os._exit(0 if pkg.static.__name__ == "pkg.static" else 1)
answer = [os.waitpid(pid, 0)[1]]
thread.join()
answer.append(hasattr(sys.modules["pkg.slow"], "pure"))
""", "-W", "ignore") == [0, True]


@pytest.mark.parametrize("name", ["pkg.forks", "pkg.forks_single"])
def test_module_that_forks_while_it_is_imported_is_there_in_both(name, baked):
    assert baked(f"""
import os, sys
import {name} as m
if m.pid == 0:
    import pkg.static, pkg.multi
    os._exit(7 if m.__name__ == {name!r} and pkg.static.__name__ == "pkg.static" else 1)
import pkg.zero
answer = [os.waitstatus_to_exitcode(os.waitpid(m.pid, 0)[1]) if sys.version_info >= (3, 9) else os.waitpid(m.pid, 0)[1] >> 8,
          pkg.zero.__name__]
""", "-W", "ignore") == [7, "pkg.zero"]


# --- Builds without a GIL -----------------------------------------------------------------------

def test_importer_leaves_the_gil_off(same, bakery):
    if not bakery.config["Py_GIL_DISABLED"]:
        pytest.skip("this Python has a GIL")
    lines = same("main", "import sys; print(sys._is_gil_enabled(), flush=True)\nimport pkg.multi\nprint(sys._is_gil_enabled(), flush=True)")
    assert lines[0] == "False"
