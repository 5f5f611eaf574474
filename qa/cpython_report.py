"""What the differences are, why, and the page that says so."""

import fnmatch
import json
import pathlib
import re
import sys

from baking import ROOT, Failure

HERE = pathlib.Path(__file__).resolve().parent
EXPLANATIONS = HERE / "cpython-differences.json"
PAGE = ROOT / "docs" / "cpython-tests.md"


class Explanation:
    """Why some tests come out otherwise. `test` is a test's name, where * stands for anything; `pythons` are
    the minor versions that it holds for, all if there is none of it; so is `libpython`."""

    def __init__(self, test, change, reason, pythons=None, libpython=None):
        self.test, self.change, self.reason = test, change, reason
        self.pythons, self.libpython = pythons, libpython

    @property
    def where(self):
        """For the reader."""
        return ", ".join(filter(None, [" ".join(self.pythons or ["all"]), self.libpython]))

    def applies(self, result):
        return ((self.pythons is None or result.minor in self.pythons)
                and self.libpython in (None, result.libpython))

    def explains(self, difference):
        return self.change == difference.change and fnmatch.fnmatchcase(difference.test, self.test)


def read_explanations():
    return [Explanation(test, **rest)
            for test, many in json.loads(EXPLANATIONS.read_text()).items()
            for rest in (many if isinstance(many, list) else [many])]


class Result:
    """One Python: what it was, and its test modules in both forms."""

    def __init__(self, facts, minor, libpython, baked, comparisons, whole, seconds):
        self.version, self.executable = facts["version"], facts["executable"]
        self.minor, self.libpython, self.baked = minor, libpython, baked
        self.comparisons, self.whole, self.seconds = comparisons, whole, seconds
        self.tests = set().union(*(comparison.tests for comparison in comparisons.values()))
        self.count = len(self.tests)
        self.different = [d for comparison in comparisons.values() for d in comparison.different]
        self.explained, self.unexplained, self.stale = [], [], []

    def explain(self, explanations):
        ours = [explanation for explanation in explanations if explanation.applies(self)]
        used = set()
        for difference in self.different:
            explanation = next((e for e in ours if e.explains(difference)), None)
            if explanation is None:
                self.unexplained.append(difference)
            else:
                used.add(explanation)
                self.explained.append((difference, explanation.reason))
        self.stale = [e for e in ours if e not in used and self.should_have(e)]

    def should_have(self, explanation):
        """Whether the tests that EXPLANATION is for were among those that ran."""
        if explanation.pythons is not None and self.whole:
            return True
        return any(fnmatch.fnmatchcase(test, explanation.test) for test in self.tests)


class Progress:
    """One line that is overwritten; nothing if nobody is looking."""

    def __init__(self, python):
        self.python, self.shown = python, sys.stderr.isatty()

    def show(self, done, total, name, form):
        if self.shown:
            end = "" if done < total else "\r\x1b[K"
            print(f"\r\x1b[K{self.python}: {done} of {total}, {name} {form}", end=end, file=sys.stderr,
                  flush=True)


def show(result):
    """Print what came of one Python; whether all is well."""
    good = not result.unexplained and not result.stale and result.count > 0
    print(f"{'ok    ' if good else 'FAILED'} {result.version:<8} {result.executable}, "
          f"{result.libpython} libpython, {len(result.baked)} baked: {len(result.comparisons)} modules, "
          f"{result.count} tests, {result.count - len(result.different)} the same, {len(result.explained)} "
          f"different with a reason, {len(result.unexplained)} without; {result.seconds:.0f} s", flush=True)
    for difference, reason in result.explained:
        print(f"    {difference.test}: {difference.change}: {reason}")
    for difference in result.unexplained:
        print(f"    UNEXPLAINED {difference.test}: {difference.change}")
        print("".join(f"        {line}\n" for line in difference.said.splitlines()[-12:]), end="")
    for explanation in result.stale:
        print(f"    NO LONGER {explanation.test}: {explanation.change}: {explanation.reason}")
    return good


# --- The page -------------------------------------------------------------------------------------

RESULTS = "| Python | libpython | modules | tests | the same | different |\n|---|---|---|---|---|---|\n"
REASONS = "| test | stock, baked | Python | why |\n|---|---|---|---|\n"


def split_table(text, head):
    """What is before the table's rows, the rows, and what is after."""
    before, found, rest = text.partition(head)
    if not found:
        raise Failure(f"{PAGE} has no table that begins with: {head}")
    lines = rest.splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return before + head, lines[:count], "".join(lines[count:])


def make_row(*cells):
    return f"| {' | '.join(map(str, cells))} |\n"


def row_key(row):
    """Minor version and libpython: the rows are in this order, and there is one of each."""
    version, libpython = [cell.strip() for cell in row.split("|")[1:3]]
    return [int(number) for number in re.findall("[0-9]+", version)[:2]], libpython


def merge_rows(rows, results):
    """The rows of Pythons that were not run stay as they are."""
    ours = [make_row(r.version, r.libpython, len(r.comparisons), r.count, r.count - len(r.different),
                     len(r.different)) for r in results]
    keys = [row_key(row) for row in ours]
    return sorted(ours + [row for row in rows if row_key(row) not in keys], key=row_key)


def write_page(results, explanations):
    before, rows, rest = split_table(PAGE.read_text(), RESULTS)
    middle, _, after = split_table(rest, REASONS)
    reasons = [make_row(f"`{e.test}`", e.change.replace(" -> ", ", "), e.where, e.reason)
               for e in explanations]
    PAGE.write_text("".join([before, *merge_rows(rows, results), middle, *reasons, after]))
