"""What came of `make wheels`: what is said at its end, and the page docs/wheels.md."""

import collections
import fnmatch
import json
import os
import re

import elf
import imports
import packages_page
from baking import ROOT, is_standard
from packages_page import HERE, format_outcomes, make_row


class Row(packages_page.Row):
    def format(self):
        results = [format_outcomes(self.result[form]) if self.result else "" for form in ("files", "baked")]
        return make_row(self.package.name, self.package.version,
                        self.baked if not self.stayed else f"{self.baked} of {self.baked + self.stayed}",
                        *results, self.difference)

    def list_faults(self):
        """Files that stay are listed by themselves."""
        stayed, self.stayed = self.stayed, 0
        yield from super().list_faults()
        self.stayed = stayed


class Explained:
    """What differs, and of that what the file of reasons explains: {pattern: reason}."""

    def __init__(self, different, reasons):
        self.explained, self.unexplained, self.used = collections.Counter(), [], set()
        for entry in different:
            text = " ".join(entry)
            pattern = next((p for p in reasons if fnmatch.fnmatchcase(text, p)), None)
            if pattern is None:
                self.unexplained.append(text)
            else:
                self.explained[reasons[pattern]] += 1
                self.used.add(pattern)


class Summary(packages_page.Summary):
    reasons_file = HERE / "wheels-differences.json"
    page = ROOT / "docs" / "wheels.md"
    target = "make wheels"
    columns = ("package", "version", "images", "from files", "unlinked", "different")
    row_class = Row

    def __init__(self, bakery, packages, counts, results, findings):
        super().__init__(bakery, packages, {}, counts, results)
        self.findings = findings
        read = json.loads(self.reasons_file.read_text())
        kept = self.find_kept()
        self.parts = {}  # {what was compared: Explained}
        for name, different in (("imports", [[module, *said] for module, said in findings.imports["said"].items()
                                             if self.clean(said[0]) != self.clean(said[1])]),
                                ("mapped", [[path] for path in findings.imports["mapped"] if path not in kept]),
                                ("bindings", findings.bindings["different"]),
                                ("words", findings.words["different"])):
            different = [[self.clean(text) for text in entry] for entry in different]
            self.parts[name] = Explained(different, read.get(name, {}))
            self.faults += [(name, text[:400]) for text in self.parts[name].unexplained]
            self.faults += [(name, f"{pattern}: no longer differs; remove the reason")
                            for pattern in read.get(name, {}).keys() - self.parts[name].used]

    def clean(self, text):
        """Without where the environment is and what is not the same in two processes."""
        for site in (os.path.realpath(self.bakery.site_packages), os.fspath(self.bakery.site_packages)):
            text = text.replace(f"{site}/", "")
        return imports.clean(text)

    def find_kept(self):
        """The shared objects that are mapped as files as they stay files, and what these need."""
        mapped = set(self.findings.imports["mapped"])
        kept, new = set(), mapped & {file["file"] for file in self.findings.report["files"]}
        while new:
            kept |= new
            names = {name for path in new for name in elf.Object(path).needed}
            new = {path for path in mapped - kept if path.rpartition("/")[2] in names}
        return kept

    def show(self):
        super().show()
        said = self.findings.imports["said"]
        print(f"{len(said)} extensions imported: {self.count_imports(0)} from files, {self.count_imports(1)} unlinked\n"
              f"{sum(self.findings.bindings['same'].values())} references bound as by the dynamic loader, "
              f"{len(self.findings.bindings['different'])} otherwise\n"
              f"{sum(self.findings.words['same'].values())} words equal, {len(self.findings.words['different'])} not")

    def count_imports(self, form):
        return sum(said[form] == imports.IMPORTED for said in self.findings.imports["said"].values())

    def describe_tools(self):
        report, findings, size = self.findings.report, self.findings, self.findings.link
        standard = sum(map(is_standard, report["modules"]))
        facts = [
            f"{self.bakery.base['implementation']} {self.bakery.base['version']} with {report['libpython']} libpython, "
            f"linked by {report['linker']}",
            f"{len(self.rows)} packages of the list and what they need: {len(report['modules']) - standard} extensions, and {standard} of "
            f"the standard library, in one executable of {report['size'] / 1e6:.0f} MB, {len(report['files'])} left as files",
            f"{len(findings.names)} extensions imported: {self.count_imports(0)} from files, {self.count_imports(1)} unlinked",
            f"{self.count('passed', 'files')} tests passed from files, {self.count('passed', 'baked')} unlinked",
            f"`kiln link` of NumPy, SciPy, pandas and scikit-learn: {size['processor']:.1f} s of processor time, "
            f"{size['seconds']:.1f} s of the clock, {size['memory'] / 1e6:.0f} MB of memory",
        ]
        return "".join(f"- {fact}\n" for fact in facts)

    def format_rest(self, left_out):
        findings = self.findings
        parts = ["\n## Imports\n\n", self.format_explained("imports", "imported otherwise"),
                 self.format_explained("mapped", "shared objects of wheels that the executable loads as files"),
                 "\n## Files that stay files\n\n", self.format_files(),
                 "\n## What references are bound to\n\n",
                 self.format_counts(findings.bindings["same"], "references"),
                 self.format_explained("bindings", "bound otherwise"),
                 "\n## Words in memory\n\n",
                 f"The words of {findings.words['images']} images that dynamic relocations fill in:\n\n",
                 self.format_counts(findings.words["same"], "words"), self.format_explained("words", "different")]
        missing = [(row.package, row.missing) for row in self.rows if row.result is None]
        if missing:
            parts += ["\n## Without tests\n\n", *(f"- {package.name}: {why}\n" for package, why in missing)]
        if left_out:
            parts += ["\n## Left out\n\n", *(f"- {package.name} {package.version}: {package.left_out}\n" for package in left_out)]
        return "".join(parts)

    def format_files(self):
        """Reasons, and the modules below it; of those that stay for another one's sake the last cause."""
        grouped = {}
        for file in self.findings.report["files"]:
            reason = self.clean(file["reason"]).rpartition("because of ")[2]
            reason = re.sub(r"^it (needs|is needed by) (\S+), which stays a file: ", r"\2: ", reason)
            reason = re.sub(r"(PyInit|PyModExport)_\w+", r"\1_...", reason)
            grouped.setdefault(reason, []).append(file["name"])
        return "".join(f"- {len(names)} ({', '.join(f'`{name}`' for name in names[:3])}{' ...' if len(names) > 3 else ''}): "
                       f"{reason}\n" for reason, names in grouped.items()) or "None.\n"

    @staticmethod
    def format_counts(counts, what):
        return "".join([make_row(what, "the same"), "|---|---|\n",
                        *(make_row(count, why) for why, count in sorted(counts.items(), key=lambda item: -item[1]))])

    def format_explained(self, name, what):
        part = self.parts[name]
        total = sum(part.explained.values()) + len(part.unexplained)
        parts = [f"\n{total} {what}" + (":\n\n" if total else ".\n")]
        parts += [f"- {count}: {reason}\n" for reason, count in part.explained.items()]
        if part.unexplained:
            parts += [f"- {len(part.unexplained)} without a reason\n"]
        return "".join(parts)
