"""How long `kiln link` takes from many small fat extensions to the executable, beside the final link
alone: the same objects and the same linker, run by hand.

    python3 bench/link_speed.py [--modules 10000] [--runs 5] [--linker lld]

The extensions are generated: some C sources, each compiled once through kiln-cc and installed under
many names, so that an init symbol and every other name occurs hundreds of times. A module is some
thirty functions, tables and strings, 15 kB as an object. All that is made stays in build/link-speed/.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("KILN_BUILD", ROOT / "build"))
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


def ask(python, expression):
    return subprocess.run([python, "-c", f"import sysconfig; print({expression})"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def make_site(directory, python, count):
    """COUNT fat extensions below DIRECTORY."""
    include = ask(python, "sysconfig.get_path('include')")
    suffix = ask(python, "sysconfig.get_config_var('EXT_SUFFIX')")
    directory.mkdir(parents=True)
    templates = []
    for seed in range(SOURCES):
        source = directory / f"{seed}.c"
        source.write_text(source_of(seed))
        templates.append(source.with_suffix(".so"))
        run(BUILD / "kiln-cc", "-shared", "-fPIC", "-O2", f"-I{include}", source, "-o", templates[-1], "-lm")
    site = directory / "site"
    for number in range(count):
        package = site / f"package_{number // PER_PACKAGE:04}"
        if number % PER_PACKAGE == 0:
            package.mkdir(parents=True)
            (package / "__init__.py").touch()
        shutil.copyfile(templates[number * 7 % SOURCES], package / f"module_{number % PER_PACKAGE:02}{suffix}")


def timed(*argv, env=None):
    """(seconds of the clock, seconds of the processor) that a command takes."""
    start, before = time.monotonic(), os.times()
    run(*argv, env=env)
    after = os.times()
    return (time.monotonic() - start,
            after.children_user + after.children_system - before.children_user - before.children_system)


class Bench:
    def __init__(self, args):
        self.args = args
        self.dir = BUILD / "link-speed"
        made = self.dir / f"extensions-{args.modules}"
        if not (made / "done").exists():
            print(f"making {args.modules} extensions in {made}", flush=True)
            shutil.rmtree(made, ignore_errors=True)
            make_site(made, args.python, args.modules)
            (made / "done").touch()
        self.site = made / "site"
        self.output = self.dir / "python"
        self.cache = self.dir / "cache"
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}

    def link(self, env=None):
        return timed(BUILD / "kiln", "link", "--quiet", "--python", self.args.python, "--linker", self.args.linker,
                     "-o", self.output, self.site, env=env or self.env)

    def forget_objects(self):
        """The cache without what it has of extensions; the importer for this Python stays."""
        shutil.rmtree(self.cache / "kiln" / "objects", ignore_errors=True)

    def keep_inputs(self):
        """The final link's inputs in a directory of their own: its response file, and a second one
        with every object as a file, as a build by hand would have them."""
        keeper, kept = self.dir / "keeper", self.dir / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        keeper.write_text(KEEPER)
        keeper.chmod(0o755)
        self.link({**self.env, "KILN_CC": str(keeper), "KILN_KEEP": str(kept)})
        lines = (kept / "link.rsp").read_text().splitlines()
        temporary = next(line.rpartition("/")[0] for line in lines if line.endswith("/data.o"))
        lines[lines.index("-o") + 1] = str(self.dir / "by-hand")
        lines = [line.replace(temporary, str(kept)) for line in lines]
        return lines

    def explode(self, lines):
        """LINES with the members of the archives of modules in the archives' place."""
        files = self.dir / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        out = []
        for line in lines:
            if line.endswith(".a") and pathlib.Path(line).name.startswith("modules"):
                inner = files / pathlib.Path(line).stem
                inner.mkdir()
                run("ar", "x", line, cwd=inner)
                names = subprocess.run(["ar", "t", line], check=True, stdout=subprocess.PIPE, text=True)
                out += [str(inner / name) for name in names.stdout.split()]
            else:
                out.append(line)
        return out

    def by_hand(self, lines, name):
        response = self.dir / name
        response.write_text("\n".join(lines) + "\n")
        return timed("cc", f"@{response}")


def describe(title, times, base=None):
    clock, processor = [[pair[i] for pair in times] for i in (0, 1)]
    medians = statistics.median(clock), statistics.median(processor)
    ratios = "" if base is None else f"{medians[0] / base[0]:9.2f} {medians[1] / base[1]:9.2f}"
    print(f"  {title:44} {medians[0]:6.2f} {min(clock):8.2f} .. {max(clock):5.2f} {medians[1]:9.2f} {ratios}", flush=True)
    return medians


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--linker", default="lld")
    parser.add_argument("--python", default=os.environ.get("KILN_PYTHON", "/usr/bin/python3"))
    args = parser.parse_args()
    bench = Bench(args)
    lines = bench.keep_inputs()
    files = bench.explode(lines)
    cold, warm, alone, alone_files = [], [], [], []
    for _ in range(args.runs):
        bench.forget_objects()
        cold.append(bench.link())
        warm.append(bench.link())
        alone_files.append(bench.by_hand(files, "files.rsp"))
        alone.append(bench.by_hand(lines, "kept.rsp"))
    size = bench.output.stat().st_size / 1e6
    print(f"\n{args.modules} fat extensions to an executable of {size:.0f} MB, {os.cpu_count()} cores, "
          f"{args.linker}; {args.runs} runs each, in turn\n"
          f"  {'seconds':44} {'median':>6} {'fastest .. slowest':>18} {'processor':>9} {'ratio':>9} {'processor':>9}")
    base = describe("final link alone, of object files", alone_files)
    describe("final link alone, of the same inputs", alone, base)
    describe("kiln link, nothing of the extensions in the cache", cold, base)
    describe("kiln link, again", warm, base)


if __name__ == "__main__":
    main()
