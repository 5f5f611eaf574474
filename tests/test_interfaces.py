"""CPython's interfaces, made fast: Kiln_ImportByInitFunc(), Kiln_SetLookup(), Kiln_LookupSymbols() and
Kiln_HashInittab(), as programs of one's own call them; and the three defects that 3.15's function has."""

import itertools
import os

import pytest

from conftest import require_libpython, run
from interfaces import LOOKUP, LOOKUP_METHODS, asker, host
from sources import MULTI_PHASE, SINGLE_PHASE, multi


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory with the packages pkg and broken, and a module plain, for PYTHONPATH."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "pkg").mkdir()
    (directory / "pkg" / "__init__.py").touch()
    (directory / "pkg" / "file.py").write_text("kind = 'file'")
    (directory / "broken").mkdir()
    (directory / "broken" / "__init__.py").write_text("raise ValueError('broken parent')")
    (directory / "plain.py").touch()
    return directory


@pytest.fixture(scope="module")
def app(bakery, site, tmp_path_factory):
    """A function that runs code in a program with a table and the module api."""
    program = host(bakery, tmp_path_factory.mktemp("app"), "",
                   '(PyImport_AppendInittab("api", init_api), Kiln_Install(&kiln_table))',
                   {"flat": multi("PyInit_flat"), "pkg.baked": multi("PyInit_baked")})
    return asker(program, site)


ERROR = """
def error(function, *args):
    try:
        function(*args)
    except BaseException as e:
        return [type(e).__name__, str(e), getattr(e, 'name', None)]
"""

# --- Kiln_ImportByInitFunc() --------------------------------------------------------------------


def test_module_is_left_as_an_import_leaves_one(app):
    describe = """
def describe(m):
    spec = m.__spec__
    parent = sys.modules['pkg']
    return [type(m).__name__, m.__package__, type(m.__loader__).__name__, m.__loader__ is spec.loader, spec.parent,
            spec.origin == m.__file__, spec.has_location, sys.modules[spec.name] is m,
            getattr(parent, spec.name[4:]) is m, getattr(spec, '_initializing'), m.executed, hasattr(m, '__path__')]
"""
    made, baked = app(describe + """
import api
made = api.load('pkg.made', 'multi')
import pkg.baked
answer = describe(made), describe(pkg.baked)
""")
    assert made == baked
    assert app("import api; m = api.load('pkg.made', 'multi'); answer = [m.__name__, m.__doc__]") == ["pkg.made", "made in C"]


def test_second_call_returns_what_is_in_sys_modules(app):
    assert app("""
import api
a = api.load('made', 'multi')
b = api.load('made', 'single')
sys.modules['other'] = 'an object'
answer = [a is b, a.executed, api.load('other', 'multi')]
""") == [True, 1, "an object"]


def test_single_phase_module_has_the_whole_name_and_is_registered(app):
    assert app("import api; m = api.load('pkg.single', 'single'); answer = [m.__name__, m is sys.modules['pkg.single']]") == [
        "pkg.single", True]


def test_parents_are_imported_before_and_must_be_packages(app):
    assert app(ERROR + """
import api
answer = [error(api.load, 'absent.made', 'multi'), error(api.load, 'plain.made', 'multi'),
          error(api.load, 'broken.made', 'multi'), [n for n in sys.modules if 'made' in n],
          'pkg' in sys.modules, api.load('pkg.made', 'multi').__name__, 'pkg' in sys.modules]
""") == [["ModuleNotFoundError", "No module named 'absent'", "absent"],
         ["ModuleNotFoundError", "No module named 'plain.made'; 'plain' is not a package", "plain.made"],
         ["ValueError", "broken parent", None], [], False, "pkg.made", True]


@pytest.mark.parametrize("init, kind, text", [
    ("null", "SystemError", "initialization of x failed without raising an exception"),
    ("raises", "ValueError", "no luck"),
    ("unreported", "SystemError", "initialization of x raised unreported exception"),
    ("other", "SystemError", "initialization of x did not return an extension module"),
    ("plain", "SystemError", "initialization of x did not return a"),
    ("bad_exec", "ValueError", "no luck"),
    ("nothing", "SystemError", ""),
])
def test_failure_leaves_no_trace(init, kind, text, app):
    answer = app(ERROR + f"""
import api, pkg
before = sorted(sys.modules)
first = error(api.load, 'pkg.x', {init!r})
answer = [first, error(api.load, 'pkg.x', {init!r}) == first, sorted(sys.modules) == before, hasattr(pkg, 'x'),
          api.load('pkg.x', 'multi').__name__]
""")
    assert answer[0][0] == kind and text in answer[0][1]
    assert answer[1:] == [True, True, False, "pkg.x"]


@pytest.mark.parametrize("name", ["flat", "zlib", "pkg.file", "pkg.baked", "_struct"])
def test_init_function_wins_over_table_inittab_and_files(name, app):
    assert app(f"""
import api
sys.modules.pop({name!r}, None)
answer = [api.load({name!r}, 'multi').__doc__, sys.modules[{name!r}].executed]
""") == ["made in C", 1]


@pytest.mark.parametrize("name, error", [
    ("''.encode()", "ValueError"), (r"b'\xff'", "UnicodeDecodeError"), (r"b'\xed\xa0\x80'", "UnicodeDecodeError"),
    ("b'.'", "ValueError"), ("b'.x'", "ValueError"), ("b'x.'", "ValueError"), ("b'x..y'", "ValueError")])
def test_name_that_cannot_be_is_an_exception_of_the_right_type(name, error, app):
    assert app(ERROR + f"""
import api
before = sorted(sys.modules)
answer = [error(api.load_bytes, {name})[0], sorted(sys.modules) == before]
""") == [error, True]


def test_null_as_a_name_is_a_system_error(app):
    assert app(ERROR + "import api; answer = error(api.load, None, 'multi')")[0] == "SystemError"


@pytest.mark.parametrize("init", ["multi", "single"])
def test_name_of_100_000_characters_is_a_name(init, app):
    assert app(f"import api; m = api.load('x' * 100_000, {init!r}); answer = m is sys.modules['x' * 100_000]") is True


