"""Link-time and run-time tests and the demo's packages on every CPython found; one line each.

Run by `make matrix`. KILN_PYTHONS names the interpreters, separated by spaces; without it they are
the system's, each python3.N on PATH, and pyenv's. The packages are those of the demo that support
the version; MATRIX_ARGS=--small bakes only those that build in seconds.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

import measure
from baking import BUILD, ROOT, Bakery, Failure, get_facts

OLDEST, NEWEST = 8, 15  # minor versions of Python 3
HERE = pathlib.Path(__file__).resolve().parent


def list_candidates():
    if os.environ.get("KILN_PYTHONS"):
        return os.environ["KILN_PYTHONS"].split()
    minors = range(OLDEST, NEWEST + 1)
    on_path = [shutil.which(f"python3.{minor}") for minor in minors]
    pyenv = pathlib.Path.home().glob(".pyenv/versions/*/bin/python")
    return ["/usr/bin/python3", *filter(None, on_path), *map(str, pyenv)]


def is_wanted(facts):
    minor = int(facts["version"].split(".")[1])
    return (facts["implementation"] == "CPython" and facts["version"].startswith("3.")
            and OLDEST <= minor <= NEWEST)


def find_pythons():
    """The facts of each CPython once, the oldest first."""
    found = {}
    for candidate in list_candidates():
        try:
            facts = get_facts(candidate)
        except (Failure, OSError, ValueError):
            continue  # a stand-in without a Python behind it, or Python 2
        if is_wanted(facts):
            found[os.path.realpath(facts["executable"])] = facts
    return sorted(found.values(), key=lambda facts: int(facts["version"].split(".")[1]))


def run_pytest(python, log):
    """The last line pytest prints for the tests that depend on the Python."""
    # The suites of packages run in `make check`; here the packages are baked below.
    tests = ["tests/test_link.py", "tests/test_importer.py"]
    tests = [test for test in tests if (ROOT / test).exists()]
    said = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT, env={**os.environ, "KILN_TEST_PYTHON": python}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log.write_text(said.stdout)
    return said.returncode == 0, said.stdout.strip().split("\n")[-1].strip("= ")


def check_baked(bakery):
    """Import every extension of the environment from the executable, none left out."""
    baked, files = bakery.list_baked(), bakery.list_extension_files()
    if set(baked) != set(files):
        raise Failure(f"stayed files: {', '.join(sorted(set(files) - set(baked)))}")
    measure.Import(bakery.executable, baked)
    return f"{bakery.get_listing()['libpython']} libpython {len(baked)}/{len(files)} baked"


def bake_packages(python, requirements, directory):
    """What came of the packages with the libpython that `kiln link` takes, then the shared one."""
    bakery = Bakery(directory, python)
    with open(directory / "bake.log", "w") as log:
        streams = {"stdout": log, "stderr": log}
        bakery.pip("install", "-r", HERE / requirements, **streams)
        bakery.link(**streams)
        lines = [check_baked(bakery)]
        if bakery.get_listing()["libpython"] != "shared":
            bakery.link("--libpython", "shared", **streams)
            lines.append(check_baked(bakery))
    return ", ".join(lines)


def try_python(facts, requirements):
    """(whether all is well, the line to print)."""
    directory = BUILD / "matrix" / facts["executable"].strip("/").replace("/", "-")
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    good, tests = run_pytest(facts["executable"], directory / "pytest.log")
    try:
        packages = bake_packages(facts["executable"], requirements, directory)
    except Failure as failure:
        good, packages = False, f"packages: {failure} (see {directory})"
    return good, (f"{facts['version']:<8} {facts['executable']}: {tests}; {packages}; "
                  f"{time.monotonic() - started:.0f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--small", action="store_const", const="demo-small.txt", dest="requirements",
                        default="demo-requirements.txt", help="only the packages that build in seconds")
    options = parser.parse_args()
    pythons = find_pythons()
    failed = 0
    for facts in pythons:
        good, line = try_python(facts, options.requirements)
        failed += not good
        print("ok    " if good else "FAILED", line, flush=True)
    print(f"{len(pythons) - failed} passed, {failed} failed")
    return failed > 0 or not pythons


if __name__ == "__main__":
    sys.exit(main())
