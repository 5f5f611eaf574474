"""Print docs/protocols.md: what the runs of `make matrix` and `make matrix-sid` found of each init protocol.

A row is what tests with one docstring require (tests/test_protocols.py, tests/test_frameworks.py), a column a minor
version with one kind of libpython. No cell is written by hand.
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

from matrix import VERSIONS, get_minor

KINDS = ["static", "shared"]
FILES = ["test_protocols", "test_frameworks"]  # in the order of their rows
PASSED, FAILED = "yes", "**no**"
ABOUT = """# Init protocols

<!-- Made by `make protocols-page`; do not edit. -->

What a shared extension may do at import, a baked one may do too. Each row is a test (or several) that compares
extensions baked into an executable with the same source as shared libraries under the stock interpreter: what can be
seen at the first import and the second, after the module was dropped, after a reload, and the error if it fails.
The tests are `tests/test_protocols.py` and `tests/test_frameworks.py`; `make matrix` and `make matrix-sid` run them,
`make protocols-page` writes this page from their results. *static* and *shared* are the libpython of the executable.
"""


class Case:
    """One test with one Python."""

    def __init__(self, element):
        self.test = element.get("classname"), element.get("name").partition("[")[0]
        parameters = element.get("name").partition("[")[2].rstrip("]").split("-")
        self.kinds = [kind for kind in KINDS if kind in parameters] or KINDS
        properties = {item.get("name"): item.get("value") for item in element.iter("property")}
        self.row = properties.get("protocol")
        skipped = element.find("skipped")
        self.reason = None if skipped is None else skipped.get("message")
        self.failed = any(element.find(tag) is not None for tag in ("failure", "error"))


def read(directories):
    """[(facts, [Case])], the oldest Python first."""
    runs = []
    for directory in directories:
        for path in sorted(pathlib.Path(directory).glob("*/junit.xml")):
            facts = json.loads(path.with_name("facts.json").read_text())
            elements = ElementTree.parse(path).iter("testcase")
            runs.append((facts, [Case(element) for element in elements]))
    runs.sort(key=lambda run: (VERSIONS.index(get_minor(run[0])), run[0]["debug"], run[0]["version"]))
    return runs


def collect(runs):
    """{row: {(minor version, kind): [Case]}}. A test that was skipped early has not said its row; another run has."""
    rows_of_tests = {case.test: case.row for _, cases in runs for case in cases if case.row}
    # Several processes of pytest end in any order; within a file the order is that of the tests.
    rows_of_tests = dict(sorted(rows_of_tests.items(), key=lambda item: FILES.index(item[0][0].rpartition(".")[2])))
    table = {row: {} for row in rows_of_tests.values()}
    for facts, cases in runs:
        for case in cases:
            if case.test in rows_of_tests:
                for kind in case.kinds:
                    table[rows_of_tests[case.test]].setdefault((get_minor(facts), kind), []).append(case)
    return table


def judge(cases, notes):
    """The text of a cell. What was skipped by one Python counts if no other of that version ran it."""
    ran = [case for case in cases if case.reason is None]
    if any(case.failed for case in ran):
        return FAILED
    if ran:
        return PASSED
    reasons = sorted({case.reason for case in cases}) or ["not run"]
    marks = sorted(notes.setdefault(reason, len(notes) + 1) for reason in reasons)
    return "–" + f"<sup>{','.join(map(str, marks))}</sup>"


def main():
    runs = read(sys.argv[1:])
    if not runs:
        sys.exit("protocols_page.py: no results there; `make matrix` and `make matrix-sid` leave some")
    minors = [minor for minor in VERSIONS if any(get_minor(facts) == minor for facts, _ in runs)]
    notes = {}
    print(ABOUT)
    print("| |", " | ".join(f"{minor} static | {minor} shared" for minor in minors), "|")
    print("|---|" + "---|" * (len(minors) * len(KINDS)))
    for row, cells in collect(runs).items():
        columns = [judge(cells.get((minor, kind), []), notes) for minor in minors for kind in KINDS]
        print("|", row, "|", " | ".join(columns), "|")
    print()
    for reason, number in notes.items():
        print(f"<sup>{number}</sup> {reason}  ")
    print("\nInterpreters: " + ", ".join(
        facts["version"] + " free-threaded" * bool(facts.get("free_threaded")) + " debug" * facts["debug"] for facts, _ in runs) + ".")


if __name__ == "__main__":
    main()
