"""The fast path: an import of a baked module that runs none of importlib's Python code leaves, shows and says the same."""

import json
import os
import re
import shutil

import pytest

from bakery import MORE_CFLAGS, Module
from conftest import run

# What happens when the module is created and executed is up to the program: functions in sys.
SCRIPTED = r"""
#include <Python.h>
__attribute__((unused)) static int call(const char *name, PyObject *arg) {
    PyObject *hook = PySys_GetObject(name);
    PyObject *result = hook == NULL ? Py_NewRef_(Py_None) : PyObject_CallFunctionObjArgs(hook, arg, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
#ifdef WARNS
static int exec(PyObject *m) { return PyErr_WarnEx(PyExc_DeprecationWarning, "when executed", WARNS); }
#else
static int exec(PyObject *m) { return call("on_exec", m); }
#endif
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static struct PyModuleDef multi = {PyModuleDef_HEAD_INIT, "multi", "Doc.", 0, NULL, slots, 0, 0, 0};
static struct PyModuleDef single = {PyModuleDef_HEAD_INIT, LAST, "Doc.", -1, NULL, NULL, 0, 0, 0};
PyMODINIT_FUNC INIT(void) {
    (void)multi; (void)single;
#ifdef WARNS
    if (PyErr_WarnEx(PyExc_DeprecationWarning, "when created", WARNS) < 0) return NULL;
#else
    if (call("on_init", Py_None) < 0) return NULL;
#endif
    return SINGLE ? PyModule_Create(&single) : PyModuleDef_Init(&multi);
}
""".replace("Py_NewRef_(Py_None)", "(Py_INCREF(Py_None), Py_None)")


def scripted(name, *defines, single=0, **more):
    last = name.rpartition(".")[2]
    return Module(SCRIPTED, f"-DINIT=PyInit_{last}", f'-DLAST="{last}"', f"-DSINGLE={single}", *defines, **more)


LEVELS = range(1, 9)
MODULES = {name: scripted(name) for name in ("flat", "pkg.one", "pkg.two", "pkg.sub.deep", "notpkg.child", "missing.child")}
MODULES.update({f"pkg.warns{level}": scripted(f"pkg.warns{level}", f"-DWARNS={level}") for level in LEVELS})
MODULES["pkg.single"] = scripted("pkg.single", single=1)
MODULES["extpkg"] = scripted("extpkg", package=True)
MODULES["extpkg.inner"] = scripted("extpkg.inner")
NAMES = ["flat", "pkg.one", "pkg.sub.deep", "pkg.single", "extpkg", "extpkg.inner"]

PRELUDE = """
import importlib, json, sys, threading, traceback
from importlib import _bootstrap
slow = []  # the modules that importlib's own code has imported
def note(name, import_, *args, original=_bootstrap._find_and_load_unlocked, **kwargs):
    if name.partition(".")[0] in ("flat", "pkg", "extpkg", "notpkg"):
        slow.append(name)
    return original(name, import_, *args, **kwargs)
_bootstrap._find_and_load_unlocked = note
def attempt(function, *args):
    try:
        return function(*args)
    except BaseException as error:
        return [type(error).__name__, str(error), getattr(error, "name", None)]
def state(*names):
    "What an import leaves behind, whether it has failed or not."
    import pkg
    return [[name in sys.modules for name in names], sorted(key for key in vars(pkg) if key[0] != "_"),
            getattr(pkg.__spec__, "_uninitialized_submodules", []), pkg.__spec__._initializing,
            list(_bootstrap._module_locks)]
answer = None
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    for package in ("pkg", "pkg/sub", "extpkg", "other"):
        (site / package).mkdir()
    for file in ("pkg/__init__.py", "pkg/sub/__init__.py", "notpkg.py", "other/__init__.py"):
        (site / file).touch()
    (site / "circular.py").write_text("import pkg.one")
    return site


@pytest.fixture(scope="module")
def program(bakery, tmp_path_factory):
    return bakery.bake(tmp_path_factory.mktemp("fast") / "app", MODULES)


@pytest.fixture
def ask(program, site):
    """What CODE leaves in `answer`, with the fast path or without."""
    def ask(code, *options, fast=True, prelude=PRELUDE, whole=False, **env):
        env = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "KILN_FAST": "1" if fast else "0",
               "PYTHONDONTWRITEBYTECODE": "1", "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **env}
        result = run(program, *options, "-c", prelude + code + "\nprint('\\nANSWER', json.dumps(answer))", env=env, timeout=300)
        answer = json.loads(result.stdout.rpartition("\nANSWER ")[2])
        return (answer, result) if whole else answer
    return ask


@pytest.fixture
def both(ask):
    """The same, after making sure that the fast path makes no difference."""
    def both(code, *options, **env):
        quick = ask(code, *options, **env)
        assert quick == ask(code, *options, fast=False, **env)
        return quick
    return both


# --- Being on the fast path ---------------------------------------------------------------------

IMPORT_SOME = "import pkg, flat, pkg.one, pkg.single, pkg.sub; import pkg.sub.deep; answer = slow"
SLOW = ["flat", "pkg.one", "pkg.single", "pkg.sub.deep"]


def without_packages(names):
    return [name for name in names if name not in ("pkg", "pkg.sub")]


def test_baked_module_is_imported_without_importlib(ask):
    assert without_packages(ask(IMPORT_SOME)) == []


def test_environment_turns_it_off(ask):
    assert without_packages(ask(IMPORT_SOME, fast=False)) == SLOW


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_environment_is_ignored_where_python_ignores_its_own(option, ask, site):
    code = f"sys.path.insert(0, {str(site)!r})\n" + IMPORT_SOME
    assert without_packages(ask(code, option, fast=False)) == []


@pytest.mark.parametrize("on", [0, 1])
def test_program_turns_it_off_and_on(on, bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", {"flat": MODULES["flat"]}, main="""
    #include <Python.h>
    #include <kiln/kiln.h>
    int main(int argc, char **argv) { Kiln_SetFastPath(!ON); Kiln_SetFastPath(ON); return Kiln_Main(argc, argv); }
    """.replace("ON", str(on)))
    code = PRELUDE + "import flat; print('flat' in slow)"
    assert run(program, "-c", code, env={**os.environ, "KILN_FAST": str(1 - on)}).stdout == f"{not on}\n"


def test_program_turns_it_off_while_python_runs(bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", {"flat": MODULES["flat"]}, main="""
    #include <Python.h>
    #include <kiln/kiln.h>
    int main(int argc, char **argv) {
        Kiln_Install(&kiln_table);
        Py_Initialize();
        int result = PyRun_SimpleString(PRELUDE "import flat; assert slow == [], slow; del sys.modules['flat']");
        Kiln_SetFastPath(0);
        result |= PyRun_SimpleString("import flat; assert slow == ['flat'], slow; del sys.modules['flat']");
        Kiln_SetFastPath(1);
        result |= PyRun_SimpleString("import flat; assert slow == ['flat'], slow");
        return Py_FinalizeEx() | result;
    }
    """.replace("PRELUDE", json.dumps(PRELUDE)))
    run(program)


def test_finder_of_setuptools_does_not_cost_the_fast_path(ask):
    """Every environment with setuptools has one before ours, from a .pth file."""
    assert without_packages(ask("""
