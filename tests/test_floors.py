"""The check of floors in `make lint`: who may call whom, by what the objects call."""

import shutil

import pytest

from conftest import ROOT, run


@pytest.fixture
def house(tmp_path):
    """A function that compiles {path: C text} below a copy of scripts/, and returns what the check says."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")

    def check(sources):
        for path, text in {"src/base/arena.c": "int arena(void) { return 0; }\n", **sources}.items():
            source, output = tmp_path / path, (tmp_path / "build/obj" / path).with_suffix(".o")
            for file in (source, output):
                file.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(text)
            run("cc", "-c", source, "-o", output)
        return run("python3", tmp_path / "scripts/floors.py", tmp_path / "build", check=False)
    return check


LOW = "int low(void) { return 1; }\n"


def test_a_floor_may_call_those_below(house):
    said = house({"runtime/core/low.c": LOW, "runtime/find/high.c": "int low(void); int high(void) { return low(); }\n"})
    assert (said.returncode, said.stderr) == (0, "")
    assert "runtime: 2 files, 1 pairs of caller and callee" in said.stdout


def test_a_function_on_a_wrong_floor_is_a_fault(house):
    said = house({"runtime/load/low.c": LOW, "runtime/find/high.c": "int low(void); int high(void) { return low(); }\n"})
    assert said.returncode == 1
    assert said.stdout.splitlines()[-1] == "runtime/find/high.c: calls low() in load/low.c, but find may not call load"


def test_floors_of_one_line_do_not_call_each_other(house):
    said = house({"runtime/home/low.c": LOW, "runtime/create/high.c": "int low(void); int high(void) { return low(); }\n"})
    assert said.returncode == 1
    assert "create may not call home" in said.stdout


def test_a_circle_on_one_floor_is_a_fault(house):
    said = house({"runtime/core/a.c": "int b(void); int a(void) { return b(); }\n",
                  "runtime/core/b.c": "int c(void); int b(void) { return c(); }\n",
                  "runtime/core/c.c": "int a(void); int c(void) { return a(); }\n"})
    assert said.returncode == 1
    assert said.stdout.splitlines()[-1] == (
        "runtime: a circle: core/a.c calls b() in core/b.c, core/b.c calls c() in core/c.c, core/c.c calls a() in core/a.c")


def test_a_folder_without_a_floor_is_a_fault(house):
    said = house({"runtime/attic/low.c": LOW})
    assert said.returncode == 1
    assert "runtime/attic/low.c: its folder is not a floor" in said.stdout


def test_no_objects_are_a_fault(house):
    assert house({}).returncode == 1
