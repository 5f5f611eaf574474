"""Interpreters that do not wait for one another: what belongs to the process is theirs at the same time."""

import pytest

from runner import Runner
from sources import GOOD

PARALLEL = """
import importlib, sys, threading, types, pkg
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def in_interpreters(*codes, own=None):
    '''Run each of CODES in an interpreter of its own, while OWN runs in this one. What went wrong.'''
    ids, wrong = [interpreters.create() for _ in codes], []
    def run(id, code):
        try:
            failed = interpreters.run_string(id, "import sys, importlib\\n" + code)
        except Exception as error: # 3.12
            failed = types.SimpleNamespace(formatted=str(error))
        if failed is not None: wrong.append(failed.formatted)
    threads = [threading.Thread(target=run, args=pair) for pair in zip(ids, codes)]
    for thread in threads: thread.start()
    while own is not None and any(thread.is_alive() for thread in threads): own()
    for thread in threads: thread.join()
    for id in ids: interpreters.destroy(id)
    return wrong
"""


@pytest.fixture
def parallel(baked, bakery):
    """A function that runs Python code in `baked`, with in_interpreters() at hand."""
    if bakery.version < (3, 12):
        pytest.skip("this Python has no interpreters with a GIL of their own")
    return lambda code, **env: baked(PARALLEL + code, **env)


def test_name_that_another_interpreter_is_creating_is_no_built_in_module(parallel):
    """It is in the inittab for that moment."""
    assert parallel("""
def again():
    importlib.import_module("pkg.multi")
    del sys.modules["pkg.multi"]
answer = in_interpreters('''
import _imp, types
spec = types.SimpleNamespace(name="pkg.multi")
for _ in range(150000):
    try:
        module = _imp.create_builtin(spec)
    except ImportError as error:
        assert error.name == "pkg.multi", error
    else:
        assert module is None, module
''', own=again)
""", KILN_FAST="0") == []


def test_single_phase_module_is_refused_by_all_interpreters_at_once_and_keeps_its_name(parallel):
    """Its definition is the process's, and has the whole name while the module is made."""
    code = '''
for _ in range(3000):
    try:
        importlib.import_module("pkg.static")
    except ImportError as error:
        assert error.name in (None, "pkg.static"), error
    else:
        raise AssertionError("not refused")
'''
    assert parallel(f"""
def again():
    assert importlib.import_module("pkg.static").__name__ == "pkg.static"
    del sys.modules["pkg.static"]
answer = in_interpreters({code!r}, {code!r}, own=again)
""") == []


def test_modules_are_imported_in_interpreters_that_come_and_go(parallel):
    code = '''
for _ in range(20):
    for name in ("pkg.multi", "flat", "extpkg", "first._speedups", "second._speedups", "pkg.größe", "kiln"):
        module = importlib.import_module(name)
        assert module.__name__ == name, (module, name)
        del sys.modules[name]
'''
    assert parallel(f"""
answer = []
for _ in range(8):
    answer += in_interpreters({code!r}, {code!r}, {code!r}, own=lambda: importlib.import_module("pkg.zero"))
""") == []


def test_hashed_inittab_is_read_by_interpreters_while_others_start(parallel, bakery, shared, tmp_path):
    """It is filled before there is a second one."""
    main = r"""
#include <Python.h>
#include <kiln/kiln.h>
static PyModuleDef_Slot slots[] = {{Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED}, {0, NULL}};
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "late", NULL, 0, NULL, slots, 0, 0, 0};
static PyObject *init(void) { return PyModuleDef_Init(&def); }
int main(int argc, char **argv) {
    if (Kiln_HashInittab() < 0 || PyImport_AppendInittab("late", init) < 0) return 2;
    return Kiln_Main(argc, argv);
}
"""
    code = "\nfor _ in range(500):\n    import late, _symtable\n    del sys.modules['late'], sys.modules['_symtable']\n"
    answer = Runner(bakery.bake(tmp_path / "app", {"pkg.multi": GOOD["pkg.multi"]}, main=main), shared.site)(PARALLEL + f"""
answer = in_interpreters({code!r}, {code!r}, own=lambda: interpreters.destroy(interpreters.create()))
""")
    assert answer == []
