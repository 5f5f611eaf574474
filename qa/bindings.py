"""What `kiln link` binds unlinked extensions to, beside what the dynamic loader binds their files to.

usage: bindings.py PYTHON BINDINGS    BINDINGS is of `kiln link --bindings`; exit status 1 if they differ

Every module whose file is in BINDINGS is imported by PYTHON with LD_DEBUG=bindings.
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# What PYTHON runs: every extension below its path, imported by name.
IMPORT_ALL = r"""
import importlib, importlib.machinery, os, sys, warnings
warnings.simplefilter("ignore")
suffixes = importlib.machinery.EXTENSION_SUFFIXES
wanted = set(map(os.path.realpath, sys.argv[1:]))
for entry in sys.path:
    for directory, _, files in sorted(os.walk(entry)):
        for file in sorted(files):
            path = os.path.join(directory, file)
            if os.path.realpath(path) in wanted:
                wanted.discard(os.path.realpath(path))
                suffix = next((s for s in suffixes if file.endswith(s)), None)
                if suffix:
                    name = os.path.relpath(path, entry)[:-len(suffix)].replace(os.sep, ".")
                    try:
                        importlib.import_module(name)
                    except BaseException as error:
                        print(f"{name}: {error!r}"[:200], file=sys.stderr)
os._exit(0)
"""

LINE = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: (?:normal|protected) symbol `([^']+)'(?: \[([^]]+)\])?")


def read_ours(path):
    """{(image, symbol, version): {(class, kind, target)}}"""
    ours = collections.defaultdict(set)
    for line in pathlib.Path(path).read_text().splitlines():
        image, symbol, version, way, kind, target = line.split("\t")
        ours[os.path.realpath(image), symbol, version].add((way, kind, os.path.realpath(target) if "/" in target else target))
    return ours


def read_theirs(python, images):
    """{(file, symbol, version): {target}} of a process that imports all."""
    theirs = collections.defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": f"{directory}/ld", "LD_BIND_NOW": "1"}
        subprocess.run([python, "-c", IMPORT_ALL, *images], env=environment, check=True, stdin=subprocess.DEVNULL)
        for file in pathlib.Path(directory).iterdir():
            for line in file.read_text(errors="replace").splitlines():
                match = LINE.search(line)
                if match:
                    name, target, symbol, version = match.groups()
                    theirs[os.path.realpath(name), symbol, version or "-"].add(os.path.realpath(target))
    return theirs


def compare(ours, theirs, program):
    """What is the same, by kind, and the lines of what differs."""
    same, different = collections.Counter(), []
    images = {image for image, _, _ in ours}
    for key in sorted(key for key in theirs if key[0] in images):
        for way, kind, target in ours.get(key, {("-", "missing", "-")}):
            expected = theirs[key]
            if kind == "runtime":
                same["answered by the runtime"] += 1
            elif kind == "program":
                ok = program in expected
                same["program"] += ok
                if not ok:
                    different.append((*key, way, kind, target, expected))
            elif target in expected or (kind == "unique" and expected & images):
                same[kind] += 1
            elif kind == "library" and program in expected:
                same["library, by way of the program"] += 1
            else:
                different.append((*key, way, kind, target, expected))
    return same, different


def main(argv):
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    ours = read_ours(argv[1])
    images = sorted({image for image, _, _ in ours})
    theirs = read_theirs(argv[0], images)
    program = os.path.realpath(argv[0])
    same, different = compare(ours, theirs, program)
    for kind, count in sorted(same.items()):
        print(f"{count:8} {kind}")
    print(f"{len(different):8} different")
    for line in different[:200]:
        print("   ", *line)
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
