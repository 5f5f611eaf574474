"""Bake packages from the index into one executable, and measure it beside the same .so files.

Run by `make demo`. KILN_PYTHON chooses the Python; --libpython static|shared is handed to
`kiln link`. Everything is made under build/demo/; a second run reuses what the first one built.
"""

import argparse
import pathlib
import sys
import time

import measure
from baking import BUILD, Bakery, Failure, choose_python

HERE = pathlib.Path(__file__).resolve().parent
STARTED = time.monotonic()


def say(text):
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"\n== {text}  [{minutes}:{seconds:02d}]", flush=True)


def check_baked(bakery):
    """The modules to import; none of the environment's may have stayed a file."""
    baked = bakery.list_baked()
    stayed = sorted(set(bakery.list_extension_files()) - set(baked))
    if stayed:
        raise Failure(f"{len(stayed)} extensions stayed files: {', '.join(stayed)}")
    imported = measure.Import(bakery.executable, baked)
    loaded = [path for path in imported.libraries if path.startswith(str(bakery.site_packages))]
    if loaded:
        raise Failure(f"baked, and yet loaded from files: {', '.join(loaded)}")
    return baked


def measure_size(python, names):
    """(python with its libpython, extension files) in bytes, stripped."""
    mapped = measure.Import(python, names).libraries
    program = [python] + [path for path in mapped if "libpython" in pathlib.Path(path).name]
    return sum(map(measure.measure_stripped, program))


def format_size(size):
    return f"{size / 1e6:.2f} MB"


def format_spread(times):
    return f"{times.fastest:.1f} .. {times.slowest:.1f} ms"


def print_table(bakery, names, runs):
    files = bakery.list_extension_files()
    pythons = [bakery.python, bakery.executable]
    (files_all, files_own), (baked_all, baked_own) = measure.compare(pythons, list(names), runs)
    program = measure_size(bakery.python, names)
    extensions = sum(measure.measure_stripped(path) for path in files.values())
    baked = measure_size(bakery.executable, names)

    packages = " ".join(f"{name} {version}" for name, version in bakery.list_packages())
    print(f"\n{bakery.base['implementation']} {bakery.base['version']}: {packages}")
    print(f"{runs} processes each, in turn; sizes without symbols and debug information\n")
    rows = [
        ("", "from .so files", "baked", "ratio"),
        ("packages", len(bakery.list_packages()), len(bakery.list_packages()), ""),
        ("extension modules", len(files), len(names), ""),
        ("files", len(files) + 1, 1, ""),
        ("size", format_size(program + extensions), format_size(baked),
         f"{(program + extensions) / baked:.2f}"),
        ("import all of them, median", f"{files_all.median:.1f} ms", f"{baked_all.median:.1f} ms",
         f"{files_all.median / baked_all.median:.2f}"),
        ("  fastest .. slowest", format_spread(files_all), format_spread(baked_all), ""),
        ("the extensions' own part*", f"{files_own.median:.1f} ms", f"{baked_own.median:.1f} ms",
         f"{files_own.median / baked_own.median:.2f}"),
        ("  fastest .. slowest", format_spread(files_own), format_spread(baked_own), ""),
    ]
    for label, *columns in rows:
        print(f"  {label:<28}" + "{:>20} {:>20} {:>8}".format(*columns))
    print("  * as -X importtime counts it, in processes of their own: without the Python modules that\n"
          "    they import, with finding, loading and initialising the extension", flush=True)


def bake(title, requirements, directory, output, options):
    say(title)
    bakery = Bakery(directory, choose_python())
    bakery.pip("install", "-r", HERE / requirements)
    say("Linking them into one executable")
    bakery.link(*(["--libpython", options.libpython] if options.libpython else []), output=output)
    names = check_baked(bakery)
    print_table(bakery, names, options.runs)
    return bakery


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--libpython", choices=["static", "shared"])
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind")
    parser.add_argument("--small", action="store_true", help="only the packages that build in seconds")
    options = parser.parse_args()
    demo = BUILD / "demo"
    bakery = bake("Small packages, built from source by their own build systems", "demo-small.txt",
                  demo / "small", demo / "python-small", options)
    if not options.small:
        bakery = bake("The same and large ones; several minutes when they are not built yet",
                      "demo-requirements.txt", demo / "all", demo / "python", options)
    say("Done")
    print(f"{bakery.executable} is that Python with the extensions inside. Try it:\n"
          f"  {bakery.executable} -c 'import yaml, msgpack; print(yaml.__with_libyaml__, msgpack.Packer)'")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"demo: {failure}")
