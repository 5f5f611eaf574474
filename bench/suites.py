"""The demo packages' own test suites, run from .so files and baked, outcome by outcome."""

import collections
import os
import pathlib
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree

from baking import Failure, output_of

# Where each package's tests are: a folder of its source archive, or modules that it installs.
SOURCE_TESTS = {
    "MarkupSafe": "tests",
    "msgpack": "test",
    "xxhash": "tests",
    "PyYAML": "tests",
}
INSTALLED_TESTS = {
    "numpy": ["numpy.linalg", "numpy.random", "numpy._core"],
}
# What the tests import besides the package. meson and Cython: NumPy's tests build extensions, which
# newer versions of Cython refuse.
RUNNERS = ["pytest", "hypothesis", "setuptools", "meson", "ninja", "Cython<3.2"]


def unpack_source(bakery, name, version):
    """The unpacked source archive of an installed package."""
    sources = bakery.directory / "sources" / f"{name}-{version}"
    if not sources.exists():
        parts = sources.with_name(sources.name + ".part")
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        output_of(bakery.python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name,
                  "--dest", parts, f"{name}=={version}", stdin=subprocess.DEVNULL)
        (archive,) = parts.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(parts)
        archive.unlink()
        parts.rename(sources)
    (source,) = sources.iterdir()
    return source


def prepare(bakery, name):
    """(working directory, arguments of pytest) for the tests of one package. The directory holds the
    tests and no package: what they import is what is installed."""
    if name in INSTALLED_TESTS:
        directory = bakery.directory / "tests" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory, ["-m", "not slow", "--pyargs", *INSTALLED_TESTS[name]]
    version = dict((n.lower(), v) for n, v in bakery.list_packages())[name.lower()]
    folder = SOURCE_TESTS[name]
    directory = bakery.directory / "tests" / f"{name}-{version}"
    if not directory.exists():
        shutil.copytree(unpack_source(bakery, name, version) / folder, directory / folder)
    return directory, [folder]


def read_outcomes(path):
    """{test: outcome} of a JUnit file; tests of one name are counted up."""
    outcomes = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        number = 2
        while test in outcomes:
            test = f"{test.split(' #')[0]} #{number}"
            number += 1
        outcomes[test] = case[0].tag if len(case) and case[0].tag != "system-out" else "passed"
    return outcomes


def run_tests(python, directory, arguments, results, programs):
    """{test: outcome} of one run of pytest, with the directory PROGRAMS first on PATH."""
    results.unlink(missing_ok=True)
    said = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results}", *arguments],
        cwd=directory, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace")
    results.with_suffix(".log").write_text(said.stdout)
    if not results.exists():
        raise Failure(f"pytest ended without a result, status {said.returncode}, in {python}:\n"
                      f"{said.stdout[-4000:]}")
    return read_outcomes(results)


def group_by_function(outcomes):
    """{test function: outcomes of its variants, counted}."""
    groups = collections.defaultdict(collections.Counter)
    for test, outcome in outcomes.items():
        groups[test.split("[")[0]][outcome] += 1
    return groups


class Comparison:
    """Each test has one outcome from .so files and one baked. Where a test's variants are generated from
    a set of types, which are ordered by address, they have other names in another program; variants that
    are in one run only are compared by how many had which outcome."""

    def __init__(self, name, files, baked):
        self.name, self.files, self.baked = name, files, baked
        self.different = [(test, outcome, baked[test]) for test, outcome in sorted(files.items())
                          if test in baked and baked[test] != outcome]
        only_files, only_baked = ({test: outcome for test, outcome in these.items() if test not in those}
                                  for these, those in ((files, baked), (baked, files)))
        ours, theirs = group_by_function(only_files), group_by_function(only_baked)
        for function in sorted(ours.keys() | theirs.keys()):
            if ours[function] != theirs[function]:
                self.different.append((function, f"variants {dict(ours[function])}", f"{dict(theirs[function])}"))


def compare(bakery, name):
    directory, arguments = prepare(bakery, name)
    outcomes = [
        run_tests(python, directory, arguments, directory.with_name(f"{directory.name}-{form}.xml"),
                  bakery.python.parent)
        for form, python in (("files", bakery.python), ("baked", bakery.executable))
    ]
    return Comparison(name, *outcomes)
