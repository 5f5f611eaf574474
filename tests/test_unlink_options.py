"""Options of `kiln link` for unlinked extensions, and the check of what the linker has made of them."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from constructs import MODULE_H
from extensions import include, suffix

SOURCE = MODULE_H + r"""
static const char text[] = "constant";
static int variable = 1;
F(f) { return Py_BuildValue("nnn", (Py_ssize_t)text, (Py_ssize_t)&variable, (Py_ssize_t)f); }
MODULE(M(f))
"""
PROGRAM = """
import json, _plain
def get_rights(address):
    for line in open("/proc/self/maps"):
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line.split()[1][:3]
print(json.dumps([get_rights(address) for address in _plain.f()]))
"""


@pytest.fixture
def site(python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "plain.c").write_text(SOURCE)
    run("gcc", "-shared", "-fPIC", "-Wl,-z,separate-code", f"-I{include(python)}", '-DMOD="_plain"', "-DINIT=PyInit__plain",
        tmp_path / "plain.c", "-o", site / f"_plain{suffix(python)}")
    return site


@pytest.mark.parametrize("options, constant", [([], "r-x"), (["--strict"], "r--")], ids=["default", "strict"])
def test_rights_of_an_images_pages(options, constant, python, site, tmp_path):
    run(BUILD / "kiln", "link", *options, "--python", python, "-o", tmp_path / "app", site)
    said = run(tmp_path / "app", "-c", PROGRAM, env={**os.environ, "PYTHONPATH": str(site)}).stdout
    assert json.loads(said) == [constant, "rw-", "r-x"]


def test_an_executable_with_text_relocations_is_an_error(python, site, tmp_path):
    if shutil.which("ld.lld") is None:
        pytest.skip("lld is not installed")
    compiler = tmp_path / "cc"
    compiler.write_text("""#!/bin/sh
for arg; do
    case $arg in @*) grep -q images.o "${arg#@}" && exec gcc "$@" -Wl,-z,notext;; esac
done
exec gcc "$@"
""")
    compiler.chmod(0o755)
    result = run(BUILD / "kiln", "link", "--linker", "lld", "--python", python, "-o", tmp_path / "app", site, check=False,
                 env={**os.environ, "KILN_CC": str(compiler)})
    assert result.returncode != 0
    # Newer versions of lld mark the file without need.
    assert re.search(r"is not as expected: it has (a relocation at the read-only address 0x|text relocations \(DT_TEXTREL\))", result.stderr)
    assert not (tmp_path / "app").exists()
