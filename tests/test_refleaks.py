"""Importing, dropping and importing again, a thousand times: nothing grows. Debug builds of Python count
references; others count blocks of memory. Where glibc tells it, the memory of malloc() is counted, too."""

import pytest

import protocols
from extensions import extension
from interfaces import LOOKUP, LOOKUP_METHODS, asker, host
from runner import Runner, make_packages
from sources import BAD, MULTI_PHASE
from test_skew import replace_version, write_metadata

pytestmark = pytest.mark.usefixtures("fast_path")

COUNT = """
import gc, importlib, sys
try:
    import ctypes
    tell = ctypes.CDLL(None).mallinfo2
except (ImportError, AttributeError):
    count_malloc = int
else:
    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in ("arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks "
                                                         "fordblks keepcost").split()]
    tell.restype = Info
    def count_malloc():
        # In units that let the smallest block there is (32 bytes), lost in each round, be more than LIMIT. Less would be
        # near what CPython does by itself: classes that come and go have left half of that.
        info = tell()
        return (info.uordblks + info.hblkhd) // 256
def again(count):
    for _ in range(count):
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:
                pass
            sys.modules.pop(name, None)
def count():
    gc.collect()
    return [getattr(sys, "gettotalrefcount", int)(), sys.getallocatedblocks(), len(gc.get_objects()), count_malloc()]
def grow(function, *args):
    # The least that one of at most ten runs has left: what fills up caches, as it does for some runs on 3.13, is no leak.
    least, last = None, count()
    for turn in range(11):
        function(*args)
        now = count()
        left = [after - before for after, before in zip(now, last)]
        if turn > 0: least = left if least is None else [min(each) for each in zip(least, left)]
        if least and max(least) < 50: break
        last = now
    return least
"""
# What a thousand rounds may leave: less than one reference for every ten rounds.
LIMIT = 100

CASES = {
    "multi-phase": ["pkg.multi", "flat", "pkg.types", "pkg.circle"], "no module": ["pkg.object"],
    "replaced": ["pkg.replaced", "pkg.removed"],
    "single-phase, m_size -1": ["pkg.static", "other.same", "pkg.two"],
    "single-phase, m_size 0": ["pkg.zero"], "single-phase, m_size 16": ["pkg.state"],
    "package": ["extpkg", "walk.deep"], "in a package": ["extpkg.inner", "walk.deep.leaf"], "not ascii": ["pkg.größe"],
    "missing": ["nope", "pkg.nope", "pkg.multi.nope"], "fails by a pure module": ["pkg.divides", "pkg.divides_single", "pkg.wants"],
    **{name: [name] for name in BAD if name != "pkg.init_plain"},
}


@pytest.mark.parametrize("case", CASES)
def test_importing_a_thousand_times_leaves_nothing(case, baked, shared):
    code = COUNT + f"names = {CASES[case]!r}\nanswer = grow(again, 1000)"
    ours = baked(code)
    if max(ours) >= LIMIT:
        # CPython itself may keep something, such as the module that a failing init function made.
        theirs = shared(code)
        assert all(our < their + LIMIT for our, their in zip(ours, theirs))


