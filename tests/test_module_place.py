"""Where a baked module says that it is: the file that it was baked from, whichever way it was, and wherever the
installation is now."""

import json
import os
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension, suffix

TELL = """
import importlib, importlib.util, inspect, json, pkgutil, sys
told = {}
for name in sys.argv[1:]:
    m = importlib.import_module(name)
    told[name] = [m.__file__, m.__spec__.origin, m.__spec__.has_location, inspect.getfile(m), m.__spec__.cached,
                  m.__loader__.get_filename(name), importlib.util.find_spec(name).origin, repr(m)]
    if "." in name:
        told[name].append(pkgutil.get_data(name, "data.txt").decode())
print(json.dumps(told))
"""

# {dotted name: (the PATH entry it is under, what its file name ends with; None: the usual)}
PLACES = {
    "top": ("one", None),
    "top_abi": ("two", ".abi3.so"),
    "ns.first": ("one", None),  # a namespace package in two directories
    "ns.second": ("two", ".so"),
    "pkg.inner.deep": ("two", None),
    "pkg.stable": ("two", ".abi3.so"),
    "native": ("one", None),  # a package that is an extension
}


@pytest.fixture(scope="module", params=["kiln-cc", "cc"])
def places(request, tmp_path_factory, python):
    """The directories, in a root of their own, and the executable. Of kiln-cc modules are baked from objects, of cc unlinked."""
    root = tmp_path_factory.mktemp("places")
    for name, (entry, ending) in PLACES.items():
        compiler = BUILD / "kiln-cc" if request.param == "kiln-cc" else "cc"
        file = extension(root / "site" / entry, name, python, source=MULTI_PHASE, compiler=compiler, package=name == "native")
        if ending is not None:
            file.rename(file.with_name(file.name.replace(suffix(python), ending)))
        (file.parent / "data.txt").write_text(name)
    for entry in "one", "two":
        (root / "site" / entry / "ns" / "__init__.py").unlink()
    (root / "site/one/ns/data.txt").write_text("of the first")
    run(BUILD / "kiln", "link", "--quiet", "--python", python, "-o", root / "app", "--report", root / "report",
        root / "site" / "one", root / "site" / "two")
    ways = {module["name"]: module["way"] for module in json.loads((root / "report").read_text())["modules"]}
    assert {ways[name] for name in PLACES} == {"objects" if request.param == "kiln-cc" else "image"}
    return root


def tell(program, site, fast):
    path = os.pathsep.join(str(site / entry) for entry in ("one", "two"))
    said = run(program, "-c", TELL, *PLACES, env={**os.environ, "PYTHONPATH": path, "KILN_FAST": fast}).stdout
    return json.loads(said)


@pytest.mark.parametrize("fast", ["1", "0"])
def test_a_module_is_where_its_file_is(fast, places, python, tmp_path):
    stock = tell(python, places / "site", fast)
    assert tell(places / "app", places / "site", fast) == stock
    # Moved, and the old place gone.
    shutil.copytree(places / "site", tmp_path / "moved")
    (places / "site").rename(tmp_path / "away")
    try:
        assert tell(places / "app", tmp_path / "moved", fast) == tell(python, tmp_path / "moved", fast)
    finally:
        (tmp_path / "away").rename(places / "site")


@pytest.mark.parametrize("fast", ["1", "0"])
def test_without_its_file_a_module_is_where_it_would_be(fast, places, python, tmp_path):
    stock = tell(python, places / "site", fast)
    shutil.copytree(places / "site", tmp_path / "saved")
    try:
        for file in (places / "site").rglob("*.so"):
            file.unlink()
        assert tell(places / "app", places / "site", fast) == stock
    finally:
        shutil.rmtree(places / "site")
        shutil.copytree(tmp_path / "saved", places / "site")


LIST = """
import ns, json, pkgutil
print(json.dumps([[sorted(m.name for m in pkgutil.iter_modules([p])) for p in ns.__path__], sorted(m.name for m in pkgutil.iter_modules(ns.__path__))]))
"""


def test_a_module_is_listed_in_the_directory_where_it_is_or_would_be(places, python, tmp_path):
    site = shutil.copytree(places / "site", tmp_path / "site")
    listing = lambda program: json.loads(run(program, "-c", LIST, env={**os.environ, "PYTHONPATH": f"{site}/one:{site}/two"}).stdout)
    stock = listing(python)
    assert stock == [[["first"], ["second"]], ["first", "second"]] == listing(places / "app")
    for file in site.rglob("*.so"):
        file.unlink()
    # Moved, it is listed in the first, as nothing tells where it would be.
    assert listing(places / "app") == [[["first", "second"], []], ["first", "second"]]
    shutil.copytree(places / "site", tmp_path / "saved")
    try:
        for file in (places / "site").rglob("*.so"):
            file.unlink()
        site = places / "site"
        assert listing(places / "app") == stock
    finally:
        shutil.rmtree(places / "site")
        shutil.copytree(tmp_path / "saved", places / "site")


def test_with_nothing_installed_a_module_of_no_package_is_where_it_was(places, tmp_path):
    said = run(places / "app", "-c", "import top, top_abi; print(top.__file__, top_abi.__file__)", cwd=tmp_path).stdout
    assert said.split() == [str(next((places / "site/one").glob("top.*"))), str(places / "site/two/top_abi.abi3.so")]
