"""Kiln_CreateModuleFromInitfunc() and Kiln_Install(), called as an embedder's C code calls them."""

import json
import re

import pytest

from conftest import run
from bakery import MORE_CFLAGS, Module
from sources import API, SINGLE_PHASE, multi, single

pytestmark = pytest.mark.usefixtures("fast_path")

MODULES = {"api": Module(API, "-DINIT=PyInit_api")}


@pytest.fixture(scope="module")
def app(bakery, tmp_path_factory):
    """An executable whose module `api` hands the functions of kiln.h to Python."""
    directory = tmp_path_factory.mktemp("api")
    return bakery.bake(directory / "app", MODULES)


def ask(program, code, *options, **kwargs):
    code = "from importlib.machinery import ModuleSpec as S\nimport sys, json\n" + code
    code += "\nprint('\\nANSWER', json.dumps(answer))"
    return json.loads(run(program, *options, "-c", code, **kwargs).stdout.rpartition("\nANSWER ")[2])


def test_multi_phase_module_is_created_but_not_executed(app):
    assert ask(app, """
import api, _imp
m = api.create(S("some.where", None))
before = hasattr(m, "executed")
_imp.exec_builtin(m)
answer = [m.__name__, before, m.executed, "some.where" in sys.modules]
""") == ["some.where", False, 1, False]


def test_single_phase_module_is_complete_and_has_the_whole_name(app):
    assert ask(app, """
import api
m = api.create_single(S("some.where.single", None))
answer = [m.__name__, sys.modules["some.where.single"] is m]
""") == ["some.where.single", True]


@pytest.mark.parametrize("name", ["zlib", "posix", "_kiln", "sys", "builtins", "_io"])
def test_name_that_is_in_the_inittab_too_means_the_init_function(name, app):
    """The module of that name is there already, or never imported: what is asked for is created."""
    assert ask(app, f"import api; m = api.create(S({name!r}, None)); answer = [m.__name__, m.__doc__]") == [name, None]


@pytest.mark.parametrize("spec, error", [
    ("None", "AttributeError"), ("S(3, None)", "TypeError"), ("S(None, None)", "TypeError"), ("S('', None)", "ValueError"),
    ("S('a\\0b', None)", "ValueError"), ("S('\\ud800', None)", "UnicodeEncodeError")])
def test_bad_spec_is_an_exception_of_the_right_type(spec, error, app):
    assert ask(app, f"""
import api
answer = []
for create in (api.create, api.create_single):
    try:
        create({spec})
    except Exception as error:
        answer.append(type(error).__name__)
""") == [error] * 2


def test_foreign_spec_is_good_enough(app):
    assert ask(app, """
import api, types
answer = api.create(types.SimpleNamespace(name="foreign")).__name__
""") == "foreign"


def test_init_function_that_returns_null_is_a_system_error_each_time(app):
    assert ask(app, """
import api
answer = []
for create in (api.create_null, api.create_nothing, api.create_null):
    try:
        create(S("pkg.nothing", None))
    except SystemError as error:
        answer.append(str(error).rpartition(": ")[2])
answer.append([name for name in sys.modules if "nothing" in name])
""") == ["initialization of nothing failed without raising an exception", "bad argument to internal function",
         "initialization of nothing failed without raising an exception", []]


@pytest.mark.parametrize("size", [3999, 4000, 4001, 100_000])
def test_multi_phase_module_may_have_a_name_of_any_length(size, app):
    assert ask(app, f"import api; answer = len(api.create(S('x' * {size}, None)).__name__)") == size


@pytest.mark.parametrize("name", ["x" * 4000, "x" * 4001, "x" * 100_000, "zlib", "sys", "_io", "posix"])
def test_single_phase_module_may_have_any_ascii_name(name, app, bakery):
    """A long one, one that is built in: registered like any other."""
    if bakery.config.get("Py_GIL_DISABLED"):
        pytest.skip("nothing but CPython's loader can turn the GIL on: test_free_threaded.py has what happens then")
    assert ask(app, f"""
import api
name = {name!r}
m = api.create_single(S(name, None))
answer = [m.__name__ == "single", sys.modules[name] is m, m.__doc__]
""") == [True, True, None]


def test_single_phase_module_cannot_have_a_name_that_is_not_ascii(app):
    assert ask(app, """
import api
try:
    api.create_single(S("größe", None))
except SystemError as error:
    answer = [str(error), "größe" in sys.modules]
""") == ["initialization of gre_6ka8i did not return PyModuleDef", False]