@pytest.mark.parametrize("call", [
    "_kiln.finder.find_spec('pkg.multi', pkg.__path__)", "_kiln.finder.find_spec('extpkg')", "_kiln.finder.find_spec('nope')",
    "_kiln.finder.find_spec()", "_kiln.finder.find_spec('flat', nope=1)", "list(_kiln.finder.iter_modules())",
    "_kiln.finder.discover()", "_kiln.finder.discover(walk.__spec__)", "_kiln.finder.discover(3)",
    "pkg.multi.__loader__.get_filename('pkg.multi')", "pkg.multi.__loader__.get_filename('pkg.nope')", "flat.__loader__.get_filename('flat')",
    "extpkg.__loader__.get_data(extpkg.__path__[0] + '/data.txt')", "extpkg.__loader__.get_data('/nope')",
    "extpkg.__loader__.get_resource_reader('extpkg')", "flat.__loader__.get_resource_reader('flat')",
    "extpkg.__loader__.load_module('extpkg')", "copy.deepcopy(extpkg.__spec__)", "pickle.loads(pickle.dumps(extpkg.__spec__))", "_kiln.nope",
    "flat.__loader__.create_module(None)", "flat.__loader__.create_module(importlib.machinery.ModuleSpec('nope', None))",
    "flat.__loader__.create_module(importlib.machinery.ModuleSpec('pkg.exec_raises', None))",
    "flat.__loader__.exec_module(flat.__loader__.create_module(importlib.machinery.ModuleSpec('pkg.exec_raises', None)))",
    "flat.__loader__.exec_module(3)", "flat.__loader__.is_package('flat')", "list(pkgutil.iter_modules(walk.__path__, 'walk.'))",
    "pkgutil.iter_importer_modules(pkgutil.get_importer(walk.__path__[0]), prefix=3)",
    "list(pkgutil.iter_importer_modules(pkgutil.get_importer(walk.__path__[0] + '/purepkg')))", "importlib.reload(pkg.multi)", "importlib.reload(pkgutil)",
    "importlib.reload(_kiln)"])
def test_calling_a_thousand_times_leaves_nothing(call, baked):
    grown = baked(COUNT + f"""
import _kiln, copy, extpkg, flat, importlib.machinery, pickle, pkg.multi, pkgutil, walk
def again():
    for _ in range(1000):
        try: {call}
        except Exception: pass
answer = grow(again)
""")
    assert max(grown) < LIMIT


@pytest.mark.parametrize("name", BAD)
def test_failing_import_leaves_nothing_for_the_garbage_collector(name, baked, shared):
    code = f"""
import gc, importlib
try: importlib.import_module({name!r})
except Exception: pass
gc.collect(); gc.disable()
for _ in range(100):
    try: importlib.import_module({name!r})
    except Exception: pass
answer = gc.collect() // 100
"""
    assert baked(code) <= shared(code)


def test_failing_loader_leaves_nothing_for_the_garbage_collector(baked):
    """The traceback has a frame, the frame has a function, and the function no longer has the exception."""
    assert baked("""
import gc, flat, importlib.machinery
loader = flat.__loader__
spec = importlib.machinery.ModuleSpec("pkg.init_raises", loader)
gc.collect(); gc.disable()
for _ in range(100):
    try: loader.create_module(spec)
    except ValueError: pass
answer = gc.collect() < 10
""") is True


# --- The functions of kiln.h --------------------------------------------------------------------

SYMBOLS = ["sym", "pkg.a_b", "extpkg.__init__"]
ENTRIES = r"""
static PyObject *init_api(void);
static struct PyModuleDef zero_def = {PyModuleDef_HEAD_INIT, "zero", "zero", 0, NULL, NULL, 0, 0, 0};
static PyObject *init_zero(void) { return PyModule_Create(&zero_def); }
static struct _inittab entries[] = {
    {"api", init_api}, {"many", init_multi}, {"null", init_null}, {"raises", init_raises}, {"unreported", init_unreported},
    {"bad_exec", init_bad_exec}, {"zero", init_zero}, {"single", init_single}, {"other", init_other}, {NULL, NULL}};
"""


@pytest.fixture(scope="module")
def prepared(bakery, tmp_path_factory):
    """Functions that run code in a program with a callback and symbols, and in one with a hashed inittab."""
    asked, hashed = (tmp_path_factory.mktemp(name) for name in ("asked", "hashed"))
    site = make_packages(asked)
    symbols = [bakery.compile(MULTI_PHASE, "-fvisibility=default", f'-DINIT=kiln_init_{name.replace("_", "__").replace(".", "_d")}')
               for name in SYMBOLS]
    asks = """(PyImport_AppendInittab("api", init_api), Kiln_Install(&kiln_table), Kiln_SetLookup(lookup, &pair_a),
               Kiln_LookupSymbols(NULL, 0))"""
    hashes = "PyImport_ExtendInittab(entries) < 0 ? -3 : Kiln_HashInittab()"
    return {"asked": asker(host(bakery, asked, LOOKUP, asks, more=[*symbols, "-rdynamic"], more_methods=LOOKUP_METHODS), site),
            "hashed": asker(host(bakery, hashed, ENTRIES, hashes), site)}


