"""Real packages from the index: built by `kiln pip`, baked, and judged by their own test suites."""

import os
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, os.fspath(ROOT / "qa"))

import measure  # noqa: E402
import suites  # noqa: E402
from baking import Bakery  # noqa: E402


@pytest.fixture(scope="module")
def baked_packages(tmp_path_factory, python):
    """The demo's small packages in a virtual environment, and the executable baked from it."""
    bakery = Bakery(tmp_path_factory.mktemp("packages"), python)
    bakery.pip("install", "--quiet", "-r", ROOT / "qa" / "demo-small.txt", "pytest")
    bakery.link()
    return bakery


def test_no_extension_of_the_packages_stays_a_file(baked_packages):
    files = baked_packages.list_extension_files()
    assert len(files) >= 6
    assert sorted(files) == sorted(baked_packages.list_baked())


def test_baked_extensions_are_not_loaded_from_files(baked_packages):
    imported = measure.Import(baked_packages.executable, baked_packages.list_baked())
    site_packages = os.fspath(baked_packages.site_packages)
    assert [path for path in imported.libraries if path.startswith(site_packages)] == []


def test_the_packages_import_with_the_shared_libpython(baked_packages, tmp_path):
    other = tmp_path / "python"
    names = baked_packages.list_baked()
    static = baked_packages.executable
    try:
        baked_packages.link("--libpython", "shared", output=other)
    finally:
        baked_packages.executable = static
    mapped = measure.Import(other, names).libraries
    assert any("libpython" in path for path in mapped)


@pytest.mark.parametrize("package", ["MarkupSafe", "msgpack", "xxhash"])
def test_a_packages_own_tests_end_the_same_baked(baked_packages, package):
    result = suites.compare(baked_packages, package)
    assert "passed" in result.baked.values()
    assert result.different == []