def test_slot_is_free_again_when_the_garbage_collector_imports_in_between(app):
    """A spec whose name is a property runs Python code; so does a finaliser at any allocation."""
    assert ask(app, """
import api, gc
class Garbage:
    def __init__(self): self.me = self
    def __del__(self): made.append(api.create(S("made.by.finaliser", None)).__name__)
made, wrong = [], []
gc.set_threshold(1)
for i in range(300):
    Garbage()
    if api.create(S("made.by.loop", None)).__name__ != "made.by.loop": wrong.append(i)
    if api.create_single(S(f"a{i}.single", None)).__name__ != f"a{i}.single": wrong.append(i)
gc.set_threshold(700)
answer = [set(made) == {"made.by.finaliser"}, wrong]
""") == [True, []]


@pytest.mark.parametrize("lock", ["slot", "name"])
def test_child_that_is_forked_while_another_thread_is_creating_a_module_creates_its_own(lock, app):
    """The thread, which the child does not have, holds a lock of Kiln's: that of the slot while CPython asks for the name,
    or that of the name while CPython warns that the module is made for another version."""
    assert ask(app, f"""
import api, os, signal, threading, warnings
inside, go_on = threading.Event(), threading.Event()
def wait(*args, **kwargs):
    inside.set()
    go_on.wait()
class Spec:
    asked = 0
    @property
    def name(self):
        self.asked += 1
        if {lock!r} == "slot" and self.asked == 2: wait()
        return "made.by.thread." + create.__name__.rpartition("_")[2]
warnings.showwarning = wait
warnings.simplefilter("ignore")
warnings.simplefilter("always", RuntimeWarning)
made = []
create = {{"slot": api.create_single, "name": api.create_warning}}[{lock!r}]
thread = threading.Thread(target=lambda: made.append(create(Spec()).__name__))
thread.start()
inside.wait()
pid = api.fork()
if pid == 0:
    signal.alarm(60)
    names = [api.create_single(S("child.single", None)).__name__, api.create(S("child.multi", None)).__name__]
    os._exit(7 if names == ["child.single", "child.multi"] else 1)
status = os.waitpid(pid, 0)[1]
go_on.set()
thread.join()
answer = [os.WIFSIGNALED(status) and os.WTERMSIG(status), os.WEXITSTATUS(status), made]
""") == [False, 7, ["made.by.thread." + ("single" if lock == "slot" else "warning")]]


EXPORT_HOOK = r"""
#include <Python.h>
static int exec(PyObject *m) { return PyModule_AddIntConstant(m, "executed", 1); }
#if PY_VERSION_HEX >= 0x030f0000
PyABIInfo_VAR(abi);
static PySlot slots[] = {PySlot_STATIC_DATA(Py_mod_abi, &abi), PySlot_FUNC(Py_mod_exec, exec), PySlot_END};
#else
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
#endif
void *PyModExport_hook(void); void *PyModExport_hook(void) { return slots; }
"""


# Two stacks of one thread, as greenlets have them: the init function of each module goes on with the other stack.
STACKS = r"""
#include <Python.h>
#include <kiln/kiln.h>
#include <ucontext.h>
/* What isolating makes of it. */
#undef PyModule_Create
#define PyModule_Create(def) kiln_PyModule_Create2(def, PYTHON_API_VERSION)
PyObject *kiln_PyModule_Create2(struct PyModuleDef *, int);
static ucontext_t here, stacks[2];
static int current;
static PyObject *modules[2];
static void change(void) { int from = current; current = !from; swapcontext(&stacks[from], &stacks[current]); }
static struct PyModuleDef defs[2] = {{PyModuleDef_HEAD_INIT, "a", NULL, -1, NULL, NULL, 0, 0, 0},
                                     {PyModuleDef_HEAD_INIT, "b", NULL, -1, NULL, NULL, 0, 0, 0}};
static PyObject *init_a(void) { PyObject *m = PyModule_Create(&defs[0]); change(); return m; }
static PyObject *init_b(void) { PyObject *m = PyModule_Create(&defs[1]); change(); return m; }
static PyObject *create(const char *name, Kiln_InitFunction init) {
    PyObject *machinery = PyImport_ImportModule("importlib.machinery");
    PyObject *spec = PyObject_CallMethod(machinery, "ModuleSpec", "sO", name, Py_None);
    PyObject *module = Kiln_CreateModuleFromInitfunc(spec, init);
    Py_DECREF(machinery);
    Py_DECREF(spec);
    return module;
}
static void run_a(void) { modules[0] = create("pkg.a", init_a); change(); }
static void run_b(void) { modules[1] = create("pkg.b", init_b); current = 0; setcontext(&here); }
static PyObject *init_c(void) {
    static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "c", NULL, -1, NULL, NULL, 0, 0, 0};
    return PyModule_Create(&def);
}
static int say(PyObject *module) {
    if (module == NULL) { PyErr_Print(); return 1; }
    puts(PyModule_GetName(module));
    return 0;
}
int main(void) {
    static void (*const functions[])(void) = {run_a, run_b};
    char memory[2][1 << 17]; /* in this one, as CPython looks how far down a stack is */
    volatile int been = 0;
    Kiln_Install(&kiln_table);
    Py_Initialize();
    Py_XDECREF(PyImport_ImportModule("importlib.machinery"));
    for (int i = 0; i < 2; i++) {
        getcontext(&stacks[i]);
        stacks[i].uc_stack.ss_sp = memory[i];
        stacks[i].uc_stack.ss_size = sizeof memory[i];
        makecontext(&stacks[i], functions[i], 0);
    }
    getcontext(&here);
    if (!been) { been = 1; setcontext(&stacks[0]); }
    memset(memory, 0x5a, sizeof memory);
    int failed = say(modules[0]) | say(modules[1]) | say(create("pkg.c", init_c));
    return failed | Py_FinalizeEx();
}
"""


