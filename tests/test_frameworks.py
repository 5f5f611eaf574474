"""What binding generators and compilers make of the init protocols: small modules by each of them, built through Kiln's
compilers, baked, and compared with the same files under the stock interpreter. The docstrings are rows of
docs/protocols.md."""

import os
import shutil
import sys

import pytest

from conftest import BUILD, require_libpython, run
from extensions import include, list_modules, suffix
from runner import Runner

pytestmark = pytest.mark.usefixtures("protocol")
CFLAGS = ["-O0", "-fPIC"]
CXXFLAGS = ["-std=c++17", "-fvisibility=hidden"]


@pytest.fixture(params=["static", "shared"])
def kind(request, bakery):
    require_libpython(bakery, request.param)
    return request.param


@pytest.fixture(scope="session")
def get_package(bakery, tmp_path_factory):
    """A function that fetches what the index has of a requirement for the Python under test; returns where it is."""
    def get(requirement, *options):
        target = tmp_path_factory.mktemp("package")
        run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", target,
            "--disable-pip-version-check", *options, requirement)
        return target
    return get


@pytest.fixture(scope="session")
def get_headers(bakery, get_package):
    version = ".".join(map(str, bakery.version))
    return lambda requirement: get_package(requirement, "--python-version", version)


@pytest.fixture(scope="session")
def make_site(python, tmp_path_factory):
    """A function that makes a site-packages with the package `pkg` and returns it, and the place in it for an extension."""
    def make(*names):
        site = tmp_path_factory.mktemp("site")
        (site / "pkg").mkdir()
        (site / "pkg" / "__init__.py").touch()
        return (site, *(site / "pkg" / (name + suffix(python)) for name in names))
    return make


def build(program, python, output, directory, sources, *flags):
    """Compile SOURCES, paths or C++ text, and link them to OUTPUT."""
    objects = [directory / f"{number}.o" for number in range(len(sources))]
    for source, compiled in zip(sources, objects):
        if isinstance(source, str):
            compiled.with_suffix(".cpp").write_text(source)
            source = compiled.with_suffix(".cpp")
        run(BUILD / program, *CFLAGS, f"-I{include(python)}", *flags, "-c", source, "-o", compiled)
    run(BUILD / program, "-shared", *objects, "-o", output)


def check(kind, kiln, python, site, directory, code, modules):
    """What CODE answers in an executable with MODULES inside, the same as with the files."""
    output = directory / "app"
    kiln("link", "--python", python, "--libpython", kind, "-o", output, site)
    assert list(list_modules(output)) == modules
    # Without the files: nothing can come from there.
    pure = directory / "pure"
    shutil.copytree(site, pure, ignore=lambda _, names: [name for name in names if name.endswith(".so")])
    answer = Runner(output, pure)(code)
    assert answer == Runner(python, site)(code)
    return answer


# --- pybind11 -----------------------------------------------------------------------------------

PYBIND11 = r"""
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
namespace py = pybind11;
struct Pet { std::string name; };
PYBIND11_MODULE(_bound, m) {
    m.doc() = "bound";
    py::class_<Pet>(m, "Pet").def(py::init<std::string>()).def_readwrite("name", &Pet::name);
    auto sub = m.def_submodule("sub", "below");
    sub.def("total", [](const std::vector<int> &all) { int n = 0; for (int i : all) n += i; return n; });
    sub.def_submodule("deep").attr("value") = 7;
    py::register_exception<std::out_of_range>(m, "OutOfRange");
    m.def("fail", []() { throw std::out_of_range("too far"); });
}
"""
ASK_PYBIND11 = """
import sys, pkg._bound as m, pkg._bound.sub
from pkg._bound.sub import total
try:
    m.fail()
except m.OutOfRange as error:
    caught = str(error)
answer = [m.__name__, m.__doc__, m.Pet.__module__, m.Pet("rex").name, m.sub.__name__, m.sub.deep.__name__, total([1, 2]),
          pkg._bound.sub is sys.modules["pkg._bound.sub"], m.sub.deep.value, caught, m.OutOfRange.__module__]
"""


