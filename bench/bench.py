"""Kiln measured beside what it replaces: importing, starting, looking up, building; in one run.

Run by `make bench` and `make bench-quick`. Every figure comes from fresh processes, the sides taking
turns, and is kept in bench/results/ with the machine and the versions; `page.py` makes
docs/benchmarks.md of that. KILN_PYTHON chooses the Python.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).resolve().parent.parent / "qa"))

import building  # noqa: E402
import page  # noqa: E402
import real  # noqa: E402
from baking import KILN, ROOT, Failure, choose_python, get_facts, output_of  # noqa: E402
from workload import FILES, PLAIN, SIDES, Workload, list_parents  # noqa: E402

SAMPLED = 100  # imports through a scanned inittab of 100,000 modules


def say(text):
    print(text, file=sys.stderr, flush=True)


class Program:
    """An executable of the workload, run as one of the sides."""

    def __init__(self, key, title, path, count, names, environment=(), step=1, parents=()):
        self.key, self.title, self.path, self.count, self.names = key, title, path, count, names
        self.environment, self.step, self.parents = dict(environment), step, list(parents)

    def run(self, count=None):
        """One process that imports COUNT modules (all of them): what it printed, and how long it was there."""
        argv = [self.path, str(self.count if count is None else count), str(self.step), *self.parents]
        start = time.perf_counter_ns()
        said = output_of(*argv, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL)
        return {**json.loads(said), "process_nanoseconds": time.perf_counter_ns() - start}

    def count_instructions(self, count=None):
        argv = [self.path, self.count if count is None else count, self.step, *self.parents]
        return count_instructions(*argv, env={**os.environ, **self.environment})


def list_programs(workload, count, names):
    """The sides with COUNT modules, as programs; Kiln without and with its fast path."""
    base = {"KILN_BENCH_PYTHON": workload.python}
    parents = ()
    if names == "dotted":
        base["KILN_BENCH_PATH"] = str(workload.make_packages(count))
        parents = list_parents(count)
    for side in SIDES:
        if names not in side.names:
            continue
        path = workload.build(side, count, names)
        step = max(1, count // SAMPLED) if side.key == "inittab" and count > 10_000 else 1
        if side.table:
            yield Program("kiln", "Kiln, fast path off", path, count, names, {**base, "KILN_BENCH_SLOW": "1"}, step, parents)
            yield Program("kiln-fast", "Kiln", path, count, names, base, step, parents)
        else:
            yield Program(side.key, side.title, path, count, names, base, step, parents)
    if names == "flat" and count <= 1000:
        files = {**base, "KILN_BENCH_PATH": str(workload.make_files(count))}
        path = workload.build(FILES, count, names)
        yield Program("files", FILES.title, path, count, names, files)


def take_turns(programs, runs, count=None):
    """{program: [what each of its processes said]}, one process of each in turn, after one that does not count."""
    samples = {program: [] for program in programs}
    for turn in range(runs + 1):
        for program in programs:
            sample = program.run(count)
            if turn > 0:
                samples[program].append(sample)
    return samples


def describe(program, samples, **more):
    return {"side": program.key, "title": program.title, "count": program.count, "names": program.names,
            "samples": samples, **more}


def measure_imports(workload, counts, runs):
    """Importing all modules, first to last."""
    found = []
    for count in counts:
        for names in ("flat", "dotted"):
            say(f"importing {count:,} modules, {names} names")
            programs = list(list_programs(workload, count, names))
            samples = take_turns(programs, runs if count <= 10_000 else max(3, runs // 2))
            for program in programs:
                if (count, names) != page.PLOTTED:
                    for sample in samples[program]:
                        del sample["places"]
                found.append(describe(program, samples[program]))
    return found


def measure_start(workload, counts, runs):
    """A process that imports none of the modules linked into it."""
    found = []
    wanted = {"inittab", "map", "kiln"}
    for kind in workload.bakery.libpythons:
        programs = []
        for count in [1, *counts]:
            say(f"starting with {count:,} modules linked in, {kind} libpython")
            programs += [Program(side.key, side.title, workload.build(side, count, "flat", kind), count, "flat",
                                 {"KILN_BENCH_PYTHON": workload.python}) for side in SIDES if side.key in wanted]
        samples = take_turns(programs, 3 * runs, count=0)
        found += [describe(program, samples[program], libpython=kind) for program in programs]
    return found


def count_instructions(*argv, env=None):
    """Instructions of one process, by valgrind; None without it."""
    if shutil.which("valgrind") is None:
        return None
    with tempfile.NamedTemporaryFile() as file:
        said = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}", *map(str, argv)],
                              env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", said).group(1))


def measure_pure_imports(workload, count, runs):
    """Importing COUNT modules of Python in a program without Kiln and in one with, where as many are linked in."""
    say(f"importing {count:,} modules that are not baked")
    env = {"KILN_BENCH_PYTHON": workload.python, "KILN_BENCH_PATH": str(workload.make_pure(count))}
    kiln = next(side for side in SIDES if side.table)
    programs = [Program("plain", PLAIN.title, workload.build(PLAIN, count, "pure"), count, "pure", env)]
    path = workload.build(kiln, count, "pure")
    programs += [Program("kiln", "Kiln, fast path off", path, count, "pure", {**env, "KILN_BENCH_SLOW": "1"}),
                 Program("kiln-fast", "Kiln", path, count, "pure", env)]
    samples = take_turns(programs, 3 * runs)
    found = []
    for program in programs:
        whole = program.count_instructions()
        instructions = None if whole is None else (whole - program.count_instructions(0)) / count
        for sample in samples[program]:
            del sample["places"]
        found.append(describe(program, samples[program], instructions=instructions))
    return found


def measure_lookup(workload, count, runs):
    """Looking a name up, without importing."""
    say(f"looking {count:,} names up")
    program = workload.build_lookup(count)
    samples = [json.loads(output_of(program, "50")) for _ in range(runs)]
    instructions = count_instructions(program, 1)
    if instructions is not None:
        instructions = (instructions - count_instructions(program, 0)) / (2 * count)
    return {"count": count, "samples": samples, "instructions_of_hit_and_miss": instructions}


def measure_table(counts):
    """Making a table: the time, and the bytes a module takes in it."""
    found = []
    for count in counts:
        say(f"making a table of {count:,} names")
        names = [f"package{i // 100}.module{i}" for i in range(count)]
        lines = "".join(f"{name} kiln_init_{i}\n" for i, name in enumerate(names))
        start = time.perf_counter_ns()
        source = output_of(KILN, "table", input=lines)
        took = time.perf_counter_ns() - start
        size = int(re.findall(r"^\t\.4byte (\d+)$", source, re.MULTILINE)[1])  # the header's
        found.append({"count": count, "nanoseconds": took, "bytes": size, "bytes_of_names": sum(map(len, names))})
    return found


def format_json(result):
    """A line for each thing measured."""
    def format_value(value):
        if isinstance(value, list):
            return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        return json.dumps(value)
    return "{\n " + ",\n ".join(f'"{key}": {format_value(value)}' for key, value in result.items()) + "\n}\n"


def describe_machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    kernel = ".".join(platform.release().split(".")[:2])
    return {"system": f"{platform.system()} {kernel}", "processor": model.group(1) if model else platform.machine(),
            "cores": os.cpu_count(), "compiler": output_of("cc", "--version").split("\n")[0],
            "linker": output_of("ld.lld", "--version").strip()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, fewer processes")
    parser.add_argument("--runs", type=int, help="processes of each program")
    options = parser.parse_args()
    runs = options.runs or (3 if options.quick else 5)
    counts = [100, 1000, 10_000] if options.quick else [10, 100, 1000, 10_000, 100_000]

    facts = get_facts(choose_python())
    # First, as it needs a package index: if that fails, no measurements are lost.
    bakery = None if options.quick else real.bake(facts["executable"])
    workload = Workload(facts["executable"])
    result = {"kiln": output_of(KILN, "--version").split()[-1], "python": facts["version"], "runs": runs,
              "quick": options.quick, "machine": describe_machine(),
              "imports": measure_imports(workload, counts, runs),
              "start": measure_start(workload, [count for count in counts if count >= 1000], runs),
              "lookup": measure_lookup(workload, 10_000, runs),
              "table": measure_table([10_000, 100_000] if options.quick else [10_000, 100_000, 1_000_000])}
    result["pure"] = measure_pure_imports(workload, 1000, runs)
    result["build"] = []
    for count in [1000] if options.quick else [1000, 10_000]:
        say(f"building executables of {count:,} extensions")
        result["build"].append(building.measure(facts["executable"], count, 1 if options.quick else 3))
    if bakery:
        say("importing and running real packages")
        result["real"] = real.measure_packages(bakery, runs)
    page.RESULTS.mkdir(exist_ok=True)
    path = page.RESULTS / f"python-{facts['version']}{'-quick' if options.quick else ''}.json"
    path.write_text(format_json(result))
    say(f"{path.relative_to(ROOT)} written")
    if not options.quick:
        page.write()
        say(f"{page.PAGE.relative_to(ROOT)} and its plots written")
    print(page.format_summary(result))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench: {failure}")
