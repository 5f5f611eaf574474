"""Every way an extension module may be initialised: baked it imports, is imported again, is reloaded and fails as
it does as a shared library of the same source under the stock interpreter. The docstrings are the rows of
docs/protocols.md."""

import json
import re
import shutil

import pytest

import protocols
from conftest import require_libpython
from extensions import MULTI_PHASE, extension
from protocols import (EXPORT_FAILED, EXPORT_OBJECTS, EXPORTS, FAILED, HABITS, MULTI, NAMES, OBJECTS, PACKAGES, REFUSED,
                       SHIMS, SINGLE, TOKENS, UNICODE, UNICODE_PACKAGE, UNICODE_SINGLE)
from runner import Runner, Stock

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.fixture(scope="module", params=["static", "shared"])
def kind(request, bakery):
    require_libpython(bakery, request.param)
    return request.param


def make_site(directory, bakery):
    """A directory for PYTHONPATH with the packages that are not extensions themselves."""
    site = directory / "site"
    modules = protocols.all_modules(bakery.version)
    parents = {name.rpartition(".")[0] for name in modules} - {""}
    for parent in parents - {name for name, module in modules.items() if module.package}:
        (site / parent).mkdir(parents=True)
        (site / parent / "__init__.py").touch()
    for name, module in modules.items():
        if module.package:
            site.joinpath(*name.split(".")).mkdir()
    return site


@pytest.fixture(scope="module")
def baked(kind, bakery, tmp_path_factory):
    """A Runner of an executable with all modules of protocols.py inside."""
    directory = tmp_path_factory.mktemp(f"protocols-{kind}")
    return Runner(bakery.bake(directory / "app", protocols.all_modules(bakery.version), kind), make_site(directory, bakery))


@pytest.fixture(scope="session")
def shared(bakery, python, tmp_path_factory):
    """A Runner of the Python under test with the same modules as shared libraries."""
    site = make_site(tmp_path_factory.mktemp("protocols-files"), bakery)
    for name, module in protocols.all_modules(bakery.version).items():
        bakery.share(site, name, module)
    return Stock(python, site)


@pytest.fixture
def needs_export(bakery):
    if bakery.version < (3, 15):
        pytest.skip("no PEP 793 before Python 3.15")


# One module's life: what can be seen of it at its first import, its second, after it was dropped, after a reload.
# Names are apart, as CPython before 3.12 forgets the package of a single-phase module that it creates again.
LIFE = """
import gc, importlib, sys
names = []
def see(module):
    seen = {"type": type(module).__name__, "in_modules": sys.modules.get(name) is module}
    if not isinstance(module, type(sys)):
        return {**seen, "asked": module.asked}
    names.append(module.__name__)
    for key, value in sorted(vars(module).items()):
        if isinstance(value, type(len)):
            try:
                value = value()
            except Exception as error:
                value = repr(error)
        if isinstance(value, (int, str, list)) and key not in ("__name__", "__file__", "__path__"):
            seen[key] = value
    return seen
def attempt(action, *args):
    try:
        module = action(*args)
    except BaseException as error:
        cause = error.__cause__
        return None, [type(error).__name__, str(error), getattr(error, "name", None), repr(cause), name in sys.modules]
    return module, see(module)
def live(name):
    globals()["name"] = name
    first, seen = attempt(importlib.import_module, name)
    answer = [seen]
    try:
        first.mark = 1
    except AttributeError:
        pass
    again, seen = attempt(importlib.import_module, name)
    answer += [seen, again is first]
    del again
    sys.modules.pop(name, None)
    third, seen = attempt(importlib.import_module, name)
    answer += [seen, third is first, hasattr(third, "mark")]
    del first
    gc.collect()
    if isinstance(third, type(sys)):
        third.mark = 2
        reloaded, seen = attempt(importlib.reload, third)
        answer += [seen, reloaded is third, hasattr(reloaded, "mark")]
    return answer
"""


# Each module in a child of its own, as what one leaves behind is not to reach the next.
LIVES = LIFE + """
import json, os
answer = {}
for name in %r:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with open(write, "w") as out:
            json.dump([live(name), names], out)
        os._exit(0)
    os.close(write)
    with open(read) as out:
        said = out.read()
    status = os.waitpid(child, 0)[1]
    assert status == 0, (name, status)
    answer[name] = json.loads(said)
"""


def live(runner, names):
    """What became of each of NAMES, and under which names the module was seen."""
    answer = runner(LIVES % sorted(names))
    return json.loads(json.dumps(answer).replace(str(runner.site), "SITE"))


def same_lives(baked, shared, names):
    """The lives of NAMES, the same in both. Baked modules always have the whole name."""
    ours, theirs = live(baked, names), live(shared, names)
    assert {name: life for name, (life, _) in ours.items()} == {name: life for name, (life, _) in theirs.items()}
    for name in names:
        assert len(ours[name][1]) == len(theirs[name][1])
        for own, other in zip(ours[name][1], theirs[name][1]):
            assert own == other or (own == name and other == name.rpartition(".")[2])
    return {name: life for name, (life, _) in ours.items()}


