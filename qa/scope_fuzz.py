"""Random small systems of extensions and libraries (scope_systems.py), from files and in executables: whoever answers a reference
has to be the same, and so have the order of constructors, and errors.

usage: scope_fuzz.py [--first N] [--count N] [--seed N]... [--linker NAME]... [--from WAY] [--batch N] [--keep DIR] [--shrink]

--seed is for systems one by one, --without KEY,... leaves decisions of theirs out, and --shrink looks for those that do not matter.
KILN_PYTHON chooses the Python. Exit status 1 if anything differs.
"""

import argparse
import collections
import concurrent.futures
import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from baking import BUILD, KILN, Failure, choose_python, is_standard, output_of
from scope_sources import FUZZ_H, FUZZ_HPP, MAKE_C, MAKE_OPTIONS, Files
from scope_systems import LATER, LINKERS, make_system

DRIVER = pathlib.Path(__file__).with_name("scope_drive.py")
PIE = {"bfd", "mold"}  # whose executables are position-independent; gold makes none
SHOWN = 30  # lines of a difference
SECONDS = 60  # until a program is taken to hang


PLAIN_C = """
void *fuzz_make(const char *name, const void *parts, int count);
void *PyInit_plain(void) { return fuzz_make("plain", 0, 0); }
"""


def list_linkers():
    return [linker for linker in LINKERS if shutil.which(f"ld.{linker}")]


