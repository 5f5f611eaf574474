"""Importing a list of modules in fresh processes, from .so files and baked, and what it costs."""

import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import textwrap

from baking import Failure, output_of

# Imports what standard input names; says the time taken, then each mapped shared object.
PROBE = textwrap.dedent("""
    import sys
    from importlib import import_module
    from time import perf_counter_ns
    names = sys.stdin.read().split()
    start = perf_counter_ns()
    for name in names:
        import_module(name)
    print(perf_counter_ns() - start)
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if line.count("/")}
    print(*sorted(path for path in paths if ".so" in path.rsplit("/", 1)[-1]), sep="\\n")
""")
IMPORT_TIME = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| \s*(\S+)$", re.MULTILINE)


class Import:
    """One fresh process that imported everything."""

    def __init__(self, python, names, options=(), before=""):
        result = subprocess.run(
            [os.fspath(python), *options, "-c", before + PROBE], input="\n".join(names),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise Failure(f"{python} could not import everything:\n{result.stderr}")
        time, *self.libraries = result.stdout.split("\n")
        self.milliseconds = int(time) / 1e6
        self._said = result.stderr

    def sum_of(self, names):
        """Milliseconds that -X importtime gives for these modules, others they import left out."""
        names = set(names)
        return sum(int(time) for time, name in IMPORT_TIME.findall(self._said) if name in names) / 1e3


class Times:
    """What several processes took, in milliseconds."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.fastest, self.slowest = min(values), max(values)


def compare(pythons, names, runs):
    """For each Python: (Times of all imports, Times of the extensions' own part), of RUNS processes
    each, one of each Python in turn, after one that does not count."""
    whole = {python: [] for python in pythons}
    own = {python: [] for python in pythons}
    for turn in range(runs + 1):
        for python in pythons:
            plain = Import(python, names)
            timed = Import(python, names, ["-X", "importtime"])
            if turn > 0:
                whole[python].append(plain.milliseconds)
                own[python].append(timed.sum_of(names))
    return [(Times(whole[python]), Times(own[python])) for python in pythons]


def measure_stripped(path):
    """The size in bytes of an ELF file without symbols, debug information and Kiln's section."""
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "stripped"
        output_of("strip", "--strip-all", "--remove-section=.kiln", "-o", copy, os.path.realpath(path))
        return copy.stat().st_size