def errors(lives):
    return {name: (life[0][0], life[0][1]) for name, life in lives.items()}


# --- Multi-phase initialisation -----------------------------------------------------------------

def test_multi_phase(baked, shared):
    """Multi-phase (PEP 489): exec slots in order, module state, every other slot, no slot"""
    lives = same_lives(baked, shared, MULTI)
    first, again, same, third, *_ = lives["proto.m_full"]
    assert (first["first"], first["second"], first["count"], first["freed"]) == (1, 1, 1, 0)
    assert same and again == {**first, "mark": 1} and third == first


def test_multi_phase_create_slot_returns_no_module(baked, shared):
    """Multi-phase: `Py_mod_create` returns an object that is no module"""
    lives = same_lives(baked, shared, OBJECTS)
    assert lives["proto.o_object"][0] == {"type": "SimpleNamespace", "in_modules": True, "asked": "proto.o_object"}
    assert "did not create a ModuleType instance" in lives["proto.o_executes"][0][1]
    assert "requests module state" in lives["proto.o_state"][0][1]


def test_multi_phase_definition_is_refused(baked, shared):
    """Multi-phase: a create slot that fails, slots that CPython refuses"""
    assert errors(same_lives(baked, shared, REFUSED))["proto.r_create_raises"] == ("ValueError", "no luck")


def test_multi_phase_exec_slot_fails(baked, shared):
    """Multi-phase: an exec slot fails, with and without an exception, and is tried again"""
    lives = same_lives(baked, shared, FAILED)
    assert errors(lives)["proto.f_second"] == ("ValueError", "no luck")
    assert all(life[0][4] is False and life[0] == life[1] for life in lives.values())


# --- Single-phase initialisation ----------------------------------------------------------------

@pytest.mark.parametrize("name, calls", [("proto.s_static", 1), ("proto.s_zero", 2), ("proto.s_state", 2), ("s_top", 2)])
def test_single_phase(name, calls, baked, shared):
    """Single-phase with `m_size` -1, 0 and positive: imported twice, dropped and imported again, reloaded"""
    first, _, same, third, _, marked, reloaded, *_ = same_lives(baked, shared, [name])[name]
    assert first["initialised"] == 1 and first["is_found"] and same
    # A module with the size -1 is not initialised again: it gets what its dictionary held at first.
    assert third["initialised"] == calls and not marked and reloaded["initialised"] >= calls


def test_single_phase_with_a_name_of_its_own(baked, shared):
    """Single-phase: the module creates itself under another name, its whole name, a name taken"""
    lives = same_lives(baked, shared, NAMES)
    assert all((life[0]["type"], life[0]["initialised"]) == ("module", 1) for life in lives.values())


def test_single_phase_habits(baked, shared):
    """Single-phase: fails at first or late, returns one object always, registers itself, makes a submodule, imports another"""
    lives = same_lives(baked, shared, HABITS)
    assert lives["proto.h_second"][0][:2] == ["ValueError", "no luck"] and lives["proto.h_second"][1]["initialised"] == 1


# --- Names, packages, several modules -----------------------------------------------------------

def test_names_that_are_not_ascii(baked, shared):
    """Names that are not ASCII (`PyInitU_`)"""
    lives = same_lives(baked, shared, UNICODE)
    assert all((life[0]["first"], life[0]["second"], life[0]["count"]) == (1, 1, 1) for life in lives.values())


def test_single_phase_with_a_name_that_is_not_ascii(baked, shared):
    """Single-phase under a name that is not ASCII: CPython's error"""
    name, message = "proto.größe1", "initialization of %s did not return PyModuleDef"
    ours, theirs = (live(runner, UNICODE_SINGLE)[name][0][0] for runner in (baked, shared))
    assert ours == ["SystemError", message % "gre1_wna1l", None, "None", False]
    # Old versions of CPython have freed the name when they print it.
    assert theirs[0] == ours[0] and re.fullmatch(message % ".*", theirs[1]) and theirs[2:] == ours[2:]


def test_package_with_a_name_that_is_not_ascii(baked, shared):
    """Modules with ASCII names in a package whose name is not"""
    lives = same_lives(baked, shared, UNICODE_PACKAGE)
    assert lives["größenwahn.single"][0]["initialised"] == lives["größenwahn.multi"][0]["count"] == 1


def test_packages(baked, shared):
    """Extensions that are packages, with submodules in extensions"""
    same_lives(baked, shared, PACKAGES)
    code = "import importlib\nm = importlib.import_module({!r})\nanswer = [m.__path__[:], m.__package__, m.__spec__.parent]"
    for name in (name for name, module in PACKAGES.items() if module.package):
        directory = str(baked.site.joinpath(*name.split(".")))
        assert baked(code.format(name)) == [[directory], name, name]


def test_one_extension_initialises_others(baked, shared):
    """One extension with the code of several, which are shims (mypyc)"""
    same_lives(baked, shared, SHIMS)
    code = "import typed.two, typed.one; answer = [typed.one.__name__, typed.one.number, typed.two.__name__, typed.two.number]"
    assert baked(code) == shared(code) == ["typed.one", 0, "typed.two", 1]


