"""Programs that initialise Python in a way of their own, with baked modules through Kiln_Install()."""

import os
import re
import shutil

import pytest

from bakery import Bakery
from conftest import require_libpython, run
from extensions import ask
from runner import make_packages
from sources import multi, single

MODULES = {"flat": multi("PyInit_flat"), "pkg.multi": multi("PyInit_multi"), "pkg.static": single("PyInit_static", -1)}

PROGRAM = r"""
#include <Python.h>
#include <kiln/kiln.h>
#include <pthread.h>
#include <string.h>
#define CHECK(condition) do { if (!(condition)) { \
    fprintf(stderr, "%d: %s\n", __LINE__, #condition); if (Py_IsInitialized() && PyErr_Occurred()) PyErr_Print(); exit(1); } } while (0)
#define IMPORTS "import flat, pkg.multi, pkg.static; assert flat.value() == pkg.multi.value() == 'multi-phase'\n" \
                "assert pkg.static.__name__ == 'pkg.static'\n"
static PyModuleDef_Slot extra_slots[] = {{0, NULL}};
static struct PyModuleDef extra = {PyModuleDef_HEAD_INIT, "extra", NULL, 0, NULL, extra_slots, NULL, NULL, NULL};
__attribute__((unused)) static PyObject *make_extra(void) { return PyModuleDef_Init(&extra); }
__attribute__((unused)) static void imports(void) { CHECK(PyRun_SimpleString(IMPORTS) == 0); }
TOP
int main(int argc, char **argv) { BODY }
"""


@pytest.fixture(scope="module", params=["static", "shared"])
def embedded(request, bakery, python, tmp_path_factory):
    """A function that builds and runs a program with BODY as its main()."""
    require_libpython(bakery, request.param)

    def call(body, *args, top="", more=(), **env):
        directory = tmp_path_factory.mktemp("embedding")
        site = make_packages(directory)
        program = bakery.bake(directory / "program", MODULES, request.param, more=more,
                              main=PROGRAM.replace("TOP", top).replace("BODY", body))
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "PYTHONHOME": str(python.parent.parent), **env,
               **{key: value for key, value in os.environ.items() if key.startswith(("KILN_", "ASAN_", "UBSAN_"))}}
        return run(program, *args, env=env).stdout
    return call


def test_main_of_python_behind_a_main_of_ones_own(embedded):
    assert embedded("CHECK(Kiln_Install(&kiln_table) == 0); return Py_BytesMain(argc, argv);",
                    "-c", "import flat, sys; print(flat.value(), sys.argv)", "x") == "multi-phase ['-c', 'x']\n"


def test_isolated_configuration_without_site(embedded, python):
    embedded(r"""
    CHECK(Kiln_Install(&kiln_table) == 0);
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    CHECK(!PyStatus_Exception(PyConfig_SetBytesString(&config, &config.home, getenv("PYTHONHOME"))));
    CHECK(!PyStatus_Exception(Py_InitializeFromConfig(&config)));
    PyConfig_Clear(&config);
    CHECK(PyRun_SimpleString("import flat, sys; assert sys.flags.isolated and flat.value() == 'multi-phase'\n") == 0);
    return Py_FinalizeEx();
    """)


def test_functions_of_the_c_api_import(embedded):
    embedded(r"""
    CHECK(Kiln_Install(&kiln_table) == 0);
    Py_Initialize();
    PyObject *m = PyImport_ImportModule("pkg.multi"), *name = PyUnicode_FromString("pkg.multi");
    CHECK(m != NULL && strcmp(PyModule_GetName(m), "pkg.multi") == 0);
    CHECK(PyImport_Import(name) == m && PyImport_GetModule(name) == m && PyImport_AddModule("pkg.multi") == m);
    CHECK(PyImport_ReloadModule(m) == m);
    CHECK(PyImport_ImportModuleLevel("pkg.multi", NULL, NULL, NULL, 0) == PyImport_AddModule("pkg"));
    CHECK(PyImport_ImportModule("pkg.nope") == NULL && PyErr_ExceptionMatches(PyExc_ImportError));
    PyErr_Clear();
    return Py_FinalizeEx();
    """)


EXTRA = r"""CHECK(PyRun_SimpleString("import extra, sys; assert 'extra' in sys.builtin_module_names\n" IMPORTS) == 0);"""


@pytest.mark.parametrize("before", [True, False])
def test_inittab_may_be_appended_to_before_and_after(before, embedded):
    calls = ['CHECK(PyImport_AppendInittab("extra", make_extra) == 0);', "CHECK(Kiln_Install(&kiln_table) == 0);"]
    embedded("".join(calls if before else calls[::-1]) + "Py_Initialize();" + EXTRA + "return Py_FinalizeEx();")


def test_inittab_may_be_extended_afterwards_and_install_called_again(embedded):
    embedded(r"""
    struct _inittab more[] = {{"extra", make_extra}, {"another", make_extra}, {0}};
    CHECK(Kiln_Install(&kiln_table) == 0);
    CHECK(PyImport_ExtendInittab(more) == 0);
    CHECK(Kiln_Install(&kiln_table) == 0);
    Py_Initialize();""" + EXTRA + """
    CHECK(PyRun_SimpleString("import sys; assert sys.builtin_module_names.count('_kiln') == 1") == 0);
    return Py_FinalizeEx();""")


def test_baked_module_wins_over_one_of_its_name_in_the_inittab(embedded):
    embedded(r"""
    CHECK(PyImport_AppendInittab("flat", make_extra) == 0);
    CHECK(Kiln_Install(&kiln_table) == 0);
    Py_Initialize();
    imports();
    return Py_FinalizeEx();""")


