"""Every word with a dynamic relocation, in the memory of a process that has imported the extension from its file and
in that of one that has it unlinked.

usage: words.py PYTHON EXECUTABLE REPORT    of `kiln link --python PYTHON -o EXECUTABLE --report REPORT`

A word is compared as what it points to: a place in an image or its file, a symbol of the program, a place in a
shared library. Exit status 1 if one differs and no rule explains it.
"""

import bisect
import collections
import functools
import json
import os
import pathlib
import struct
import sys

import bindings
import elf
import imports

RECORD = 148  # bytes of struct kiln_image (include/kiln/internal/images.h)
TABLES = ["kiln_images", "kiln_image_records", "kiln_image_strings", "kiln_image_states"]
PREPARED = 2  # KILN_IMAGE_PREPARED
RUNTIME = "kiln_image_"  # its functions that images call in place of the C library's; and:
OTHERS = ["kiln_tls_get_addr", "kiln_PyModule_Create2", "kiln_PyErr_WarnEx", "kiln_PyErr_WarnFormat", "kiln_PyErr_ResourceWarning"]
THREAD_LOCAL = {"DTPMOD64", "DTPOFF64", "TPOFF64", "TLSDESC"}

# What a word points to: `where` is a path, "program", "memory" (of no file) or "number" (nothing is mapped there);
# `place` an offset, or a set of symbols.
Target = collections.namedtuple("Target", "where place")

realpath = functools.lru_cache(None)(os.path.realpath)


@functools.lru_cache(None)
def get_size(path):
    """Of the memory that the object takes; of another file, no limit."""
    try:
        object = elf.Object(path)
    except (OSError, ValueError, struct.error):
        return float("inf")
    size = object.size
    object.close()
    return size


class Program:
    """An interpreter, its libpython included if that is shared: what its addresses are called."""

    def __init__(self, python):
        self.path = realpath(python)
        parts, self.libraries = bindings.find_program(python)
        self.symbols = {path: self._read_symbols(path) for path in parts}

    def _read_symbols(self, path):
        """{address in the file: names}"""
        object = elf.Object(path)
        symbols = collections.defaultdict(set)
        for symbol in object.read_dynamic_symbols():
            if symbol.value:  # of an undefined one: its canonical PLT entry
                symbols[symbol.value].add(symbol.name)
        if path == self.path:
            self.is_fixed = object.type == elf.ET_EXEC
            self.tables = object.read_symbol_table(TABLES)
            if self.tables:
                for name, address in {**object.read_symbol_table(prefix=RUNTIME), **object.read_symbol_table(OTHERS)}.items():
                    symbols[address].add(name)
        object.close()
        return symbols


class Memory:
    """That of a process: what is where."""

    def __init__(self, pid, program):
        self.program = program
        self.file = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self.maps, self.bases = [], {}  # [(start, end, path)]; {path: the file's first byte}
        last, owner = 0, ""
        with open(f"/proc/{pid}/maps") as lines:
            for line in lines:
                place, _, offset, _, _, *path = line.rstrip("\n").split(None, 5)
                start, end = (int(text, 16) for text in place.split("-"))
                # Memory of no file right behind a file's is its .bss.
                owner = path[0] if path else owner if start == last else ""
                last = end
                self.maps.append((start, end, owner))
                if owner.startswith("/") and int(offset, 16) == 0:
                    self.bases.setdefault(owner, start)
        self.starts = [start for start, *_ in self.maps]
        self.base = 0 if program.is_fixed else self.bases.get(program.path, 0)
        self.images = self._read_images() if program.tables else self._find_files()
        self.image_starts = [start for start, *_ in self.images]

    def close(self):
        os.close(self.file)

    def read(self, address, size):
        return os.pread(self.file, size, address)

    def _read_images(self):
        """[(start, end, path)] of those that are loaded."""
        places = {name: self.base + address for name, address in self.program.tables.items()}
        count, = struct.unpack("<I", self.read(places["kiln_images"], 4))
        states = self.read(places["kiln_image_states"], count)
        records = self.read(places["kiln_image_records"], count * RECORD)
        images = []
        for index in range(count):
            distance, size, path = struct.unpack_from("<iII", records, index * RECORD)
            name = self.read(places["kiln_image_strings"] + path, 4096).split(b"\0")[0].decode()
            start = places["kiln_image_records"] + index * RECORD + distance
            images.append((start, start + size, realpath(name), bool(states[index] & PREPARED)))
        self.loaded = {path: start for start, _, path, ready in images if ready}
        return sorted(image[:3] for image in images)

    def _find_files(self):
        self.loaded = {realpath(path): start for path, start in self.bases.items() if path.startswith("/")}
        return []

    def find(self, address):
        index = bisect.bisect_right(self.image_starts, address) - 1
        if index >= 0 and address < self.images[index][1]:
            return Target(self.images[index][2], address - self.images[index][0])
        index = bisect.bisect_right(self.starts, address) - 1
        if index < 0 or address >= self.maps[index][1]:
            return Target("number", address)
        path = self.maps[index][2]
        if not path.startswith("/"):
            return Target(path if path == "[vdso]" else "memory", address - self.starts[index])
        if realpath(path) in self.program.symbols:
            return self._find_in_program(realpath(path), address)
        place = address - self.bases.get(path, self.starts[index])
        # What follows an object need not be its .bss.
        return Target(realpath(path), place) if place < get_size(realpath(path)) else Target("memory", place)

    def _find_in_program(self, path, address):
        base = self.base if path == self.program.path else self.bases[path]
        names = self.program.symbols[path].get(address - base)
        if names:
            return Target("program", frozenset(names))
        code = self.read(address, 8)
        if self.images and code[:2] == b"\xff\x25" and code[6:] == b"\xcc\xcc":  # the stub of a library's function
            slot = address + 6 + struct.unpack_from("<i", code, 2)[0]
            function, = struct.unpack("<Q", self.read(slot, 8))
            return self.find(function) if function else Target("program", frozenset())
        return Target("program", frozenset())

    def read_words(self, start, size, offsets):
        """{offset: value} of words of the object at START."""
        values, chunk, at = {}, b"", 0
        for offset in offsets:
            if offset + 8 > at + len(chunk):
                at = offset
                chunk = self.read(start + offset, max(min(1 << 20, size - offset), 8))
            values[offset], = struct.unpack_from("<Q", chunk, offset - at)
        return values