class Bench:
    """A directory for a batch of systems that are linked into one executable for each of LINKERS."""

    def __init__(self, directory, python, linkers, way, jobs=None):
        self.directory, self.python, self.linkers, self.way = pathlib.Path(directory).resolve(), python, linkers, way
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count())
        facts = output_of(python, "-c", "import sysconfig as s; print(s.get_path('include')); print(s.get_config_var('EXT_SUFFIX'))")
        self.include, self.suffix = facts.split()
        self.reports = {}
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, text in (("fuzz.h", FUZZ_H), ("fuzz.hpp", FUZZ_HPP), ("make.c", MAKE_C)):
            (self.directory / name).write_text(text)
        for name, defines in MAKE_OPTIONS.items():
            output_of("gcc", "-c", "-fPIC", "-O1", *defines, f"-I{self.include}", "make.c", "-o", f"{name}.o", cwd=self.directory)
        # Something to link, even if all else stays files.
        (self.directory / "site").mkdir()
        (self.directory / "plain.c").write_text(PLAIN_C)
        output_of("gcc", "-shared", "-fPIC", "plain.c", "make_places.o", "-o", f"site/plain{self.suffix}", cwd=self.directory)

    def build(self, system):
        """What is wrong, or ""."""
        files = Files(system, os.fspath(BUILD / "kiln-cc"), self.suffix)
        for command in files.write(self.directory):
            result = subprocess.run(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    text=True)
            if result.returncode != 0:
                return f"{' '.join(command)}\n{result.stdout}"
        self.remove(files, "before")
        return ""

    def remove(self, files, when):
        for name, moment in files.system.removed.items():
            if moment == when:
                (self.directory / files.plan["files"][name]).unlink()

    def link(self, linker):
        app, report = self.directory / f"app-{linker}", self.directory / f"report-{linker}.json"
        output_of(KILN, "link", "--quiet", "--from", self.way, "--python", self.python, "--linker", linker, "--pie" if linker in PIE else "--no-pie",
                  "--report", report, "--bindings", self.directory / f"bindings-{linker}", "-o", app, self.directory / "site")
        self.reports[linker] = json.loads(report.read_text())
        return app

    def list_files(self, system, linker):
        """The parts of SYSTEM that are files beside the executable: what is neither an image nor baked from objects."""
        bindings = self.directory / f"bindings-{linker}"
        images = {line.partition("\t")[0] for line in bindings.read_text().splitlines()} if bindings.exists() else set()
        baked = {module["name"] for module in self.reports[linker]["modules"]}
        return [part.name for part in system.list_kind("shared", "extension") if f"{system.name}.{part.name}" not in baked and
                not any(path.endswith(f"/{system.name}/{part.place}/{part.file}") for path in images)]

    def run(self, program, system):
        """(what it tells of each run, the end)"""
        directory = self.directory / system.name
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [program, "-S", DRIVER, directory / "plan.json", directory / f"log-{os.path.basename(program)}"]
        try:
            result = subprocess.run(argv, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, errors="replace", timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return [], ["hangs"]
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        # By design, resolvers of IFUNCs run after all other words are filled in; ld.so warns that it is not so with files.
        errors = [line.replace(os.fspath(program), "PROGRAM") for line in result.stderr.splitlines() if not re.search("Relink `.*' with `.*' for IFUNC symbol", line)]
        return runs, [f"exit status {result.returncode}"] + [f"stderr: {line}" for line in errors[-20:]]

    def try_systems(self, systems):
        """{seed: {linker: what differs}}, {seed: why it cannot be built}"""
        broken = {}
        for system, said in zip(systems, self.pool.map(self.build, systems)):
            if said:
                broken[system.seed] = said
                shutil.rmtree(self.directory / "site" / system.name)
        good = [system for system in systems if system.seed not in broken]
        differences = collections.defaultdict(dict)
        if not good:
            return differences, broken
        programs = dict(zip(self.linkers, self.pool.map(self.link, self.linkers)))
        for system in good:
            self.remove(Files(system, "kiln-cc", self.suffix), "after")
        stock = list(self.pool.map(lambda system: self.run(self.python, system), good))
        for linker, program in programs.items():
            for system, expected, found in zip(good, stock, self.pool.map(lambda system: self.run(program, system), good)):
                files = self.list_files(system, linker)
                lines = [make_transcript(*told, files) for told in (expected, found)]
                if lines[0] != lines[1]:
                    differences[system.seed][linker] = list(difflib.unified_diff(*lines, "from files", "executable", n=2, lineterm=""))
        return differences, broken


def sort_notes(notes, files):
    """What is compared of NOTES, in the order that counts. By design, libraries of the system have one of their own: constructors are
    before those of the images of an import, destructors after those of all images. So have destructors of FILES, and when the resolver
    of an IFUNC runs is nobody's business."""
    own = [note for note in notes if note.startswith(("step", "package:"))]
    system = [note for note in notes if note.startswith(("step", "system:"))]
    late = [note for note in own if note.startswith("package: destructor") and note.split()[2] in files]
    return ([note for note in own if note not in late] + late + [note for note in system if "destructor" not in note] +
            sorted(note for note in system if "destructor" in note) + sorted(note for note in notes if note.startswith("resolved:")))


def make_transcript(runs, end, files):
    lines = []
    for number, run in enumerate(runs):
        said = [json.dumps(event) for event in run["events"] or []] + sort_notes(run["notes"], files) + [f"status {run['status']}"]
        lines += [f"run {number} {line}" for line in said]
    return lines + end


def count_reasons(report, counts):
    for module in report["modules"]:
        if not is_standard(module):
            counts[module["way"]] += 1
    for module in report["files"]:
        counts["file"] += 1
        counts["file: " + re.sub(r"s\d+|\S*/\S+|f\d|v\d|t\d|lib\dn?|_[a-d]\d*\b", "*", module["reason"])] += 1


def show(seed, linker, lines, how=""):
    shown = "".join(f"    {line}\n" for line in lines[:SHOWN])
    return f"seed {seed}, {linker}{how}: python3 qa/scope_fuzz.py --seed {seed} --linker {linker}\n{shown}"


class Fuzzer:
    def __init__(self, options, python):
        self.options, self.python = options, python
        self.linkers = options.linker or list_linkers()
        self.counts = {linker: collections.Counter() for linker in self.linkers}
        self.failed, self.broken = [], 0

    def try_batch(self, seeds, linkers, without=(), keep=None):
        systems = [make_system(seed, without) for seed in seeds]
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(keep or directory, self.python, linkers, self.options.way, self.options.jobs)
            result = bench.try_systems(systems)
        return (*result, bench.reports)

    def try_all(self, seeds):
        size = self.options.batch
        for start in range(0, len(seeds), size):
            batch = seeds[start:start + size]
            differences, broken, reports = self.try_batch(batch, self.linkers)
            for linker, report in reports.items():
                count_reasons(report, self.counts[linker])
            self.broken += len(broken)
            for seed, said in broken.items():
                print(f"seed {seed} cannot be built: {said}")
            for seed, found in differences.items():
                self.tell(seed, found)
            if sys.stderr.isatty():
                print(f"\r{start + len(batch)} of {len(seeds)} systems, {len(self.failed)} differ", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)

    def tell(self, seed, found):
        """Say what differs in a batch, and whether it does alone."""
        self.failed.append(seed)
        alone, _, _ = self.try_batch([seed], list(found))
        for linker, lines in (alone.get(seed) or found).items():
            print(show(seed, linker, lines, "" if alone else ", only beside others"), end="", flush=True)

    def shrink(self, seed, linker):
        """Decisions of SEED that do not matter for its difference."""
        def fails(without):
            differences, broken, _ = self.try_batch([seed], [linker], without)
            return bool(differences) and not broken

        without = set(self.options.without)
        step = len(make_system(seed, without).keys)
        while step >= 1:
            keys = [key for key in make_system(seed, without).keys if key not in without]
            for start in range(0, len(keys), step):
                some = set(keys[start:start + step])
                if fails(without | some):
                    without |= some
            step //= 2
        return sorted(without)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=LATER)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--linker", action="append", choices=LINKERS)
    parser.add_argument("--from", dest="way", default="auto", choices=["auto", "wheels", "objects"])
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--keep", metavar="DIR")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[])
    parser.add_argument("--shrink", action="store_true")
    options, python = parser.parse_args(), choose_python()
    fuzzer = Fuzzer(options, python)
    if options.shrink:
        for seed in options.seed:
            without = fuzzer.shrink(seed, fuzzer.linkers[0])
            print(f"--seed {seed} --without '{','.join(without)}'")
        return 0
    if options.seed:
        for seed in options.seed:
            differences, broken, reports = fuzzer.try_batch([seed], fuzzer.linkers, options.without, options.keep)
            for linker, lines in differences.get(seed, {}).items():
                fuzzer.failed.append(seed)
                print(show(seed, linker, lines), end="")
            for linker, report in reports.items():
                count_reasons(report, fuzzer.counts[linker])
            print(*broken.values(), sep="\n", end="")
    else:
        fuzzer.try_all(range(options.first, options.first + options.count))
        print(f"{options.count} systems from seed {options.first}, {fuzzer.broken} cannot be built, {len(fuzzer.failed)} differ {sorted(fuzzer.failed)}")
    for linker, counts in fuzzer.counts.items():
        print(f"{linker}: " + "".join(f"\n    {count:6} {what}" for what, count in counts.most_common(25)))
    return bool(fuzzer.failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"scope_fuzz.py: {failure}")