def test_python_may_be_initialised_in_another_thread_than_the_first(embedded):
    embedded(r"""
    pthread_t thread;
    CHECK(Kiln_Install(&kiln_table) == 0);
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    pthread_join(thread, NULL);
    return 0;""", top=r"""
    static void *work(void *arg) { Py_Initialize(); imports(); CHECK(Py_FinalizeEx() == 0); return arg; }
    """)


def test_threads_that_python_did_not_make_import(embedded):
    embedded(r"""
    pthread_t threads[8];
    CHECK(Kiln_Install(&kiln_table) == 0);
    Py_Initialize();
    PyThreadState *saved = PyEval_SaveThread();
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    PyEval_RestoreThread(saved);
    return Py_FinalizeEx();""", top=r"""
    static void *work(void *arg) {
        for (int i = 0; i < 20; i++) {
            PyGILState_STATE state = PyGILState_Ensure();
            imports();
            CHECK(PyRun_SimpleString("import sys; [sys.modules.pop(n, None) for n in ('flat', 'pkg.multi')]") == 0);
            PyGILState_Release(state);
        }
        return arg;
    }""")


def test_python_is_initialised_and_finalised_many_times(embedded):
    embedded(r"""
    for (int i = 0; i < 10; i++) {
        CHECK(Kiln_Install(&kiln_table) == 0);
        Py_InitializeEx(0);
        imports();
        PyThreadState *main_state = PyThreadState_Get(), *other = Py_NewInterpreter();
        CHECK(other != NULL);
        imports();
        Py_EndInterpreter(other);
        PyThreadState_Swap(main_state);
        CHECK(Py_FinalizeEx() == 0);
    }
    return 0;""")


def test_table_may_be_another_one_the_next_time(bakery, embedded, tmp_path):
    other = {"fresh": multi("PyInit_fresh", "fresh")}
    compiled, symbol = bakery.compile_module("fresh", other["fresh"])
    table = tmp_path / "table.o"
    run("objcopy", "--redefine-sym", "kiln_table=fresh_table", bakery.table(other, {"fresh": symbol}), table)
    embedded(r"""
    CHECK(Kiln_Install(&kiln_table) == 0);
    Py_Initialize();
    imports();
    CHECK(Py_FinalizeEx() == 0);
    CHECK(Kiln_Install(&fresh_table) == 0);
    Py_Initialize();
    CHECK(PyRun_SimpleString("import fresh, importlib.util; assert fresh.value() == 'fresh'\n"
                             "assert importlib.util.find_spec('flat') is None") == 0);
    return Py_FinalizeEx();""", top='extern const struct kiln_table fresh_table __attribute__((visibility("hidden")));',
             more=[compiled, table])


SHOW = r"""
extern struct PyModuleDef kiln_importer_module, kiln_public_module;
static void show(const struct PyModuleDef *def) {
    printf("%s", def->m_name);
    for (const PyModuleDef_Slot *slot = def->m_slots; slot->slot != 0; slot++) {
#ifdef Py_mod_multiple_interpreters
        if (slot->slot == Py_mod_multiple_interpreters)
            printf(" interpreters=%d", slot->value == Py_MOD_PER_INTERPRETER_GIL_SUPPORTED);
#endif
#ifdef Py_mod_gil
        if (slot->slot == Py_mod_gil) printf(" gil=%d", slot->value == Py_MOD_GIL_NOT_USED);
#endif
    }
    puts("");
}
"""


def test_kilns_own_modules_declare_that_they_work_in_every_interpreter_and_without_a_gil(embedded, bakery):
    if bakery.version < (3, 12):
        pytest.skip("this Python has no slots to declare it")
    declared = " interpreters=1" + (" gil=1" if bakery.version >= (3, 13) else "")
    assert embedded("show(&kiln_importer_module); show(&kiln_public_module); return 0;", top=SHOW) == (
        f"_kiln{declared}\nkiln{declared}\n")


# --- The wrong libkiln.a ---

@pytest.mark.parametrize("main", [None, """
#include <Python.h>
#include <kiln/kiln.h>
#include <kiln/table.h>
int main(void) {
    int results[] = {Kiln_Install(&kiln_table), Kiln_LookupSymbols(NULL, 0), Kiln_HashInittab()};
    for (int i = 0; i < 3; i++) puts(Kiln_GetInstallError(results[i]));
    return 1;
}
"""], ids=["launcher", "functions"])
@pytest.mark.parametrize("change", [("PY_MINOR_VERSION", "99"), ("PY_MINOR_VERSION", "1"), ("PY_MAJOR_VERSION", "4")])
def test_a_runtime_for_another_python_says_so(change, main, bakery, python, store, tmp_path):
    headers = tmp_path / "headers"
    shutil.copytree(bakery.config["include"], headers)
    name, number = change
    text = (headers / "patchlevel.h").read_text()
    # With another PY_VERSION_HEX, Kiln and CPython's headers would want what these headers have not.
    text = re.sub(r"(#define PY_VERSION_HEX\b)(.*\\\n)*.*", rf"\1 {ask(python, 'import sys; answer = sys.hexversion')}", text)
    (headers / "patchlevel.h").write_text(re.sub(rf"(#define {name}\s+)\d+", rf"\g<1>{number}", text))
    other = Bakery(python, store, more=[f"-I{headers}"])
    program = other.bake(tmp_path / "program", MODULES, main=main)
    result = run(program, "-c", "pass", check=False)
    version = f"{number}.{bakery.version[1]}" if name == "PY_MAJOR_VERSION" else f"3.{number}"
    assert result.returncode == 1
    assert (result.stdout + result.stderr).count(f"libkiln.a was compiled for Python {version}, and the program runs another") == (3 if main else 1)
