"""Bake packages from the index into one executable, first as the wheels that the index has and then built from
source, and measure each beside the same .so files.

Run by `make demo`. KILN_PYTHON chooses the Python; --libpython static|shared is handed to `kiln link`.
Everything is made under build/demo/. What was built from source is used again by the next run.
"""

import argparse
import json
import pathlib
import resource
import shutil
import statistics
import sys
import time

import measure
from baking import BUILD, Bakery, Failure, choose_python, run

HERE = pathlib.Path(__file__).resolve().parent
DEMO = BUILD / "demo"
REQUIREMENTS = HERE / "demo-requirements.txt"
# Wheels that `kiln pip` has built: the demo's own, so that its times are those of building.
CACHE = ["--cache-dir", DEMO / "cache"]
STARTED = time.monotonic()
LINKS = 3


def say(text):
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"\n== {text}  [{minutes}:{seconds:02d}]", flush=True)


class Stopwatch:
    """Seconds of the clock, and of processor time of child processes, since it was made."""

    def __init__(self):
        self._start = time.monotonic(), self._get_processor_time()

    @staticmethod
    def _get_processor_time():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def read(self):
        return time.monotonic() - self._start[0], self._get_processor_time() - self._start[1]


class Side:
    """One way to the executable: `bakery` with its packages, and the figures of a table's two columns."""

    def __init__(self, title, bakery, install_seconds):
        self.title, self.bakery, self.install_seconds = title, bakery, install_seconds

    def link(self, options):
        """Link, and link again for the times: the first link compiles the importer for this Python."""
        self.bakery.link(*options, output=self.bakery.directory / "app")
        times = []
        for _ in range(LINKS):
            watch = Stopwatch()
            self.bakery.link(*options, "--quiet", output=self.bakery.directory / "app")
            times.append(watch.read())
        self.link_seconds = [statistics.median(column) for column in zip(*times)]
        self._check()

    def _check(self):
        """What is baked is not loaded from its file."""
        self.baked = self.bakery.list_baked()
        imported = measure.Import(self.bakery.executable, self.baked)
        files = {str(path) for name, path in self.bakery.list_extension_files().items() if name in self.baked}
        loaded = sorted(files.intersection(imported.libraries))
        if loaded:
            raise Failure(f"baked, and yet loaded from files: {', '.join(loaded)}")

    @property
    def pythons(self):
        return [self.bakery.python, self.bakery.executable]

    def list_libraries(self):
        """Every shared object of the packages: extensions, and libraries that wheels bring."""
        paths = self.bakery.site_packages.rglob("*.so*")
        return [path for path in paths if path.is_file() and not path.is_symlink()]

    def measure_program(self, python):
        """The size of a Python with its libpython."""
        mapped = measure.Import(python, []).libraries
        return sum(map(measure.measure_stripped,
                       [python, *(path for path in mapped if "libpython" in pathlib.Path(path).name)]))

    def get_rows(self, times):
        files, baked = times
        libraries = [*self.list_libraries(), *self.bakery.list_standard_files()]
        size_of_files = self.measure_program(self.bakery.python) + sum(map(measure.measure_stripped, libraries))
        size_of_baked = self.measure_program(self.bakery.executable)
        install, link = self.install_seconds, self.link_seconds
        return [
            ("extension modules", len(self.bakery.list_extension_files()), f"{len(self.baked)} baked", ""),
            ("files, with libraries and lib-dynload", len(libraries) + 1, 1, ""),
            ("size [1]", f"{size_of_files / 1e6:.1f} MB", f"{size_of_baked / 1e6:.1f} MB",
             f"{size_of_files / size_of_baked:.2f}"),
            ("pip install, seconds [2]", *[f"{install[0]:.1f}"] * 2, ""),
            ("kiln link, seconds [3]", "", f"{link[0]:.1f}", ""),
            ("  of processor time for both", f"{install[1]:.1f}", f"{install[1] + link[1]:.1f}", ""),
            compare("import all of them, ms [4]", files.whole, baked.whole),
            spread(files.whole, baked.whole),
            ("the extensions' own part, ms [5]", f"{files.own:.1f}", f"{baked.own:.1f}", f"{files.own / baked.own:.2f}"),
            compare("start-up, ms [6]", files.start, baked.start),
            spread(files.start, baked.start),
        ]


