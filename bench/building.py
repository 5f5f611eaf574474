"""How long `kiln link` takes from many small fat extensions to the executable, beside the final link
alone (the same objects and the same linker, run by hand), and beside `nm` and `objcopy` run on every
object, as it is done by hand in large builds today. Part of `make bench`; and by itself:

    python3 bench/building.py [--modules 10000] [--runs 5] [--linker lld]

The extensions are generated: some C sources, each compiled once through kiln-cc and installed under
many names, so that an init symbol and every other name occurs hundreds of times. A module is some
thirty functions, tables and strings, 15 kB as an object. All that is made stays in build/building/, for each Python.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.fspath(pathlib.Path(__file__).resolve().parent.parent / "qa"))

from baking import BUILD, name_directory  # noqa: E402

SOURCES = 20       # different extensions
PER_PACKAGE = 50   # modules in one package
HEAD = """
#include <Python.h>
#include <math.h>
static PyObject *error;
static long state[16];
extern long shared_%(seed)d(long);
"""
FUNCTION = """
static const char *const names_%(i)d[] = {"alpha_%(i)d", "beta_%(i)d", "gamma_%(i)d", "delta_%(i)d"};
static PyObject *
method_%(i)d(PyObject *self, PyObject *args)
{
    long a = 0;
    const char *text = NULL;
    if (!PyArg_ParseTuple(args, "l|s:method_%(i)d", &a, &text)) {
        return NULL;
    }
    if (a < 0) {
        PyErr_Format(error, "method_%(i)d: %%ld is less than %%s", a, names_%(i)d[-a & 3]);
        return NULL;
    }
    state[%(i)d & 15] += shared_%(seed)d(a + %(i)d);
    PyObject *list = PyList_New(0);
    for (long k = 0; list != NULL && k < a %% 7; k++) {
        PyObject *item = Py_BuildValue("(ls)", state[(k + %(i)d) & 15], names_%(i)d[k & 3]);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_XDECREF(item);
            Py_CLEAR(list);
        }
        else {
            Py_DECREF(item);
        }
    }
    return list;
}
"""
TAIL = """
long shared_%(seed)d(long n) { return n * %(seed)d + (long)sqrt((double)n); }
static PyMethodDef methods[] = {
%(methods)s    {NULL, NULL, 0, NULL},
};
static int
execute(PyObject *module)
{
    error = PyErr_NewException("m.Error", NULL, NULL);
    return error == NULL ? -1 : PyModule_AddObject(module, "Error", error);
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", NULL, 0, methods, slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_m(void) { return PyModuleDef_Init(&def); }
"""
# What a build that renames symbols by tools has in the place of Kiln's table.
INITTAB = """
#include <Python.h>
%(declarations)s
static struct _inittab modules[] = {
%(entries)s
    {NULL, NULL},
};
int
main(int argc, char **argv)
{
    return PyImport_ExtendInittab(modules) < 0 ? 1 : Py_BytesMain(argc, argv);
}
"""
INCLUDE = "sysconfig.get_path('include')"
# Leaves a copy of what the final link reads, and becomes the compiler.
KEEPER = """#!/bin/sh
for arg do
    case $arg in
    @*) cp -a "$(dirname "${arg#@}")" "$KILN_KEEP" ;;
    esac
done
exec cc "$@"
"""


def run(*argv, **kwargs):
    subprocess.run([os.fspath(arg) for arg in argv], check=True, **kwargs)


def source_of(seed):
    count = 24 + seed % 9
    methods = "".join(f'    {{"method_{i}", method_{i}, METH_VARARGS, "method_{i}(a, text)"}},\n' for i in range(count))
    return (HEAD % {"seed": seed} + "".join(FUNCTION % {"i": i, "seed": seed} for i in range(count))
            + TAIL % {"seed": seed, "methods": methods})


def package_of(number):
    return f"package_{number // PER_PACKAGE:04}"


def module_of(number):
    return f"module_{number % PER_PACKAGE:02}"


def ask(python, expression):
    return subprocess.run([python, "-c", f"import sysconfig; print({expression})"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def make_site(directory, python, count):
    """COUNT fat extensions below DIRECTORY, and their objects by themselves."""
    include = ask(python, INCLUDE)
    suffix = ask(python, "sysconfig.get_config_var('EXT_SUFFIX')")
    directory.mkdir(parents=True)
    templates = []
    for seed in range(SOURCES):
        source = directory / f"{seed}.c"
        source.write_text(source_of(seed))
        templates.append(source.with_suffix(".so"))
        run(BUILD / "kiln-cc", "-shared", "-fPIC", "-O2", f"-I{include}", source, "-o", templates[-1], "-lm")
        run("cc", "-c", "-fPIC", "-O2", f"-I{include}", source, "-o", source.with_suffix(".o"))
    site, objects = directory / "site", directory / "objects"
    objects.mkdir()
    for number in range(count):
        package = site / package_of(number)
        if number % PER_PACKAGE == 0:
            package.mkdir(parents=True)
            (package / "__init__.py").touch()
        template = templates[number * 7 % SOURCES]
        shutil.copyfile(template, package / (module_of(number) + suffix))
        shutil.copyfile(template.with_suffix(".o"), objects / f"{package_of(number)}.{module_of(number)}.o")


class Stopwatch:
    """Seconds of the clock, and of the processor in child processes, since it was made."""

    def __init__(self):
        self.start, self.before = time.monotonic(), os.times()

    def read(self):
        after = os.times()
        return {"seconds": time.monotonic() - self.start,
                "processor": sum(getattr(after, key) - getattr(self.before, key)
                                 for key in ("children_user", "children_system"))}


def timed(*argv, env=None):
    watch = Stopwatch()
    run(*argv, env=env)
    return watch.read()


class Bench:
    """The extensions and what is made of them. What links them is `kiln link` or the link of the same inputs by hand."""

    def __init__(self, python, modules, linker):
        self.python, self.modules, self.linker = python, modules, linker
        self.dir = BUILD / "building" / name_directory(python)
        self.made = self.dir / f"extensions-{modules}"
        if not (self.made / "done").exists():
            shutil.rmtree(self.made, ignore_errors=True)
            make_site(self.made, python, modules)
            (self.made / "done").touch()
        self.output = self.dir / "python"
        self.cache = self.dir / "cache"
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}
        self.inputs = self.keep_inputs()
        self.link()  # which compiles the importer for this Python

    def link(self, env=None):
        return timed(BUILD / "kiln", "link", "--quiet", "--python", self.python, "--linker", self.linker,
                     "-o", self.output, self.made / "site", env=env or self.env)

    def keep_inputs(self):
        """The arguments of the final link, its inputs in a directory of their own."""
        keeper, kept = self.dir / "keeper", self.dir / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        keeper.write_text(KEEPER)
        keeper.chmod(0o755)
        self.link({**self.env, "KILN_CC": str(keeper), "KILN_KEEP": str(kept)})
        lines = (kept / "link.rsp").read_text().splitlines()
        temporary = next(line.rpartition("/")[0] for line in lines if line.endswith("/data.o"))
        lines[lines.index("-o") + 1] = str(self.dir / "by-hand")
        return [line.replace(temporary, str(kept)) for line in lines]

    def is_of_kiln(self, line):
        """Whether an argument of the final link is an input that Kiln has made."""
        return line.startswith(f"{self.dir}/k") or line.startswith(f"{self.cache}/")

    def explode(self):
        """The arguments with the members of the archives of modules, as files, in the archives' place."""
        files = self.dir / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        out = []
        for line in self.inputs:
            if line.endswith(".a") and pathlib.Path(line).name.startswith("modules"):
                inner = files / pathlib.Path(line).stem
                inner.mkdir()
                run("ar", "x", line, cwd=inner)
                names = subprocess.run(["ar", "t", line], check=True, stdout=subprocess.PIPE, text=True)
                out += [str(inner / name) for name in names.stdout.split()]
            else:
                out.append(line)
        return out

    def by_hand(self, lines):
        response = self.dir / "by-hand.rsp"
        response.write_text("\n".join(lines) + "\n")
        return timed("cc", f"@{response}")

    def by_tools(self):
        """nm and objcopy on every object, the inittab as C, and the final link."""
        renamed = self.dir / "renamed"
        shutil.rmtree(renamed, ignore_errors=True)
        renamed.mkdir()
        objects = sorted((self.made / "objects").iterdir())
        watch = Stopwatch()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            inits = list(pool.map(lambda path: rename_symbols(path, renamed / path.name), objects))
        prepared = watch.read()["seconds"]
        source = self.dir / "inittab.c"
        source.write_text(INITTAB % {
            "declarations": "\n".join(f"PyObject *{init}(void);" for init in inits),
            "entries": "\n".join(f'    {{"{path.stem}", {init}}},' for path, init in zip(objects, inits))})
        run("cc", "-c", f"-I{ask(self.python, INCLUDE)}", source, "-o", source.with_suffix(".o"))
        others = [line for line in self.inputs if not self.is_of_kiln(line)]
        self.by_hand(others[:1] + [str(self.dir / "by-tools")] + others[2:] +
                     [str(renamed / path.name) for path in objects] + [str(source.with_suffix(".o"))])
        return {**watch.read(), "prepared": prepared}


def rename_symbols(path, output):
    """Give the global symbols of an object names of its own; the new name of its init function."""
    prefix = path.stem.replace(".", "_") + "_"
    listed = subprocess.run(["nm", "-P", "--extern-only", "--defined-only", path], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    names = [line.split(" ", 1)[0] for line in listed.splitlines()]
    renames = output.with_suffix(".txt")
    renames.write_text("".join(f"{name} {prefix}{name}\n" for name in names))
    run("objcopy", f"--redefine-syms={renames}", path, output)
    return next(prefix + name for name in names if name.startswith("PyInit_"))


def measure(python, modules, runs, linker="lld"):
    """{side: [what Stopwatch.read() gives, of each run]}, the sides taking turns; nm and objcopy, which take minutes
    with thousands of extensions, less often."""
    bench = Bench(python, modules, linker)
    files = bench.explode()
    samples = {"files": [], "link": [], "kiln": [], "tools": []}
    for turn in range(runs):
        samples["kiln"].append(bench.link())
        samples["files"].append(bench.by_hand(files))
        samples["link"].append(bench.by_hand(bench.inputs))
        if turn * modules < 5000:
            samples["tools"].append(bench.by_tools())
    return {"count": modules, "linker": linker, "megabytes": bench.output.stat().st_size / 1e6, "samples": samples}


TITLES = {
    "files": "final link alone, of object files",
    "link": "final link alone, of the same inputs",
    "kiln": "kiln link",
    "tools": "nm and objcopy on every object, inittab, final link",
}


def get_median(result, side, key="seconds"):
    return statistics.median(sample[key] for sample in result["samples"][side])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--linker", default="lld")
    parser.add_argument("--python", default=os.environ.get("KILN_PYTHON", "/usr/bin/python3"))
    args = parser.parse_args()
    result = measure(args.python, args.modules, args.runs, args.linker)
    print(f"{args.modules} fat extensions to an executable of {result['megabytes']:.0f} MB, {os.cpu_count()} cores, "
          f"{args.linker}; {args.runs} runs each, in turn\n"
          f"  {'seconds':52} {'median':>6} {'fastest .. slowest':>18} {'processor':>9} {'ratio':>6}")
    for side, title in TITLES.items():
        seconds = [sample["seconds"] for sample in result["samples"][side]]
        print(f"  {title:52} {statistics.median(seconds):6.2f} {min(seconds):8.2f} .. {max(seconds):6.2f} "
              f"{get_median(result, side, 'processor'):9.2f} "
              f"{statistics.median(seconds) / get_median(result, 'files'):6.2f}")


if __name__ == "__main__":
    main()