def test_none_in_sys_modules_halts_the_import(app):
    assert app(ERROR + "import api; sys.modules['made'] = None; answer = error(api.load, 'made', 'multi')") == [
        "ModuleNotFoundError", "import of made halted; None in sys.modules", "made"]


def test_init_function_is_not_remembered(app):
    assert app(ERROR + """
import api, importlib.util
api.load('made', 'multi')
del sys.modules['made']
answer = [error(importlib.import_module, 'made')[0], api.load('made', 'multi').executed]
""") == ["ModuleNotFoundError", 2]


@pytest.mark.parametrize("init", ["multi", "single"])
def test_reload_leaves_the_module_as_it_is(init, app):
    assert app(f"""
import api, importlib.util
m = api.load('pkg.made', {init!r})
m.mine = 1
answer = [importlib.reload(m) is m, m.mine, importlib.util.find_spec('pkg.made') is m.__spec__]
""") == [True, 1, True]


def test_finders_in_front_are_asked_first(app):
    assert app("""
import api
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None): asked.append(name)
asked = []
sys.meta_path.insert(0, Finder)
api.load('pkg.made', 'multi')
answer = asked[:]
""") == ["pkg", "pkg.made"]


def test_it_is_audited_as_an_import(app):
    assert app("""
import api
seen = []
sys.addaudithook(lambda event, args: seen.append(args[0]) if event == 'import' else None)
api.load('made', 'multi')
answer = seen[:]
""") == ["made"]


def test_threads_that_import_at_once_get_one_module(app):
    assert app("""
import api, threading
found = []
barrier = threading.Barrier(8)
def work():
    barrier.wait()
    found.append(api.load('pkg.made', 'multi'))
threads = [threading.Thread(target=work) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = [len(found), len(set(map(id, found))), found[0].executed]
""") == [8, 1, 1]


def test_a_name_that_is_not_ascii(app):
    assert app("import api; m = api.load('pkg.größe', 'multi'); answer = [m.__name__, m.executed]") == ["pkg.größe", 1]


def test_without_the_importer_it_is_an_import_error(bakery, site, tmp_path):
    program = host(bakery, tmp_path, "", 'PyImport_AppendInittab("api", init_api)')
    answer = asker(program, site)(ERROR + """
import api
answer = [error(api.load, 'pkg.made', 'multi'), [n for n in sys.modules if 'made' in n]]
""")
    assert answer == [["ImportError", "cannot create module pkg.made: Kiln_Install() has not been called", "pkg.made"], []]


def test_preparing_while_python_runs_is_refused(app):
    """Except for the callback: the importer is there, and it may change."""
    assert app("import api; answer = api.late()") == [-2, 0, -2, -2]


# --- What CPython 3.15's own function does not do -------------------------------------------------


def test_dotted_single_phase_module_has_its_whole_name(app):
    assert app("""
import api
from importlib.machinery import ModuleSpec
m = api.create(ModuleSpec('some.where.single', None), 'single')
answer = [m.__name__, sys.modules['some.where.single'] is m]
""") == ["some.where.single", True]


def test_name_that_is_not_ascii_is_not_refused(app):
    assert app("""
import api
from importlib.machinery import ModuleSpec
answer = [api.create(ModuleSpec(name, None), 'multi').__name__ for name in ('größe', 'pkg.模块')]
""") == ["größe", "pkg.模块"]


@pytest.mark.parametrize("init, doc", [("multi", "made in C"), ("single", "made at once")])
@pytest.mark.parametrize("name", ["zlib", "_struct", "posix", "time", "sys", "builtins", "gc"])
def test_name_that_the_inittab_has_too_is_the_module_asked_for(name, init, doc, app):
    assert app(f"""
import api
from importlib.machinery import ModuleSpec
before = sys.modules[{name!r}] if {name!r} in sys.modules else None
answer = api.create(ModuleSpec({name!r}, None), {init!r}).__doc__
sys.modules[{name!r}] = before
""") == doc


# --- Kiln_SetLookup() ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def calling(bakery, site, tmp_path_factory):
    """As app, with a callback besides, and the table unless a test is about programs without one."""
    program = host(bakery, tmp_path_factory.mktemp("lookup"), LOOKUP,
                   '(PyImport_AppendInittab("api", init_api), Kiln_Install(&kiln_table), Kiln_SetLookup(lookup, &pair_a))',
                   more_methods=LOOKUP_METHODS)
    return asker(program, site, "-S")  # what .pth files import, such as zlib, would be asked for, too


@pytest.mark.parametrize("name", ["called", "flat", "_symtable", "zlib", "plain", "pkg.called", "größe"])
def test_callback_is_asked_before_table_inittab_and_files(name, calling):
    assert calling(f"""
import importlib.util
m = importlib.import_module({name!r})
answer = [m.__name__, m.__doc__, m.executed, type(m.__loader__).__name__, importlib.util.find_spec({name!r}) is m.__spec__]
""") == [name, "made in C", 1, "Loader", True]


def test_name_that_the_callback_does_not_know_is_the_next_ones_to_answer(calling):
    assert calling("import json, pkg.file; answer = [pkg.file.kind, json.__name__]") == ["file", "json"]
    assert calling(ERROR + "answer = error(__import__, 'say.nothing')")[0] == "ModuleNotFoundError"


def test_callback_may_answer_with_a_package(calling, site):
    (site / "callpkg").mkdir(exist_ok=True)
    (site / "callpkg" / "pure.py").write_text("here = True")
    assert calling("""
import callpkg.inner, callpkg.pure
answer = [callpkg.__path__, callpkg.__package__, callpkg.inner.__doc__, callpkg.pure.here, callpkg.executed,
          callpkg.__loader__.is_package('callpkg'), callpkg.inner.__loader__.is_package('callpkg.inner')]
""") == [[str(site / "callpkg")], "callpkg", "made at once", True, 1, True, False]


def test_callback_may_answer_with_an_export_hook(calling, bakery):
    answer = calling(ERROR + "answer = [error(__import__, 'hook'), 'hook' in sys.modules]")
    assert answer == ([None, True] if bakery.version >= (3, 15) else [
        ["ImportError", "module hook has only an export hook (PEP 793), which needs Python 3.15", "hook"], False])


