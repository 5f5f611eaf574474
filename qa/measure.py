"""Importing a list of modules in fresh processes, from .so files and baked, and what it costs."""

import collections
import os
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile
import textwrap

from baking import Failure, output_of

# Imports what standard input names; says the time taken and the processor time, then each mapped shared object.
PROBE = textwrap.dedent("""
    import sys
    from time import perf_counter_ns, process_time_ns
    names = sys.stdin.read().split()
    start, processor_start = perf_counter_ns(), process_time_ns()
    for name in names:
        __import__(name)  # which -X importtime sees
    print(perf_counter_ns() - start, process_time_ns() - processor_start)
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
        times, *self.libraries = result.stdout.split("\n")
        self.milliseconds, self.processor_milliseconds = (int(time) / 1e6 for time in times.split())
        self._said = result.stderr

    def get_times(self):
        """{module: milliseconds} that -X importtime gives, other modules that it imports left out."""
        times = collections.Counter()
        for time, name in IMPORT_TIME.findall(self._said):
            times[name] += int(time) / 1e3
        return times


class Times:
    """What several processes took, in milliseconds."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.fastest, self.slowest = min(values), max(values)


def start(python):
    """Milliseconds of processor time of a process that starts, does nothing, and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output_of(python, "-I", "-S", "-c", "pass", stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


Comparison = collections.namedtuple("Comparison", "whole own start")


def compare(pythons, names, runs):
    """For each Python: Times of importing NAMES (processor time); milliseconds of the modules' own parts of that, of
    each module in the process that was fastest, as these are by the clock; Times of starting (processor time). RUNS
    processes each, one of each Python in turn, after one that does not count."""
    samples = {python: Comparison([], [], []) for python in pythons}
    for turn in range(runs + 1):
        for python in pythons:
            sample = Comparison(Import(python, names).processor_milliseconds,
                                Import(python, names, ["-X", "importtime"]).get_times(), start(python))
            if turn > 0:
                for values, value in zip(samples[python], sample):
                    values.append(value)
    return [Comparison(Times(whole), sum(min(times[name] for times in own) for name in names), Times(starts))
            for whole, own, starts in (samples[python] for python in pythons)]


def measure_stripped(path):
    """The size in bytes of an ELF file without symbols, debug information and Kiln's section."""
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "stripped"
        output_of("strip", "--strip-all", "--remove-section=.kiln", "-o", copy, os.path.realpath(path))
        return copy.stat().st_size
