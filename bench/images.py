"""Unlinked extensions beside their files: what opening one costs, what start-up costs when none is used, and what
baking four large packages takes.

    python3 bench/images.py [--modules 2000,10000] [--runs 5] [--no-packages]

The modules are generated as those of building.py are, and compiled without Kiln. Opening is what an import does
apart from Python: dlopen() and dlsym(), by a module in C, in the stock interpreter for the files and in the executable
for the images, whose files are gone: an import does not look at them, while dlopen() compares them. The sides of a comparison take turns. All that is made stays in build/images/.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.fspath(pathlib.Path(__file__).resolve().parent.parent / "qa"))

import building  # noqa: E402
from baking import BUILD, KILN, Failure, choose_python, output_of, run  # noqa: E402

PACKAGES = ["numpy", "scipy", "pandas", "scikit-learn"]

# Opens every file of a list; says how many nanoseconds of processor time that took.
OPENER = r"""
#include <Python.h>
#include <dlfcn.h>
#include <sys/stat.h>
#include <time.h>

static long long
read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

__attribute__((noinline)) long
open_files(char **paths, long count)
{
    for (long i = 0; i < count; i++) {
        void *handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL || dlsym(handle, "PyInit_m") == NULL) {
            return i;
        }
    }
    return count;
}

static PyObject *
open_all(PyObject *self, PyObject *list)
{
    long count = (long)PyList_Size(list);
    char **paths = PyMem_Malloc(sizeof *paths * (size_t)(count + 1));
    for (long i = 0; i < count; i++) {
        paths[i] = (char *)PyUnicode_AsUTF8(PyList_GetItem(list, i));
    }
    long long start = read_clock();
    long opened = open_files(paths, count);
    long long end = read_clock();
    PyMem_Free(paths);
    return opened < count ? PyErr_Format(PyExc_OSError, "%s", dlerror()) : PyLong_FromLongLong(end - start);
}

static PyObject *
stat_all(PyObject *self, PyObject *list)
{
    long count = (long)PyList_Size(list);
    struct stat status;
    long long start = read_clock();
    for (long i = 0; i < count; i++) {
        stat(PyUnicode_AsUTF8(PyList_GetItem(list, i)), &status);
    }
    return PyLong_FromLongLong(read_clock() - start);
}

static PyMethodDef methods[] = {
    {"open_all", open_all, METH_O, NULL}, {"stat_all", stat_all, METH_O, NULL}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "opener", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_opener(void) { return PyModule_Create(&def); }
"""

DRIVER = r"""
import json, re, resource, sys
sys.path.insert(0, {site!r})
import opener
def read_private():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"^Anonymous: +(\d+)", file.read(), re.MULTILINE)[1])
def read_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
paths = json.load(sys.stdin)
private, faults = read_private(), read_faults()
nanoseconds = opener.open_all(paths)
faults = read_faults() - faults
print(json.dumps([nanoseconds / 1e3, faults, read_private() - private, opener.stat_all(paths) / 1e3]))
"""


class Site:
    """COUNT modules, and the executables with them unlinked.

    The paths of all sites have one length: how often a process asks for memory depends on it.
    """

    def __init__(self, directory, python, count):
        self.directory, self.python, self.count = directory / f"{count:05}", python, count
        self.site = self.directory / "site"
        self.suffix = building.ask(python, "sysconfig.get_config_var('EXT_SUFFIX')")
        if not (self.directory / "done").exists():
            shutil.rmtree(self.directory, ignore_errors=True)
            self._make()
            (self.directory / "done").touch()
        self.paths = [path.relative_to(self.site) for path in sorted(self.site.glob("*/m*.so"))]
        self.linked = self.directory / "linked"  # what the executables are made of

    def _compile(self, source, text, output):
        source.write_text(text)
        include = building.ask(self.python, building.INCLUDE)
        run("cc", "-shared", "-fPIC", "-O2", f"-I{include}", source, "-o", output, "-lm")

    def _make(self):
        self.site.mkdir(parents=True)
        templates = []
        for seed in range(min(building.SOURCES, self.count)):
            templates.append(self.directory / f"{seed}.so")
            self._compile(self.directory / f"{seed}.c", building.source_of(seed), templates[-1])
        for number in range(self.count):
            package = self.site / f"package_{number:05}"
            package.mkdir()
            (package / "__init__.py").touch()
            shutil.copyfile(templates[number * 7 % len(templates)], package / f"m{self.suffix}")
        self._compile(self.directory / "opener.c", OPENER, self.site / f"opener{self.suffix}")

    def link(self, kind, *options):
        output = self.directory / kind
        shutil.copytree(self.site, self.linked, copy_function=os.link, dirs_exist_ok=True)
        run(KILN, "link", "--quiet", "--python", self.python, "-o", output, "--keep", "opener", *options, self.linked)
        shutil.rmtree(self.linked)
        return output

    def open(self, python, count=None, under=()):
        place = self.site if python == self.python else self.linked
        paths = [os.fspath(place / path) for path in self.paths[:count]]
        result = subprocess.run([*under, os.fspath(python), "-I", "-S", "-c", DRIVER.format(site=os.fspath(self.site))],
                                input=json.dumps(paths), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, check=False)
        if result.returncode != 0:
            raise Failure(f"{python}: {result.stderr}")
        return result

    def measure_open(self, python):
        """[processor time in µs, page faults, anonymous kB, µs of a stat()] of one module."""
        return [value / self.count for value in json.loads(self.open(python).stdout)]

    def count_instructions(self, python, count=500):
        """Of one module, on the average; None without valgrind."""
        if shutil.which("valgrind") is None:
            return None
        count = min(count, self.count)
        said = self.open(python, count, under=[
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=open_files"]).stderr
        return int(re.search(r"Collected : (\d+)", said)[1]) / count


def take_turns(sides, runs, measure):
    """{side: medians of what MEASURE gives}"""
    samples = {side: [] for side in sides}
    for turn in range(runs + 1):
        for side, python in sides.items():
            values = measure(python)
            if turn > 0:
                samples[side].append(values)
    return {side: [statistics.median(column) for column in zip(*values)] for side, values in samples.items()}


def print_row(label, *columns):
    print(f"  {label:<30}" + "".join(f"{column:>14}" for column in columns), flush=True)


def print_opening(directory, python, count, runs):
    site = Site(directory, python, count)
    sides = {"files": python, "not PIE": site.link("no-pie", "--no-pie")}
    try:
        sides["PIE"] = site.link("pie", "--pie", "--libpython", "shared")
    except Failure as failure:
        print(f"(no PIE: {failure})")
    medians = take_turns(sides, runs, site.measure_open)
    instructions = {side: site.count_instructions(python) for side, python in sides.items()}
    print(f"\nOpening {count} modules; a module, medians of {runs} processes\n")
    print_row("", *sides)
    for index, label in [(0, "processor time, µs"), (3, "  of it a stat(), not at import"), (1, "page faults"),
                         (2, "anonymous memory, kB")]:
        print_row(label, *(f"{values[index]:.2f}" for values in medians.values()))
        if index == 0:
            print_row("  files to this", *(f"{medians['files'][0] / values[0]:.1f}" for values in medians.values()))
    if None not in instructions.values():
        print_row("instructions, of the first 500", *(f"{value:,.0f}" for value in instructions.values()))


# --- Start-up ---

def count_startup(python):
    """[dynamic relocations, system calls, instructions] of a Python that does nothing; None: no tool for that."""
    argv = [os.fspath(python), "-I", "-S", "-c", "pass"]
    relocations = len(re.findall(r"^[0-9a-f]{16}  ", output_of("readelf", "--wide", "--relocs", python), re.MULTILINE))
    calls = instructions = None
    if shutil.which("strace"):
        result = subprocess.run(["strace", "-f", *argv], stderr=subprocess.PIPE, text=True, check=True)
        calls = len(re.findall(r"^(?:\[pid +\d+\] )?\w+\(", result.stderr, re.MULTILINE))
    if shutil.which("valgrind"):
        result = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv],
                                stderr=subprocess.PIPE, text=True, check=True)
        instructions = int(re.search(r"Collected : (\d+)", result.stderr)[1])
    return [relocations, calls, instructions]


def measure_startup(python):
    """[processor time in ms, page faults]"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output_of(python, "-I", "-S", "-c", "pass", stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3, after.ru_minflt - before.ru_minflt]