def compare(label, files, baked):
    return label, f"{files.median:.1f}", f"{baked.median:.1f}", f"{files.median / baked.median:.2f}"


def spread(*times):
    return ("  fastest .. slowest", *(f"{time.fastest:.1f} .. {time.slowest:.1f}" for time in times), "")


NOTES = f"""\
  [1] python with its libpython and every shared object, without symbols and debug information
  [2] of the clock, from the index and without pip's cache; of what is built from source, the first time
  [3] of the clock, median of {LINKS}, once the importer is compiled for this Python, as the very first link does
  [4] processor time between the first import and the last; [6] of a whole process, `python -I -S -c pass`
  [5] finding, loading and initialising the extensions, without the Python modules that they import: what
      -X importtime says, which goes by the clock, and so of each in the process that was fastest"""


def print_table(sides, runs):
    """SIDES beside each other; all their processes in turn."""
    names = set.intersection(*(set(side.baked) for side in sides))
    times = measure.compare([python for side in sides for python in side.pythons], sorted(names), runs)
    columns = [side.get_rows(times[2 * i:2 * i + 2]) for i, side in enumerate(sides)]
    bakery = sides[0].bakery
    packages = " ".join(f"{name} {version}" for name, version in bakery.list_packages())
    print(f"\n{bakery.base['implementation']} {bakery.base['version']}: {packages}")
    print(f"Medians of {runs} processes of each kind, taken in turn. Ratio: files to baked.\n")
    print("  " + " " * 36 + "".join(f"{side.title:^40}" for side in sides).rstrip())
    print("  " + " " * 36 + "".join(f"{'from files':>16}{'baked':>16}{'ratio':>8}" for side in sides))
    for rows in zip(*columns):
        print(f"  {rows[0][0]:<36}" + "".join("{:>16}{:>16}{:>8}".format(*row[1:]) for row in rows).rstrip())
    print(NOTES, flush=True)


def install_wheels():
    directory = DEMO / "wheels"
    shutil.rmtree(directory, ignore_errors=True)
    bakery = Bakery(directory, choose_python())
    watch = Stopwatch()
    run(bakery.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-cache-dir",
        "-r", REQUIREMENTS)
    return Side("wheels", bakery, watch.read())


def build_from_source():
    """Keeps the time of the first build, as later ones take the wheels that it made."""
    bakery = Bakery(DEMO / "source", choose_python())
    kept = bakery.venv / "seconds"
    watch = Stopwatch()
    bakery.pip("install", *CACHE, "-r", REQUIREMENTS)
    if not kept.exists():
        kept.write_text(json.dumps(watch.read()))
    return Side("built from source", bakery, json.loads(kept.read_text()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--libpython", choices=["static", "shared"])
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind")
    parser.add_argument("--wheels", action="store_true", help="do not build from source")
    options = parser.parse_args()
    link_options = ["--libpython", options.libpython] if options.libpython else []

    say("Wheels from the index: pip install, kiln link")
    wheels = install_wheels()
    wheels.link(link_options)
    say("Importing them from files and from the executable")
    print_table([wheels], options.runs)
    sides = [wheels]
    if not options.wheels:
        say("The same built from source by kiln pip; several minutes when they are not built yet")
        source = build_from_source()
        source.link(link_options)
        say("Both")
        sides.append(source)
        print_table(sides, options.runs)
    say("Done")
    for side in sides:
        print(f"{side.bakery.executable} is that Python with the extensions inside ({side.title}).")
    print(f"Try it:\n  {wheels.bakery.executable} -c 'import yaml, msgpack; print(yaml.__with_libyaml__, msgpack.Packer)'")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"demo: {failure}")