class Comparison:
    """Every image once, in the first pair of processes that have both loaded it."""

    def __init__(self, python, images):
        self.same, self.different, self.seen = collections.Counter(), [], set()
        self.loader = bindings.Loader(python, images)

    def compare(self, files, unlinked):
        for path, start in sorted(unlinked.loaded.items()):
            if path in files.loaded and path not in self.seen:
                self.seen.add(path)
                self._compare_object(path, files, unlinked)

    def _compare_object(self, path, files, unlinked):
        object = elf.Object(path)
        words = {word.offset: word for word in object.read_words()}
        offsets = sorted(words)
        size = object.size
        theirs = files.read_words(files.loaded[path], size, offsets)
        ours = unlinked.read_words(unlinked.loaded[path], size, offsets)
        for offset in offsets:
            word = words[offset]
            symbol = object.get_symbol(word.symbol) if word.symbol else None
            why = self._explain(path, word, symbol, files, theirs[offset], unlinked, ours[offset])
            if why:
                self.same[why] += 1
            else:
                self.different.append((path, hex(offset), word.type, symbol.name if symbol else "-", hex(word.addend),
                                       *files.find(theirs[offset]), *unlinked.find(ours[offset])))
        object.close()

    def _explain(self, path, word, symbol, files, their_value, unlinked, our_value):
        """Why the two values are the same; None: they are not."""
        if word.type in THREAD_LOCAL:
            return "thread-local: numbers of the runtime's"
        addend = word.addend if symbol else 0
        theirs, ours = files.find(their_value), unlinked.find(our_value)
        if theirs.where == ours.where == "program" or (addend and "program" in (theirs.where, ours.where)):
            theirs, ours = files.find(their_value - addend), unlinked.find(our_value - addend)
        if theirs == ours and theirs.where != "program":
            return {"number": "a number", path: "the image itself", "memory": "memory of no file"}.get(
                theirs.where, "another image" if theirs.where in unlinked.loaded else "a system library")
        if theirs.where == ours.where == "program":
            if theirs.place & ours.place:
                return "a symbol of the program"
            if not theirs.place:
                return "the program, where it has no symbol: written since"
        if theirs.where == ours.where == "memory":
            return "memory of no file: written since"
        if ours.where == "program" and any(name.startswith("kiln_") for name in ours.place):
            return "a dl function or __tls_get_addr: the runtime's"
        if theirs.where == "program" and symbol and symbol.name in theirs.place and not ours.where == "program":
            return "a system library's, by the stock program's canonical PLT entry"
        if theirs.place == ours.place and bindings.are_equal(str(theirs.where), str(ours.where)):
            return "the same build under two paths: one image"
        if symbol and {theirs.where, ours.where} <= files.program.libraries:
            return "two libraries of the program have it: the first one of the executable's"
        if symbol and theirs.where != ours.where and ours.where in self.loader.get_answers(path, symbol.name, symbol.version or "-"):
            return "of a library that several need: what the loader answers if another of them is first"
        return None


def check(python, executable, names):
    """A Comparison of all images that are loaded when NAMES are imported."""
    stock, baked = Program(python), Program(executable)
    comparison = None
    for group in imports.group_by_package(names):
        with imports.Import(python, group) as from_files, imports.Import(executable, group) as from_images:
            if from_files.left or from_images.left:
                continue
            files, unlinked = Memory(from_files.pid, stock), Memory(from_images.pid, baked)
            comparison = comparison or Comparison(os.fspath(python), {path for _, _, path in unlinked.images})
            comparison.compare(files, unlinked)
            files.close()
            unlinked.close()
    return comparison


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    report = json.loads(pathlib.Path(argv[2]).read_text())
    comparison = check(argv[0], argv[1], [module["name"] for module in report["modules"]])
    print(f"{len(comparison.seen):8} images")
    for why, count in sorted(comparison.same.items()):
        print(f"{count:8} {why}")
    print(f"{len(comparison.different):8} different")
    for line in comparison.different[:5000]:
        print("   ", *line)
    return bool(comparison.different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