class Finder:
    def find_spec(self, fullname, path, target=None):
        if path is not None and not fullname.startswith('test.'):
            return None
sys.meta_path.insert(0, Finder())
""" + IMPORT_SOME)) == []


# --- The module and its spec --------------------------------------------------------------------

@pytest.mark.parametrize("name", NAMES)
def test_module_and_spec_have_the_same_attributes_in_the_same_order(name, both):
    answer = both(f"""
m = importlib.import_module({name!r})
spec = m.__spec__
plain = (str, bool, list, type(None))
answer = [[[k, v if isinstance(v, plain) else type(v).__name__] for k, v in vars(thing).items() if k != "__builtins__"]
          for thing in (m, spec)]
answer += [type(spec) is _bootstrap.ModuleSpec, spec.loader is m.__loader__, repr(m), repr(spec), spec.parent, spec.cached,
           spec.has_location, spec == m.__loader__ and None, m.__package__ == spec.parent, state({name!r})]
""")
    module, spec, is_spec, is_loader = answer[:4]
    assert module[:2] == [["__name__", name], ["__doc__", "Doc."]] and spec[0] == ["name", name] and is_spec and is_loader


def test_spec_says_that_the_module_is_being_imported(both):
    assert both("""
import pkg
during = []
sys.on_exec = lambda m: during.append([m.__spec__._initializing, sys.modules["pkg.one"] is m,
                                       list(getattr(pkg.__spec__, "_uninitialized_submodules", ["one"])), hasattr(pkg, "one")])
import pkg.one
answer = [during, pkg.one.__spec__._initializing, state("pkg.one")]
""")[:2] == [[[True, True, ["one"], False]], False]


def test_lists_of_specs_are_their_own(ask, bakery):
    if bakery.version < (3, 11):
        pytest.skip("the specs of this Python have no list")
    assert ask("import pkg.one, pkg.two; answer = "
               "pkg.one.__spec__._uninitialized_submodules is pkg.two.__spec__._uninitialized_submodules") is False


def test_module_that_defines_getattr_is_asked_as_importlib_asks(both, site):
    asked, file = both("""
asked = []
def on_init(_):
    sys.on_exec = lambda m: None
sys.on_exec = lambda m: setattr(m, "__getattr__", lambda name: asked.append(name))
import pkg.one
answer = [asked, vars(pkg.one).get("__file__")]
""")
    assert set(asked) <= {"__path__", "__spec__", "__file__", "__cached__"} and file.startswith(f"{site}/pkg/one.")


def test_modules_are_in_the_order_in_which_they_were_completed(both):
    assert both("""
import pkg, other
def on_exec(m):
    if m.__name__ == "pkg.one":
        import flat, pkg.single, colorsys
        sys.modules["alias"] = m
sys.on_exec = on_exec
before = len(sys.modules)
import pkg.one
import pkg.two
answer = list(sys.modules)[before:]
""") == ["flat", "pkg.single", "colorsys", "alias", "pkg.one", "pkg.two"]


# --- Failures -----------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [
    "sys.modules['flat'] = sys.modules['after'] = sys",
    "calls.append(1)\n    if len(calls) == 1: import flat, other",
])
def test_module_that_was_there_early_is_moved_to_the_end(code, both):
    assert both(f"""
calls = []
def on_init(_):
    {code}
sys.on_init = on_init
before = len(sys.modules)
import flat
answer = list(sys.modules)[before:]
""")[-1] == "flat"


# Ways to replace sys.modules, and what an import says then: when the module fails to execute, while it is created, and
# while it is executed.
REPLACING = {
    "sys.modules = dict(old)": ["ValueError", "pkg.one", "pkg.one"],
    "del sys.modules": ["AttributeError"] * 3,
    "sys.modules = {'pkg': type(sys)('pkg')}": ["ValueError", "pkg.one", "KeyError"],
    "sys.modules = None": ["TypeError", "TypeError", "AttributeError"],
    "sys.modules = Sub(old)": ["ValueError", "pkg.one", "pkg.one"],
    "sys.modules = Sub(old); sys.modules.fails = True": ["ZeroDivisionError"] * 3,
}


@pytest.mark.parametrize("when", ["on_init", "on_exec", "finder"])
@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("how", REPLACING)
def test_sys_modules_may_be_replaced_on_the_way(how, fails, when, both):
    answer = both(f"""
import pkg
old, log = sys.modules, []
class Sub(dict):
    fails = False
    def __setitem__(self, key, value): log.append(["set", key, self.fails and 1 / 0]); super().__setitem__(key, value)
    def __delitem__(self, key): log.append(["del", key, self.fails and 1 / 0]); super().__delitem__(key)
    def pop(self, key): log.append(["pop", key]); return super().pop(key)
def replace(*args):
    {how}
    if {fails}: raise ValueError
class Finder:
    def find_spec(*args): replace()
if {when!r} == "finder": sys.meta_path.insert(0, Finder())
else: sys.{when} = replace
result = attempt(importlib.import_module, "pkg.one")
new = getattr(sys, "modules", None)
sys.modules = old
answer = [result if isinstance(result, list) else result.__name__, log, state("pkg.one"), new and ["pkg.one" in new, hasattr(new["pkg"], "one")]]
""")
    fails_to_execute, created, executed = REPLACING[how]
    said = answer[0] if isinstance(answer[0], str) else answer[0][0]
    if fails:
        assert said == (fails_to_execute if when == "on_exec" else "ValueError")
    else:
        assert said == (executed if when == "on_exec" else created)


@pytest.mark.parametrize("name, hook", [("flat", "on_init"), ("flat", "on_exec"), ("pkg.one", "on_init"), ("pkg.one", "on_exec"),
                                        ("pkg.single", "on_init")])
def test_failing_import_leaves_no_trace_and_can_be_tried_again(name, hook, both):
    assert both(f"""
