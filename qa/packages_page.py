"""What came of `make packages`: what is said at its end, and the page docs/packages.md."""

import collections
import fnmatch
import json
import pathlib

from baking import ROOT, Failure, output_of

HERE = pathlib.Path(__file__).resolve().parent
OUTCOMES = {"passed": "passed", "failure": "failed", "error": "error", "skipped": "skipped"}


def make_row(*cells):
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |\n"


def format_outcomes(outcomes):
    counts = collections.Counter(outcomes.values())
    return ", ".join(f"{counts[outcome]} {word}" for outcome, word in OUTCOMES.items()
                     if counts[outcome] or outcome == "passed")


def shorten(test):
    """Without what only tells where the test's file is."""
    return test.replace("::", ".")


class Reason:
    """Why tests come out otherwise: TEST is a package, a colon and a test's name, where * stands for anything."""

    def __init__(self, test, change, reason):
        self.package, _, self.test = test.partition(": ")
        self.change, self.reason = change, reason

    def explains(self, name, difference):
        test, files, baked = difference
        return (name == self.package and fnmatch.fnmatchcase(test, self.test)
                and self.change == f"{files} -> {baked}")


def read_reasons(path):
    """(reasons for differences, {package that has no tests or cannot be built: why})"""
    read = json.loads(path.read_text())
    return [Reason(test, **rest) for test, rest in read["different"].items()], read["missing"]


class Row:
    """What became of one package."""

    def __init__(self, package, failure, count, result, reasons, missing):
        self.package, self.failure, self.result = package, failure, result
        self.baked, self.stayed = count or (0, 0)
        self.missing = missing.get(package.name)
        self.explained, self.unexplained = [], []
        for difference in result["different"] if result else []:
            reason = next((r for r in reasons if r.explains(package.name, difference)), None)
            if reason is None:
                self.unexplained.append(difference)
            else:
                self.explained.append((difference, reason))

    def list_faults(self):
        """What must not be, in words."""
        if self.failure is not None:
            if self.missing is None:
                yield f"was not built: {self.failure}"
            return
        if self.stayed:
            yield f"{self.stayed} of its extensions stayed files; see build/packages/link.log"
        if self.result is None:
            if self.missing is None:
                yield "has no tests here, and nothing says why"
            return
        if self.result["error"]:
            yield f"its tests did not end: {self.result['error']}"
        elif "passed" not in self.result["baked"].values():
            yield "no test passed baked; see build/packages/tests"
        for test, files, baked in self.unexplained:
            yield f"{test}: {files} from .so files, {baked} baked, and nothing says why"

    @property
    def difference(self):
        if self.failure is not None:
            return f"not built: {self.missing or self.failure}"
        if self.result is None:
            return self.missing or "no tests"
        if self.result["error"]:
            return "the tests did not end"
        said = [f"{len(self.unexplained)} without a reason"] if self.unexplained else []
        grouped = collections.Counter(reason.reason for _, reason in self.explained)
        return "; ".join([*(f"{count}: {reason}" for reason, count in grouped.items()), *said]) or "none"

    def format(self):
        package = self.package
        results = [format_outcomes(self.result[form]) if self.result else "" for form in ("files", "baked")]
        return make_row(package.name, package.version, package.build, package.language,
                        self.baked if not self.stayed else f"{self.baked} of {self.baked + self.stayed}",
                        *results, self.difference)


