"""Kiln_Main(): an executable that was linked for a python starts as that python, wherever it lies."""

import json
import os
import subprocess

import pytest

from conftest import require_libpython, run
from sources import multi

MODULES = {"flat": multi("PyInit_flat")}
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}

STATE = """
import json, sys, os
print(json.dumps({key: getattr(sys, key) for key in (
    "prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "path", "executable", "flags", "argv")}))
"""


@pytest.fixture(scope="module", params=["static", "shared"])
def kind(request, bakery):
    require_libpython(bakery, request.param)
    return request.param


@pytest.fixture(scope="module")
def app(kind, bakery, python, tmp_path_factory):
    """An executable linked for the Python under test."""
    return bakery.bake(tmp_path_factory.mktemp(f"far-{kind}") / "app", MODULES, kind, python)


@pytest.fixture(scope="module")
def venv(python, tmp_path_factory):
    """A virtual environment of the Python under test, with a .pth file that notes sys.executable."""
    return make_venv(python, tmp_path_factory.mktemp("env") / "venv")


def make_venv(program, directory, *options):
    run(program, "-m", "venv", "--without-pip", *options, directory, env=ENV)
    for site in directory.glob("lib/python*/site-packages"):
        (site / "note.pth").write_text("import sys, flat; sys.in_pth = sys.executable\n")
        (site / "in_venv.py").touch()
    return directory


def state(program, *options, code=STATE, **kwargs):
    return json.loads(run(program, *options, "-c", code, env={**ENV, **kwargs.pop("env", {})}, **kwargs).stdout)


def same_but_for_executable(ours, theirs, executable):
    assert ours.pop("executable") == str(executable)
    theirs.pop("executable")
    assert ours == theirs and ours["argv"] == ["-c"]
    return ours


@pytest.mark.parametrize("options", [[], ["-I"], ["-S"], ["-E"], ["-s"], ["-O"], ["-B"], ["-X", "utf8"], ["-u"]])
def test_paths_and_flags_are_those_of_the_python(options, app, python, tmp_path):
    ours = same_but_for_executable(state(app, *options, cwd=tmp_path), state(python, *options, cwd=tmp_path), app)
    assert ours["prefix"] == ours["base_prefix"] == str(python.parent.parent) and ours["flags"][3] == ("-O" in options)


@pytest.mark.parametrize("env", [{"PYTHONPATH": "/somewhere"}, {"PYTHONNOUSERSITE": "1"}, {"LC_ALL": "C"}])
def test_environment_means_what_it_means_to_the_python(env, app, python):
    ours = same_but_for_executable(state(app, env=env), state(python, env=env), app)
    assert ("/somewhere" in ours["path"]) == ("PYTHONPATH" in env) and ours["flags"][5] == ("PYTHONNOUSERSITE" in env)


def test_executable_is_found_by_a_relative_path(app):
    assert state(f"./{app.name}", cwd=app.parent)["executable"] == str(app)


def test_executable_is_found_on_path(app, tmp_path):
    assert state(app.name, env={"PATH": f"/nonexistent::{app.parent}:/usr/bin"},
                 cwd=tmp_path)["executable"] == str(app)


def test_executable_is_a_link_if_it_was_run_by_one(app, tmp_path):
    (tmp_path / "link").symlink_to(app)
    assert state(tmp_path / "link")["executable"] == str(tmp_path / "link")


def test_executable_is_right_whatever_argv0_says(app, python):
    result = subprocess.run(["python3", "-c", STATE], executable=app, env=ENV, stdout=subprocess.PIPE, check=True)
    assert json.loads(result.stdout)["executable"] == os.path.realpath(app)