def print_startup(directory, python, counts):
    sides = {"stock": python}
    for count in (1, *counts):
        sides[f"{count:,}"] = Site(directory, python, count).link("no-pie", "--no-pie")
    rows = {side: [*count_startup(python)] for side, python in sides.items()}
    medians = take_turns(sides, 21, measure_startup)
    print("\nStarting with so many images, none of them used, and the stock interpreter; medians of 21 processes\n")
    print_row("images", *sides)
    for index, label in enumerate(["dynamic relocations", "system calls", "instructions"]):
        values = [row[index] for row in rows.values()]
        if None not in values:
            print_row(label, *(f"{value:,}" for value in values))
    print_row("page faults", *(f"{values[1]:.0f}" for values in medians.values()))
    print_row("processor time, ms", *(f"{values[0]:.2f}" for values in medians.values()))


# --- Baking ---

def print_baking(directory, python, runs):
    venv = directory / "venv"
    if not (venv / "done").exists():
        shutil.rmtree(venv, ignore_errors=True)
        run(python, "-m", "venv", venv)
        run(venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PACKAGES)
        (venv / "done").touch()
    argv = [os.fspath(KILN), "link", "--python", os.fspath(venv / "bin" / "python"), "-o", os.fspath(directory / "app")]
    seconds, peaks = [], []
    for turn in range(runs + 1):
        child = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise Failure(said)
        if turn > 0:
            seconds.append(usage.ru_utime + usage.ru_stime)
            peaks.append(usage.ru_maxrss / 1024)
    print(f"\nkiln link of {', '.join(PACKAGES)}; medians of {runs}\n\n  {said.strip()}")
    print_row("processor time, s", f"{statistics.median(seconds):.2f}")
    print_row("peak of one process, MB", f"{statistics.median(peaks):.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--modules", default="2000,10000", help="how many; default: %(default)s")
    parser.add_argument("--runs", type=int, default=5, help="processes of each kind")
    parser.add_argument("--no-packages", dest="packages", action="store_false", help="nothing from the index")
    options = parser.parse_args()
    python = choose_python()
    directory = BUILD / "images"
    print(f"{output_of(python, '-VV').strip()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    counts = [int(count) for count in options.modules.split(",")]
    for count in counts:
        print_opening(directory, python, count, options.runs)
    print_startup(directory, python, sorted({300, counts[-1]}))
    if options.packages:
        print_baking(directory, python, options.runs)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"images: {failure}")