@pytest.fixture(scope="module", params=["pybind11>=2.13,<3", "pybind11>=3,<4"], ids=["before-3", "3"])
def pybind11(request, python, bakery, get_headers, make_site, tmp_path_factory):
    headers = get_headers(request.param)
    site, output = make_site("_bound")
    build("kiln-c++", python, output, tmp_path_factory.mktemp("objects"), [PYBIND11], f"-I{headers}/pybind11/include",
          *CXXFLAGS)
    return site


def test_pybind11(kind, pybind11, kiln, python, tmp_path):
    """pybind11, before 3.0 (single-phase) and 3: classes, exceptions, `def_submodule` in a module of a package"""
    answer = check(kind, kiln, python, pybind11, tmp_path, ASK_PYBIND11, ["pkg._bound"])
    assert answer[0] == answer[2] == "pkg._bound" and answer[4:7] == ["pkg._bound.sub", "pkg._bound.sub.deep", 3]


# --- nanobind -----------------------------------------------------------------------------------

NANOBIND = r"""
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
namespace nb = nanobind;
struct Pet { std::string name; };
NB_MODULE(_nano, m) {
    nb::class_<Pet>(m, "Pet").def(nb::init<std::string>()).def_rw("name", &Pet::name);
    m.def_submodule("sub").def("twice", [](int n) { return 2 * n; });
}
"""
ASK_NANOBIND = """
import pkg._nano as m
answer = [m.__name__, m.Pet.__module__, m.Pet("rex").name, m.sub.__name__, m.sub.twice(3)]
"""


@pytest.fixture(scope="module")
def nanobind(python, bakery, get_headers, make_site, tmp_path_factory):
    # The last versions for Python 3.8 do not say that they are.
    source = get_headers("nanobind>=2" if bakery.version >= (3, 9) else "nanobind==2.4.0") / "nanobind"
    site, output = make_site("_nano")
    flags = [f"-I{source}/include", f"-I{source}/ext/robin_map/include", "-DNB_COMPACT_ASSERTIONS", "-fno-strict-aliasing"]
    build("kiln-c++", python, output, tmp_path_factory.mktemp("objects"), [NANOBIND, source / "src" / "nb_combined.cpp"],
          *flags, *CXXFLAGS)
    return site


def test_nanobind(kind, nanobind, kiln, python, tmp_path):
    """nanobind: classes, a submodule"""
    answer = check(kind, kiln, python, nanobind, tmp_path, ASK_NANOBIND, ["pkg._nano"])
    assert answer == ["pkg._nano", "pkg._nano", "rex", "pkg._nano.sub", 6]


# --- Cython -------------------------------------------------------------------------------------

CYTHON = {
    "first.pxd": "cdef int add(int a, int b)\ncdef class Point:\n    cdef public int x\n",
    "first.pyx": "cdef int add(int a, int b):\n    return a + b\n"
                 "cdef class Point:\n    def __init__(self, x):\n        self.x = x\n    def __reduce__(self):\n"
                 "        return Point, (self.x,)\n",
    # It uses the C functions and types of the first.
    "second.pyx": "from pkg.first cimport add, Point\nimport pkg.first as other\ndef total(a, b):\n    return add(a, b)\n"
                  "def numbers(n):\n    for i in range(n):\n        yield Point(i)\ndef fail():\n    raise ValueError('here')\n",
}
ASK_CYTHON = """
import pickle, traceback, pkg.second as m, pkg.first
try:
    m.fail()
except ValueError as error:
    last = traceback.extract_tb(error.__traceback__)[-1]
answer = [m.__name__, m.total.__name__, m.total(1, 2), [p.x for p in m.numbers(3)], pkg.first.Point.__module__,
          pickle.loads(pickle.dumps(pkg.first.Point(5))).x, m.other is pkg.first, last.name, last.lineno]
"""