def test_init_functions_may_end_in_another_order_than_they_began(bakery, tmp_path):
    if "-fsanitize" in " ".join(MORE_CFLAGS):
        pytest.skip("the sanitizers know of one stack a thread")
    program = bakery.bake(tmp_path / "app", MODULES, main=STACKS)
    assert run(program, timeout=60).stdout == "pkg.a\npkg.b\npkg.c\n"


def test_export_hook_makes_the_module_or_says_which_python_it_needs(bakery, tmp_path):
    app = bakery.bake(tmp_path / "app", {"pkg_hook": Module(EXPORT_HOOK, init="PyModExport_hook")})
    answer = ask(app, """
try:
    import pkg_hook
    answer = [pkg_hook.__name__, pkg_hook.executed]
except ImportError as error:
    answer = [str(error), error.name, "pkg_hook" in sys.modules]
""")
    assert answer == (["pkg_hook", 1] if bakery.version >= (3, 15) else [
        "module pkg_hook has only an export hook (PEP 793), which needs Python 3.15", "pkg_hook", False])


def test_installing_while_python_runs_is_refused(app):
    assert ask(app, "import api; answer = api.install()") == -2


# --- Programs of one's own ----------------------------------------------------------------------

EMBED = r"""
#include <Python.h>
#include <kiln/kiln.h>
__attribute__((unused)) static int fail(const char *what) { fprintf(stderr, "%s\n", what); return 1; }
#include <pthread.h>
void *work(void *code);
int main(int argc, char **argv) { BODY }
"""


def embed(bakery, directory, body, modules=MODULES, more=()):
    return bakery.bake(directory / "app", modules, main=EMBED.replace("BODY", body), more=more)


def test_embedder_installs_before_it_initialises(bakery, tmp_path):
    program = embed(bakery, tmp_path, r"""
    if (Kiln_Install(&kiln_table) != 0 || Kiln_Install(&kiln_table) != 0) return fail("install");
    Py_Initialize();
    int result = PyRun_SimpleString("import api, sys; assert sys.builtin_module_names.count('_kiln') == 1");
    return Py_FinalizeEx() | result;
    """)
    run(program)


def test_python_can_be_finalised_and_initialised_again(bakery, tmp_path):
    program = embed(bakery, tmp_path, r"""
    for (int i = 0; i < 3; i++) {
        if (Kiln_Install(&kiln_table) != 0) return fail("install");
        Py_Initialize();
        if (PyRun_SimpleString("import api, flat, pkg_single, sys\n"
                               "from importlib.machinery import ModuleSpec\n"
                               "assert api.create(ModuleSpec('again', None)).__name__ == 'again'\n"
                               "assert sum('_kiln' in str(type(f)) for f in sys.meta_path) == 1\n") != 0)
            return fail("import");
        if (Py_FinalizeEx() != 0) return fail("finalize");
    }
    return 0;
    """, {**MODULES, "flat": multi("PyInit_flat"), "pkg_single": single("PyInit_pkg_single", -1)})
    run(program)


def test_without_install_creating_is_an_import_error(bakery, tmp_path):
    program = embed(bakery, tmp_path, r"""
    extern PyObject *kiln_init_617069(void);
    PyImport_AppendInittab("api", kiln_init_617069);
    Py_Initialize();
    int result = PyRun_SimpleString("import api\n"
        "from importlib.machinery import ModuleSpec\n"
        "try: api.create(ModuleSpec('x', None))\n"
        "except ImportError as error: assert 'Kiln_Install()' in str(error) and error.name == 'x', error\n"
        "else: assert False\n");
    Py_FinalizeEx();
    return result;
    """)
    run(program)


