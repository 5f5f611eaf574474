"""Shared objects that Kiln has not built, a construct each: what the stock interpreter sees of them in
files, and what the executable of `kiln link` sees of them.

A file of tests has a list CONSTRUCTS and imports `trees`, `linked`, pytest_generate_tests() and the two
tests from here. Its constructs are packages of one tree, so one link serves them all; each is imported
in a process of its own. Whatever an executable has in it is emptied in its copy of the tree."""

import concurrent.futures
import dataclasses
import fnmatch
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, run
from extensions import extension, include, suffix

# Whether `kiln link` bakes shared objects that were built without Kiln. While it does not, a construct that
# behaves as from its file is reported as skipped.
UNLINKS = True

# Linker and PIE of the executable.
PRODUCT = [(linker, pie) for linker in ("bfd", "gold", "lld", "mold") for pie in (False, True)
           if not (linker == "gold" and pie)]  # gold makes none
CONFIGURATIONS = PRODUCT if os.environ.get("KILN_TEST_PRODUCT") else [("lld", False), ("bfd", True)]

# What all sources include. F(f) begins a function for Python, MODULE(M(f)) makes the module.
MODULE_H = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define M(n) {#n, n, METH_VARARGS, NULL}
#define F(n) static PyObject *n(PyObject *self_, PyObject *args_)
#define N(x) PyLong_FromLongLong((long long)(x))
#define S(x) PyUnicode_FromString(x)
#define MODULE(...) \
    static PyMethodDef methods_[] = {__VA_ARGS__, {NULL, NULL, 0, NULL}}; \
    static struct PyModuleDef def_ = {PyModuleDef_HEAD_INIT, MOD, NULL, -1, methods_, NULL, NULL, NULL, NULL}; \
    PyMODINIT_FUNC INIT(void) __attribute__((visibility("default"))); /* as it is itself from 3.9 on */ \
    PyMODINIT_FUNC INIT(void) { return PyModule_Create(&def_); }
"""

# What the `build` part of a construct's text has: `ext NAME ARGS...` makes an extension, `lib NAME ARGS...` a
# library that the extensions find by their RUNPATH; `${L}NAME` links with it. OUT is the package.
BUILD_SH = r"""
set -e -o pipefail
L=-l${CON}_
ext() { local name=$1; shift
    ${CC:-gcc} -shared -fPIC -O1 -I"$INC" -I. -DMOD=\"$name\" -DINIT=PyInit_$name "$@" -L"$OUT/lib" '-Wl,-rpath,$ORIGIN/lib' \
        -o "$OUT/$name$SUF"; }
lib() { local name=lib${CON}_$1.so; shift; mkdir -p "$OUT/lib"
    ${CC:-gcc} -shared -fPIC -O1 -I"$INC" -I. -Wl,-soname,$name "$@" -L"$OUT/lib" '-Wl,-rpath,$ORIGIN' -o "$OUT/lib/$name"; }
extcc() { CC=${CC:-g++} ext "$@"; }
libcc() { CC=${CC:-g++} lib "$@"; }
"""

# Around a construct's program, which leaves `answer`.
PRELUDE = r"""
import importlib, json, os, queue, sys, threading
PKG, TREE = sys.argv[1:3]
HERE = os.path.join(TREE, PKG)
SUFFIX = sys.argv[3]
def load(name):
    return importlib.import_module(PKG + "." + name)
def say(text):
    return str(text).replace(HERE, "HERE")
def failure(name):
    try:
        load(name)
    except BaseException as error:
        return [type(error).__name__, say(error)]
class Early:
    "A thread that is there before anything is imported."
    def __init__(self):
        self.calls, self.results = queue.Queue(), queue.Queue()
        threading.Thread(target=self.serve, daemon=True).start()
        self(int)
    def serve(self):
        while True:
            self.results.put(self.calls.get()())
    def __call__(self, call):
        self.calls.put(call)
        return self.results.get()
def in_thread(call):
    result = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()
    thread.join()
    return result[0]
def in_child(call):
    "What the call returns in a forked child, or the signal that ends it."
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(call()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    status = os.wait()[1]
    return json.loads(text) if status == 0 else os.WTERMSIG(status)
"""
EPILOGUE = r"""
with open("/proc/self/maps") as maps:
    mapped = sorted({line.split()[-1] for line in maps if TREE in line})
sys.stdout.flush()
os.write(1, ("\nANSWER " + json.dumps([answer, mapped]) + "\n").encode())
"""


@dataclasses.dataclass
class Construct:
    name: str
    text: str  # parts that begin with "--- FILE"; the part "build" is for bash, else `ext _a a.c`
    code: str  # the program
    expect: object  # its `answer`
    prints: str = ""  # what else it writes to the standard output
    status: int = 0
    unlinked: object = None  # a function: `answer` and `prints` of the executable, where they differ by design
    why: str = ""  # why they do
    stays: str = ""  # a regular expression: why its extensions stay files, but for _good. All that do have one.
    either: bool = False  # they may be baked as well
    needs: tuple = ()  # programs for the build
    keep: tuple = ()  # patterns of files that the program needs in any case
    env: dict = dataclasses.field(default_factory=dict)
    after_link: str = ""  # for bash: what happens to the tree before the executable runs

    def __str__(self):
        return self.name


def construct(name, text, code, expect, **more):
    return Construct(name, text, code, expect, **more)


@dataclasses.dataclass
class Outcome:
    answer: object
    prints: str
    status: int
    mapped: list = dataclasses.field(compare=False)
    errors: str = dataclasses.field(compare=False)


def run_program(program, tree, item, suffix):
    env = {"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8",
           "PYTHONDONTWRITEBYTECODE": "1", **item.env}
    env = {key: value.replace("HERE", str(tree / item.name)) for key, value in env.items()}
    argv = [os.fspath(program), "-c", PRELUDE + item.code + EPILOGUE, item.name, os.fspath(tree), suffix]
    result = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, errors="replace", timeout=120, cwd=tree.parent)
    before, found, rest = result.stdout.rpartition("\nANSWER ")
    if not found:
        return Outcome(None, result.stdout, result.returncode, [], result.stderr)
    line, _, after = rest.partition("\n")
    answer, mapped = json.loads(line)
    return Outcome(answer, before + after, result.returncode, mapped, result.stderr)


@dataclasses.dataclass
class OneOf:
    """An answer that depends on the C library or the compiler. In the executable it is that of the files."""
    answers: list


def check(outcome, answer, item, prints=None):
    if isinstance(answer, OneOf):
        answer = outcome.answer if outcome.answer in answer.answers else answer.answers
    expected = Outcome(json.loads(json.dumps(answer)), item.prints if prints is None else prints, item.status, [], "")
    assert outcome == expected, f"it was {outcome.answer!r} {outcome.prints!r} {outcome.status}\n{outcome.errors}"


class Trees:
    """The constructs of a file of tests: FULL is the tree with all files."""

    def __init__(self, constructs, python, directory):
        self.python, self.directory = python, directory
        self.full = directory / "full"
        self.suffix, self.include = suffix(python), include(python)
        self.failed = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for item, said in zip(constructs, pool.map(self.build, constructs)):
                if said:
                    self.failed[item.name] = said
        # Beside them one extension that Kiln has built.
        extension(self.full, "fat", python)
        self.constructs = constructs
        self.outcomes = {}

    def build(self, item):
        """What is wrong, or ""."""
        if missing := [tool for tool in item.needs if not shutil.which(tool)]:
            return f"not installed: {', '.join(missing)}"
        package, sources = self.full / item.name, self.directory / "src" / item.name
        package.mkdir(parents=True)
        sources.mkdir(parents=True)
        (package / "__init__.py").touch()
        (sources / "module.h").write_text(MODULE_H)
        script = "ext _a a.c"
        for part in re.split(r"^--- ", item.text, flags=re.M)[1:]:
            name, _, text = part.partition("\n")
            if name.strip() == "build":
                script = text
            else:
                path = (package / name[4:]) if name.startswith("out/") else sources / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        result = self.bash(BUILD_SH + script, item, package, sources)
        return result.returncode and f"cannot be built: {result.stdout}{result.stderr}"

    def bash(self, script, item, package, cwd):
        return run("bash", "-c", script, check=False, cwd=cwd, env={
            **os.environ, "CON": item.name, "OUT": str(package), "INC": self.include, "SUF": self.suffix,
            "PYTHON": str(self.python), "EXTERN": str(self.directory / "extern")})

    def require(self, item):
        said = self.failed.get(item.name)
        if said and said.startswith("not installed"):
            pytest.skip(said)
        assert not said, said

    def run_stock(self, item):
        self.require(item)
        if item.name not in self.outcomes:
            self.outcomes[item.name] = run_program(self.python, self.full, item, self.suffix)
        return self.outcomes[item.name]

    def list_extensions(self, item):
        """The dotted names of its extensions."""
        return {".".join(file.relative_to(self.full).parts)[:-len(suffix)].removesuffix(".__init__")
                for suffix in (self.suffix, ".abi3.so") for file in (self.full / item.name).rglob(f"*{suffix}") if file.is_file()}


@functools.lru_cache(None)
def get_options():
    return run(BUILD / "kiln", "help", "link").stdout


class Linked:
    """The executable that `kiln link` makes of the tree."""

    def __init__(self, trees, linker, pie):
        self.trees = trees
        if shutil.which(f"ld.{linker}") is None and shutil.which(linker) is None:
            pytest.skip(f"{linker} is not installed")
        option = "--pie" if pie else "--no-pie"
        if option not in get_options():
            if pie:
                pytest.skip(f"kiln link has no {option}")
            option = "--quiet"
        directory = trees.directory / f"{linker}{option}"
        self.app, self.tree = directory / "app", directory / "tree"
        shutil.copytree(trees.full, self.tree, symlinks=True, copy_function=os.link)
        self.said = run(BUILD / "kiln", "link", option, "--verbose", "--python", trees.python, "--linker", linker, "-o", self.app, self.tree,
                        check=False)
        assert self.said.returncode == 0, self.said.stdout + self.said.stderr
        modules = json.loads(run(BUILD / "kiln", "ls", "--json", self.app).stdout)["modules"]
        self.baked = {module["name"] for module in modules}
        self.reasons = {name: reason for name, reason in
                        re.findall(r"^(?:kiln: )?(\S+) stays a file: (.*)$", self.said.stdout + self.said.stderr, re.M)}
        for item in trees.constructs:
            if self.is_baked(item):
                self.empty(item)
            if item.after_link:
                trees.bash(item.after_link, item, self.tree / item.name, self.tree)

    def is_baked(self, item):
        return bool(extensions := self.trees.list_extensions(item)) and extensions <= self.baked

    def empty(self, item):
        for file in (self.tree / item.name).rglob("*.so*"):
            if not any(fnmatch.fnmatch(file.name, pattern) for pattern in item.keep) and not file.is_dir():
                file.unlink()
                file.touch()

    def check(self, item):
        self.trees.require(item)
        baked = self.is_baked(item)
        outcome = run_program(self.app, self.tree, item, self.trees.suffix)
        answer, prints = item.expect, item.prints
        if baked and item.unlinked:
            answer, prints = item.unlinked()
        check(outcome, answer, item, prints)
        if answer is item.expect:
            stock = self.trees.run_stock(item)
            assert outcome == stock, stock.errors
        if baked and not item.keep:
            assert outcome.mapped == []
        if item.stays:
            self.check_reasons(item)
        elif not item.stays and not baked:
            stay = sorted(self.trees.list_extensions(item) - self.baked)
            said = "; ".join(f"{name}: {self.reasons.get(name)}" for name in stay)
            if UNLINKS:
                pytest.fail(f"stays a file: {said}")
            pytest.skip("the same from a file")

    def check_reasons(self, item):
        if not UNLINKS:
            return
        names = self.trees.list_extensions(item)
        good = {name for name in names if name.endswith("._good")}
        assert good <= self.baked
        if not item.either or not names <= self.baked:
            assert not (names - good) & self.baked
            reasons = [self.reasons.get(name, "") for name in names]
            assert any(re.search(item.stays, reason) for reason in reasons), reasons


def name_configuration(configuration):
    linker, pie = configuration
    return f"{linker}-{'pie' if pie else 'nopie'}"


@pytest.fixture(scope="module")
def trees(request, python, tmp_path_factory):
    return Trees(request.module.CONSTRUCTS, python, tmp_path_factory.mktemp("constructs"))


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=name_configuration)
def linked(request, trees):
    return Linked(trees, *request.param)


def pytest_generate_tests(metafunc):
    if "construct" in metafunc.fixturenames:
        metafunc.parametrize("construct", metafunc.module.CONSTRUCTS, ids=str)


def test_from_files(trees, construct):
    check(trees.run_stock(construct), construct.expect, construct)


def test_in_the_executable(linked, construct):
    linked.check(construct)
