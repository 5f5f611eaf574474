"""Packages from the index in one executable, and their own tests from .so files and baked.

Run by `make packages`; names in PACKAGES, or as arguments, do those only. What is done is kept under
build/packages/: a package that is built, and a suite that has run with the same executable, are not done again, so
a run that was interrupted goes on where it was. The page docs/packages.md is written from everything that is there.
"""

import json
import pathlib
import sys

import packages_page as page
import suites
from baking import BUILD, Bakery, Failure, choose_python, run
from suite_runs import RUNNERS, Records, Tests, choose_packages, count_extensions, link, say

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE / "packages.json"
# From 23.1 on a list of requirements can have settings, and a setting several values.
PIP = "pip>=23.1"


class Package:
    """One entry of packages.json: see the head of docs/packages.md for what the words mean."""

    def __init__(self, name, version, build, language, tests, settings=(), settings_why=None, options=(),
                 needs=(), subset=None, left_out=None):
        self.name, self.version, self.build, self.language = name, version, build, language
        self.settings, self.settings_why, self.options, self.needs = settings, settings_why, options, needs
        self.subset, self.left_out = subset, left_out
        self.tests = tests
        self.suite = suites.Suite(name, **tests) if tests else None

    @property
    def requirement(self):
        return " ".join([f"{self.name}=={self.version}",
                         *(f"--config-settings={setting}" for setting in self.settings)])


def read_packages():
    return [Package(name, **rest) for name, rest in json.loads(PACKAGES.read_text()).items()]


def describe_failure(log):
    """The line of pip's output that tells why."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    telling = [line for line in lines if "error:" in line.lower() and not line.startswith("error: subprocess-exited")]
    return (telling or lines or ["nothing was said"])[-1][:200]


def install(bakery, packages, versions, records):
    """{name of a package that could not be built: why}. One after the other: a failure is the package's own. What
    they need of the list is of the VERSIONS there, chosen or not: a wheel that was built serves every run."""
    constraints = bakery.directory / "constraints.txt"
    constraints.write_text("".join(f"{version}\n" for version in versions))
    if records.get("pip", PIP) is None:
        run(bakery.python, "-m", "pip", "install", "--quiet", "--upgrade", PIP)
        records.put("pip", PIP, True)
    failed = {}
    installed = {suites.canonical(name) for name, _ in bakery.list_packages()}
    for package in packages:
        if records.get(f"{package.name}-built", package.requirement):
            continue
        if suites.canonical(package.name) in installed:  # as a wheel that something needed, or another version
            run(bakery.python, "-m", "pip", "uninstall", "--quiet", "--yes", package.name)
        say(f"building {package.name} {package.version}")
        wanted = bakery.directory / f"{package.name}.txt"
        wanted.write_text(package.requirement + "\n")
        log = bakery.directory / f"{package.name}-build.log"
        try:
            with open(log, "wb") as output:
                bakery.pip("install", "-c", constraints, "-r", wanted, *package.options, stdout=output, stderr=output)
            records.put(f"{package.name}-built", package.requirement, True)
        except Failure:
            failed[package.name] = describe_failure(log)
            say(f"  not built: {failed[package.name]}; see {log}")
    # By pip itself, which takes wheels.
    needs = sorted({*RUNNERS, *(need for package in packages for need in package.needs)})
    if records.get("needs", needs) is None:
        say("installing what the tests need")
        with open(bakery.directory / "needs.log", "wb") as output:
            run(bakery.python, "-m", "pip", "install", "--prefer-binary", "-c", constraints, *needs, stdout=output,
                stderr=output)
        records.put("needs", needs, True)
    return failed


def main():
    packages = read_packages()
    chosen, options = choose_packages(__doc__, packages)
    bakery = Bakery(BUILD / "packages", choose_python())
    records = Records(bakery.directory / "records")
    failed = install(bakery, chosen, [f"{p.name}=={p.version}" for p in packages], records)
    built = [package for package in chosen if package.name not in failed]
    executable = link(bakery)
    counts = count_extensions(bakery, built)
    results = Tests(bakery, executable, records, options.jobs).run_all(built)
    summary = page.Summary(bakery, chosen, failed, counts, results)
    summary.show()
    if not options.packages:
        summary.write_page([package for package in packages if package.left_out])
    return not summary.good


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"packages: {failure}")
