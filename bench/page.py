"""docs/benchmarks.md and its plots, from what bench.py has kept in bench/results/.

Run by `make bench`, and by itself after a change of the page: `python3 bench/page.py`.
"""

import json
import os
import pathlib
import statistics
import sys

sys.path.insert(0, os.fspath(pathlib.Path(__file__).resolve().parent.parent / "qa"))

import building  # noqa: E402
from baking import ROOT  # noqa: E402

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"

MICRO = 1e3  # nanoseconds
PLOTTED = (10_000, "flat")  # the count and names of which the times on the way are plotted


def get_median(samples, key):
    return statistics.median(sample[key] for sample in samples)


def find(rows, **wanted):
    """The one row with these values; None if it was not measured."""
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def get_import_time(result, side, count, names="flat"):
    """Median microseconds an import; None if it was not measured."""
    row = find(result["imports"], side=side, count=count, names=names)
    if row is None:
        return None
    return statistics.median(s["nanoseconds"] / s["imported"] for s in row["samples"]) / MICRO


def get_start_time(result, side, count, libpython):
    row = find(result["start"], side=side, count=count, libpython=libpython)
    return None if row is None else get_median(row["samples"], "process_nanoseconds") / 1e6


def ratio(above, below):
    return None if above is None or below is None else above / below


def list_goals(result):
    """(what, what it should be, what it is, what is right) of the figures Kiln is held to."""
    def imports(side, count=10_000):
        return get_import_time(result, side, count)

    largest = max(row["count"] for row in result["imports"])
    goals = [
        ("10,000 imports, inittab / Kiln", "at least 80", ratio(imports("inittab"), imports("kiln-fast"))),
        ("10,000 imports, unordered_map importer / Kiln", "at least 4.5", ratio(imports("map"), imports("kiln-fast"))),
        ("10,000 imports, Kiln / floor", "at most 2.5", ratio(imports("kiln-fast"), imports("floor"))),
        (f"an import at {largest:,} / at 100 modules, Kiln", "at most 1.3",
         ratio(imports("kiln-fast", largest), imports("kiln-fast", 100))),
        (f"an import at {largest:,} / at 100 modules, inittab", "for comparison",
         ratio(imports("inittab", largest), imports("inittab", 100))),
    ]
    for kind in ("static", "shared"):
        goals.append((f"start with 10,000 modules / with one, {kind} libpython",
                      "at most 1.05" if kind == "static" else "reported",
                      ratio(get_start_time(result, "kiln", 10_000, kind), get_start_time(result, "kiln", 1, kind))))
    table = result["table"][0]
    goals.append(("table, bytes a module besides the name", "at most 12",
                  (table["bytes"] - table["bytes_of_names"]) / table["count"]))
    goals.append(("lookup that misses, nanoseconds", "at most 25",
                  get_median(result["lookup"]["samples"], "miss_nanoseconds")))
    for row in result["build"]:
        for side, title, goal in (("tools", "nm and objcopy a file", "at least 10 at 10,000"),
                                  ("files", "final link alone", "at least 0.5 at 10,000")):
            goals.append((f"build of {row['count']:,} extensions, {title} / Kiln", goal,
                          ratio(building.get_median(row, side), building.get_median(row, "kiln"))))
    pure = {row["side"]: get_median(row["samples"], "nanoseconds") for row in result["pure"]}
    goals.append(("import of 1,000 pure modules, with Kiln / without", "at most 1.00", ratio(pure["kiln-fast"], pure["plain"])))
    return [goal for goal in goals if goal[2] is not None]


def list_counts(result):
    return sorted({row["count"] for row in result["imports"]})


def describe_run(result):
    machine = result["machine"]
    return (f"Python {result['python']}, Kiln {result['kiln']}, {machine['processor']}, {machine['cores']} cores; "
            f"medians of {result['runs']} processes")


def format_summary(result):
    lines = [describe_run(result), ""]
    for what, goal, value in list_goals(result):
        lines.append(f"  {what:<56}{value:>9.2f}   {goal}")
    counts = list_counts(result)
    lines += ["", f"  {'microseconds an import':<50}" + "".join(f"{count:>10,}" for count in counts)]
    for title, names, values in list_import_rows(result):
        lines.append(f"    {title:<40}{names:<8}" + "".join(
            f"{'':>10}" if value is None else f"{value:>10.2f}" for value in values))
    return "\n".join(lines)


def list_import_rows(result):
    """(side, names, microseconds an import at each count)."""
    titles = {row["side"]: row["title"] for row in result["imports"]}
    for names in ("flat", "dotted"):
        for side, title in titles.items():
            values = [get_import_time(result, side, count, names) for count in list_counts(result)]
            if any(value is not None for value in values):
                yield title, names, values


# --- The page -----------------------------------------------------------------------------------

