"""Packages' own test suites, run from .so files and baked, outcome by outcome."""

import collections
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import urllib.parse
import urllib.request
import xml.etree.ElementTree

from baking import Failure

HERE = pathlib.Path(__file__).resolve().parent
# Where the tests of the demo's packages are: a folder of the source archive, or modules that are installed.
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


def canonical(name):
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def download_source(name, version, directory):
    """The source archive as the index has it (PEP 691). pip would ask the package's build system for its metadata."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    url = f"{index}/{canonical(name)}/"
    wanted = canonical(f"{name}-{version}.tar.gz")
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request) as answer:
        files = [file for file in json.load(answer)["files"] if canonical(file["filename"]) == wanted]
    if not files:
        raise Failure(f"{url} has no source archive of version {version}")
    with urllib.request.urlopen(urllib.parse.urljoin(url, files[0]["url"])) as answer:
        contents = answer.read()
    digest = files[0]["hashes"].get("sha256")
    if digest and hashlib.sha256(contents).hexdigest() != digest:
        raise Failure(f"{files[0]['url']} is not what the index says: another SHA-256")
    archive = directory / files[0]["filename"]
    archive.write_bytes(contents)
    return archive


def unpack_source(bakery, name, version):
    """The unpacked source archive of an installed package."""
    sources = bakery.directory / "sources" / f"{name}-{version}"
    if not sources.exists():
        parts = sources.with_name(sources.name + ".part")
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        archive = download_source(name, version, parts)
        with tarfile.open(archive) as tar:
            tar.extractall(parts)
        archive.unlink()
        parts.rename(sources)
    (source,) = sources.iterdir()
    return source


class Suite:
    """Where the tests of one package are: in FOLDER of its source archive, or of that of the package OF, where
    SELECT names the files and folders to run (default: all of it), or in MODULES that it installs. ARGUMENTS are
    pytest's. ENVIRONMENT is set for them; {source} in it is where the archive is unpacked. OWN: the folder is ours,
    beside this file."""

    def __init__(self, name, folder=None, of=None, modules=(), select=(), arguments=(), environment=None, own=False):
        self.name, self.folder, self.of, self.modules, self.own = name, folder, of or name, modules, own
        self.select, self.arguments, self.environment = select, arguments, environment or {}

    def prepare(self, bakery):
        """(working directory, arguments of pytest, environment). The directory holds the tests and no package: what
        they import is what is installed."""
        if self.folder is None:
            directory = bakery.directory / "tests" / self.name
            directory.mkdir(parents=True, exist_ok=True)
            return directory, [*self.arguments, "--pyargs", *self.modules], self.environment
        if self.own:
            directory = bakery.directory / "tests" / self.name
            directory.mkdir(parents=True, exist_ok=True)
            for file in self.select:
                shutil.copy(HERE / self.folder / file, directory)
            return directory, [*self.arguments, *self.select], self.environment
        version = {canonical(name): version for name, version in bakery.list_packages()}[canonical(self.of)]
        directory = bakery.directory / "tests" / f"{self.of}-{version}"
        source = unpack_source(bakery, self.of, version)
        folder = pathlib.Path(self.folder)
        if not (source / folder).is_dir():
            raise Failure(f"{self.name}: there is no {folder} in its source archive")
        if not (directory / folder.name).exists():
            parts = directory / (folder.name + ".part")
            shutil.rmtree(parts, ignore_errors=True)
            shutil.copytree(source / folder, parts)
            parts.rename(directory / folder.name)
        return (directory,
                [*self.arguments, *([f"{folder.name}/{path}" for path in self.select] or [folder.name])],
                {name: value.format(source=source) for name, value in self.environment.items()})


def get_demo_suite(name):
    if name in INSTALLED_TESTS:
        return Suite(name, modules=INSTALLED_TESTS[name], arguments=["-m", "not slow"])
    return Suite(name, folder=SOURCE_TESTS[name])


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


def run_in_group(argv, log, seconds, **kwargs):
    """Exit status of a program whose output goes to LOG. After SECONDS it and its children are ended."""
    with open(log, "wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True, **kwargs)
        try:
            return process.wait(seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def run_tests(python, directory, arguments, results, programs, seconds=None, environment=None):
    """{test: outcome} of one run of pytest, with the directory PROGRAMS first on PATH, and with ENVIRONMENT."""
    results.unlink(missing_ok=True)
    log = results.with_suffix(".log")
    try:
        status = run_in_group(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results}", *arguments], log,
            seconds, cwd=directory,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Failure(f"pytest had not ended after {seconds} seconds in {python}") from None
    if not results.exists():
        raise Failure(f"pytest ended without a result, status {status}, in {python}:\n"
                      f"{log.read_text(errors='replace')[-4000:]}")
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


def run_form(bakery, suite, form, seconds=None):
    """{test: outcome} of a suite in one form, "files" or "baked"."""
    directory, arguments, environment = suite.prepare(bakery)
    python = {"files": bakery.python, "baked": bakery.executable}[form]
    return run_tests(python, directory, arguments, directory.with_name(f"{directory.name}-{form}.xml"),
                     bakery.python.parent, seconds, environment)


def compare(bakery, name):
    suite = get_demo_suite(name)
    return Comparison(name, *(run_form(bakery, suite, form) for form in ("files", "baked")))
