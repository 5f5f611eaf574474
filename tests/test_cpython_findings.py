"""What CPython's own tests (`make cpython-tests`) have found, each as a test of its own."""

import json
import os

import pytest

from conftest import run
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
    if request.param not in bakery.libpythons:
        pytest.skip(f"this Python has no {request.param} libpython")
    return bakery.bake(tmp_path_factory.mktemp(request.param) / "app", MODULES, request.param, python)


def state_of_link(directory, program):
    """What PROGRAM says of itself when it is run by the link `python` in DIRECTORY."""
    link = directory / "python"
    link.symlink_to(program)
    said = json.loads(run(link, "-c", STATE, env={**ENV, "PYTHONPATH": "/somewhere"}).stdout)
    link.unlink()
    return said


@pytest.mark.parametrize("more", ["", "import site\n"], ids=["no site", "site"])
def test_pth_file_of_the_executable_decides_on_the_search_path(more, app, python, tmp_path):
    lines = run(python, "-c", "import os, sys; print(*sys.path[1:], sep='\\n')").stdout.split() + ["..", "lib"]
    (tmp_path / "python._pth").write_text("\n".join(lines) + "\n" + more)
    assert state_of_link(tmp_path, app) == state_of_link(tmp_path, python)


def test_pth_file_beside_what_a_link_leads_to_counts(app, python, tmp_path, bakery):
    if bakery.version < (3, 11):
        pytest.skip("CPython reads ._pth files from 3.11 on")
    real = tmp_path / "real"
    real.mkdir()
    os.link(app, real / "app")
    path = run(python, "-c", "import sys; print(*sys.path[1:], sep='\\n')").stdout
    (real / "app._pth").write_text(path + "here\n")
    assert state_of_link(tmp_path, real / "app")["path"][-1] == str(real / "here")