class Summary:
    """All of a run. `good` if nothing differs without a reason."""

    reasons_file = HERE / "packages-differences.json"
    page = ROOT / "docs" / "packages.md"
    target = "make packages"
    columns = ("package", "version", "build system", "language", "extensions", "from .so files", "baked", "different")
    row_class = Row

    def __init__(self, bakery, packages, failed, counts, results):
        reasons, missing = read_reasons(self.reasons_file)
        self.bakery = bakery
        self.rows = [self.row_class(package, failed.get(package.name), counts.get(package.name), results.get(package.name),
                         reasons, missing) for package in packages]
        self.faults = [(row.package.name, fault) for row in self.rows for fault in row.list_faults()]
        used = {reason for row in self.rows for _, reason in row.explained}
        tested = {row.package.name for row in self.rows if row.result and not row.result["error"]}
        self.faults += [(reason.package, f"{reason.test}: no longer {reason.change}; remove the reason")
                        for reason in reasons if reason not in used and reason.package in tested]

    @property
    def good(self):
        return not self.faults

    def count(self, outcome, form):
        return sum(list(row.result[form].values()).count(outcome) for row in self.rows if row.result)

    def show(self):
        built = [row for row in self.rows if row.failure is None]
        print(f"\n{len(built)} of {len(self.rows)} packages, {sum(row.baked for row in built)} extensions in one "
              f"executable; {self.count('passed', 'files')} tests passed from .so files, "
              f"{self.count('passed', 'baked')} baked; {len(self.faults)} faults")
        for row in self.rows:
            results = [format_outcomes(row.result[form]) if row.result else "" for form in ("files", "baked")]
            print(f"  {row.package.name:<14} {row.baked:>4}  {results[0]:<44} {results[1]:<44} {row.difference}")
        for name, fault in self.faults:
            print(f"FAULT {name}: {fault}")

    def describe_tools(self):
        report = json.loads((self.bakery.directory / "report.json").read_text())

        def first_line(*argv):
            try:
                return output_of(*argv).splitlines()[0]
            except (Failure, FileNotFoundError):
                return f"no {argv[0]}"
        built = [row for row in self.rows if row.failure is None]
        ways = collections.Counter(module["way"] for module in report["modules"] if "/lib-dynload/" not in module["file"])
        facts = [
            f"{self.bakery.base['implementation']} {self.bakery.base['version']} with {report['libpython']} libpython, "
            f"linked by {report['linker']}",
            *(first_line(tool, "--version") for tool in ("cc", "rustc")),
            f"{len(built)} packages, {sum(row.baked for row in built)} extensions of theirs and "
            f"{ways.total() - sum(row.baked for row in built)} of what they need, "
            f"one executable of {report['size'] / 1e6:.0f} MB: {ways['objects']} are baked from their objects, {ways['image']} unlinked",
            f"{self.count('passed', 'files')} tests passed from .so files, {self.count('passed', 'baked')} baked",
        ]
        return "".join(f"- {fact}\n" for fact in facts)

    def format_table(self):
        return "".join([make_row(*self.columns), "|---" * len(self.columns) + "|\n", *(row.format() for row in self.rows)])

    def format_differences(self):
        rows = [make_row(row.package.name, f"`{shorten(test)}`", f"{files}, {baked}", reason.reason)
                for row in self.rows for (test, files, baked), reason in row.explained]
        return "".join(["\n## The differences\n\n", make_row("package", "test", "from .so files, baked", "why"),
                        "|---" * 4 + "|\n", *rows] if rows else [])

    def format_subsets(self):
        return "".join(["\n## What was run\n\nAll of a package's tests, but of these a part:\n\n",
                        *(f"- {row.package.name}: {row.package.subset}\n" for row in self.rows
                          if row.package.subset and row.result)])

    def format_rest(self, left_out):
        parts = ["\n## Settings\n\nAs their projects build them, but with these settings:\n\n",
                 *(f"- {row.package.name}: `{' '.join(row.package.settings)}`, {row.package.settings_why}\n"
                   for row in self.rows if row.package.settings and row.failure is None)]
        if left_out:
            parts += ["\n## Left out\n\nIn the list, but only built when PACKAGES names them:\n\n",
                      *(f"- {package.name} {package.version}: {package.left_out}\n" for package in left_out)]
        return "".join(parts)

    def write_page(self, left_out):
        results = f"<!-- What follows is written by `{self.target}`. -->\n"
        before, found, _ = self.page.read_text().partition(results)
        if not found:
            raise Failure(f"{self.page} has no line {results}")
        self.page.write_text("".join([before, results, "\n", self.describe_tools(), "\n", self.format_table(),
                                      self.format_differences(), self.format_subsets(), self.format_rest(left_out)]))
