"""The programs of the import benchmark: thousands of small modules, linked in once for each way to import them."""

import hashlib
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

from baking import BUILD, KILN, ROOT, name_directory, output_of

sys.path[:0] = [os.fspath(ROOT / "tests"), os.fspath(ROOT / "tests" / "support")]

from bakery import Bakery  # noqa: E402
from store import Store  # noqa: E402

SOURCES = pathlib.Path(__file__).resolve().parent / "imports"
CHUNK = 1000  # modules in a file of C
MODULES_IN_PACKAGE = 100

# A module with a method and an exec slot, as small as a module of any use can be.
MODULE_SOURCE = r"""
#include <Python.h>
static PyObject *answer(PyObject *module, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {0}};
static int execute(PyObject *module) { return 0; }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
#define MODULE(NAME, INIT)                                                                         \
    static PyModuleDef NAME = {PyModuleDef_HEAD_INIT, #NAME, NULL, 0, methods, slots, NULL, NULL, NULL}; \
    __attribute__((visibility("default"))) PyObject *INIT(void);                                   \
    PyObject *INIT(void) { return PyModuleDef_Init(&NAME); }
"""


def flat_name(index):
    return f"m{index:06d}"


def dotted_name(index):
    return f"{parent_name(index)}.{flat_name(index)}"


def pure_name(index):
    return f"pure{index:06d}"


def parent_name(index):
    return f"pack{index // MODULES_IN_PACKAGE:04d}"


def list_parents(count):
    return [parent_name(index) for index in range(0, count, MODULES_IN_PACKAGE)]


def init_symbol(index):
    """What `kiln isolate` calls the init function of the flat name."""
    return f"kiln_init_{flat_name(index)}"


class Side:
    """One way to import: sources, defines, whether it uses Kiln's table, what its link needs."""

    def __init__(self, key, title, sources, defines=(), table=False, names=("flat", "dotted"), link_flags=()):
        self.key, self.title, self.sources, self.defines = key, title, sources, defines
        self.table, self.names, self.link_flags = table, names, link_flags


SIDES = [
    Side("floor", "floor: create and execute in a C loop", ["floor.c"]),
    Side("inittab", "CPython's inittab", ["inittab.c", "import.c"], names=("flat",)),
    Side("hashed", "inittab, Kiln_HashInittab()", ["inittab.c", "import.c"], ["-DKILN_BENCH_HASH"], names=("flat",)),
    Side("map", "unordered_map behind a Python finder", ["map.cc", "import.c"]),
    Side("symbols", "Kiln_LookupSymbols()", ["kiln.c", "import.c"], ["-DKILN_BENCH_SYMBOLS"], names=("flat",),
         link_flags=["-rdynamic"]),
    Side("kiln", "Kiln", ["kiln.c", "import.c"], table=True),
]
# Not linked in: each module is a shared library, which CPython's path finder finds and opens.
FILES = Side("files", "shared libraries on sys.path", ["plain.c", "import.c"], names=("flat",))
PLAIN = Side("plain", "CPython alone", ["plain.c", "import.c"], names=("pure",))

# How the modules are called. Those of Python are imported beside as many that are linked in and are not.
NAMES = {"flat": flat_name, "dotted": dotted_name, "pure": pure_name}


