"""docs/shipping.md: its commands do what it says."""

import os
import re
import shutil

import pytest

from conftest import BUILD, ROOT, run
from extensions import MULTI_PHASE, ask, extension

RUN = """
import json, os, sys, shop, shop._native, sqlite3
print(json.dumps([shop.data(), shop._native.value(), type(shop._native.__loader__).__name__, sys.prefix, sys.path]))
"""


def read_commands(heading):
    """The commands of a section, block by block."""
    page = (ROOT / "docs/shipping.md").read_text()
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", page, re.M | re.S)[1]
    return [re.sub(r"^    ", "", block, flags=re.M) for block in re.findall(r"(?:^    .*\n)+", section, re.M)]


@pytest.fixture(scope="module")
def place(python, tmp_path_factory):
    """A directory with an environment v and the executable app, as the page supposes."""
    root = tmp_path_factory.mktemp("shipping")
    run(python, "-m", "venv", "--without-pip", root / "v")
    site, = (root / "v/lib").glob("python*/site-packages")
    extension(site, "shop._native", python, source=MULTI_PHASE)
    (site / "shop/__init__.py").write_text("import os\ndef data():\n    return open(os.path.join(os.path.dirname(__file__), 'data.txt')).read()\n")
    (site / "shop/data.txt").write_text("data")
    script = root / "v/bin/shop"
    script.write_text(f"#!{root}/v/bin/python\nimport shop._native\nprint(shop._native.value())\n")
    script.chmod(0o755)
    run(BUILD / "kiln", "link", "--quiet", "--python", root / "v/bin/python", "-o", root / "app")
    return root


def shell(place, commands):
    path = os.pathsep.join([str(BUILD), os.environ["PATH"]])
    run("sh", "-e", "-c", commands, cwd=place, env={**os.environ, "PATH": path})


def test_a_directory_of_its_own_needs_nothing_else(place, python, tmp_path):
    if ask(python, "import sys; answer = sys.version_info < (3, 11)"):
        pytest.skip("no ._pth before 3.11")
    copy, leave_out = read_commands("A directory of its own")
    shell(place, copy)
    shell(place, leave_out)
    assert not list((place / "dist").rglob("_native*.so")) and not list((place / "dist").rglob("_sqlite3*.so"))
    moved = tmp_path / "elsewhere"
    shutil.move(place / "dist", moved)
    (place / "v").rename(place / "away")
    try:
        result = run(moved / "app", "-c", RUN, cwd="/")
    finally:
        (place / "away").rename(place / "v")
    assert result.stderr == ""
    assert result.stdout.startswith(f'["data", "shop._native", "Loader", "{moved}", ["{moved}/lib/python", "{moved}/lib/packages"]')


def test_libraries_are_listed(place):
    command, image = read_commands("Libraries")
    path = os.pathsep.join([str(BUILD), os.environ["PATH"]])
    assert "libsqlite3.so" in run("sh", "-c", command, cwd=place, env={**os.environ, "PATH": path}).stdout or "sqlite3" not in run(
        BUILD / "kiln", "ls", place / "app").stdout
    assert image.startswith("FROM ")


def test_console_scripts_run_the_executable(place):
    command, = read_commands("Console scripts")
    shell(place, command.replace("/usr/local/bin/app", str(place / "app")))
    assert (place / "v/bin/shop").read_text().startswith(f"#!{place}/app\n")
    assert run(place / "v/bin/shop").stdout == "shop._native\n"
