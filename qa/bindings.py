"""What `kiln link` binds unlinked extensions to, beside what the dynamic loader binds their files to.

usage: bindings.py PYTHON BINDINGS REPORT    of `kiln link --bindings BINDINGS --report REPORT`

Every extension that is an image is imported by PYTHON with LD_DEBUG=bindings, a process for each top-level package.
Exit status 1 if a reference is bound otherwise.
"""

import collections
import filecmp
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import elf
import imports

realpath = functools.lru_cache(None)(os.path.realpath)
LINE = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: (?:normal|protected) symbol `([^']+)'(?: \[([^]]+)\])?")


def read_ours(path):
    """{(image, symbol, version): {(class, kind, target)}}"""
    ours = collections.defaultdict(set)
    for line in pathlib.Path(path).read_text().splitlines():
        image, symbol, version, way, kind, target = line.split("\t")
        ours[realpath(image), symbol, version].add(
            (way, kind, realpath(target) if "/" in target else target))
    return ours


def read_log(path, images, theirs):
    """Add what the dynamic loader has bound for IMAGES in one process to THEIRS."""
    with open(path, errors="replace") as file:
        for line in file:
            match = LINE.search(line)
            if match:
                name, target, symbol, version = match.groups()
                name = realpath(name)
                if name in images:
                    theirs[name, symbol, version or "-"].add(realpath(target))


def read_theirs(python, names, images, jobs=2):
    """{(file, symbol, version): {target}} of processes that import NAMES."""
    theirs = collections.defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        def take(pid):
            log = pathlib.Path(f"{directory}/ld.{pid}")
            read_log(log, images, theirs)
            log.unlink()

        imports.import_all(python, names, jobs, {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": f"{directory}/ld",
                                                 "LD_BIND_NOW": "1"},
                           lambda process: take(process.pid))
    return theirs


class Loader:
    """What the dynamic loader answers for an image that several others need: its scope is that of the one that is
    loaded first."""

    def __init__(self, python, images):
        self.python, self.images = python, images
        self._needed = {}  # {image: names of files}
        self._answers = {}  # {image that is loaded first: {(file, symbol, version): {target}}}

    def _get_needed(self, image):
        if image not in self._needed:
            self._needed[image] = set(elf.Object(image).needed)
        return self._needed[image]

    def find_roots(self, image):
        """The image and those that need it."""
        roots, new = {image}, {image}
        while new:
            names = {os.path.basename(path) for path in new}
            new = {path for path in self.images if path not in roots and names & self._get_needed(path)}
            roots |= new
        return roots

    def load(self, root):
        if root not in self._answers:
            self._answers[root] = answers = collections.defaultdict(set)
            with tempfile.TemporaryDirectory() as directory:
                subprocess.run([self.python, "-c", "import ctypes, os, sys; ctypes.CDLL(sys.argv[1]); os._exit(0)", root],
                               env={**os.environ, "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": f"{directory}/ld",
                                    "LD_BIND_NOW": "1", "LD_LIBRARY_PATH": os.path.dirname(root)}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for log in pathlib.Path(directory).iterdir():
                    read_log(log, self.images, answers)
        return self._answers[root]

    def get_answers(self, image, symbol, version):
        return set().union(*(self.load(root).get((image, symbol, version), ()) for root in self.find_roots(image)))


@functools.lru_cache(None)
def are_equal(one, other):
    """Whether both are copies of one build, whatever names and search paths of libraries tools have written into them."""
    return os.path.basename(one) == os.path.basename(other) and (
        filecmp.cmp(one, other, shallow=False) or
        elf.Object(one).read_build_id() == elf.Object(other).read_build_id() != None)  # noqa: E711


class References:
    """What an image's file looks up by relocations; all else is asked for by dlsym()."""

    def __init__(self):
        self._of = {}

    def has(self, image, symbol, version):
        if image not in self._of:
            self._of[image] = {(name, found or "-") for name, found in elf.Object(image).read_references()}
        return (symbol, version) in self._of[image]


def find_program(python):
    """The files that an executable of Kiln's may be one of, which are the interpreter and its libpython, if that is shared;
    and the libraries that it has from its start."""
    with imports.Import(python, []) as process:
        mapped = set(map(realpath, process.mapped))
    parts = {path for path in mapped if os.path.basename(path).startswith("libpython")}
    return {realpath(python)} | parts, mapped - parts


def explain(kind, target, expected, images, program, libraries):
    """Why a reference that we bind to TARGET is what the loader binds to EXPECTED; None: it is not."""
    if kind == "runtime":
        return "a dl function or __tls_get_addr: the runtime's answers for images"
    if kind == "program":
        return "the program" if program & expected else None
    if target in expected:
        return {"image": "another image or itself", "library": "a system library"}.get(kind, kind)
    if kind == "unique" and expected & images:
        return "UNIQUE: one copy for all, whichever defines it first"
    if kind == "library" and program & expected:
        return "a system library's, by the program's canonical PLT entry or copy"
    if target in libraries and expected <= libraries:
        return "two libraries of the program have it: the first one of the executable's"
    if any(are_equal(target, path) for path in expected):
        return "the same build under two paths: one image"
    return None


def compare(ours, theirs, python):
    """(Counter of what is the same, by how, [what differs])."""
    same, different = collections.Counter(), []
    images = {image for image, _, _ in ours}
    (program, libraries), references, loader = find_program(python), References(), Loader(python, images)
    for key in sorted(key for key in theirs if key[0] in images):
        expected = theirs[key]
        if key not in ours:
            if references.has(*key):
                different.append((*key, "-", "missing", "-", expected))
            else:
                same["looked up by dlsym(), no reference"] += 1
        chosen = {way for way, kind, target in ours.get(key, ()) if kind == "choice" and target in expected}
        for way, kind, target in ours.get(key, ()):
            why = explain(kind, target, expected, images, program, libraries)
            if not why and kind == "choice" and way in chosen:
                why = "one of several, for another that may be opened first: here it is the loader's"
            if not why and target in loader.get_answers(*key):
                why = "of a library that several need: what the loader answers if another of them is first"
            if why:
                same[why] += 1
            else:
                different.append((*key, way, kind, target, expected))
    return same, different


def check(python, bindings, names, jobs=2):
    ours = read_ours(bindings)
    theirs = read_theirs(python, names, {image for image, _, _ in ours}, jobs)
    return compare(ours, theirs, os.fspath(python))


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    report = json.loads(pathlib.Path(argv[2]).read_text())
    same, different = check(argv[0], argv[1], [module["name"] for module in report["modules"]])
    for why, count in sorted(same.items()):
        print(f"{count:8} {why}")
    print(f"{len(different):8} different")
    for line in different[:2000]:
        print("   ", *line)
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
