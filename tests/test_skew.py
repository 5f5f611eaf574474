"""Version skew: baked modules, and what is installed where the executable runs."""

import json
import os
import shutil
import zipfile

import pytest

from conftest import run
from extensions import extension, suffix


def write_metadata(root, directory, name, version, files=()):
    info = root / directory
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText.\n")
    lines = [f"{file.relative_to(root)},sha256=x,1\n" for file in files] + [f"{directory}/RECORD,,\n"]
    (info / "RECORD").write_text("".join(lines))
    return info


@pytest.fixture(scope="module")
def original(tmp_path_factory, python):
    """A site-packages with a distribution in a package, one at the top level, one of both, two in a
    namespace package, one that is an extension package, and a module of no distribution."""
    root = tmp_path_factory.mktemp("site")
    build = lambda name, **more: extension(root, name, python, **more)
    write_metadata(root, "Alpha_Pack-1.0.dist-info", "Alpha-Pack", "1.0", [build("alpha._a"), build("alpha.sub._b")])
    write_metadata(root, "top-1.0.dist-info", "top", "1.0", [build("top")])
    write_metadata(root, "mixed-1.0.dist-info", "mixed", "1.0", [build("_mixed"), build("mixed._ext")])
    write_metadata(root, "ns_one-1.0.dist-info", "ns.one", "1.0", [build("ns.one._x")])
    write_metadata(root, "ns_two-2.0.dist-info", "ns.two", "2.0", [build("ns.two._y")])
    (root / "ns" / "__init__.py").unlink()
    write_metadata(root, "whole-1.0.dist-info", "whole", "1.0", [build("whole", package=True)])
    build("unknown._u")
    return root


MODULES = ["_mixed", "alpha._a", "alpha.sub._b", "mixed._ext", "ns.one._x", "ns.two._y", "top", "unknown._u", "whole"]


@pytest.fixture(scope="module")
def program(original, tmp_path_factory, kiln, python):
    output = tmp_path_factory.mktemp("baked") / "app"
    kiln("link", "--python", python, "-o", output, original)
    return output


@pytest.fixture
def site(original, tmp_path):
    """A copy of the site-packages, to be changed after the link."""
    return shutil.copytree(original, tmp_path / "site")


# --- What is recorded -----------------------------------------------------------------------------

def test_ls_tells_the_distribution_of_each_module(program, kiln):
    listing = json.loads(kiln("ls", "--json", program).stdout)["modules"]
    got = {m["name"]: (m.get("distribution"), m.get("distribution_version")) for m in listing}
    assert got == {"_mixed": ("mixed", "1.0"), "alpha._a": ("Alpha-Pack", "1.0"), "alpha.sub._b": ("Alpha-Pack", "1.0"),
                   "mixed._ext": ("mixed", "1.0"), "ns.one._x": ("ns.one", "1.0"), "ns.two._y": ("ns.two", "2.0"),
                   "top": ("top", "1.0"), "unknown._u": (None, None), "whole": ("whole", "1.0")}
    assert "Alpha-Pack 1.0" in kiln("ls", program).stdout


def list_distributions(kiln, program):
    listing = json.loads(kiln("ls", "--json", program).stdout)["modules"]
    return [m.get("distribution") for m in listing]


def test_wheel_tells_its_distribution(original, kiln, python, tmp_path):
    wheel = tmp_path / "top-1.0-cp3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in (original / ("top" + suffix(python)), *(original / "top-1.0.dist-info").iterdir()):
            archive.write(path, path.relative_to(original))
    kiln("link", "--python", python, "-o", tmp_path / "app", wheel)
    assert list_distributions(kiln, tmp_path / "app") == ["top"]


@pytest.mark.parametrize("record", [None, b"", b"\xff\xfe\0,,\n\n,\n\"top", b"top"])
def test_record_that_does_not_list_the_file_is_no_error(record, site, kiln, python, tmp_path):
    file = site / "top-1.0.dist-info" / "RECORD"
    file.unlink() if record is None else file.write_bytes(record)
    kiln("link", "--python", python, "-o", tmp_path / "app", site / ("top" + suffix(python)))
    assert list_distributions(kiln, tmp_path / "app") == [None]


def test_directory_tells_what_the_metadata_do_not(site, kiln, python, tmp_path):
    (site / "top-1.0.dist-info" / "METADATA").write_bytes(b"\xff\n\nName: other\n")
    kiln("link", "--python", python, "-o", tmp_path / "app", site / ("top" + suffix(python)))
    module, = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)["modules"]
    assert (module["distribution"], module["distribution_version"]) == ("top", "1.0")