@pytest.fixture(scope="module", params=["cython>=3.0,<3.1", "cython>=3.1"], ids=["3.0", "3.1"])
def cython(request, python, bakery, get_package, make_site, tmp_path_factory):
    # What it makes of 3.2 and later needs Python 3.9.
    tool = get_package(request.param + ("" if bakery.version >= (3, 9) else ",<3.2"))
    source = tmp_path_factory.mktemp("cython")
    (source / "pkg").mkdir()
    (source / "pkg" / "__init__.py").touch()
    for name, text in CYTHON.items():
        (source / "pkg" / name).write_text(text)
    site, *outputs = make_site("first", "second")
    for name, output in zip(("first", "second"), outputs):
        run(sys.executable, "-m", "cython", "-3", f"pkg/{name}.pyx", cwd=source, env={**os.environ, "PYTHONPATH": str(tool)})
        build("kiln-cc", python, output, tmp_path_factory.mktemp("objects"), [source / "pkg" / f"{name}.c"])
    return site


def test_cython(kind, cython, kiln, python, tmp_path):
    """Cython 3.0 and later: `cimport` from one module to another, classes, generators, tracebacks"""
    answer = check(kind, kiln, python, cython, tmp_path, ASK_CYTHON, ["pkg.first", "pkg.second"])
    assert answer[:5] == ["pkg.second", "total", 3, [0, 1, 2], "pkg.first"] and answer[7] == "pkg.second.fail"


# --- PyO3 ---------------------------------------------------------------------------------------

CARGO = """
[package]
name = "rusty"
version = "0.1.0"
edition = "2021"
[lib]
crate-type = ["cdylib"]
[dependencies]
pyo3 = "0.29"
[profile.dev]
debug = false
"""
PYO3 = """
use pyo3::prelude::*;
#[pyclass]
struct Pet { #[pyo3(get)] name: String }
#[pymethods]
impl Pet { #[new] fn new(name: String) -> Self { Pet { name } } }
#[pyfunction]
fn total(all: Vec<i64>) -> i64 { all.iter().sum() }
#[pyfunction]
fn fail() -> PyResult<()> { Err(pyo3::exceptions::PyValueError::new_err("no luck")) }
#[pymodule]
fn _rusty(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Pet>()?;
    m.add_function(wrap_pyfunction!(fail, m)?)?;
    m.add_function(wrap_pyfunction!(total, m)?)
}
"""
ASK_PYO3 = """
import pkg._rusty as m
try:
    m.fail()
except ValueError as error:
    caught = str(error)
answer = [m.__name__, m.total([1, 2, 3]), m.Pet("rex").name, m.total.__module__, caught]
"""


@pytest.fixture(scope="module")
def pyo3(python, make_site, tmp_path_factory):
    for program in ("cargo", "rustc"):
        if not shutil.which(program):
            pytest.skip(f"no {program}")
    crate = tmp_path_factory.mktemp("crate")
    (crate / "src").mkdir()
    (crate / "Cargo.toml").write_text(CARGO)
    (crate / "src" / "lib.rs").write_text(PYO3)
    host = run("rustc", "-vV").stdout.split("host: ")[1].split()[0].replace("-", "_").upper()
    result = run("cargo", "build", "--quiet", cwd=crate, check=False, env={
        **os.environ, "PYO3_PYTHON": str(python), f"CARGO_TARGET_{host}_LINKER": str(BUILD / "kiln-cc"),
        "PYO3_BUILD_EXTENSION_MODULE": "1", "CARGO_TARGET_DIR": str(BUILD / "cargo")})
    if "supported version" in result.stderr:
        pytest.skip("PyO3 0.29 does not know this Python")
    assert result.returncode == 0, result.stderr
    site, output = make_site("_rusty")
    shutil.copy(BUILD / "cargo" / "debug" / "librusty.so", output)
    return site


def test_pyo3(kind, pyo3, kiln, python, tmp_path):
    """PyO3: classes, functions, errors"""
    answer = check(kind, kiln, python, pyo3, tmp_path, ASK_PYO3, ["pkg._rusty"])
    assert answer == ["pkg._rusty", 6, "rex", "pkg._rusty", "no luck"]
