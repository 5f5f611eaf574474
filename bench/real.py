"""Real packages in the benchmark: importing them with a warm and a cold page cache, and running a program that
lives on their extensions, from .so files and baked."""

import os
import subprocess
import textwrap

import measure
from baking import BUILD, Bakery, Failure, output_of
from demo import HERE

# Work of extensions, called from Python often: small values to and fro, as services do.
WORK = textwrap.dedent("""
    import time
    import markupsafe, msgpack, ujson, xxhash
    row = {"id": 17, "name": "Ada <ada@example.org>", "tags": ["a", "b & c"], "ratio": 0.25, "nested": {"x": [1, 2, 3]}}
    start = time.perf_counter_ns()
    for _ in range(60_000):
        packed = msgpack.packb(row)
        text = ujson.dumps(msgpack.unpackb(packed))
        xxhash.xxh64_intdigest(text)
        markupsafe.escape(ujson.loads(text)["name"])
    print(time.perf_counter_ns() - start)
""")

# An executable that ran this imports the files of what is baked in it.
FILES_INSTEAD = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != '_kiln']\n"


def bake(python):
    """The packages of `make demo`, if it has built them for this Python, else the small ones among them."""
    if (BUILD / "demo" / "source" / "venv" / "made-of").exists():
        bakery = Bakery(BUILD / "demo" / "source", python)
        if "numpy" in dict(bakery.list_packages()):
            bakery.link("--quiet")
            return bakery
    bakery = Bakery(BUILD / "demo" / "small", python)
    bakery.pip("install", "--quiet", "-r", HERE / "demo-small.txt")
    bakery.link("--quiet")
    return bakery


def evict(paths):
    """Have the kernel forget the contents of files that no process has mapped."""
    os.sync()
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def list_files(bakery):
    return [bakery.executable, *(path for path in bakery.site_packages.rglob("*") if path.is_file())]


def take_turns(bakery, runs, measure_one):
    """{side: milliseconds of each process}; MEASURE_ONE is given a Python and code to run first."""
    sides = {"files": (bakery.python, ""), "files_in_executable": (bakery.executable, FILES_INSTEAD),
             "baked": (bakery.executable, "")}
    samples = {side: [] for side in sides}
    for turn in range(runs + 1):
        for side, (python, before) in sides.items():
            milliseconds = measure_one(python, before)
            if turn > 0:
                samples[side].append(milliseconds)
    return samples


def measure_import(bakery, names, runs, cold):
    """All modules in NAMES imported."""
    def measure_one(python, before):
        if cold:
            evict(list_files(bakery))
        return measure.Import(python, names, before=before).milliseconds
    return take_turns(bakery, runs, measure_one)


def measure_work(bakery, runs):
    def measure_one(python, before):
        return int(output_of(python, "-c", before + WORK, stdin=subprocess.DEVNULL)) / 1e6
    return take_turns(bakery, runs, measure_one)


def measure_packages(bakery, runs):
    """The rows of the page: what was done, and the milliseconds of each side."""
    baked = sorted(bakery.list_baked())
    if set(baked) != set(bakery.list_extension_files()):
        raise Failure("some extensions stayed files; see `kiln link`")
    groups = {"all packages": baked}
    for package in ("numpy", "lxml"):
        names = [name for name in baked if name.startswith(f"{package}.")]
        if names:
            groups[package] = names
    rows = []
    for group, names in groups.items():
        for cold in (False, True):
            rows.append({"what": f"import {group}", "modules": len(names), "cache": "cold" if cold else "warm",
                         **measure_import(bakery, names, runs, cold)})
    rows.append({"what": "a program on extensions", "modules": len(baked), "cache": "warm", **measure_work(bakery, runs)})
    return {"packages": [f"{name} {version}" for name, version in bakery.list_packages()], "rows": rows}