@pytest.mark.parametrize("name, kind, text", [
    ("raises", "ValueError", "no luck"),
    ("both", "SystemError", "the lookup of both returned a result with an exception set"),
    ("flags", "SystemError", "the lookup of flags set unknown flags (100)"),
    ("once", "ImportError", "'once' is not a baked module"),
    ("absent", "ModuleNotFoundError", "No module named 'absent'"),
    ("init_null", "SystemError", "initialization of init_null failed without raising an exception"),
    ("init_raises", "ValueError", "no luck"),
    ("init_unreported", "SystemError", "initialization of init_unreported raised unreported exception"),
    ("init_other", "SystemError", "initialization of init_other did not return an extension module"),
    ("init_plain", "SystemError", "initialization of init_plain did not return a"),
    ("init_bad_exec", "ValueError", "no luck"),
])
def test_callback_that_fails_or_answers_wrongly_is_an_exception_and_leaves_no_trace(name, kind, text, calling):
    answer = calling(ERROR + f"""
before = sorted(sys.modules)
answer = [error(__import__, {name!r}), sorted(sys.modules) == before, error(__import__, 'called')]
""")
    assert answer[0][0] == kind and text in answer[0][1]
    assert answer[1:] == [True, None]


@pytest.mark.parametrize("name", ["'\\ud800'", "'called\\0'", "'called\\0x'", "''", "'x' * 100_000"])
def test_callback_is_not_asked_for_what_is_no_name(name, calling):
    """A name of any length it is asked for; it knows none of these."""
    assert calling(ERROR + f"""
import api
finder = [f for f in sys.meta_path if type(f).__name__ == 'Finder'][0]
answer = [finder.find_spec({name}), error(__import__, {name})[0] in ('ModuleNotFoundError', 'ValueError', 'UnicodeEncodeError')]
""") == [None, True]


def test_callback_may_import(calling):
    assert calling("import imports; answer = [imports.executed, 'called' in sys.modules]") == [2, True]


def test_callback_can_be_replaced_and_removed_at_any_time(calling):
    assert calling(ERROR + """
import api, called
docs = [called.__doc__]
for which in (2, 0, 1):
    sys.modules.pop('called', None)
    result = api.set(which)
    docs.append([result, error(__import__, 'called') or sys.modules['called'].__doc__])
answer = docs
""") == ["made in C", [0, ["ValueError", "no luck", None]], [0, ["ModuleNotFoundError", "No module named 'called'", "called"]], [0, "made in C"]]


def test_callback_alone_needs_no_table(bakery, site, tmp_path):
    program = host(bakery, tmp_path, LOOKUP, "Kiln_SetLookup(lookup, &pair_a)", more_methods=LOOKUP_METHODS)
    assert asker(program, site, "-S")(ERROR + "import called; answer = [called.executed, flat.__doc__]".replace("flat", "called")) == [
        1, "made in C"]


def test_module_of_the_callback_is_not_among_the_baked(calling):
    assert calling("import kiln, called; answer = ['called' in kiln.modules(), kiln.find('called')]") == [False, None]


@pytest.mark.parametrize("install", ["Kiln_SetLookup(lookup, &pair_a)", "Kiln_LookupSymbols(NULL, 0)", "Kiln_HashInittab()"])
def test_program_without_a_table_lists_no_modules(install, bakery, site, tmp_path):
    program = host(bakery, tmp_path, LOOKUP, install, more_methods=LOOKUP_METHODS)
    assert asker(program, site, "-S")(ERROR + """
import json, kiln, pkgutil
finder = [f for f in sys.meta_path if type(f).__name__ == 'Finder'][0]
answer = [finder.discover(), list(finder.iter_modules()), kiln.modules(), kiln.find('called'),
          'decoder' in [m.name for m in pkgutil.iter_modules(json.__path__)], 'json' in [m.name for m in pkgutil.iter_modules()],
          error(__import__, 'say.nothing')[0]]
""") == [[], [], [], None, True, True, "ModuleNotFoundError"]


IMPORT_IN_TURN = """
import sys
for i in range(300):
    sys.modules.pop('absent', None)
    sys.modules.pop('called', None)
    try: __import__('called' if i % 2 else 'absent')
    except (ImportError, ValueError): pass
    except KeyError: pass  # importlib's: another thread has just dropped the module
"""


def test_callback_serves_threads_and_interpreters_at_once_while_it_is_replaced(bakery, site, tmp_path):
    """Callback and argument stay together: it aborts otherwise."""
    interpreters = {(3, 12): "_xxsubinterpreters", (3, 13): "_interpreters"}
    module = next((name for version, name in sorted(interpreters.items(), reverse=True) if bakery.version >= version), None)
    program = host(bakery, tmp_path, LOOKUP, '(PyImport_AppendInittab("api", init_api), Kiln_SetLookup(lookup, &pair_a))',
                   more_methods=LOOKUP_METHODS)
    assert asker(program, site)(f"""
import api, threading
CODE = {IMPORT_IN_TURN!r}
def work(i):
    if {module!r} and i < 2:
        interpreters = __import__({module!r})
        id = interpreters.create()
        interpreters.run_string(id, CODE)
        interpreters.destroy(id)
    else:
        exec(CODE, {{}})
    done.append(i)
done = []
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for i in range(20_000): api.set(i % 3)
for thread in threads: thread.join()
answer = sorted(done)
""") == [0, 1, 2, 3]


# --- Without --wrap -----------------------------------------------------------------------------

PLAIN = r"""
PyMODINIT_FUNC PyInit_unwired(void);
static PyObject *load(PyObject *m, PyObject *name) { return Kiln_ImportByInitFunc(PyUnicode_AsUTF8(name), PyInit_unwired); }
static struct PyModuleDef later_def = {PyModuleDef_HEAD_INIT, "later", NULL, -1, NULL, NULL, 0, 0, 0};
static PyObject *make_later(PyObject *m, PyObject *a) { return PyModule_Create(&later_def); }
"""


