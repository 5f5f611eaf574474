"""Binary wheels from the index in one executable: imports, what they are bound to, and the packages' own tests.

Run by `make wheels`; names in PACKAGES, or as arguments, do those only. What is done is kept under build/wheels/, so a
run that was interrupted goes on where it was. The page docs/wheels.md is written from everything that is there.
"""

import json
import os
import pathlib
import subprocess
import sys

import bindings
import imports
import suites
import wheels_page as page
import words
from baking import BUILD, KILN, Bakery, Failure, choose_python, run
from suite_runs import RUNNERS, Records, Tests, choose_packages, count_extensions, link, say

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE / "wheels.json"
# What `kiln link` is measured with.
MEASURED = ["numpy", "scipy", "pandas", "scikit-learn"]

# Suites run side by side: BLAS and OpenMP have one thread in each.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Package:
    """One entry of wheels.json: see the head of docs/wheels.md."""

    def __init__(self, name, version, tests=None, needs=(), subset=None, left_out=None):
        self.name, self.version, self.tests, self.needs = name, version, tests, needs
        self.subset, self.left_out = subset, left_out
        self.suite = suites.Suite(name, **tests) if tests else None

    @property
    def requirement(self):
        return f"{self.name}=={self.version}"


def read_packages():
    return [Package(name, **rest) for name, rest in json.loads(PACKAGES.read_text()).items()]


def install(bakery, packages, records):
    """Wheels only: nothing is built."""
    wanted = [package.requirement for package in packages]
    needs = sorted({*RUNNERS, *(need for package in packages for need in package.needs)})
    if records.get("installed", [wanted, needs]):
        return
    say("installing")
    constraints = bakery.directory / "constraints.txt"
    constraints.write_text("".join(f"{requirement}\n" for requirement in wanted))
    with open(bakery.directory / "install.log", "wb") as output:
        run(bakery.python, "-m", "pip", "install", "--only-binary=:all:", *wanted, stdout=output, stderr=output)
        run(bakery.python, "-m", "pip", "install", "--prefer-binary", "-c", constraints, *needs, stdout=output,
            stderr=output)
    records.put("installed", [wanted, needs], True)


def measure_link(bakery):
    """What `kiln link` of the MEASURED packages takes: seconds, seconds of processor, bytes of memory."""
    directory = bakery.directory / "measured"
    if not (directory / "site").exists():
        run(bakery.python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", directory / "site",
            *(f"{name}=={version}" for name, version in bakery.list_packages()
              if suites.canonical(name) in map(suites.canonical, MEASURED)))
    argv = [KILN, "link", "--python", bakery.base["executable"], "-o", directory / "python", directory / "site"]
    taken = []
    for _ in range(3):
        result = subprocess.run(["/usr/bin/time", "-f", "%e %U %S %M", *map(os.fspath, argv)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        if result.returncode != 0:
            raise Failure(f"exit status {result.returncode}: {' '.join(map(str, argv))}\n{result.stderr}")
        seconds, user, system, memory = map(float, result.stderr.split("\n")[-2].split())
        taken.append((user + system, seconds, memory * 1024))
    return {"processor": min(t[0] for t in taken), "seconds": min(t[1] for t in taken), "memory": max(t[2] for t in taken)}


class Findings:
    """What the imports and the two comparisons with the dynamic loader come to, from the records if they are there."""

    def __init__(self, bakery, executable, records, jobs):
        self.bakery, self.jobs = bakery, jobs
        self.report = json.loads((bakery.directory / "report.json").read_text())
        self.names = sorted([module["name"] for module in self.report["modules"] + self.report["files"]])

        def keep(name, find):
            found = records.get(name, executable)
            return records.put(name, executable, find()) if found is None else found

        self.imports = keep("imports", self.find_imports)
        self.bindings = keep("bindings", self.find_bindings)
        self.words = keep("words", self.find_words)
        self.link = keep("link", lambda: measure_link(bakery))

    def find_imports(self):
        """{name: [from its file, baked]}, and the shared objects of the environment that the executable mapped."""
        say(f"importing {len(self.names)} extensions in both forms")
        files, _ = imports.import_all(self.bakery.python, self.names, self.jobs)
        baked, mapped = imports.import_all(self.bakery.executable, self.names, self.jobs)
        return {"said": {name: [files[name], baked[name]] for name in self.names},
                "mapped": sorted(path for path in mapped if path.startswith(os.fspath(self.bakery.site_packages)))}

    def find_bindings(self):
        say("comparing what references are bound to")
        same, different = bindings.check(self.bakery.python, self.bakery.directory / "bindings.txt", self.names, self.jobs)
        return {"same": same, "different": [[*map(str, entry)] for entry in different]}

    def find_words(self):
        say("comparing words in memory")
        comparison = words.check(self.bakery.python, self.bakery.executable, self.names)
        return {"same": comparison.same, "images": len(comparison.seen),
                "different": [[*map(str, entry)] for entry in comparison.different]}


def main():
    os.environ.update(ONE_THREAD)
    packages = read_packages()
    chosen, options = choose_packages(__doc__, packages)
    bakery = Bakery(BUILD / "wheels", choose_python())
    records = Records(bakery.directory / "records")
    install(bakery, [package for package in packages if not package.left_out], records)
    executable = link(bakery, "--bindings", bakery.directory / "bindings.txt")
    counts = count_extensions(bakery, chosen)
    findings = Findings(bakery, executable, records, options.jobs)
    results = Tests(bakery, executable, records, options.jobs).run_all(chosen)
    summary = page.Summary(bakery, chosen, counts, results, findings)
    summary.show()
    if not options.packages:
        summary.write_page([package for package in packages if package.left_out])
    return not summary.good


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"wheels: {failure}")
