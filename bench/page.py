"""docs/benchmarks.md and its plots, from what bench.py has kept in bench/results/."""

import json
import statistics

MICRO = 1e3  # nanoseconds


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
    return [goal for goal in goals if goal[2] is not None]


def format_summary(result):
    lines = [f"Python {result['python']}, Kiln {result['kiln']}, {result['machine']['processor']}, "
             f"{result['machine']['cores']} cores; medians of {result['runs']} processes", ""]
    for what, goal, value in list_goals(result):
        lines.append(f"  {what:<56}{value:>9.2f}   {goal}")
    lines += ["", "  microseconds an import" + " " * 18 + "".join(
        f"{count:>10,}" for count in sorted({row["count"] for row in result["imports"]}))]
    titles = {row["side"]: row["title"] for row in result["imports"]}
    for names in ("flat", "dotted"):
        for side, title in titles.items():
            values = [get_import_time(result, side, count, names)
                      for count in sorted({row["count"] for row in result["imports"]})]
            if any(value is not None for value in values):
                lines.append(f"    {title[:30]:<30} {names:<7}" + "".join(
                    f"{'':>10}" if value is None else f"{value:>10.2f}" for value in values))
    return "\n".join(lines)