def has_switch(bakery, kind):
    """Whether libpython of KIND lets a program set CPython's own package context."""
    config = bakery.config
    path, options = ((os.path.join(config["LIBPL"], config["LIBRARY"]), []) if kind == "static" else
                     (os.path.join(config["LIBDIR"], config["LDLIBRARY"]), ["-D"]))
    return any(line.split()[-1:] in (["_Py_PackageContext"], ["_PyImport_SwapPackageContext"])
               for line in run("nm", *options, "--defined-only", path).stdout.splitlines())


@pytest.fixture(scope="module", params=["static", "shared"])
def unwired(request, bakery, site, tmp_path_factory):
    """A function that runs code in a program whose modules call CPython's PyModule_Create2(), and whether
    CPython's switch is there."""
    require_libpython(bakery, request.param)
    plain = bakery.compile(SINGLE_PHASE, "-DINIT=PyInit_unwired", "-DSIZE=-1", '-DNAME="unwired"')
    program = host(bakery, tmp_path_factory.mktemp("unwired"), PLAIN,
                   '(PyImport_AppendInittab("api", init_api), Kiln_Install(&kiln_table))', more=[plain],
                   more_methods='{"plain", load, METH_O, NULL}, {"later", make_later, METH_NOARGS, NULL},', kind=request.param)
    return asker(program, site), has_switch(bakery, request.param)


def test_without_wrap_the_name_is_whole_by_cpythons_switch_or_an_error_says_what_to_add(unwired):
    call, switch = unwired
    answer = call(ERROR + """
import api, pkg
failed = error(api.plain, 'pkg.unwired')
m = sys.modules.get('pkg.unwired')
answer = [failed, m and [m.__name__, m.value.__module__], hasattr(pkg, 'unwired')]
""")
    if switch:
        assert answer == [None, ["pkg.unwired"] * 2, True]
    else:
        assert answer[1:] == [None, False]
        kind, text, name = answer[0]
        assert (kind, name) == ("ImportError", "pkg.unwired")
        assert "-Wl,--wrap=PyModule_Create2" in text and "kiln isolate" in text


def test_without_wrap_a_top_level_module_has_its_name(unwired):
    assert unwired[0]("import api; answer = [api.plain('unwired').__name__, api.plain('unwired').value()]") == [
        "unwired", "single-phase"]


def test_cpythons_switch_is_off_again_after_an_init_function(unwired):
    """A name left there would be given to a module made later on, and may be gone by then."""
    call, _ = unwired
    assert call(ERROR + """
import api, pkg
answer = []
for init in ('multi', 'raises', 'null'):
    error(api.load, 'pkg.later', init)
    answer.append(api.later().__name__)
    sys.modules.pop('pkg.later', None)
""") == ["later"] * 3


# --- Kiln_LookupSymbols() -----------------------------------------------------------------------

# The values that modules answer with are their names, so that a wrong one is seen.
OWN = ["sym", "pkg.a_b", "pkg_a.b", "pkg.a.b", "pkg._x", "pkg_.x", "größe", "deep.er.and_.deeper", "dpkg.__init__"]
DOUBLED = ["sym", "pkg.foo_bar", "pkg_foo.bar", "pkg._x", "deep.er.ending_", "dpkg.__init__"]


def own_symbol(name):
    """As the documentation tells it."""
    return "kiln_init_" + "".join(c if c.isascii() and c.isalnum() else {"_": "__", ".": "_d"}.get(c) or
                                  "".join(f"_x{byte:02x}" for byte in c.encode()) for c in name)


def doubled_symbol(name):
    return "PackagePyInit_" + name.replace("_", "__").replace(".", "_")


def visible(bakery, init, value):
    """An object with the init function INIT. (3.8's PyMODINIT_FUNC says nothing of visibility.)"""
    return bakery.compile(MULTI_PHASE, "-fvisibility=default", f"-DINIT={init}", f'-DVALUE="{value}"')


NOT_FUNCTIONS = """
__attribute__((visibility("default"))) int kiln_init_data = 1, PackagePyInit_data = 1;
__attribute__((visibility("default"))) _Thread_local int kiln_init_thread;
__attribute__((visibility("default"))) const char kiln_init_text[] = "not code";
"""


@pytest.fixture(scope="module")
def symbolic(bakery, site, tmp_path_factory):
    """Functions that run code in programs without a table: "own" and "doubled"."""
    for package in ("deep", "deep/er", "deep/er/and_", "pkg_", "pkg/a", "pkg_a", "pkg_foo"):
        (site / package).mkdir(exist_ok=True)
        (site / package / "__init__.py").touch()
    programs = {}
    for form, names, symbol, call in (("own", OWN, own_symbol, "Kiln_LookupSymbols(NULL, 0)"),
                                      ("doubled", DOUBLED, doubled_symbol, "Kiln_LookupSymbols(NULL, KILN_SYMBOLS_DOUBLED)")):
        objects = [visible(bakery, symbol(name), name) for name in names]
        objects.append(bakery.compile(NOT_FUNCTIONS))
        program = host(bakery, tmp_path_factory.mktemp(form), "", call, more=[*objects, "-rdynamic"])
        programs[form] = asker(program, site)
    return programs


@pytest.mark.parametrize("form, name", [("own", name) for name in OWN[:-1]] + [("doubled", name) for name in DOUBLED[:-1]])
def test_module_is_found_by_its_symbol_and_no_other(form, name, symbolic):
    assert symbolic[form](f"""
import importlib
m = importlib.import_module({name!r})
answer = [m.__name__, m.value(), m.executed]
""") == [name, name, 1]


@pytest.mark.parametrize("form", ["own", "doubled"])
def test_package_is_found_under_the_symbol_of_its_init(form, symbolic, site):
    (site / "dpkg").mkdir(exist_ok=True)
    (site / "dpkg" / "pure.py").write_text("here = True")
    assert symbolic[form]("""
import dpkg.pure
answer = [dpkg.value(), dpkg.__path__, dpkg.pure.here, dpkg.__loader__.is_package('dpkg')]
""") == ["dpkg.__init__", [str(site / "dpkg")], True, True]


