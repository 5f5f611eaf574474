"""What every test shares: where Kiln is built, the Python under test, and running programs."""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("KILN_BUILD", ROOT / "build"))
sys.path.insert(0, os.fspath(ROOT / "tests" / "support"))


def run(*argv, check=True, **kwargs):
    """Run a program; its output is text. With check, a failure shows what the program said."""
    if "env" in kwargs and "KILN_FAST" in os.environ:
        kwargs["env"] = {"KILN_FAST": os.environ["KILN_FAST"], **kwargs["env"]}
    result = subprocess.run(
        [os.fspath(arg) for arg in argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=kwargs.pop("stdin", subprocess.DEVNULL) if "input" not in kwargs else None,
        **kwargs,
    )
    if check and result.returncode != 0:
        raise AssertionError(
            f"{argv[0]} exited with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


@contextlib.contextmanager
def small_disk(directory, size):
    """A file system of SIZE bytes, mounted on the new DIRECTORY."""
    directory.mkdir()
    if run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield directory
    finally:
        # Lazily: the kernel may still be tidying up after a linker that it killed.
        run("umount", "--lazy", directory)


# Parameters that are combined, each with its first value and its second.
COMBINED = {"fast_path": ["fast", "slow"], "baked": ["static", "shared"], "ours": ["absent", "beside"]}


def pytest_collection_modifyitems(config, items):
    """Leave every pair of values of these parameters in; the triples, too, if KILN_TEST_PRODUCT is set."""
    def is_odd(item):
        params = item.callspec.params if hasattr(item, "callspec") else {}
        return (all(name in params for name in COMBINED) and
                sum(values.index(params[name]) for name, values in COMBINED.items()) % 2)
    if not os.environ.get("KILN_TEST_PRODUCT"):
        config.hook.pytest_deselected(items=[item for item in items if is_odd(item)])
        items[:] = [item for item in items if not is_odd(item)]


@pytest.fixture(scope="session")
def build():
    """The directory with kiln, kiln-cc, kiln-c++ and libkiln.a."""
    return BUILD


@pytest.fixture(scope="session")
def kiln(build):
    """A function that runs `kiln ARGS...`."""
    def call(*args, **kwargs):
        return run(build / "kiln", *args, **kwargs)
    return call


@pytest.fixture(scope="session")
def python():
    """The real executable of the Python under test (KILN_TEST_PYTHON, else the system's)."""
    chosen = os.environ.get("KILN_TEST_PYTHON", "/usr/bin/python3")
    return pathlib.Path(run(chosen, "-c", "import sys; print(sys.executable)").stdout.strip())


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """What the tests of this run make once, see store.py. pytest-xdist's workers have directories in that of the run."""
    from store import Store
    base = tmp_path_factory.getbasetemp()
    return Store((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "store")


@pytest.fixture(scope="session")
def bakery(python, store):
    """Builds executables with modules inside for the Python under test, see bakery.py."""
    from bakery import Bakery
    return Bakery(python, store)


def require_libpython(bakery, kind):
    """Skip if the Python has no libpython of KIND, or KILN_TEST_KIND asks for the other, which it has."""
    if kind not in bakery.libpythons:
        pytest.skip(f"this Python has no {kind} libpython")
    only = os.environ.get("KILN_TEST_KIND", kind)
    if only != kind and only in bakery.libpythons:
        pytest.skip(f"KILN_TEST_KIND={only}")


def all_modules():
    """The modules of `baked` and `shared`."""
    from behaving import BEHAVING
    from sources import BAD, GOOD
    return {**GOOD, **BAD, **BEHAVING}


@pytest.fixture(scope="session", params=COMBINED["baked"])
def baked(request, bakery, tmp_path_factory):
    """A Runner of an executable with modules of every kind inside."""
    from runner import Runner, make_packages
    require_libpython(bakery, request.param)
    return Runner(bakery.bake_once(all_modules(), request.param), make_packages(tmp_path_factory.mktemp("baked")))


@pytest.fixture(scope="session")
def shared(bakery, python, tmp_path_factory):
    """A Runner of the Python under test with the same modules as shared libraries."""
    from runner import Stock, make_packages
    site = make_packages(tmp_path_factory.mktemp("shared"))
    for name, module in all_modules().items():
        bakery.share(site, name, module)
    return Stock(python, site)


@pytest.fixture
def protocol(request, record_property):
    """Names the row of docs/protocols.md that the test is a part of: its docstring."""
    record_property("protocol", request.function.__doc__)


@pytest.fixture(params=COMBINED["fast_path"])
def fast_path(request, monkeypatch):
    """Programs take the fast path, or leave it to importlib; tests with this run both ways."""
    monkeypatch.setenv("KILN_FAST", "1" if request.param == "fast" else "0")
