#!/usr/bin/env python3
"""Holds the code to the floors of scripts/floors.txt, by what its objects define and call.

usage: scripts/floors.py BUILD          check the objects below BUILD/obj; exit status 1 and a line per fault
       scripts/floors.py --page FILE    write the floors into FILE, between its two `<!-- floors -->` lines
       scripts/floors.py --page-check FILE    exit status 1 if that would change FILE
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
MARK = "<!-- floors -->\n"


class Part:
    """One program: a directory of sources, and its floors, lowest first."""

    def __init__(self, name, directory):
        self.name, self.directory = name, directory
        self.lines = []  # lists of (floor, description)

    def find_level(self, source):
        """The line and the floor that SOURCE, a path below the directory, is on; (None, None) if on none."""
        folder = source.rpartition("/")[0]
        for level, line in enumerate(self.lines):
            for floor, _ in line:
                if folder == floor:
                    return level, floor
        return None, None


def read_floors(text):
    parts = []
    for line in text.splitlines():
        if line.startswith("["):
            name, directory = line[1:].split("] ")
            parts.append(Part(name, directory))
        elif line and not line.startswith("#"):
            floors, descriptions = (side.split(" | ") for side in line.split(": ", 1))
            parts[-1].lines.append([(floor.strip(), text.strip()) for floor, text in zip(floors, descriptions, strict=True)])
    return parts


def read_symbols(objects, sources):
    """{source: (symbols defined for others, symbols it refers to)} of what is below the directory OBJECTS. Left out
    are objects whose source, below SOURCES, is gone."""
    symbols = {}
    for path in sorted(objects.rglob("*.o")):
        source = path.relative_to(objects).with_suffix(".c")
        if not (sources / source).exists():
            continue
        defined, undefined = set(), set()
        listing = subprocess.run(["nm", "-P", path], check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in listing.splitlines():
            name, kind = line.split()[:2]
            if kind in "Uwv":
                undefined.add(name)
            elif kind.isupper():
                defined.add(name)
        symbols[str(source)] = defined, undefined
    return symbols


def find_calls(symbols):
    """{caller: {callee: a symbol}}, both sources."""
    owners = {name: source for source, (defined, _) in symbols.items() for name in defined}
    calls = {source: {} for source in symbols}
    for source, (_, undefined) in symbols.items():
        for name in sorted(undefined):
            if owners.get(name, source) != source:
                calls[source].setdefault(owners[name], name)
    return calls


def find_circle(calls):
    """Sources that call each other in turn, the first one again at the end; [] if none do."""
    done, path = set(), []

    def visit(source):
        if source in path:
            return path[path.index(source):] + [source]
        if source in done:
            return []
        path.append(source)
        for callee in calls[source]:
            circle = visit(callee)
            if circle:
                return circle
        path.pop()
        done.add(source)
        return []

    return next(filter(None, map(visit, calls)), [])


def check(part, build):
    """The faults of PART, as text; and how many files and calls it has."""
    calls = find_calls(read_symbols(build / "obj" / part.directory, HERE.parent / part.directory))
    faults = []
    for caller, callees in calls.items():
        level, floor = part.find_level(caller)
        if level is None:
            faults.append(f"{part.directory}/{caller}: its folder is not a floor in scripts/floors.txt")
            continue
        for callee, symbol in callees.items():
            other_level, other = part.find_level(callee)
            if other_level is not None and (other_level > level or (other_level == level and other != floor)):
                faults.append(f"{part.directory}/{caller}: calls {symbol}() in {callee}, but {floor} may not call {other}")
    circle = find_circle(calls)
    if circle:
        steps = [f"{caller} calls {calls[caller][callee]}() in {callee}" for caller, callee in zip(circle, circle[1:])]
        faults.append(f"{part.directory}: a circle: " + ", ".join(steps))
    return faults, len(calls), sum(map(len, calls.values()))


def format_page(parts):
    rows = []
    for part in parts:
        rows += ["", f"| `{part.directory}/` | is |", "|---|---|"]
        rows += [f"| {floor} | {text} |" for line in part.lines for floor, text in line]
    return "\n".join(rows) + "\n\n"


def replace_page(parts, page):
    before, _, after = page.split(MARK)
    return before + MARK + format_page(parts) + MARK + after


def main(argv):
    parts = read_floors((HERE / "floors.txt").read_text())
    if argv[:1] in (["--page"], ["--page-check"]) and len(argv) == 2:
        path = pathlib.Path(argv[1])
        page = replace_page(parts, path.read_text())
        if argv[0] == "--page":
            path.write_text(page)
        elif page != path.read_text():
            print(f"{path}: its floors are not those of scripts/floors.txt; run `scripts/floors.py --page {path}`")
            return 1
        return 0
    if len(argv) != 1 or argv[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0
    for part in parts:
        faults, files, edges = check(part, pathlib.Path(argv[0]))
        if not files:
            faults.append(f"{part.directory}: no objects of it in {argv[0]}; run make first")
        for fault in faults:
            print(fault)
        status |= bool(faults)
        if not faults:
            print(f"floors: {part.name}: {files} files, {edges} pairs of caller and callee, no circle, none upwards")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