def make_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def format_number(value, digits=2):
    return "" if value is None else f"{value:,.{digits}f}"


def format_spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} .. {max(values):.1f})"


def format_samples(samples, key, scale):
    return format_spread([sample[key] / scale for sample in samples])


def write_start(result):
    rows = []
    for row in result["start"]:
        rows.append([row["title"], row["libpython"], f"{row['count']:,}",
                     format_samples(row["samples"], "process_nanoseconds", 1e6),
                     format_samples(row["samples"], "peak_kilobytes", 1e3)])
    return make_table(["linked in, none imported", "libpython", "modules", "milliseconds", "peak memory, MB"], rows)


def write_import_memory(result):
    rows = []
    for count in list_counts(result):
        for row in result["imports"]:
            if row["count"] == count and row["names"] == "flat" and row["samples"][0]["imported"] == count:
                rows.append([row["title"], f"{count:,}", format_samples(row["samples"], "process_nanoseconds", 1e6),
                             format_samples(row["samples"], "peak_kilobytes", 1e3)])
    return make_table(["all imported", "modules", "milliseconds, whole process", "peak memory, MB"], rows)


def write_result(result):
    """The lines of the page for one Python."""
    version = result["python"]
    lines = [f"## Python {version}", "", describe_run(result) + f"; {result['machine']['system']}, "
             f"{result['machine']['compiler']}, {result['machine']['linker']}.", ""]
    lines += make_table(["what", "wanted", "measured"],
                        [[what, goal, format_number(value)] for what, goal, value in list_goals(result)])
    lines += ["", f"![time of an import against its position](benchmarks/position-{version}.svg)",
              f"![time of an import against the number of modules](benchmarks/imports-{version}.svg)",
              f"![start-up and memory against the number of modules](benchmarks/start-{version}.svg)",
              "", "### Importing all modules, microseconds an import", ""]
    lines += make_table(["side", "names", *(f"{count:,}" for count in list_counts(result))],
                        [[title, names, *map(format_number, values)]
                         for title, names, values in list_import_rows(result)])
    lines += ["", "### Starting, and importing all: time and memory", "", "Median (fastest .. slowest).", ""]
    lines += write_start(result) + [""] + write_import_memory(result)
    lookup = result["lookup"]
    lines += ["", "### Looking a name up", ""]
    instructions = lookup["instructions_of_hit_and_miss"]
    lines += make_table(["10,000 names, in an order that no cache foresees", "nanoseconds"],
                        [[word, format_number(get_median(lookup["samples"], f"{word}_nanoseconds"))]
                         for word in ("hit", "miss")])
    if instructions is not None:
        lines += ["", f"Instructions, the mean of hit and miss: {instructions:.0f}."]
    lines += ["", "### Making the table", ""]
    lines += make_table(["names", "milliseconds", "bytes a module besides its name"],
                        [[f"{row['count']:,}", format_number(row["nanoseconds"] / 1e6, 0),
                          format_number((row["bytes"] - row["bytes_of_names"]) / row["count"])]
                         for row in result["table"]])
    lines += ["", "### Building", "", "From fat `.so` files to the executable. Median (fastest .. slowest) of three runs; of nm and"
              " objcopy on 10,000 files, which takes minutes, of one.", ""]
    lines += make_table(["what", "extensions", "seconds", "seconds of processor", "ratio to the final link"],
                        [format_build(row, side) for row in result["build"] for side in building.TITLES])
    lines += ["", "### Importing what is not baked", "", "1,000 small modules of Python, their `.pyc` files written before;"
              " each program has the same libpython, and 1,000 modules linked in. Median (fastest .. slowest).", ""]
    lines += make_table(["side", "microseconds an import", "instructions an import"],
                        [[row["title"], format_samples(row["samples"], "nanoseconds", row["count"] * MICRO),
                          format_number(row["instructions"], 0)] for row in result["pure"]])
    if result.get("real"):
        lines += ["", "### Real packages", "", ", ".join(result["real"]["packages"])
                  + ". Milliseconds, median (fastest .. slowest); with a cold cache the files of the packages and the"
                  " executable come from the disk. The `python` that CPython comes with and the executable may have libpythons that were"
                  " compiled differently, so the executable imports the files of the packages as well.", ""]
        lines += make_table(["what", "extensions", "page cache", ".so files, python", ".so files, executable", "baked",
                             "python / baked", "files / baked"],
                            [format_real(row) for row in result["real"]["rows"]])
    return lines + [""]


def format_real(row):
    # The second was not always measured.
    sides = [row.get(side) for side in ("files", "files_in_executable", "baked")]
    medians = [None if samples is None else statistics.median(samples) for samples in sides]
    return [row["what"], str(row["modules"]), row["cache"], *("" if samples is None else format_spread(samples) for samples in sides),
            *(format_number(ratio(median, medians[-1])) for median in medians[:-1])]