@pytest.mark.parametrize("offset", [0, 8])
def test_table_of_another_version_is_refused_and_python_goes_on_without(offset, bakery, tmp_path):
    program = embed(bakery, tmp_path, r"""
    static char damaged[4096] __attribute__((aligned(64)));
    memcpy(damaged, &kiln_table, ((const struct kiln_table_header *)&kiln_table)->size);
    damaged[OFFSET] ^= 0x40;
    int result = Kiln_Install((const struct kiln_table *)damaged);
    if (result != KILN_INSTALL_TABLE || Kiln_Install(NULL) != KILN_INSTALL_TABLE) return fail("install");
    puts(Kiln_GetInstallError(result));
    fflush(stdout);
    Py_Initialize();
    PyRun_SimpleString("try: import api\nexcept ImportError as error: print(error)");
    return Py_FinalizeEx();
    """.replace("OFFSET", str(offset)))
    assert re.fullmatch("the table of baked modules is damaged or made by another version of Kiln; .*\n"
                        "No module named 'api'\n", run(program).stdout)


def test_wrap_option_of_the_linker_does_what_isolating_does(bakery, tmp_path):
    """Objects as the compiler left them: only their init functions are told apart."""
    flags = ["-DINIT=PyInit_wrapped", "-DSIZE=-1", '-DNAME="wrapped"']
    plain = bakery.compile(SINGLE_PHASE, *flags)
    program = bakery.bake(tmp_path / "app", MODULES, more=[
        plain, "-Wl,--wrap=PyModule_Create2"], main=r"""
    #include <Python.h>
    #include <kiln/kiln.h>
    PyMODINIT_FUNC PyInit_wrapped(void);
    static PyObject *create(PyObject *m, PyObject *spec) { return Kiln_CreateModuleFromInitfunc(spec, PyInit_wrapped); }
    static PyMethodDef method = {"create", create, METH_O, NULL};
    int main(int argc, char **argv) {
        if (Kiln_Install(&kiln_table) != 0) return 1;
        Py_Initialize();
        PyObject *globals = PyModule_GetDict(PyImport_AddModule("__main__"));
        PyDict_SetItemString(globals, "create", PyCFunction_New(&method, NULL));
        return PyRun_SimpleString("from importlib.machinery import ModuleSpec as S\n"
                                  "m = create(S('deep.down.wrapped', None))\n"
                                  "assert m.__name__ == 'deep.down.wrapped', m\n"
                                  "assert m.value.__module__ == 'deep.down.wrapped'\n") | Py_FinalizeEx();
    }
    """)
    run(program)


def test_interpreters_with_their_own_gil_create_modules_at_the_same_time(bakery, tmp_path):
    if bakery.version < (3, 12):
        pytest.skip("this Python has no interpreters with a GIL of their own")
    program = embed(bakery, tmp_path, r"""
    #define CODE "import sys, importlib\n" \
                 "for i in range(300):\n" \
                 "    for name in ('flat', 'other', 'third'):\n" \
                 "        m = importlib.import_module(name)\n" \
                 "        assert m.value() == name, (m.value(), name)\n" \
                 "        assert m.__name__ == name, (m, name)\n" \
                 "        del sys.modules[name]\n"
    Kiln_Install(&kiln_table);
    Py_Initialize();
    PyThreadState *saved = PyEval_SaveThread();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, CODE);
    int result = 0;
    for (int i = 0; i < 4; i++) { void *one; pthread_join(threads[i], &one); result |= one != NULL; }
    PyEval_RestoreThread(saved);
    return Py_FinalizeEx() | result;
}
void *work(void *code) {
    PyInterpreterConfig config = {.check_multi_interp_extensions = 1, .gil = PyInterpreterConfig_OWN_GIL};
    PyThreadState *state;
    static pthread_mutex_t start = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&start);
    PyStatus status = Py_NewInterpreterFromConfig(&state, &config);
    pthread_mutex_unlock(&start);
    if (PyStatus_Exception(status)) return "no interpreter";
    int result = PyRun_SimpleString(code);
    state = PyEval_SaveThread();
    pthread_mutex_lock(&start);
    PyEval_RestoreThread(state);
    Py_EndInterpreter(state);
    pthread_mutex_unlock(&start);
    return result == 0 ? NULL : "failed";
    """,
        {name: multi(f"PyInit_{name}", name) for name in ("flat", "other", "third")})
    run(program)