class Workload:
    """Builds for one Python below build/bench/. Objects are kept by a hash of what they are made of."""

    def __init__(self, python):
        self.directory = BUILD / "bench" / name_directory(python)
        (self.directory / "objects").mkdir(parents=True, exist_ok=True)
        self.bakery = Bakery(python, Store(self.directory / "store"))
        self.python, self.version = python, self.bakery.version
        output_of("make", "-C", ROOT, "--no-print-directory", "KILN_DEPS_DONE=1", f"B={self.directory}/make",
                  f"PYTHON={python}", f"{self.directory}/make/libkiln.a")
        self.runtime = self.directory / "make" / "libkiln.a"

    def compile(self, source, *flags, language="c"):
        """The object of SOURCE, which is text or a path."""
        text = source.read_text() if isinstance(source, pathlib.Path) else source
        flags = [*map(str, flags), "-fPIC", "-I", str(SOURCES), *map(str, self.bakery.include)]
        headers = "".join(path.read_text() for path in sorted(SOURCES.glob("*.h")))
        digest = hashlib.sha256("\0".join([language, *flags, text, headers]).encode()).hexdigest()[:24]
        output = self.directory / "objects" / f"{digest}.o"
        if not output.exists():
            aside = output.with_suffix(".tmp")
            output_of("cc", *flags, "-x", language, "-c", "-", "-o", aside, input=text)
            aside.rename(output)
        return output

    def compile_modules(self, count):
        """The objects of the first COUNT modules."""
        def compile_chunk(start):
            indices = range(start, min(start + CHUNK, count))
            modules = "".join(f"MODULE({flat_name(i)}, {init_symbol(i)})\n" for i in indices)
            return self.compile(MODULE_SOURCE + modules, "-O1")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(compile_chunk, range(0, count, CHUNK)))

    def compile_names(self, count, name):
        """The object of bench_modules."""
        return self.compile("".join([
            '#include "side.h"\n', *(f"PyObject *{init_symbol(i)}(void);\n" for i in range(count)),
            "const struct bench_module bench_modules[] = {\n",
            *(f'{{"{name(i)}", {init_symbol(i)}}},\n' for i in range(count)), "{0}};\n",
            f"const size_t bench_count = {count};\n"]), "-O0")

    def compile_table(self, count, name):
        lines = "".join(f"{name(i)} {init_symbol(i)}\n" for i in range(count))
        return self.compile(output_of(KILN, "table", input=lines), language="assembler")

    def build(self, side, count, names="flat", kind=None):
        """The program of SIDE that imports COUNT modules under NAMES, with a static or shared libpython
        (a shared one makes it a PIE)."""
        kind = kind or self.bakery.libpythons[0]
        objects = [self.compile(SOURCES / source, "-O2", *side.defines,
                                language="c++" if source.endswith(".cc") else "c") for source in side.sources]
        objects += [self.compile(SOURCES / "driver.c", "-O2"), self.compile_names(count, NAMES[names]),
                    *self.compile_modules(count)]
        if side.table:
            objects.append(self.compile_table(count, dotted_name if names == "dotted" else flat_name))
        output = self.directory / f"{side.key}-{count}-{names}-{kind}"
        response = output.with_suffix(".rsp")
        response.write_text("\n".join(map(str, objects)))
        output_of("c++", "-fuse-ld=lld", *side.link_flags, "-o", output, f"@{response}", self.runtime,
                  *self.bakery.libpython(kind), "-lpthread", "-ldl")
        response.unlink()
        return output

    def build_lookup(self, count):
        """The program that looks COUNT names up and needs no Python."""
        output = self.directory / f"lookup-{count}"
        symbols = "".join(f".globl {init_symbol(i)}\n.set {init_symbol(i)}, 0\n" for i in range(count))
        output_of("cc", "-no-pie", "-o", output, self.compile(SOURCES / "lookup.c", "-O2"),
                  self.compile_table(count, flat_name), self.compile(symbols, language="assembler"))
        return output

    def make_packages(self, count):
        """A directory with the packages of the dotted names."""
        root = self.directory / f"packages-{count}"
        for parent in list_parents(count):
            (root / parent).mkdir(parents=True, exist_ok=True)
            (root / parent / "__init__.py").touch()
        return root

    def make_pure(self, count):
        """A directory with COUNT small modules of Python, compiled."""
        root = self.directory / f"pure-{count}"
        root.mkdir(exist_ok=True)
        for index in range(count):
            (root / f"{pure_name(index)}.py").write_text(f"NUMBER = {index}\n\ndef answer():\n    return NUMBER\n")
        output_of(self.python, "-m", "compileall", "-q", root)
        return root

    def make_files(self, count):
        """A directory with each module as a shared library of its own, under its flat name."""
        root = self.directory / f"files-{count}"
        root.mkdir(exist_ok=True)

        def build_file(index):
            output = root / (flat_name(index) + self.bakery.config["EXT_SUFFIX"])
            if not output.exists():
                source = MODULE_SOURCE + f"MODULE({flat_name(index)}, PyInit_{flat_name(index)})\n"
                output_of("cc", "-O1", "-fPIC", "-shared", *self.bakery.include, "-x", "c", "-", "-o", output,
                          input=source)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(build_file, range(count)))
        return root