def format_build(row, side):
    seconds, processor = ([sample[key] for sample in row["samples"][side]] for key in ("seconds", "processor"))
    return [building.TITLES[side], f"{row['count']:,}", format_spread(seconds), format_spread(processor),
            format_number(building.get_median(row, side) / building.get_median(row, "files"))]


HEAD = """# Benchmarks

Kiln beside what it replaces. Made by `make bench` (a few minutes; `make bench-quick` is a part of it), from
`bench/results/`; nothing on this page is written by hand. Every figure is a median over fresh processes, the sides
taking turns in one run; ratios hold better than times, as machines differ: the Pythons below ran on several, and that of
Debian sid in a system of `scripts/bare sid`, by `make bench` with `KILN_PYTHON=/usr/bin/python3.15`.

The modules are as small as a module of any use can be: multi-phase, one method, one exec slot. The sides:

- **floor**: create and execute each module in a C loop, nothing else: no import can be faster.
- **CPython's inittab**: `PyImport_ExtendInittab()`; scanned at each import. With 100,000 modules every
  1,000th is imported, as all would take minutes.
- **inittab, Kiln_HashInittab()**: the same, one call later.
- **unordered_map**: filled at start-up, behind a finder in Python and a loader in C++, as large monorepos do.
- **shared libraries on sys.path**: the path finder and `dlopen`, up to 1,000 files.
- **Kiln_LookupSymbols()**: no table, the dynamic symbol table of the executable.
- **Kiln**: the table; with its fast path off, importlib's own code calls Kiln's finder and loader.

What keeps an import from being cheaper is in [fast-path.md](fast-path.md).
"""


def draw_plots(result):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "kiln", "svg.fonttype": "none", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    PLOTS.mkdir(exist_ok=True)
    version = result["python"]
    draw_positions(result, PLOTS / f"position-{version}.svg")
    draw_counts(result, PLOTS / f"imports-{version}.svg")
    draw_start(result, PLOTS / f"start-{version}.svg")


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def new_figure(columns=1):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7.5, 3.8))
    return figure, [figure.add_subplot(1, columns, i + 1) for i in range(columns)]


def draw_positions(result, path):
    """The plot of the discussion: how long each import took, first to last."""
    figure, (axes,) = new_figure()
    for row in result["imports"]:
        if (row["count"], row["names"]) != PLOTTED:
            continue
        steps = []
        for sample in row["samples"]:
            before = [(0, 0), *map(tuple, sample["places"])]
            steps.append([(n2, (t2 - t1) / (n2 - n1) / MICRO)
                          for (n1, t1), (n2, t2) in zip(before, before[1:])])
        places = [n for n, _ in steps[0]]
        axes.plot(places, [statistics.median(s[i][1] for s in steps) for i in range(len(places))],
                  label=row["title"], linewidth=1.2)
    axes.set(yscale="log", xlabel="position of the module, of 10,000", ylabel="microseconds an import")
    axes.legend(frameon=False, fontsize=7)
    save(figure, path)


def draw_counts(result, path):
    figure, (axes,) = new_figure()
    counts = list_counts(result)
    for title, names, values in list_import_rows(result):
        if names == "flat":
            points = [(count, value) for count, value in zip(counts, values) if value is not None]
            axes.plot(*zip(*points), label=title, marker="o", markersize=3, linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlabel="modules linked in, all imported", ylabel="microseconds an import")
    axes.legend(frameon=False, fontsize=7)
    save(figure, path)


def draw_start(result, path):
    figure, (time, memory) = new_figure(2)
    static = [row for row in result["start"] if row["libpython"] == result["start"][0]["libpython"]]
    for title in dict.fromkeys(row["title"] for row in static):
        rows = [row for row in static if row["title"] == title]
        counts = [row["count"] for row in rows]
        time.plot(counts, [get_median(row["samples"], "process_nanoseconds") / 1e6 for row in rows],
                  label=title, marker="o", markersize=3, linewidth=1.2)
        memory.plot(counts, [get_median(row["samples"], "peak_kilobytes") / 1e3 for row in rows],
                    label=title, marker="o", markersize=3, linewidth=1.2)
    time.set(xscale="log", ylim=(0, None), xlabel="modules linked in, none imported", ylabel="milliseconds, whole process")
    memory.set(xscale="log", ylim=(0, None), xlabel="modules linked in, none imported", ylabel="peak memory, MB")
    time.legend(frameon=False, fontsize=7)
    save(figure, path)


def write():
    """Make the page and its plots of all results of whole runs."""
    lines = [HEAD]
    for path in sorted(RESULTS.glob("python-*.json")):
        result = json.loads(path.read_text())
        if not result["quick"]:
            lines += write_result(result)
            draw_plots(result)
    PAGE.write_text("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    write()