@pytest.mark.parametrize("name", ["data", "thread", "text"])
def test_data_of_that_name_is_no_module(name, symbolic):
    for form in ("own", "doubled"):
        assert symbolic[form](ERROR + f"answer = error(__import__, {name!r})")[0] == "ModuleNotFoundError"


@pytest.mark.parametrize("name", ["sy", "sym_", "sym.", ".sym", "pkg..a_b", "pkg_.foo_bar", "pkg_._x", "Pkg.a_b",
                                  "sym\\0", "\\ud800", "x-y", "pkg foo", "pkg.a__b", "pkg_da__b", "größe.x"])
def test_names_that_are_not_the_modules_are_not_found(name, symbolic):
    for form in ("own", "doubled"):
        assert symbolic[form](f"""
finder = [f for f in sys.meta_path if type(f).__name__ == 'Finder'][0]
answer = finder.find_spec('{name}')
""") is None, form


def test_symbol_too_long_is_not_found_and_nothing_else_happens(symbolic):
    for form in ("own", "doubled"):
        assert symbolic[form]("""
finder = [f for f in sys.meta_path if type(f).__name__ == 'Finder'][0]
answer = [finder.find_spec(c * n) for c in 'x_ß' for n in (990, 999, 1000, 1001, 1997, 1998, 1999, 2000, 2001, 3990, 3996, 3997,
                                                          3998, 3999, 4000, 4001, 100_000)]
""") == [None] * 51


def test_names_in_the_doubled_form_never_share_a_symbol(bakery, site, tmp_path):
    """All names of letters, underscores and dots up to a length: each has the module of its own symbol; but those that
    would share one, which are documented, and what is no name have none."""
    every = ["".join(c) for n in range(1, 7) for c in itertools.product("a_.", repeat=n)]
    is_name = lambda name: not (name.startswith(".") or name.endswith(".") or ".." in name)
    good = [name for name in every if is_name(name) and "_." not in name]
    modules = "".join(f'MODULE({number}, {doubled_symbol(name)}, "{name}")\n' for number, name in enumerate(good))
    program = host(bakery, tmp_path, "", "Kiln_LookupSymbols(NULL, KILN_SYMBOLS_DOUBLED)", more=["-rdynamic", bakery.compile(r"""
#include <Python.h>
static PyModuleDef_Slot slots[] = {{0, NULL}};
#define MODULE(number, init, name) \
    static struct PyModuleDef def##number = {PyModuleDef_HEAD_INIT, "x", name, 0, NULL, slots, 0, 0, 0}; \
    __attribute__((visibility("default"))) PyObject *init(void); PyObject *init(void) { return PyModuleDef_Init(&def##number); }
""" + modules)])
    answer = asker(program, site)(f"""
import _kiln
from importlib.machinery import ModuleSpec
def create(name):
    try: return _kiln.Loader(name, None).create_module(ModuleSpec(name, None)).__doc__
    except ImportError: return None
answer = {{name: create(name) for name in {every!r}}}
""")
    assert answer == {name: name if name in good else None for name in every}


def test_objects_of_kiln_isolate_are_found_when_they_are_exported(bakery, site, kiln, tmp_path):
    plain = bakery.compile(MULTI_PHASE, "-DINIT=PyInit_iso_1", '-DVALUE="isolated"')
    objects = []
    for name, options in (("pkg.iso_1", ["--export-init"]), ("pkg.größe", ["--export-init"]), ("pkg.hidden", [])):
        output = tmp_path / f"{len(objects)}.o"
        line = kiln("isolate", "--name", name, "--init", "PyInit_iso_1", *options, "-o", output, plain).stdout
        assert line == f"{name} {own_symbol(name)}\n"
        objects.append(output)
    program = host(bakery, tmp_path, "", "Kiln_LookupSymbols(NULL, 0)", more=[*objects, "-Wl,--export-dynamic-symbol=kiln_init_*"])
    assert asker(program, site)(ERROR + """
import pkg.iso_1, pkg.größe
answer = [pkg.iso_1.value(), pkg.größe.value(), error(__import__, 'pkg.hidden')[0]]
""") == ["isolated", "isolated", "ModuleNotFoundError"]


def test_export_hooks_are_found_and_preferred_where_python_has_them(bakery, site, tmp_path):
    hook = """
#include <Python.h>
PyABIInfo_VAR(abi);
static PyModuleDef_Slot slots[] = {{Py_mod_abi, &abi}, {Py_mod_doc, "hooked"}, {0, NULL}};
#define HOOK(name) __attribute__((visibility("default"))) void *name(void); void *name(void) { return slots; }
HOOK(kiln_export_hooked) HOOK(PackagePyModExport_hooked)
""" if bakery.version >= (3, 15) else "extern int nothing;"
    for number, (prefix, flags, init) in enumerate((("NULL", 0, "kiln_init_hooked"), ("NULL", 1, "PackagePyInit_hooked"))):
        (tmp_path / str(number)).mkdir()
        program = host(bakery, tmp_path / str(number), "", f"Kiln_LookupSymbols({prefix}, {flags})",
                       more=[bakery.compile(hook), visible(bakery, init, "init"), "-rdynamic"])
        assert asker(program, site)("import hooked; answer = hooked.__doc__") == (
            "hooked" if bakery.version >= (3, 15) else "The doc.")


PREFIXES = [('""', 0, -4), ('"PyInit"', 0, -4), ('"9_"', 0, -4), ('"a-b_"', 0, -4), ('"gr\\xc3\\xb6_"', 0, -4), ("NULL", 2, -4),
            (f'"{"x" * 64}_"', 0, -4), (f'"{"x" * 63}_"', 0, 0), ('"_"', 0, 0), ('"mine_PyInit_"', 0, 0)]


def test_prefix_must_be_one_that_nothing_else_begins_with_and_the_last_one_counts(bakery, site, tmp_path):
    calls = "".join(f'printf("%d ", Kiln_LookupSymbols({prefix}, {flags})); ' for prefix, flags, _ in PREFIXES)
    program = host(bakery, tmp_path, f"static int all(void) {{ {calls} puts(\"\"); fflush(stdout); return 0; }}", "all()",
                   more=[visible(bakery, "mine_PyInit_mine__it", "mine"), "-rdynamic"])
    assert run(program, "-c", "import mine_it; print(mine_it.value())").stdout == (
        " ".join(str(result) for *_, result in PREFIXES) + " \nmine\n")


