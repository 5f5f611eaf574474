"""What CPython's own tests (`make cpython-tests`) have found, each as a test of its own."""

import json
import os
import shutil

import pytest

from conftest import require_libpython, run
from sources import multi

MODULES = {"flat": multi("PyInit_flat")}
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}

STATE = """
import json, sys
print(json.dumps({key: getattr(sys, key) for key in (
    "prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "path", "executable", "flags")}))
"""


@pytest.fixture(scope="module", params=["static", "shared"])
def app(request, bakery, python, tmp_path_factory):
    """An executable linked for the Python under test."""
    require_libpython(bakery, request.param)
    return bakery.bake(tmp_path_factory.mktemp(request.param) / "app", MODULES, request.param, python)


def say_state(program, *options, env=ENV):
    result = run(program, *options, "-c", STATE, env=env)
    return json.loads(result.stdout), result.stderr


def state_of_link(directory, program):
    """What PROGRAM says of itself when it is run by the link `python` in DIRECTORY."""
    link = directory / "python"
    link.symlink_to(program)
    said = json.loads(run(link, "-c", STATE, env={**ENV, "PYTHONPATH": "/somewhere"}).stdout)
    link.unlink()
    return said


@pytest.mark.parametrize("more", ["", "import site\n"], ids=["no site", "site"])
def test_pth_file_of_the_executable_decides_on_the_search_path(more, app, python, tmp_path, bakery):
    path = run(python, "-c", "import sys; print(*sys.path[1:], sep='\\n')").stdout.split()
    lines = [*path, "..", "lib"]
    (tmp_path / "python._pth").write_text("\n".join(lines) + "\n" + more)
    said = state_of_link(tmp_path, app)
    assert said == state_of_link(tmp_path, python)
    # Before 3.11 the file is not read, and PYTHONPATH counts.
    assert (f"{tmp_path}/lib" in said["path"], "/somewhere" in said["path"]) == (
        (True, False) if bakery.version >= (3, 11) else (False, True))


def test_pth_file_beside_what_a_link_leads_to_counts(app, python, tmp_path, bakery):
    if bakery.version < (3, 11):
        pytest.skip("CPython reads ._pth files from 3.11 on")
    real = tmp_path / "real"
    real.mkdir()
    os.link(app, real / "app")
    path = run(python, "-c", "import sys; print(*sys.path[1:], sep='\\n')").stdout
    (real / "app._pth").write_text(path + "here\n")
    assert state_of_link(tmp_path, real / "app")["path"][-1] == str(real / "here")


@pytest.mark.parametrize("path", ["//bin//python", "/bin/./python", "/bin/../bin/python", "/link/../python",
                                  "/bin/../../../../../../../../../../../..{}/bin/python"])
def test_path_of_the_executable_is_as_tidy_as_the_python_makes_it(path, app, python, tmp_path):
    (tmp_path / "bin" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("bin/deep")
    program, said = str(tmp_path) + path.format(tmp_path), []
    for executable in (app, python):
        link = tmp_path / "bin" / "python"
        link.symlink_to(executable)
        said.append(say_state(program)[0])
        link.unlink()
    if "link" in path:  # what is there in name only is not the program
        said[1]["executable"] = said[0]["executable"]
        assert os.path.samefile(os.path.dirname(said[0]["executable"]), tmp_path / "bin")
    assert said[0] == said[1] and said[0]["prefix"] == str(python.parent.parent)


# --- test_venv ----------------------------------------------------------------------------------

def environment_of(program, directory, *options):
    """A new virtual environment of PROGRAM; it takes the place of an earlier one."""
    shutil.rmtree(directory, ignore_errors=True)
    run(program, "-m", "venv", "--without-pip", *options, directory, env=ENV)
    return directory / "bin" / "python3"


@pytest.mark.parametrize("options", [[], ["-S"], ["-I"], ["-E"]])
@pytest.mark.parametrize("home", [False, True], ids=["", "PYTHONHOME"])
def test_prefix_in_a_virtual_environment_is_what_the_python_says(options, home, app, python, tmp_path):
    prefix = run(python, "-c", "import sys; print(sys.base_prefix)").stdout.strip()
    env = {**ENV, "PYTHONHOME": prefix} if home else ENV
    said = [say_state(environment_of(program, tmp_path / "env"), *options, env=env)
            for program in (app, python)]
    assert said[0] == said[1] and said[0][0]["base_prefix"] == prefix


@pytest.mark.parametrize("name", ["python3", "app"])
def test_executable_is_what_a_virtual_environment_of_copies_is_based_on(name, app, bakery, tmp_path):
    if bakery.version < (3, 11):
        pytest.skip("sys._base_executable is the environment's own before 3.11")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / name
    os.link(app, program)
    copy = environment_of(program, tmp_path / "env", "--copies")
    assert run(copy, "-c", "import sys; print(sys._base_executable)", env=ENV).stdout.strip() == str(program)


def test_environment_without_home_in_its_pyvenv_cfg_is_one(app, python, tmp_path):
    said = []
    for program in (app, python):
        executable = environment_of(program, tmp_path / "env")
        (tmp_path / "env" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
        said.append(say_state(executable)[0])
    for key in ("executable", "prefix"):
        assert said[0][key] == said[1][key]
    assert said[0]["executable"] == str(tmp_path / "env" / "bin" / "python3")
