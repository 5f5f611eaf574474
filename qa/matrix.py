"""The tests that depend on the Python, and the demo's packages, on every CPython found: a line each.

Run by `make matrix`, and by `make matrix-sid` in a Debian sid. KILN_PYTHONS names the interpreters, separated by
spaces; without it they are the system's, each python3.N on PATH, and pyenv's. What the tests said is left in
DIRECTORY/NAME/: pytest.log, junit.xml, facts.json; protocols_page.py makes docs/protocols.md of it.
The packages are those of the demo that support the version; with --small, those that build in seconds.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import measure
from baking import BUILD, ROOT, Bakery, Failure, get_facts, name_directory

# A new minor version of CPython is a row here, or two: with a t at its end it is the build without a GIL.
VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t", "3.15", "3.15t"]
HERE = pathlib.Path(__file__).resolve().parent
# These are the same with every Python, or run with packages of their own.
SAME_EVERYWHERE = {"test_examples", "test_isolate", "test_kiln_cc", "test_kiln_pip", "test_packages", "test_table"}


def get_minor(facts):
    return ".".join(facts["version"].split(".")[:2]) + ("t" if facts.get("free_threaded") else "")


def list_candidates():
    if os.environ.get("KILN_PYTHONS"):
        return os.environ["KILN_PYTHONS"].split()
    on_path = [shutil.which(f"python{version}") for version in VERSIONS]
    pyenv = pathlib.Path.home().glob(".pyenv/versions/*/bin/python")
    return ["/usr/bin/python3", *filter(None, on_path), *map(str, pyenv)]


def find_pythons():
    """The facts of each CPython once, the oldest first."""
    found = {}
    for candidate in list_candidates():
        try:
            facts = get_facts(candidate)
        except (Failure, OSError, ValueError):
            continue  # a stand-in without a Python behind it, or Python 2
        if facts["implementation"] == "CPython" and get_minor(facts) in VERSIONS:
            found[os.path.realpath(facts["executable"])] = facts
    return sorted(found.values(), key=lambda facts: VERSIONS.index(get_minor(facts)))


def list_tests():
    """Files of tests that depend on the Python; a new one is found by itself."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [os.fspath(file) for file in files if file.stem not in SAME_EVERYWHERE]


def run_pytest(python, directory, tests):
    """Whether all passed, and the last line that pytest prints."""
    said = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(os.cpu_count()), "--dist", "loadfile",
         f"--junitxml={directory / 'junit.xml'}", *tests],
        cwd=ROOT, env={**os.environ, "KILN_TEST_PYTHON": python, "KILN_TEST_PRODUCT": "1"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    (directory / "pytest.log").write_text(said.stdout)
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


def try_python(facts, options):
    """(whether all is well, the line to print)."""
    directory = options.directory / name_directory(facts["executable"])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "facts.json").write_text(json.dumps(facts))
    started = time.monotonic()
    good, said = run_pytest(facts["executable"], directory, options.tests or list_tests())
    if options.packages:
        try:
            said += "; " + bake_packages(facts["executable"], options.requirements, directory)
        except Failure as failure:
            good, said = False, f"{said}; packages: {failure} (see {directory})"
    kind = " free-threaded" * bool(facts.get("free_threaded")) + " debug" * facts["debug"]
    return good, f"{facts['version']}{kind} {facts['executable']}: {said}; {time.monotonic() - started:.0f} s"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--directory", type=pathlib.Path, default=BUILD / "matrix", help="where the results go")
    parser.add_argument("--small", action="store_const", const="demo-small.txt", dest="requirements",
                        default="demo-requirements.txt", help="only the packages that build in seconds")
    parser.add_argument("--no-packages", dest="packages", action="store_false", help="the tests only")
    parser.add_argument("tests", nargs="*", help="these files of tests only")
    return parser.parse_args()


def main():
    options = parse()
    pythons = find_pythons()
    failed = 0
    for facts in pythons:
        good, line = try_python(facts, options)
        failed += not good
        print("ok    " if good else "FAILED", line, flush=True)
    print(f"{len(pythons) - failed} passed, {failed} failed")
    return failed > 0 or not pythons


if __name__ == "__main__":
    sys.exit(main())