# --- Kiln_HashInittab() -------------------------------------------------------------------------

# COUNT entries m0, m1, ... of changing kinds, and some by name; HASH in the environment says whether the inittab
# is hashed, and when: after they are added, or before.
INITTAB = r"""
static PyObject *init_api(void);
#define COUNT 10000
static struct PyModuleDef zero_def = {PyModuleDef_HEAD_INIT, "zero", "zero", 0, NULL, NULL, 0, 0, 0};
static PyObject *init_zero(void) { executed++; return PyModule_Create(&zero_def); }
static struct PyModuleDef minus_def = {PyModuleDef_HEAD_INIT, "minus", "minus", -1, NULL, NULL, 0, 0, 0};
static PyObject *init_minus(void) {
    PyObject *m = PyModule_Create(&minus_def);
    if (m != NULL) PyModule_AddIntConstant(m, "executed", ++executed);
    return m;
}
static struct _inittab entries[] = {
    {"api", init_api}, {"null", init_null}, {"raises", init_raises}, {"bad_exec", init_bad_exec},
    {"zero", init_zero}, {"minus", init_minus}, {"pkg.minus", init_minus}, {"other", init_other},
    {"twice", init_multi}, {"twice", init_minus}, {"sys", init_multi}, {"builtins", init_multi}, {"zlib", init_minus},
    {"gr\xc3\xb6\xc3\x9f" "e", init_multi}, {"_signal", init_minus}, {NULL, NULL}};
static char names[COUNT][16], long_name[5001];
static int add(void) {
    static struct _inittab many[COUNT + 2];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        many[i] = (struct _inittab){names[i], i % 3 == 0 ? init_multi : i % 3 == 1 ? init_zero : init_minus};
    }
    memset(long_name, 'x', sizeof long_name - 1);
    many[COUNT] = (struct _inittab){long_name, init_multi};
    return PyImport_ExtendInittab(entries) | PyImport_ExtendInittab(many);
}
__attribute__((unused)) static int prepare(void) {
    const char *hash = getenv("HASH");
    int result = 0;
    if (hash == NULL) return add() < 0 ? -3 : Kiln_Install(&kiln_table);
    if (strcmp(hash, "first") == 0) return (result = Kiln_HashInittab()) < 0 ? result : add();
    result = strcmp(hash, "twice") == 0 ? Kiln_HashInittab() : 0;
    return result < 0 || (result = add()) < 0 ? result : Kiln_HashInittab();
}
"""
COUNTING = r"""
static long compared;
int __real__PyUnicode_EqualToASCIIString(PyObject *, const char *);
int __wrap__PyUnicode_EqualToASCIIString(PyObject *, const char *);
int __wrap__PyUnicode_EqualToASCIIString(PyObject *a, const char *b) { compared++; return __real__PyUnicode_EqualToASCIIString(a, b); }
static PyObject *count(PyObject *m, PyObject *a) { return PyLong_FromLong(compared); }
"""


def inittab_source(bakery):
    """A debug build asserts that the names in the inittab are ASCII."""
    return INITTAB.replace(r'{"gr\xc3\xb6\xc3\x9f" "e", init_multi}, ', "") if bakery.config["Py_DEBUG"] else INITTAB


@pytest.fixture(scope="module")
def builtin(bakery, site, tmp_path_factory):
    """A function that runs code in a program with 10,000 built-in modules, hashed as HASH says."""
    return asker(host(bakery, tmp_path_factory.mktemp("inittab"), inittab_source(bakery), "prepare()"), site)


def same(builtin, code, *hashes):
    """What CODE answers, which must not depend on the hash."""
    plain = builtin(code)
    for hash in hashes or ("last", "first", "twice"):
        assert builtin(code, HASH=hash) == plain, hash
    return plain


def test_builtin_module_names_are_complete_and_still_a_tuple(builtin):
    plain = same(builtin, """
names = sys.builtin_module_names
answer = [list(names), isinstance(names, tuple), names == tuple(names), names[0], len(names), repr(names)[:50],
          names.count('twice'), names.index('m5'), hash(names) == hash(tuple(names)), names + ('x',) == tuple(names) + ('x',)]
""")
    assert {"sys", "builtins", "_imp", "m0", "m9999", "pkg.minus", "_kiln", "x" * 5000} <= set(plain[0])


def test_builtin_module_names_are_pickled_and_copied_as_a_tuple(builtin):
    assert builtin("""
import copy, pickle
names = sys.builtin_module_names
copies = [copy.copy(names), copy.deepcopy(names), *(pickle.loads(pickle.dumps(names, n)) for n in range(6))]
answer = [[c == names for c in copies], [type(c).__name__ for c in copies]]
""", HASH="last") == [[True] * 8, ["tuple"] * 8]


def test_names_are_found_in_it_and_others_are_not(builtin):
    assert same(builtin, r"""
class Other(str): pass
names = sys.builtin_module_names
answer = [x in names for x in ('sys', 'm0', 'm9999', '_kiln', 'x' * 5000, Other('m1'),
                               'm10000', '', 'm0\0', '\ud800', 'M0', None, 3, b'm0', Other('m'))]
assert ('größe' in names) == ('größe' in tuple(names))
""") == [True] * 6 + [False] * 9


def test_is_builtin_and_create_builtin_answer_as_cpythons_own(builtin):
    answer = same(builtin, ERROR + r"""
import _imp, types
names = [n for n in sys.builtin_module_names if n.isascii()]
empty = [] if hasattr(sys, 'gettotalrefcount') else ['']  # a debug build asserts that it is not
answer = [[_imp.is_builtin(n) for n in names], [_imp.is_builtin(n) for n in ('', 'm', 'm10000', 'json', 'pkg', 'm0\0', '_kiln')],
          error(_imp.is_builtin, 3)[0], error(_imp.is_builtin)[0], [error(_imp.create_builtin, spec)[0] for spec in (None, 3)],
          [(error(_imp.create_builtin, types.SimpleNamespace(name=n)) or [None])[0] for n in (3, None, '\ud800', *empty, 'absent')]]
""")
    assert {1} <= set(answer[0]) <= {1, -1} and answer[1][:6] == [0] * 6 and answer[2:4] == ["TypeError", "TypeError"]
    assert answer[4] == ["AttributeError"] * 2