INITS = ["multi", "single", "null", "raises", "unreported", "other", "bad_exec", "nothing"]
LOADS = [f"api.load('pkg.made', {init!r})" for init in INITS]
IMPORTS = [f"import {name}" for name in (
    # Of the callback, of the symbols, and of nobody.
    "called", "pkg.called", "größe", "callpkg.inner", "hook", "raises", "both", "flags", "init_single", "init_null", "init_raises",
    "init_unreported", "init_other", "init_bad_exec", "sym", "pkg.a_b", "extpkg", "absent")]
BUILTINS = [f"import {name}" for name in ("many", "zero", "single", "null", "raises", "unreported", "bad_exec", "other", "absent")]


@pytest.mark.parametrize("how, statement", [
    *(("asked", statement) for statement in [
        *LOADS, "api.load('absent.made', 'multi')", "api.load('', 'multi')", r"api.load_bytes(b'\xff')", "api.load(None, 'multi')",
        "api.load('größe', 'single')", *IMPORTS]),
    *(("hashed", statement) for statement in [
        *LOADS, *BUILTINS, "_imp.is_builtin('single')", "_imp.is_builtin('absent')", "_imp.is_builtin(3)",
        "_imp.create_builtin(None)", "'single' in sys.builtin_module_names", "3 in sys.builtin_module_names"]),
])
def test_what_the_functions_of_kiln_find_leaves_nothing(how, statement, prepared):
    grown = prepared[how](COUNT + f"""
import _imp, api, pkg
before = set(sys.modules)
def again():
    for _ in range(1000):
        try: {statement}
        except Exception: pass
        for name in set(sys.modules) - before: del sys.modules[name]
answer = grow(again)
""")
    assert max(grown) < LIMIT


# --- Export hooks -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def exported(bakery, tmp_path_factory):
    """A Runner of an executable with the modules of protocols.py that have export hooks."""
    if bakery.version < (3, 15):
        pytest.skip("no PEP 793 before Python 3.15")
    directory = tmp_path_factory.mktemp("exported")
    site = directory / "site"
    (site / "proto").mkdir(parents=True)
    (site / "proto" / "__init__.py").touch()
    (site / "proto" / "x_pack").mkdir()
    return Runner(bakery.bake(directory / "app", protocols.FROM_3_15), site)


@pytest.mark.parametrize("name", [name for name in protocols.FROM_3_15 if name != "proto.z_unreported"])
def test_importing_by_an_export_hook_leaves_nothing(name, exported):
    assert max(exported(COUNT + f"names = [{name!r}]\nanswer = grow(again, 1000)")) < LIMIT


# --- Version skew -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def skewed(kiln, python, tmp_path_factory):
    """A Runner of an executable with a module in a package and one in none, where other versions are installed, without
    their files."""
    directory = tmp_path_factory.mktemp("skewed")
    site, output = directory / "site", directory / "app"
    files = [extension(site, name, python) for name in ("alpha._a", "top")]
    write_metadata(site, "alpha-1.0.dist-info", "alpha", "1.0", files[:1])
    write_metadata(site, "top-1.0.dist-info", "top", "1.0", files[1:])
    kiln("link", "--from", "objects", "--python", python, "-o", output, site)
    for file in files:
        file.unlink()
    for name in ("alpha", "top"):
        replace_version(site, f"{name}-1.0.dist-info", f"{name}-1.1.dist-info", "1.1")
    return Runner(output, site)


@pytest.mark.parametrize("name", ["alpha._a", "top"])
def test_error_of_another_version_leaves_nothing(name, skewed):
    grown, error = skewed(COUNT + f"""
names = [{name!r}]
grown = grow(again, 1000)
try: import {name}
except ImportError as e: answer = [grown, str(e)]
""")
    assert "1.1" in error and max(grown) < LIMIT