# --- PEP 793 ------------------------------------------------------------------------------------

def test_export_hook(needs_export, baked, shared):
    """`PyModExport_` (PEP 793): methods, state, name, doc, exec slots, `PyModExportU_`, a package"""
    lives = same_lives(baked, shared, EXPORTS)
    state = lives["proto.x_state"][0]
    assert (state["first"], state["second"], state["count"], state["__doc__"]) == (1, 1, 1, "The doc.")


def test_export_token(needs_export, baked, shared):
    """`PyModExport_`: the token, by default and its own, in slots of any form"""
    lives = same_lives(baked, shared, TOKENS)
    assert {name: life[0]["token"] for name, life in lives.items()} == {
        name: "own" if name.endswith("own") else "slots" for name in TOKENS}


def test_export_create_slot_returns_no_module(needs_export, baked, shared):
    """`PyModExport_`: `Py_mod_create` returns an object that is no module"""
    lives = same_lives(baked, shared, EXPORT_OBJECTS)
    assert [lives["proto.y_once"][i]["asked"] for i in (0, 1, 3)] == [1, 1, 2]


def test_export_hook_fails(needs_export, baked, shared):
    """`PyModExport_`: the hook, a slot or the definition fails"""
    # A debug build of CPython aborts by itself when a hook leaves an exception behind.
    unreported = "proto.z_unreported"
    same_lives(baked, shared, sorted(set(EXPORT_FAILED) - {unreported}))
    assert errors({unreported: live(baked, [unreported])[unreported][0]})[unreported] == (
        "SystemError", "module export hook for module 'proto.z_unreported' raised unreported exception")


# --- Through kiln-cc and kiln link --------------------------------------------------------------

BOTH = MULTI_PHASE.replace("INIT(void)", "PyInit_both(void)") + r"""
#if PY_VERSION_HEX >= 0x030f0000
PyABIInfo_VAR(abi);
static int exec(PyObject *m) { return PyModule_AddStringConstant(m, "made_by", "PyModExport"); }
static PySlot export_slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi), PySlot_FUNC(Py_mod_exec, exec), PySlot_STATIC_DATA(Py_mod_methods, methods),
    PySlot_END};
PyMODEXPORT_FUNC PyModExport_both(void) { return export_slots; }
#else
PyMODINIT_FUNC PyModExport_both(void);
PyMODINIT_FUNC PyModExport_both(void) { Py_FatalError("not for this Python"); }
#endif
"""
SEVERAL = r"""
#include <Python.h>
#define MODULE(name) \
    static PyObject *name##_value(PyObject *m, PyObject *a) { return PyUnicode_FromString(#name); } \
    static PyMethodDef name##_methods[] = {{"value", name##_value, METH_NOARGS, NULL}, {0}}; \
    static PyModuleDef_Slot name##_slots[] = {{0, NULL}}; \
    static struct PyModuleDef name##_def = {PyModuleDef_HEAD_INIT, #name, NULL, 0, name##_methods, name##_slots, 0, 0, 0}; \
    PyMODINIT_FUNC PyInit_##name(void) { return PyModuleDef_Init(&name##_def); }
MODULE(one) MODULE(two) MODULE(three)
"""


def link(kiln, python, kind, site, output):
    """A Runner of an executable with the extensions of SITE inside, without their files: nothing can come from there."""
    kiln("link", "--from", "objects", "--python", python, "--libpython", kind, "-o", output, site)
    pure = output.with_name("pure")
    shutil.copytree(site, pure, ignore=lambda _, names: [name for name in names if name.endswith(".so")])
    return Runner(output, pure)


def test_both_hooks(kind, kiln, python, bakery, tmp_path):
    """`PyInit_` and `PyModExport_` in one extension: the one that the Python prefers"""
    site = tmp_path / "site"
    extension(site, "pkg.both", python, BOTH)
    code = "import pkg.both as m; answer = [m.value(), getattr(m, 'made_by', 'PyInit')]"
    baked = link(kiln, python, kind, site, tmp_path / "app")
    expected = ["pkg.both", "PyModExport" if bakery.version >= (3, 15) else "PyInit"]
    assert baked(code) == Runner(python, site)(code) == expected


def test_file_name_picks_one_of_several(kind, kiln, python, tmp_path):
    """Several `PyInit_` in one shared object: the name of the file picks one"""
    site = tmp_path / "site"
    names = ["one", "pkg.two", "pkg.three"]
    for name in names:
        extension(site, name, python, SEVERAL)
    code = "import one, pkg.two, pkg.three\nanswer = [m.value() for m in (one, pkg.two, pkg.three)]"
    baked = link(kiln, python, kind, site, tmp_path / "app")
    assert baked(code) == Runner(python, site)(code) == ["one", "two", "three"]
    listing = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)
    assert sorted(module["name"] for module in listing["modules"]) == sorted(names)