def test_every_module_of_cpython_is_imported_as_ever(builtin):
    """All that were imported at start included."""
    answer = same(builtin, """
import importlib
def describe(name):
    m = importlib.import_module(name)
    spec = m.__spec__
    return [name, m.__name__, m.__package__, repr(m.__loader__), repr(spec), m.__doc__, sorted(k for k in vars(m))]
skip = ('m', 'api', 'null', 'raises', 'bad_exec', 'other', 'gr', 'x', 'pkg', '_kiln')
answer = [describe(n) for n in sys.builtin_module_names if not n.startswith(skip) or n == 'marshal']
""")
    described = {name: [type_name, doc] for name, type_name, _, _, _, doc, _ in answer}
    assert len(answer) > 20 and described["zero"] == ["zero", "zero"] and described["sys"][0] == "sys"


def test_modules_of_every_kind_are_created_cached_and_created_again(builtin, bakery):
    """3.14 is spared a search for what was added after hashing, and does not cache it."""
    lives = same(builtin, """
import importlib
def life(name):
    a = importlib.import_module(name)
    first = [a.__name__, a.__doc__, getattr(a, 'executed', None), sys.modules[name] is a, a.__spec__.origin,
             repr(a.__loader__), hasattr(a, '__file__')]
    reloaded = importlib.reload(a) is a
    del sys.modules[name]
    b = importlib.import_module(name)
    return first, reloaded, a is b, getattr(b, 'executed', None), b.__name__
answer = [life(name) for name in ('m0', 'm1', 'm2', 'm9999', 'm9998', 'm9997', 'zero', 'minus', 'zlib')]
""", *(["last", "twice"] if bakery.version == (3, 14) else []))
    first, reloaded, *_, again, name = lives[0]
    executed = first[2]  # 2 where the start has already executed a module of the same function
    assert first[:5] == ["m0", "made in C", executed, True, "built-in"] and reloaded and (again, name) == (executed + 1, "m0")
    assert [life[0][1] for life in lives[:3]] == ["made in C", "zero", "minus"]


def test_first_or_last_entry_of_a_name_wins_as_cpython_has_it(builtin, bakery):
    plain = same(builtin, "import twice, _signal; answer = [twice.__doc__, _signal.__doc__ == 'minus', sys.__doc__ == 'made in C', len.__name__]")
    assert plain[0] == ("minus" if bakery.version in ((3, 13), (3, 14)) else "made in C")


def test_dotted_names_of_the_inittab_mean_what_they_mean_to_cpython(builtin, bakery):
    """Up to 3.11 it does not look for them there."""
    answer = same(builtin, ERROR + """
answer = error(__import__, 'pkg.minus') or [sys.modules['pkg.minus'].__name__, sys.modules['pkg.minus'].__doc__]
""")
    assert answer[0] == "ModuleNotFoundError" if bakery.version < (3, 12) else answer[-1] == "minus"


@pytest.mark.parametrize("name", ["null", "raises", "bad_exec", "other"])
def test_failing_built_in_module_fails_with_the_same_type_and_leaves_no_trace(name, builtin):
    plain = same(builtin, ERROR + f"""
before = sorted(sys.modules)
answer = [error(__import__, {name!r})[0], error(__import__, {name!r})[0], sorted(sys.modules) == before, __import__('m3').executed]
""")
    assert plain[0] in (["ValueError"] if name in ("raises", "bad_exec") else ["SystemError", "TypeError"]) and plain[2] is True


def test_names_that_are_long_or_not_ascii_keep_their_meaning(builtin):
    assert same(builtin, ERROR + "answer = [error(__import__, 'größe')[0], __import__('x' * 5000).__doc__]")[1] == "made in C"


def test_init_function_given_for_a_name_of_the_hashed_inittab_is_the_module_asked_for(builtin):
    for name in ("m0", "m1", "m2", "zlib"):
        assert same(builtin, f"""
import api, importlib
importlib.import_module({name!r})
del sys.modules[{name!r}]
answer = [api.load({name!r}, 'single').__doc__, sys.modules.pop({name!r}).__doc__, importlib.import_module({name!r}).__doc__]
""")[:2] == ["made at once"] * 2


SUB_INTERPRETER = """
import sys, _imp
assert 'm9999' in sys.builtin_module_names and len(sys.builtin_module_names) > 10_000
assert _imp.is_builtin('m9999') == 1 and _imp.is_builtin('absent') == 0
import m9999, m0, m1, json
assert m0.executed and m9999.__doc__ == 'made in C' and m1.__doc__ == 'zero', m1
"""


def test_sub_interpreters_ask_the_hash_table_too(builtin):
    if builtin("import importlib.util; answer = importlib.util.find_spec('_testcapi') is None"):
        pytest.skip("this Python has no _testcapi")
    code = f"import _testcapi; answer = [_testcapi.run_in_subinterp({SUB_INTERPRETER!r}), __import__('m0').__name__]"
    assert same(builtin, code) == [0, "m0"]


def test_place_in_the_inittab_makes_no_difference(bakery, site, tmp_path):
    """Counted are comparisons of names by CPython. None or a few, whatever the place; without the hash, all."""
    if "static" not in bakery.libpythons:
        pytest.skip("this Python has no static libpython, in which comparisons can be counted")
    program = asker(host(bakery, tmp_path, INITTAB + COUNTING, "prepare()", kind="static", more_methods='{"count", count, METH_NOARGS, NULL},',
                         more=["-Wl,--wrap=_PyUnicode_EqualToASCIIString"]), site)
    code = """
import api
def cost(name):
    before = api.count()
    try: __import__(name)
    except ImportError: pass
    return api.count() - before
cost('m5'), cost('absent0')
answer = [cost('m0'), cost('m9999'), cost('m1'), cost('m9997'), cost('m2'), cost('m9998'), cost('absent')]
"""
    hashed, plain = program(code, HASH="last"), program(code)
    assert max(hashed) < 100
    assert hashed[0] == hashed[1] and hashed[2] == hashed[3] and hashed[4] == hashed[5]
    assert plain[1] > 10_000