import pkg
def fail(arg): raise ValueError("no luck")
sys.{hook} = fail
answer = [attempt(importlib.import_module, {name!r}), state({name!r})]
del sys.{hook}
answer += [importlib.import_module({name!r}).__name__, state({name!r})]
""")[2] == name


@pytest.mark.parametrize("statement", ["import missing", "import missing.child", "import pkg.missing", "import notpkg.child", "import flat.sub",
                                       "from pkg import missing", "from pkg.missing import x", "import pkg.one.two"])
def test_errors_are_in_the_same_words(statement, both):
    answer = both(f"answer = [attempt(exec, {statement!r}), state('pkg.missing')]")
    assert answer[0][0] in ("ModuleNotFoundError", "ImportError")


@pytest.mark.parametrize("name", ["flat", "pkg.one", "pkg"])
def test_none_in_sys_modules_halts_an_import(name, both):
    answer = both(f"import pkg; sys.modules[{name!r}] = None; answer = attempt(importlib.import_module, {name!r})")
    assert answer == ["ModuleNotFoundError", f"import of {name} halted; None in sys.modules", name]


def test_parent_that_is_none_halts_an_import(both):
    answer = both("sys.modules['pkg'] = None; answer = attempt(importlib.import_module, 'pkg.one')")
    assert answer == ["ModuleNotFoundError", "No module named 'pkg.one'; 'pkg' is not a package", "pkg.one"]


def test_module_may_replace_itself(both):
    assert both("""
import types
def on_exec(m): sys.modules[m.__name__] = types.SimpleNamespace(me=m.__name__)
sys.on_exec = on_exec
import pkg.one, pkg.two
from pkg import two
answer = [pkg.one.me, two.me, sys.modules["pkg.one"] is pkg.one]
""") == ["pkg.one", "pkg.two", True]


def test_module_that_removes_itself_is_a_key_error(both):
    assert both("""
import pkg
sys.on_exec = lambda m: sys.modules.pop(m.__name__) and None
answer = [attempt(importlib.import_module, "pkg.one"), state("pkg.one")]
""")[0][:2] == ["KeyError", "'pkg.one'"]


@pytest.mark.parametrize("parent", ["object()", "None", "type('Slots', (), {'__slots__': ()})()"])
def test_parent_that_takes_no_attribute_is_a_warning(parent, both, bakery):
    answer = both(f"""
import pkg, warnings
def on_exec(m): sys.modules["pkg"] = {parent}
sys.on_exec = on_exec
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    answer = attempt(importlib.import_module, "pkg.one")
answer = [answer if isinstance(answer, list) else None, [[str(w.message), w.category.__name__, w.filename] for w in caught]]
""")
    if bakery.version >= (3, 9):
        assert answer == [None, [["Cannot set an attribute on 'pkg' for child module 'one'", "ImportWarning",
                                  "<frozen importlib._bootstrap>"]]]


def test_parent_that_is_gone_is_a_key_error(both):
    assert both("""
import pkg
sys.on_exec = lambda m: sys.modules.pop("pkg") and None
answer = attempt(importlib.import_module, "pkg.one")
""")[:2] == ["KeyError", "'pkg'"]


# --- What is unusual is importlib's -------------------------------------------------------------

# And the exception there is then, in some; for `flat` if it is of sys.meta_path.
UNUSUAL = dict.fromkeys([
    "sys.meta_path[:] = [f for f in sys.meta_path if '_kiln' not in str(type(f))]", "sys.meta_path = None", "sys.meta_path = ()",
    "sys.meta_path = tuple(sys.meta_path)", "sys.modules = dict(sys.modules)", "del sys.meta_path",
    "del sys.modules['_kiln']", "import pkg; pkg.__spec__ = None", "import pkg; del pkg.__spec__", "import pkg; del pkg.__path__",
    "import pkg; pkg.__path__ = []", "import pkg; pkg.__path__ = ['a', 'b']", "import pkg; pkg.__path__ = None", "import pkg; pkg.__path__ = iter('x')",
    "import pkg; pkg.__spec__ = type('S', (), {'_uninitialized_submodules': [], '_initializing': False})()",
    "import pkg, types; sys.modules['pkg'] = types.SimpleNamespace(__path__=['p'], __spec__=pkg.__spec__)",
    "import pkg; sys.modules['pkg'] = type('M', (type(sys),), {})('pkg'); sys.modules['pkg'].__dict__.update(vars(pkg))",
    "del sys.modules['importlib._bootstrap']", "sys.path.clear()", "import pkg; pkg.__spec__._uninitialized_submodules = None",
    "import pkg; pkg.__name__ = 'other'", "import pkg; pkg.__name__ = None",
])
UNUSUAL.update({
    "sys.meta_path[:] = [f for f in sys.meta_path if '_kiln' not in str(type(f))]": "ModuleNotFoundError",
    "sys.meta_path = None": "ImportError", "sys.meta_path = ()": "ModuleNotFoundError", "del sys.meta_path": "AttributeError",
    "import pkg; del pkg.__path__": "ModuleNotFoundError", "sys.path.clear()": "ModuleNotFoundError",
    # From 3.11 on, which have that list.
    "import pkg; del pkg.__spec__": "AttributeError", "import pkg; pkg.__spec__._uninitialized_submodules = None": "AttributeError",
})


@pytest.mark.parametrize("code", UNUSUAL)
@pytest.mark.parametrize("name", ["pkg.one", "flat"])
def test_unusual_state_of_the_import_system_makes_no_difference(name, code, both, bakery):
    answer = both(f"""
{code}
result = attempt(importlib.import_module, {name!r})
answer = result if isinstance(result, list) else [result.__name__, getattr(result, "__file__", None), result.__package__]
""")
    kind = UNUSUAL[code]
    if "__spec__" in code and bakery.version < (3, 11) or name == "flat" and "sys.meta_path" not in code:
        kind = None
    assert answer[0] == (kind or name)


def test_patched_importlib_is_obeyed(both):
    assert both("""
import pkg
seen = []
original = _bootstrap._find_and_load
def mine(name, import_):
    seen.append(name)
    return original(name, import_)
_bootstrap._find_and_load = mine
import pkg.one
importlib.import_module("pkg.two")
answer = seen
""") == ["pkg.one", "pkg.two"]


def test_call_with_other_arguments_is_importlibs(both):
    assert both("""
class Name(str): pass
answer = [_bootstrap._find_and_load(name="flat", import_=_bootstrap._gcd_import).__name__,
          attempt(_bootstrap._find_and_load, "flat") [0], attempt(_bootstrap._find_and_load, 3, None)[0],
          _bootstrap._find_and_load(Name("flat"), _bootstrap._gcd_import).__name__]
