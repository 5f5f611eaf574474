"""The demo packages' own tests, once from .so files and once baked; exit status 1 if any differs.

Run by `make demo-tests`. The packages are the demo's, from the same wheel cache, in an environment of their
own below build/demo/tests/, as the tests need more packages than the demo shall bake.
"""

import argparse
import collections
import pathlib
import sys

import suites
from baking import BUILD, Bakery, Failure, choose_python, output_of
from demo import CACHE

HERE = pathlib.Path(__file__).resolve().parent


def format_outcomes(outcomes):
    counts = collections.Counter(outcomes.values())
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in
                     ("passed", "failure", "error", "skipped") if counts[outcome])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--libpython", choices=["static", "shared"])
    parser.add_argument("packages", nargs="*", help="default: all that have tests here")
    options = parser.parse_args()
    bakery = Bakery(BUILD / "demo" / "tests", choose_python())
    bakery.pip("install", "--quiet", *CACHE, "-r", HERE / "demo-requirements.txt")
    # By pip itself, which takes wheels: some need a Rust toolchain to be built.
    output_of(bakery.python, "-m", "pip", "install", "--quiet", "--prefer-binary", *suites.RUNNERS)
    # Quietly: the extensions among them stay files.
    bakery.link("--quiet", *(["--libpython", options.libpython] if options.libpython else []),
                output=BUILD / "demo" / "python-tests")

    installed = {name.lower() for name, _ in bakery.list_packages()}
    names = options.packages or [*suites.SOURCE_TESTS, *suites.INSTALLED_TESTS]
    names = [name for name in names if name.lower() in installed]
    print(f"{'package':<12} {'from .so files':<44} {'baked':<44} different")
    failed = False
    for name in names:
        result = suites.compare(bakery, name)
        failed = failed or bool(result.different) or not result.baked
        print(f"{name:<12} {format_outcomes(result.files):<44} {format_outcomes(result.baked):<44} "
              f"{len(result.different)}", flush=True)
        for test, files, baked in result.different[:20]:
            print(f"    {test}: {files} from .so files, {baked} baked")
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"demo-tests: {failure}")
