"""Packages from the index in one executable, and their own tests from .so files and baked.

Run by `make packages`; names in PACKAGES, or as arguments, do those only. What is done is kept under
build/packages/: a package that is built, and a suite that has run with the same executable, are not done again, so
a run that was interrupted goes on where it was. The page docs/packages.md is written from everything that is there.
"""

import argparse
import concurrent.futures
import hashlib
import importlib.metadata
import json
import os
import pathlib
import sys
import time

import packages_page as page
import suites
from baking import BUILD, KILN, Bakery, Failure, choose_python, run

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE / "packages.json"
# What the suites import besides their packages, here and in "needs" of packages.json, are wheels.
RUNNERS = ["pytest", "pytest-asyncio", "hypothesis", "setuptools"]
# From 23.1 on a list of requirements can have settings, and a setting several values.
PIP = "pip>=23.1"
SECONDS = 1800  # for one suite in one form; it is ended then
STARTED = time.monotonic()


def say(text):
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"[{minutes:3d}:{seconds:02d}] {text}", flush=True)


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


class Records:
    """What is done, in files of JSON."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def get(self, name, key):
        """What was put under NAME, if it was with the same KEY; else None."""
        try:
            record = json.loads((self.directory / f"{name}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record["what"] if record["key"] == key else None

    def put(self, name, key, what):
        part = self.directory / f"{name}.part"
        part.write_text(json.dumps({"key": key, "what": what}, indent=0))
        part.replace(self.directory / f"{name}.json")
        return what


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


def link(bakery):
    say("linking")
    with open(bakery.directory / "link.log", "wb") as output:
        bakery.link("--report", bakery.directory / "report.json", stdout=output, stderr=output)
    return hashlib.blake2b(bakery.executable.read_bytes(), digest_size=16).hexdigest()


def count_extensions(bakery, packages):
    """{name: (extensions baked, extensions that stayed files)}, by what each distribution's RECORD lists."""
    report = json.loads((bakery.directory / "report.json").read_text())
    baked = {module["file"] for module in report["modules"]}
    counts = {}
    for distribution in importlib.metadata.distributions(path=[str(bakery.site_packages)]):
        files = {str(distribution.locate_file(file)) for file in distribution.files or ()
                 if file.name.endswith(tuple(bakery.facts["suffixes"]))}
        counts[suites.canonical(distribution.metadata["Name"])] = (len(files & baked), len(files - baked))
    return {p.name: counts[suites.canonical(p.name)] for p in packages}


class Tests:
    """The suites of packages in both forms, with one executable."""

    def __init__(self, bakery, executable, records, jobs):
        self.bakery, self.executable, self.records, self.jobs = bakery, executable, records, jobs

    def run_once(self, package, form):
        """{"outcomes": {test: outcome}, "error": what kept the suite from its end}"""
        say(f"testing {package.name}, {'baked' if form == 'baked' else 'from .so files'}")
        try:
            return {"outcomes": suites.run_form(self.bakery, package.suite, form, SECONDS), "error": None}
        except Failure as failure:
            return {"outcomes": {}, "error": str(failure)}

    def run_form(self, package, form, again=""):
        """The same, from the records if it is there. What was from .so files does not depend on the executable."""
        name = f"{package.name}-{form}{again}"
        key = [package.version, package.tests, *([self.executable] if form == "baked" or again else [])]
        ran = self.records.get(name, key)
        if ran is None:
            ran = self.run_once(package, form)
            if ran["error"] is None:
                self.records.put(name, key, ran)
        return ran

    def run_round(self, package, again=""):
        files, baked = (self.run_form(package, form, again) for form in ("files", "baked"))
        comparison = suites.Comparison(package.name, files["outcomes"], baked["outcomes"])
        return files, baked, comparison.different

    def run(self, package):
        """What differs is run again, and only what differs both times counts: tests of time, processes and memory
        are not always the same."""
        files, baked, different = self.run_round(package)
        if different:
            before = {test for test, *_ in different}
            files, baked, different = self.run_round(package, "-again")
            different = [entry for entry in different if entry[0] in before]
        return {"files": files["outcomes"], "baked": baked["outcomes"], "different": different,
                "error": files["error"] or baked["error"]}

    def run_all(self, packages):
        """{name: what run() says}. Several at a time: many suites wait more than they work."""
        packages = [package for package in packages if package.suite]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return dict(zip((package.name for package in packages), pool.map(self.run, packages)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("packages", nargs="*", help="default: all of qa/packages.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="suites at a time")
    options = parser.parse_args()
    packages = read_packages()
    unknown = set(options.packages) - {package.name for package in packages}
    if unknown:
        raise Failure(f"{PACKAGES.name} has no {', '.join(sorted(unknown))}")
    chosen = [p for p in packages if (p.name in options.packages if options.packages else not p.left_out)]

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