""") == ["flat", "TypeError", "AttributeError", "flat"]


# --- Finders before ours ------------------------------------------------------------------------

FINDERS = """
import importlib.util
calls = []
class Finder:
    def __init__(self, tag, found=()): self.tag, self.found = tag, found
    def find_spec(self, name, path, target=None):
        calls.append([self.tag, name, None if path is None else len(path), target, _bootstrap._imp.lock_held()])
        if name in self.found: return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec): return None
    def exec_module(self, module): module.mine = self.tag
import pkg
"""


def test_finders_are_asked_in_order_with_the_import_lock(both):
    calls = both(FINDERS + """
sys.meta_path[:0] = [Finder("a"), Finder("b")]
import flat, pkg.one
answer = calls
""")
    assert [call[:3] for call in calls] == [["a", "flat", None], ["b", "flat", None], ["a", "pkg.one", 1], ["b", "pkg.one", 1]]


def test_finder_that_has_the_module_wins(both):
    assert both(FINDERS + """
sys.meta_path[:0] = [Finder("a"), Finder("b", ["flat", "pkg.one"]), Finder("c")]
import flat, pkg.one
answer = [flat.mine, pkg.one.mine, pkg.one.__spec__._initializing, state("pkg.one"), [call[0] for call in calls]]
""")[:2] == ["b", "b"]


def test_finder_after_ours_is_not_asked(both):
    assert both(FINDERS + """
sys.meta_path.append(Finder("late"))
import flat, pkg.one
answer = calls
""") == []


def test_finder_that_fails_fails_the_import(both):
    assert both(FINDERS + """
class Failing:
    def find_spec(*args): raise ValueError("finder")
sys.meta_path.insert(0, Failing())
answer = [attempt(importlib.import_module, "pkg.one"), _bootstrap._imp.lock_held()]
sys.meta_path.pop(0)
answer += [state("pkg.one")]
""")[0][:2] == ["ValueError", "finder"]


def test_object_without_find_spec_is_passed_over(both, bakery):
    """Before 3.12, one without find_module() is an error."""
    answer = both(FINDERS + """
class Old:
    def find_module(self, name, path): calls.append(name)
sys.meta_path[:0] = [Old(), object()]
answer = [getattr(attempt(importlib.import_module, "pkg.one"), "__name__", None), calls]
""", "-W", "ignore")
    assert answer == (["pkg.one", []] if bakery.version >= (3, 12) else [None, ["pkg.one"]])


def test_finder_that_imports_the_module_itself(both):
    assert both(FINDERS + """
class Eager:
    def find_spec(self, name, path, target=None):
        if name == "pkg.one" and not calls:
            calls.append(name)
            import pkg.one
sys.meta_path.insert(0, Eager())
import pkg.one
answer = [pkg.one.__name__, calls, state("pkg.one"), pkg.one.__spec__._initializing]
""") == ["pkg.one", ["pkg.one"], [[True], ["one"], [], False, []], False]


# Finders that change sys.meta_path when they are asked for the first time. DO is what they do.
CHANGING = """
class Changing(Finder):
    def find_spec(self, name, path, target=None):
        first = not calls
        super().find_spec(name, path, target)
        if first: do(self)
def do(self): DO
sys.meta_path[:0] = [Changing("a"), Finder("b"), Finder("c")]
result = [attempt(importlib.import_module, name) for name in ("NAME", "pure")]
answer = [calls, [getattr(r, "mine", r.__name__) if hasattr(r, "__name__") else r for r in result], state("NAME")]
"""


@pytest.mark.parametrize("name", ["flat", "pkg.one", "pkg.pure"])
@pytest.mark.parametrize("do", [
    "sys.meta_path.remove(self)", "sys.meta_path.insert(0, Finder('new'))", "sys.meta_path.insert(1, Finder('new', ['flat', 'pkg.one']))",
    "del sys.meta_path[:2]", "sys.meta_path.reverse()", "sys.meta_path = [Finder('other')] + sys.meta_path", "sys.meta_path.clear()",
    "sys.meta_path[:] = [f for f in sys.meta_path if 'Kiln' not in repr(f)]",
])
def test_finder_may_change_the_finders(do, name, pure, both, bakery):
    """Up to 3.13 importlib goes on in the changed list."""
    calls, results, _ = both(FINDERS + CHANGING.replace("DO", do).replace("NAME", name))
    assert calls[0][:2] == ["a", name]
    if bakery.version < (3, 14):
        is_gone = "clear" in do or ("reverse" in do if name == "pkg.pure" else "Kiln" in do)
        is_new = "insert(1" in do and name != "pkg.pure"
        assert results[0] == (["ModuleNotFoundError", f"No module named {name!r}", name] if is_gone else "new" if is_new else name)


@pytest.mark.parametrize("name", ["flat", "pkg.one"])
def test_finder_that_removes_itself_does_not_hide_baked_modules(name, ask):
    """Up to 3.13 importlib passes over the one that follows. Without Kiln, that is one that has no extension."""
    assert ask(FINDERS + f"""
class Once(Finder):
    def find_spec(self, *args):
        sys.meta_path.remove(self)
        super().find_spec(*args)
index = [repr(f) for f in sys.meta_path].index("<finder of the modules baked by Kiln>")
sys.meta_path.insert(index, Once("once"))
answer = [importlib.import_module({name!r}).__name__, len(calls)]
""") == [name, 1]


# --- Modules that are not baked -----------------------------------------------------------------

@pytest.fixture
def pure(site):
    (site / "pure.py").touch()
    (site / "pkg" / "pure.py").touch()


def test_finders_are_asked_about_other_modules_in_order_with_the_import_lock(pure, both):
    calls = both(FINDERS + """
sys.meta_path[:0] = [Finder("a"), Finder("b")]
sys.meta_path.append(Finder("late", ["nowhere"]))
import pure, pkg.pure, nowhere
answer = calls + [nowhere.mine]
""")
    assert [call[:3] for call in calls[:-1]] == [
        ["a", "pure", None], ["b", "pure", None], ["a", "pkg.pure", 1], ["b", "pkg.pure", 1],
        ["a", "nowhere", None], ["b", "nowhere", None], ["late", "nowhere", None]]


@pytest.mark.parametrize("state, said", [
    ("sys.meta_path = None", "ImportError"), ("sys.meta_path = []", "ImportWarning"), ("sys.meta_path = tuple(sys.meta_path)", "pure"),
    ("del sys.meta_path", "AttributeError"), ("sys.modules = dict(sys.modules)", "pure"),
    ("sys.meta_path.insert(0, 3)", "pure"),
    ("sys.meta_path.insert(0, type('F', (), {'find_spec': property(lambda self: 1 / 0)})())", "ZeroDivisionError"),
    ("sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *args: 1 / 0})())", "ZeroDivisionError"),
    ("sys.meta_path.insert(0, type('F', (), {'find_spec': lambda *args: 3})())", "AttributeError"),
    ("sys.meta_path.insert(0, type('F', (), {'find_spec': lambda self, *args: sys.meta_path.remove(self)})())", "pure"),
])
def test_unusual_finders_make_no_difference_to_other_modules(state, said, pure, both, bakery):
    answer = both(f"""