def test_python_can_be_finalised_and_the_inittab_hashed_again(bakery, site, tmp_path):
    definitions = inittab_source(bakery) + r"""
static int run(const char *code) {
    Py_Initialize();
    int result = PyRun_SimpleString(code);
    return Py_FinalizeEx() | result;
}
static int all(void) {
    static const char code[] = "import sys, m0, m9999, m1, m2\n"
                               "assert m0.__doc__ == m9999.__doc__ == 'made in C' and type(sys.builtin_module_names) is not tuple";
    struct _inittab *saved = PyImport_Inittab;
    if (add() < 0 || Kiln_HashInittab() < 0 || run(code) != 0 || run(code) != 0) return -1;
    /* As Py_RunMain() leaves it. */
    PyImport_Inittab = saved;
    if (run("import sys, _imp; assert type(sys.builtin_module_names) is tuple and _imp.is_builtin('m0') == 0") != 0) return -2;
    if (add() < 0 || PyImport_AppendInittab("new", init_multi) < 0 || Kiln_HashInittab() < 0 || Kiln_HashInittab() < 0 || run(code) != 0) return -3;
    return 0;
}
"""
    program = host(bakery, tmp_path, definitions, "all()")
    run(program, "-c", "import new, m9999")


INIT_CONFIG = r"""
#include <Python.h>
#include <kiln/kiln.h>
static int executed;
static int exec(PyObject *m) { return PyModule_AddIntConstant(m, "executed", ++executed); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef multi_def = {PyModuleDef_HEAD_INIT, "multi", "multi", 0, NULL, slots, 0, 0, 0};
static PyObject *init_multi(void) { return PyModuleDef_Init(&multi_def); }
static struct PyModuleDef single_def = {PyModuleDef_HEAD_INIT, "single", "single", -1, NULL, NULL, 0, 0, 0};
static PyObject *init_single(void) { return PyModule_Create(&single_def); }
int main(int argc, char **argv) {
    PyInitConfig *config = PyInitConfig_Create();
    if (Kiln_HashInittab() < 0) return 1;
    static char names[10000][16];
    for (int i = 0; i < 10000; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        if (PyInitConfig_AddModule(config, names[i], i % 2 ? init_single : init_multi) < 0) return 2;
    }
    if (PyInitConfig_AddModule(config, "m3", init_multi) < 0 || Py_InitializeFromInitConfig(config) < 0) return 3;
    PyInitConfig_Free(config);
    int result = PyRun_SimpleString(argv[1]);
    return Py_FinalizeEx() | result;
}
"""


def test_modules_of_an_init_config_are_found_in_the_hash_table(bakery, tmp_path):
    """PEP 741: they are added while Python is being initialised."""
    if bakery.version < (3, 14):
        pytest.skip("this Python has no PyInitConfig_AddModule()")
    program = bakery.bake(tmp_path / "app", {"flat": multi("PyInit_flat")}, main=INIT_CONFIG)
    run(program, """
import sys, _imp, m0, m1, m3, m9998, m9999, json
assert 'm9999' in sys.builtin_module_names and type(sys.builtin_module_names) is not tuple
assert _imp.is_builtin('m9999') == 1 and _imp.is_builtin('absent') == 0
assert m0.executed == 1 and m9998.executed and m0.__doc__ == 'multi' and m1.__doc__ == m9999.__doc__ == 'single'
assert m3.__doc__ == ('multi' if sys.version_info[:2] == (3, 14) else 'single')
assert m0.__name__ == 'm0' and m1 is sys.modules['m1'] and 'BuiltinImporter' in repr(m1.__loader__)
del sys.modules['m0'], sys.modules['m1']
import m0, m1
assert m0.__doc__ == 'multi' and m1.__doc__ == 'single'
""")


# --- The table ----------------------------------------------------------------------------------

DAMAGE = r"""
/* A copy of the table, of which each byte of the header is changed in turn. */
static char copy[4096] __attribute__((aligned(64)));
static int all(void) {
    size_t size = ((const struct kiln_table_header *)&kiln_table)->size;
    for (size_t i = 0; i < sizeof(struct kiln_table_header) - sizeof(uint64_t); i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, &kiln_table, size);
            copy[i] ^= (char)(1 << bit);
            if (Kiln_Install((const struct kiln_table *)copy) != KILN_INSTALL_TABLE) { printf("%zu %d\n", i, bit); exit(3); }
        }
    }
    return Kiln_Install(&kiln_table);
}
"""


def test_table_with_a_damaged_header_is_refused_whichever_bit_it_is(bakery, site, tmp_path):
    program = host(bakery, tmp_path, DAMAGE, "all()", {name: multi(f"PyInit_{name.rpartition('.')[2]}") for name in
                                                      ("flat", "pkg.one", "pkg.two", "pkg.three", "pkg.four")})
    assert asker(program, site)("import pkg.one; answer = pkg.one.value()") == "multi-phase"


def test_table_with_another_seed_is_read_within_its_bounds_and_answers_for_no_other_name(bakery, site, tmp_path):
    """The copy's functions are not where it says, so its modules are looked for and not created."""
    definitions = DAMAGE.replace("return Kiln_Install(&kiln_table);", """
    memcpy(copy, &kiln_table, size);
    copy[offsetof(struct kiln_table_header, seed)] ^= 0x40;
    return Kiln_Install((const struct kiln_table *)copy);""")
    program = host(bakery, tmp_path, definitions, "all()", {name: multi(f"PyInit_{name}") for name in ("one", "two", "three", "four")})
    assert asker(program, site)("""
finder = [f for f in sys.meta_path if type(f).__name__ == 'Finder'][0]
found = {name for name in ('one', 'two', 'three', 'four', *map(str, range(10_000))) if finder.find_spec(name)}
answer = found <= {'one', 'two', 'three', 'four'}
""") is True