def test_children_have_the_modules(app):
    run(app, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import flat'], check=True)", env=ENV)


def test_multiprocessing_spawns_itself(app, tmp_path):
    script = tmp_path / "main.py"
    script.write_text("""
import multiprocessing
def work(x):
    import flat
    return flat.value() * x
if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(work, [1, 2]) == ["multi-phase", "multi-phase" * 2]
""")
    run(app, script, env=ENV)


def test_script_module_command_and_standard_input_run(app, tmp_path):
    (tmp_path / "program.py").write_text("import flat, sys; print(flat.value(), sys.argv[1:])")
    expected = "multi-phase ['a', '-b']\n"
    assert run(app, tmp_path / "program.py", "a", "-b", env=ENV).stdout == expected
    assert run(app, "-m", "program", "a", "-b", env=ENV, cwd=tmp_path).stdout == expected
    assert run(app, "-", "a", "-b", env=ENV, input=(tmp_path / "program.py").read_text()).stdout == expected


def test_exit_status_is_that_of_the_program(app):
    assert run(app, "-c", "raise SystemExit(7)", env=ENV, check=False).returncode == 7
    assert run(app, "-c", "1/0", env=ENV, check=False).returncode == 1
    assert run(app, "--nonsense", env=ENV, check=False).returncode == 2
    assert run(app, "--version", env=ENV).stdout.startswith("Python 3.")


def test_module_without_code_is_refused_by_dash_m_as_a_shared_library_is(app):
    result = run(app, "-m", "flat", env=ENV, check=False)
    assert result.returncode == 1 and "No code object available for flat" in result.stderr


def test_arguments_that_are_no_text_survive(app):
    result = subprocess.run([app, "-c", "import sys, os; print(os.fsencode(sys.argv[1]))", b"\xff\xfe"],
                            env=ENV, stdout=subprocess.PIPE, check=True)
    assert result.stdout == b"b'\\xff\\xfe'\n"


# --- Virtual environments -----------------------------------------------------------------------

DETAILS = """
import json, sys
answer = {key: getattr(sys, key, None) for key in ("prefix", "base_prefix", "executable", "_base_executable",
                                                   "in_pth", "in_sitecustomize")}
try:
    import in_venv
    answer["in_venv"] = True
except ImportError:
    answer["in_venv"] = False
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def details(tmp_path_factory):
    """A function that runs a program with a sitecustomize.py that notes sys.executable, too."""
    directory = tmp_path_factory.mktemp("customize")
    (directory / "sitecustomize.py").write_text("import sys, flat; sys.in_sitecustomize = sys.executable\n")
    return lambda program: state(program, code=DETAILS, env={"PYTHONPATH": str(directory)})


@pytest.fixture(scope="module")
def venv_app(kind, bakery, venv, tmp_path_factory):
    """An executable linked for the python of a virtual environment."""
    return bakery.bake(tmp_path_factory.mktemp(f"venv-app-{kind}") / "app", MODULES, kind, venv / "bin" / "python")


def test_linked_for_a_virtual_environment_it_is_that_environments_python(venv_app, venv, tmp_path):
    # The .pth file and sitecustomize.py import a baked module, which the real one has not.
    (tmp_path / "flat.py").touch()
    env = {"PYTHONPATH": str(tmp_path)}
    ours = same_but_for_executable(state(venv_app, env=env), state(venv / "bin" / "python", env=env), venv_app)
    assert ours["prefix"] == str(venv) and str(tmp_path) in ours["path"]


def test_a_warning_says_that_the_virtual_environment_is_gone(kind, bakery, python, tmp_path):
    """Instead, CPython starts with the paths that it was compiled with."""
    venv = tmp_path / "v"
    run(python, "-m", "venv", "--without-pip", venv)
    app = bakery.bake(tmp_path / "app", MODULES, kind, venv / "bin" / "python")
    start = lambda **env: run(app, "-c", "import flat; print('started')", env=env)
    assert start().stderr == ""
    venv.rename(tmp_path / "moved")
    said = start()
    assert said.stdout == "started\n"
    line, = said.stderr.splitlines()
    assert line.startswith(f"{app}: warning: {venv / 'bin/python'} is gone, the Python that this program was linked for")
    assert "PYTHONHOME" in line and (f"{app}._pth" in line) == (bakery.version >= (3, 11))
    # Who says where to look is not warned, nor is who starts it in another environment.
    home = run(python, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
    assert start(PYTHONHOME=home).stderr == ""
    other = tmp_path / "moved/bin/app"
    other.symlink_to(app)
    assert run(other, "-c", "import flat").stderr == ""


def test_in_a_virtual_environment_executable_is_itself_from_sitecustomize_on(venv_app, venv, details):
    seen = details(venv_app)
    assert seen["in_venv"] and seen["prefix"] == str(venv)
    assert seen["in_sitecustomize"] == seen["executable"] == seen["_base_executable"] == str(venv_app)
    assert seen["in_pth"] == str(venv / "bin" / "python")


def test_without_site_executable_is_itself_in_a_virtual_environment_too(venv_app):
    assert state(venv_app, "-S")["executable"] == state(venv_app, "-I", "-S")["executable"] == str(venv_app)


def test_sub_interpreter_has_the_executable(app, venv_app, venv, tmp_path):
    for program in (app, venv_app):
        run(program, "-c", f"""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
import sys, flat
open({str(tmp_path / "out")!r}, "w").write(sys.executable)
'''
id = interpreters.create()
assert interpreters.run_string(id, code) is None
interpreters.destroy(id)
""", env=ENV)
        assert (tmp_path / "out").read_text() == str(program)


@pytest.mark.parametrize("copies", [False, True])
def test_virtual_environment_made_by_the_executable_has_its_modules(copies, app, python, bakery, details, tmp_path):
    made = make_venv(app, tmp_path / "made", *(["--copies"] if copies else []))
    program = made / "bin" / "python3"
    seen = details(program)
    assert seen["prefix"] == str(made) and seen["base_prefix"] == state(python)["base_prefix"]
    assert seen["executable"] == seen["in_pth"] == seen["in_sitecustomize"] == str(program)
    assert seen["in_venv"]
    base = program if bakery.version < (3, 11) else app  # a copy stands for itself, then
    assert os.path.realpath(seen["_base_executable"]) == os.path.realpath(base)


@pytest.mark.parametrize("options", [[], ["-S"], ["-I"]])
def test_prefix_in_a_virtual_environment_is_what_it_is_to_the_python(options, app, python, tmp_path):
    """From 3.14 on it is the environment's without `site`, too, which warns if it is not."""
    seen = {}
    for program, name in ((app, "ours"), (python, "theirs")):
        made = tmp_path / name
        run(program, "-m", "venv", "--without-pip", made, env=ENV)
        result = run(made / "bin" / "python", *options, "-c", "import sys; print(sys.prefix, sys.exec_prefix)", env=ENV)
        seen[name] = result.stdout.replace(str(made), "ENV"), result.stderr
    assert seen["ours"] == seen["theirs"]
    assert "-S" in options or seen["ours"] == ("ENV ENV\n", "")


def test_virtual_environment_made_by_an_executable_of_another_one_stands_alone(venv_app, venv, python, details, tmp_path):
    made = make_venv(venv_app, tmp_path / "made")
    seen = details(made / "bin" / "python")
    assert seen["prefix"] == str(made) and seen["base_prefix"] == state(python)["base_prefix"]
    assert str(venv) not in state(made / "bin" / "python", code="import sys, json; print(json.dumps(str(sys.path)))")


def test_virtual_environment_of_a_virtual_environment_has_the_modules(app, details, tmp_path):
    first = make_venv(app, tmp_path / "first")
    second = make_venv(first / "bin" / "python", tmp_path / "second")
    seen = details(second / "bin" / "python")
    assert seen["prefix"] == str(second) and seen["in_venv"] and seen["in_pth"]


# --- Without a python to start as ---------------------------------------------------------------

def test_linked_by_hand_it_finds_its_paths_as_any_python(kind, bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", MODULES, kind)
    assert state(program)["executable"] == str(program)


def test_damaged_table_is_one_message(kind, bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", MODULES, kind)
    data = program.read_bytes()
    assert data.count(b"KILNTAB\0\1\0\0\0") == 1
    program.write_bytes(data.replace(b"KILNTAB\0\1\0\0\0", b"KILNTAB\0\2\0\0\0"))
    result = run(program, "-c", "0", check=False)
    assert result.returncode == 1 and "made by another version of Kiln" in result.stderr