import warnings, pkg
warnings.simplefilter("error")
{state}
result = [attempt(importlib.import_module, name) for name in ("pure", "pkg.pure", "nowhere")]
answer = [r if isinstance(r, list) else r.__name__ for r in result] + [_bootstrap._imp.lock_held()]
""")
    if "insert(0, 3)" in state and bakery.version < (3, 12):
        said = "AttributeError" if bakery.version < (3, 10) else "ImportWarning"
    assert answer[0] == said if said == "pure" else answer[0][0] == said
    assert answer[3] is False


def test_finder_that_has_imported_the_module_meanwhile_is_given_that(pure, both):
    assert both(FINDERS + """
class Importing(Finder):
    def find_spec(self, name, path, target=None):
        if name == "pure" and name not in sys.modules:
            module = sys.modules[name] = type(sys)(name)
            module.__spec__ = importlib.util.spec_from_loader(name, Finder("meanwhile"))
        return super().find_spec(name, path, target)
sys.meta_path.insert(0, Importing("itself", ["pure"]))
import pure
answer = pure.mine
""") == "meanwhile"


def test_reloading_asks_with_the_module_as_target(pure, both):
    assert both(FINDERS + """
import pure, flat
sys.meta_path.insert(0, Finder("a"))
Finder.find_spec = lambda self, name, path, target=None: calls.append([name, target is sys.modules[name]])
importlib.reload(pure), importlib.reload(flat)
answer = calls
""") == [["pure", True], ["flat", True]]


def test_specs_are_found_without_an_import(pure, both):
    assert both("""
import importlib.util
names = ["pure", "pkg.pure", "flat", "pkg.one", "nowhere", "pkg.nowhere"]
specs = [importlib.util.find_spec(name) for name in names]
answer = [[spec and spec.name for spec in specs], [name for name in names if name in sys.modules]]
""") == [["pure", "pkg.pure", "flat", "pkg.one", None, None], []]


# --- Locks --------------------------------------------------------------------------------------

WAITING = """
import pkg, time
order, started = [], threading.Event()
def on_exec(m):
    started.set()
    time.sleep(0.2)
    order.append("executed")
    m.complete = True
sys.on_exec = on_exec
def other():
    started.wait()
    STATEMENT
    order.append(getattr(sys.modules["NAME"], "complete", None))
thread = threading.Thread(target=other)
thread.start()
import NAME
order.append("imported")
thread.join()
answer = [sorted(map(str, order[1:])), order[0], list(_bootstrap._module_locks), state("NAME")]
"""


@pytest.mark.parametrize("name", ["flat", "pkg.one"])
@pytest.mark.parametrize("statement", ["import NAME", "importlib.import_module('NAME')", "__import__('NAME', fromlist=['x'])",
                                       "_bootstrap._lock_unlock_module('NAME')", "importlib.reload(sys.modules['NAME'])"])
def test_second_thread_waits_for_the_complete_module(name, statement, both):
    answer = both(WAITING.replace("STATEMENT", statement).replace("NAME", name))
    assert answer[:3] == [["True", "imported"], "executed", []]


def test_second_thread_tries_itself_when_the_first_has_failed(both):
    assert both("""
import pkg, time
started, results = threading.Event(), []
def on_exec(m):
    first = not started.is_set()
    started.set()
    time.sleep(0.1)
    results.append("executed")
    if first: raise ValueError
sys.on_exec = on_exec
def other():
    started.wait()
    results.append(attempt(importlib.import_module, "pkg.one").__name__)
thread = threading.Thread(target=other)
thread.start()
failure = attempt(importlib.import_module, "pkg.one")
thread.join()
answer = [failure[0], results, state("pkg.one")]
""")[:2] == ["ValueError", ["executed", "executed", "pkg.one"]]


@pytest.mark.parametrize("first, second", [("pkg.one", "pkg.two"), ("flat", "pkg.one"), ("pkg.one", "circular")])
@pytest.mark.parametrize("fast", [True, False])
def test_threads_that_import_each_others_modules_do_not_wait_for_ever(first, second, fast, ask):
    """As with importlib, one of them may get its error."""
    alive, failures, locks = ask(f"""
import pkg, time
first, second = {first!r}, {second!r}
barrier = threading.Barrier(2, timeout=60)
def meet():
    try: barrier.wait()
    except threading.BrokenBarrierError: pass
met = set()
def on_exec(m):
    name = m.__name__
    if name in (first, second) and name not in met:
        met.add(name)
        if second != "circular": meet()
        else: entered.set(); time.sleep(0.2)
        other = second if name == first else first
        m.other = importlib.import_module(other)
entered = threading.Event()
sys.on_exec = on_exec
failures = []
def work(name):
    if name == "circular": entered.wait()
    try: importlib.import_module(name)
    except BaseException as error: failures.append(type(error).__name__)
