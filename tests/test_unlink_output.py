"""What the linker makes of an executable with unlinked extensions: the dynamic loader has nothing to relocate
in them."""

import re

import pytest

from conftest import run
from extensions import MULTI_PHASE, extension

# Refers to variables of the C library, of which programs have copies.
STREAMS = MULTI_PHASE.replace("return PyUnicode", "if (stderr == stdout || !stdin) { return NULL; } return PyUnicode") \
    .replace("#include", "#include <stdio.h>\n#include", 1)


def list_relocated(path):
    """Names of the sections with dynamic relocations in them."""
    listed = run("readelf", "--wide", "--sections", "--relocs", path).stdout
    sections = [(match[1], int(match[2], 16), int(match[3], 16)) for match in
                re.finditer(r"\] (\S+) +\w+ +([0-9a-f]{16}) [0-9a-f]+ ([0-9a-f]+)", listed)]
    places = [int(match[1], 16) for match in re.finditer(r"^([0-9a-f]{16})  [0-9a-f]{16} R_", listed, re.MULTILINE)]
    return {name for name, start, size in sections for place in places if start != 0 and start <= place < start + size}


@pytest.mark.parametrize("linker", ["lld", "bfd"])
@pytest.mark.parametrize("fat", [False, True], ids=["alone", "beside_a_fat_one"])
def test_images_have_no_dynamic_relocations(kiln, python, tmp_path, linker, fat):
    extension(tmp_path / "site", "thin", python, STREAMS, compiler="cc")
    if fat:
        extension(tmp_path / "site", "fat", python)
    app = tmp_path / "app"
    kiln("link", "--python", python, "--linker", linker, "-o", app, tmp_path / "site")
    relocated = list_relocated(app)
    assert relocated and ".kiln_image" not in relocated
    assert fat or "TEXTREL" not in run("readelf", "--dynamic", app).stdout
    assert run(app, "-c", "import thin; print(thin.value())").stdout == "thin\n"
