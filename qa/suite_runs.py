"""Running the suites of many packages in both forms, with records of what is done."""

import argparse
import concurrent.futures
import hashlib
import importlib.metadata
import json
import os
import time

import suites
from baking import Failure

# What the suites import besides their packages and their "needs".
RUNNERS = ["pytest", "pytest-asyncio", "hypothesis", "setuptools"]
SECONDS = 1800  # for one suite in one form; it is ended then
STARTED = time.monotonic()


def say(text):
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"[{minutes:3d}:{seconds:02d}] {text}", flush=True)


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


def choose_packages(about, packages):
    """(those of PACKAGES that the command line names, by default all but those left out; its options)"""
    parser = argparse.ArgumentParser(description=about.split("\n", 1)[0])
    parser.add_argument("packages", nargs="*", help="default: all of the list")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="suites at a time")
    options = parser.parse_args()
    unknown = set(options.packages) - {package.name for package in packages}
    if unknown:
        raise Failure(f"the list has no {', '.join(sorted(unknown))}")
    return [p for p in packages if (p.name in options.packages if options.packages else not p.left_out)], options


def link(bakery, *options):
    """The hash of the executable."""
    say("linking")
    with open(bakery.directory / "link.log", "wb") as output:
        bakery.link("--report", bakery.directory / "report.json", *options, stdout=output, stderr=output)
    digest = hashlib.blake2b(digest_size=16)
    with open(bakery.executable, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def count_extensions(bakery, packages):
    """{name: (extensions baked, extensions that stayed files)}, by what each distribution's RECORD lists."""
    report = json.loads((bakery.directory / "report.json").read_text())
    baked = {os.path.realpath(module["file"]) for module in report["modules"]}
    counts = {}
    for distribution in importlib.metadata.distributions(path=[str(bakery.site_packages)]):
        files = {os.path.realpath(distribution.locate_file(file)) for file in distribution.files or ()
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