threads = [threading.Thread(target=work, args=(name,)) for name in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
answer = [[thread.is_alive() for thread in threads], failures, list(_bootstrap._module_locks)]
""", fast=fast)
    assert (alive, locks) == ([False, False], []) and failures in ([], ["_DeadlockError"])


def test_thread_sees_its_own_circular_import(both):
    assert both("""
import pkg
seen = []
def on_exec(m):
    seen.append(importlib.import_module(m.__name__) is m)
    import pkg.one
    seen.append(sys.modules["pkg.one"] is m)
    from pkg import one
    seen.append(one is m)
sys.on_exec = on_exec
import pkg.one
answer = [seen, state("pkg.one")]
""")[0] == [True, True, True]


def test_import_from_the_init_function_of_the_module_itself_starts_again(both):
    assert both("""
import pkg
calls = []
def on_init(_):
    calls.append(1)
    if len(calls) < 3: import pkg.one
sys.on_init = on_init
import pkg.one
answer = [len(calls), state("pkg.one")]
""") == [3, [[True], ["one"], [], False, []]]


def test_locks_are_importlibs_own_for_whoever_asks(ask):
    """An owner, a count that goes up and down, and nothing left when it is over."""
    assert ask("""
import pkg
def on_exec(m):
    lock = _bootstrap._get_module_lock("pkg.one")
    seen.append([type(lock) is _bootstrap._ModuleLock, lock.owner == threading.get_ident(),
                 lock is _bootstrap._get_module_lock("pkg.one"), bool(lock.count)])
    with _bootstrap._ModuleLockManager("pkg.one"):
        pass
    seen.append(bool(lock.count))
    locks.append(lock)
seen, locks = [], []
sys.on_exec = on_exec
import pkg.one
lock = locks.pop()
answer = [seen, lock.owner, bool(lock.count), list(_bootstrap._module_locks)]
del lock
answer.append(list(_bootstrap._module_locks))
""") == [[[True, True, True, True], True], None, False, ["pkg.one"], []]


def test_an_import_waits_for_who_makes_a_lock_with_the_import_lock(both):
    assert both("""
import _imp
while "_kiln" not in str(type(sys.meta_path[0])): del sys.meta_path[0]  # others are asked with that lock
_imp.acquire_lock()
thread = threading.Thread(target=lambda: __import__("flat"))
thread.start()
thread.join(0.5)
answer = ["flat" in sys.modules, thread.is_alive()]
_imp.release_lock()
thread.join()
answer += ["flat" in sys.modules, list(_bootstrap._module_locks)]
""") == [False, True, True, []]


REPLACE_IDENT = """
import _thread
real = _thread.get_ident
_thread.get_ident = lambda: real() + 1
"""


def test_second_thread_waits_if_importlib_knows_threads_by_other_numbers(both):
    """As with greenlets, of which several share one thread of the system."""
    assert both(REPLACE_IDENT + """
started, seen = threading.Event(), []
def on_exec(m):
    started.set()
    thread.join(0.3)
    m.complete = True
sys.on_exec = on_exec
def other():
    started.wait()
    import flat
    seen.append(flat.complete)
thread = threading.Thread(target=other, daemon=True)
thread.start()
import flat
thread.join(20)
answer = [seen, thread.is_alive(), list(_bootstrap._module_locks)]
""") == [[True], False, []]


def test_circular_import_if_importlib_knows_threads_by_other_numbers(both):
    assert both(REPLACE_IDENT + """
sys.on_exec = lambda m: seen.append(importlib.import_module("flat") is m)
seen = []
thread = threading.Thread(target=lambda: __import__("flat"), daemon=True)
thread.start()
thread.join(20)
answer = [seen, thread.is_alive()]
""") == [[True], False]


@pytest.mark.parametrize("fails", [True, False])
def test_interrupt_when_the_lock_is_given_back_is_not_lost(fails, both):
    assert both(f"""
import pkg
def trace(frame, event, arg):
    if frame.f_code.co_name == "release" and "importlib" in frame.f_code.co_filename: raise KeyboardInterrupt
def on_exec(m):
    importlib.import_module("pkg.one")
    sys.settrace(trace)
    if {fails}: raise ValueError
sys.on_exec = on_exec
failure = attempt(importlib.import_module, "pkg.one")
sys.settrace(None)
answer = [failure, "pkg.one" in sys.modules]
""") == [["KeyboardInterrupt", "", None], not fails]


def test_locks_may_be_cleared_meanwhile(both):
    assert both("""
sys.on_exec = lambda m: _bootstrap._module_locks.clear()
import flat
answer = list(_bootstrap._module_locks)
""") == []


def test_threads_never_execute_one_module_at_the_same_time(both):
    """Not even one that others remove from sys.modules meanwhile."""
    assert both("""
import pkg, pkg.sub, random, time
sys.setswitchinterval(1e-6)
names = ["flat", "pkg.one", "pkg.two", "pkg.sub.deep", "extpkg", "extpkg.inner"]
wrong, executing = [], {}
def on_exec(m):
    me, name = threading.get_ident(), m.__name__
    before = executing.get(name)
    if before not in (None, me): wrong.append(name)
    executing[name] = me
    if random.random() < 0.3: work(1)
    for _ in range(3): time.sleep(0)
    executing[name] = before
    if random.random() < 0.2: raise ValueError
sys.on_exec = on_exec
def work(count):
    for i in range(count):
        name = random.choice(names)
        try: importlib.import_module(name)
        except (ValueError, KeyError, ImportError, _bootstrap._DeadlockError): pass
        if i % 3 == 1: sys.modules.pop(name, None)
threads = [threading.Thread(target=work, args=(100,)) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = [wrong, list(_bootstrap._module_locks), pkg.__spec__._initializing]
""") == [[], [], False]


def test_many_threads_and_many_failures_leave_complete_modules(both):
    assert both("""
import pkg, pkg.sub, random, time
sys.setswitchinterval(1e-6)
names = ["flat", "pkg.one", "pkg.two", "pkg.sub.deep", "pkg.single"]
wrong = []
def on_exec(m):
    for _ in range(3): time.sleep(0)
    if random.random() < 0.3: raise ValueError
    m.complete = True
sys.on_exec = on_exec
def work(seed):
    for i in range(120):
        name = names[(seed + i) % len(names)]
        try: m = importlib.import_module(name)
        except ValueError: continue
        if m.__name__ != name or not (name == "pkg.single" or hasattr(m, "complete")): wrong.append(name)
        if i % 3 == 0: sys.modules.pop(name, None)
threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = [sorted(set(wrong)), list(_bootstrap._module_locks), pkg.__spec__._initializing]
""") == [[], [], False]


# --- Frames, warnings, and what Python tells of imports -----------------------------------------

CALLERS = {
    "the program": ["import pkg.warns{level}"],
    "a function": ["def f():", "    import pkg.warns{level}", "def g():", "    f()", "g()"],
    "a library": ["import library", "library.get('pkg.warns{level}')"],
    "import_module": ["import importlib", "importlib.import_module('pkg.warns{level}')"],
    "__import__": ["__import__('pkg.warns{level}')"],
    "from": ["from pkg import warns{level}"],
    "a reload": ["import importlib, pkg.warns{level}", "importlib.reload(pkg.warns{level})"],
    "the loader": ["import importlib.util", "spec = importlib.util.find_spec('pkg.warns{level}')",
                   "spec.loader.exec_module(importlib.util.module_from_spec(spec))"],
}


@pytest.fixture(scope="module")
def stock_site(site, bakery, tmp_path_factory):
    """The packages, with the modules that warn in files."""
    directory = shutil.copytree(site, tmp_path_factory.mktemp("stock") / "site")
    for level in LEVELS:
        bakery.share(directory, f"pkg.warns{level}", MODULES[f"pkg.warns{level}"])
    return directory


@pytest.mark.parametrize("caller", CALLERS)
def test_warnings_of_a_module_blame_who_is_blamed_for_a_file(caller, ask, site, stock_site, python):
    """All stack levels, of warnings when the module is created and when it is executed."""
    for directory in (site, stock_site):
        (directory / "library.py").write_text("def get(name):\n    return inner(name)\ndef inner(name):\n    __import__(name)\n")
    code = "import json, pkg, warnings\nanswer = []\n"
    for level in LEVELS:
        lines = [line.format(level=level) for line in CALLERS[caller]]
        code += "with warnings.catch_warnings(record=True) as caught:\n    warnings.simplefilter('always')\n    "
        code += "\n    ".join(lines) + "\n"
        code += "answer += [[w.message.args[0], w.filename, '<frozen' in w.filename or w.lineno] for w in caught]\n"
    code += "answer = [[a, b.rpartition('/')[2], c] for a, b, c in answer]\n"
    stock = run(python, "-c", code + "print(json.dumps(answer))", env={"PYTHONPATH": str(stock_site), "PYTHONDONTWRITEBYTECODE": "1"})
    expected = json.loads(stock.stdout)
    assert len(expected) >= 2 * len(LEVELS) and len({blamed for _, blamed, _ in expected}) > 2
    for fast in (True, False):
        assert ask(code, fast=fast, prelude="") == expected


@pytest.mark.parametrize("fast", [True, False])
def test_warnings_of_a_module_are_shown_as_those_of_a_shared_library(fast, ask):
    """A DeprecationWarning is shown if __main__ is at fault: the line that imports the module."""
    for level in LEVELS:
        _, result = ask(f"import pkg.warns{level}; answer = 0", fast=fast, prelude="import json\n", whole=True)
        shown = re.findall(r"^<string>:\d+: DeprecationWarning: (.*)", result.stderr, re.MULTILINE)
        assert shown == {6: ["when executed"], 7: ["when created"]}.get(level, [])


@pytest.mark.parametrize("hook", ["on_init", "on_exec"])
def test_traceback_of_an_import_has_no_frames_of_importlib(hook, ask):
    assert ask(f"""
import pkg
def fail(arg): raise ValueError
sys.{hook} = fail
try:
    import pkg.one
except ValueError as error:
    answer = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
""") == ["<module>", "fail"]


def test_audit_hooks_hear_the_same(both):
    answer = both("""
import pkg, pkg.sub
events = []
def hook(event, args):
    if event in ("import", "compile", "exec", "marshal.loads", "object.__setattr__"): events.append([event, str(args[0]), len(args)])
sys.addaudithook(hook)
import flat, pkg.one, pkg.single
importlib.import_module("pkg.sub.deep")
from pkg import two
answer = list(events)
""")
    assert [name for event, name, _ in answer if event == "import"] == [
        "flat", *["pkg.one"] * 2, *["pkg.single"] * 2, "pkg.sub.deep", *["pkg.two"] * 2]


def test_audit_hook_can_forbid_an_import(both):
    assert both("""
import pkg
def hook(event, args):
    if event == "import" and args[0] == "pkg.one": raise RuntimeError("forbidden")
sys.addaudithook(hook)
def work():
    import pkg.one
answer = [attempt(work), state("pkg.one")]
""") == [["RuntimeError", "forbidden", None], [[False], [], [], False, []]]


def importtime(said):
    """Names and depths that -X importtime lists."""
    return re.findall(r"\|( +)((?:flat|pkg|extpkg)[\w.]*)$", said, re.MULTILINE)


def test_importtime_lists_the_same_modules(ask):
    code = "import pkg\nsys.on_exec = lambda m: __import__('flat') and None\nimport pkg.one, extpkg.inner; from pkg import two"
    fast = importtime(ask(code, "-X", "importtime", whole=True)[1].stderr)
    assert fast == importtime(ask(code, "-X", "importtime", fast=False, whole=True)[1].stderr)
    assert [name for _, name in fast][1:3] == ["flat", "pkg.one"]


def test_verbose_says_the_same(ask):
    code = "import flat, pkg.one, extpkg.inner; from pkg import two"
    said = [[line for line in ask(code, "-v", fast=fast, whole=True)[1].stderr.split("\n") if line.startswith("import '") and "Kiln" in line]
            for fast in (True, False)]
    assert said[0] == said[1] and len(said[0]) == 5


# --- Every way to import ------------------------------------------------------------------------

@pytest.mark.parametrize("code, said", [
    ("import pkg.one; answer = pkg.one.__name__", "pkg.one"), ("from pkg import one; answer = one.__name__", "pkg.one"),
    ("from pkg.one import __name__ as answer", "pkg.one"), ("import pkg.sub.deep as m; answer = m.__name__", "pkg.sub.deep"),
    ("from pkg import one as a, two as b; answer = [a.__name__, b.__name__]", ["pkg.one", "pkg.two"]),
    ("answer = __import__('pkg.one').__name__", "pkg"), ("answer = __import__('pkg.one', fromlist=['x']).__name__", "pkg.one"),
    ("import pkg; answer = __import__('one', vars(pkg), None, ['x'], 1).__name__", "pkg.one"),
    ("import pkg.sub; answer = __import__('two', vars(pkg.sub), None, ['x'], 2).__name__", "pkg.two"),
    ("answer = importlib.import_module('.one', 'pkg').__name__", "pkg.one"),
    ("answer = importlib.__import__('pkg.one').__name__", "pkg"),
    ("import pkg.one; m = importlib.reload(pkg.one); answer = [m is pkg.one, m.__spec__ is pkg.one.__spec__, "
     "hasattr(m.__spec__, '_initializing')]", [True, True, False]),
    ("import importlib.util as u; s = u.find_spec('pkg.one'); m = u.module_from_spec(s); s.loader.exec_module(m); answer = m.__name__",
     "pkg.one"),
    ("import importlib.util as u; s = u.find_spec('pkg.one'); s.loader = u.LazyLoader(s.loader)\n"
     "m = sys.modules['pkg.one'] = u.module_from_spec(s); s.loader.exec_module(m); answer = [m.__doc__, type(m).__name__]",
     ["Doc.", "module"]),
    ("exec('from pkg import *'); import runpy; answer = sorted(runpy.run_module('circular'))[:1]", ["__builtins__"]),
])
def test_every_way_to_import_gives_the_same(code, said, both):
    assert both(code) == said


def test_lazy_import_is_resolved(both, bakery):
    if bakery.version < (3, 15):
        pytest.skip("this Python has no lazy imports (PEP 810)")
    assert both("""
code = '''
lazy import pkg.one
lazy from pkg import two
lazy import flat
'''
names = {}
exec(code, names)
before = [name in sys.modules for name in ("pkg.one", "pkg.two", "flat")]
exec("answer = [pkg.one.__name__, two.__name__, flat.__name__]", names)
answer = [before, names["answer"], state("pkg.one")]
""")[:2] == [[False] * 3, ["pkg.one", "pkg.two", "flat"]]


SUBINTERPRETER = """
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
id = interpreters.create()
interpreters.run_string(id, f'''
import sys, importlib
from importlib import _bootstrap
slow = []
original = _bootstrap._find_and_load_unlocked
def note(name, *args, **kwargs):
    slow.append(name)
    return original(name, *args, **kwargs)
_bootstrap._find_and_load_unlocked = note
import pkg, flat, pkg.one
del sys.modules["flat"]
import flat
with open({out!r}, "w") as file: print("pkg" in slow, "flat" in slow, "pkg.one" in slow, pkg.one.__spec__.origin == pkg.one.__file__, file=file)
''')
interpreters.destroy(id)
"""


def test_sub_interpreter_has_a_fast_path_of_its_own(ask, tmp_path):
    out = tmp_path / "out"
    ask(f"out = {str(out)!r}" + SUBINTERPRETER)
    assert out.read_text() == "True False False True\n"


def test_program_that_forks_while_it_imports(both):
    assert both("""
import os, pkg
def on_exec(m):
    if m.__name__ == "pkg.one":
        pid = os.fork()
        if pid == 0: return
        m.status = os.waitpid(pid, 0)[1]
sys.on_exec = on_exec
import pkg.one
if not hasattr(pkg.one, "status"):
    import pkg.two
    os._exit(0 if pkg.two.__name__ == "pkg.two" and not _bootstrap._module_locks else 1)
answer = pkg.one.status
""", "-W", "ignore") == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("finder", [True, False])
def test_import_that_runs_out_of_memory_anywhere_leaves_no_trace(finder, name, ask, python):
    """CPython's own code does not stand that everywhere: only of the fast path all is asked. No site: its packages may
    have finders, which do not."""
    if run(python, "-c", "import _testcapi", check=False).returncode:
        pytest.skip("_testcapi is needed to make allocations fail")
    wrong, failures, ok = ask(f"""
import _testcapi, gc, pkg, pkg.sub
class Finder:
    def find_spec(self, name, path, target=None): return None
if {finder}: sys.meta_path.insert(0, Finder())
name = {name!r}
parent, _, child = name.rpartition(".")
def forget():
    sys.modules.pop(name, None)
    if parent: vars(sys.modules[parent]).pop(child, None)
importlib.import_module(parent or name), __import__(name), forget(), gc.disable()
wrong, failures = [], 0
for i in range(1, 200):
    result = "imported"
    _testcapi.set_nomemory(i, i + 1)
    try: __import__(name)
    except BaseException as error: result = type(error).__name__
    finally: _testcapi.remove_mem_hooks()
    left = [list(_bootstrap._module_locks), [getattr(m.__spec__, "_uninitialized_submodules", []) for m in (pkg, pkg.sub)],
            _bootstrap._imp.lock_held()]
    if result not in ("imported", "MemoryError") or left != [[], [[], []], False]: wrong.append([i, result, left])
    failures += result == "MemoryError"
    forget()
answer = [wrong, failures, importlib.import_module(name).__name__ == name]
""", "-S")
    assert (wrong, ok) == ([], True) and failures > 5


def test_nothing_is_left_of_the_fast_path_at_the_end(ask):
    """Blocks of memory, after imports that succeed, fail, wait and are found by others."""
    grown = ask("""
import gc, pkg, pkg.sub
class Finder:
    def find_spec(self, name, path, target=None): return None
sys.meta_path.insert(0, Finder())
def on_exec(m):
    if turn % 3 == 0: raise ValueError
    if turn % 3 == 1: importlib.import_module(m.__name__)
sys.on_exec = on_exec
def again(count):
    global turn
    for turn in range(count):
        for name in ("flat", "pkg.one", "pkg.sub.deep", "extpkg"):
            attempt(importlib.import_module, name)
            sys.modules.pop(name, None)
    gc.collect()
    return sys.getallocatedblocks()
again(300)
again(900)
answer = -again(150) + again(900)
""")
    assert grown < 600  # of 3,600 imports; free lists fill up now and then


# --- What it costs ------------------------------------------------------------------------------

def require_valgrind():
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is needed to count")
    if "-fsanitize" in " ".join(MORE_CFLAGS):
        pytest.skip("valgrind does not run what is sanitized")


def count_instructions(program, code, **env):
    result = run("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "-S", "-c", code,
                 env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", **env})
    return int(re.search(r"Collected : (\d+)", result.stderr).group(1))


def test_import_takes_a_third_of_the_instructions_that_it_takes_importlib(bakery, tmp_path):
    require_valgrind()
    names = [f"m{i}" for i in range(150)]
    compiled, symbol = bakery.compile_module("flat", MODULES["flat"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bakery, "compile_module", lambda name, module: (compiled, symbol))
        program = bakery.bake(tmp_path / "app", dict.fromkeys(names, MODULES["flat"]))
    def count(statement, fast):
        return count_instructions(program, "\n".join(map(statement.format, names)), KILN_FAST=fast)
    by_importlib, fast = (count("import {0}", fast) - count("{0} = 1", fast) for fast in "01")
    assert fast < by_importlib / 3


def count_allocations(program):
    result = run("valgrind", "--tool=memcheck", "--leak-check=no", program, "-S", "-c", "",
                 env={"PATH": "/usr/bin:/bin", "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
    return int(re.search(r"total heap usage: ([\d,]+) allocs", result.stderr).group(1).replace(",", ""))


@pytest.fixture(scope="module")
def sizes(bakery, tmp_path_factory):
    """Two programs, with 10 and with 1,000 modules: init functions and no data of their own."""
    def bake(count):
        symbols = {f"package.m{i}": f"kiln_init_m{i}" for i in range(count)}
        compiled = bakery.compile("#include <Python.h>\n" + "".join(
            f"PyObject *{symbol}(void); PyObject *{symbol}(void) {{ return NULL; }}\n" for symbol in symbols.values()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bakery, "compile_module", lambda name, module: (compiled, symbols[name]))
            return bakery.bake(tmp_path_factory.mktemp(f"sizes-{count}") / "app", dict.fromkeys(symbols, Module("")))
    return bake(10), bake(1000)


def test_start_allocates_the_same_with_any_number_of_modules(sizes):
    require_valgrind()
    few, many = map(count_allocations, sizes)
    assert few == many


def test_modules_that_are_not_imported_need_no_relocation(sizes):
    few, many = (len(run("readelf", "-r", "-W", program).stdout.split("\n")) for program in sizes)
    assert few == many


def test_start_executes_the_same_with_any_number_of_modules(sizes):
    require_valgrind()
    few, many = (count_instructions(program, "") for program in sizes)
    assert abs(many - few) < few / 1000
