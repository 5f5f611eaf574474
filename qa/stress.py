"""Threads that import extensions while the process forks, and children that import others: from files, and unlinked.

usage: stress.py [--seconds N]    default: 600 seconds; KILN_PYTHON chooses the Python

The extensions are of C++, with constructors, thread-local variables and exceptions, and share libraries with a state. Each
process is one round; the two forms take turns. Exit status 1 if the executable hangs or ends otherwise than it should, unless
the stock Python does, too.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from baking import KILN, Failure, choose_python, output_of

MODULES, LIBRARIES = 48, 4
SECONDS = 60  # until a round is taken to hang

LIBRARY = r"""
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users, ready;
__attribute__((constructor)) static void construct(void) { ready = 1; }
int NAME(void) {
    pthread_mutex_lock(&lock);
    int result = ready ? ++users : -1;
    pthread_mutex_unlock(&lock);
    return result;
}
"""
MODULE = r"""
#include <Python.h>
#include <stdexcept>
#include <string>
#include <vector>
extern "C" int LIB(void);
struct Table { std::vector<int> items; Table() : items(100, NUMBER) {} };
static Table table;
thread_local std::string text = std::to_string(NUMBER);
static PyObject *value(PyObject *, PyObject *) {
    try {
        if (LIB() <= 0)
            return PyLong_FromLong(-1);
        throw std::runtime_error(text);
    } catch (const std::exception &error) {
        return PyLong_FromLong(std::stoi(error.what()) == table.items[99] ? NUMBER : -2);
    }
}
static PyMethodDef methods[] = {{"value", value, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "m", NULL, 0, methods, slots, NULL, NULL, NULL};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&def); }
"""
# Odd modules are imported by the threads of the parent, even ones by the children, so that no child waits for the lock of a
# module that a thread of its parent was importing.
ROUND = r"""
import importlib, os, random, sys, threading, time, warnings
warnings.simplefilter("ignore")
random.seed(int(sys.argv[1]))
count = int(sys.argv[2])
def use(numbers, wrong):
    for number in numbers:
        time.sleep(random.random() * 0.002)
        if importlib.import_module(f"m{number}").value() != number:
            wrong.append(number)
def run(numbers):
    wrong, numbers = [], list(numbers)
    threads = []
    for _ in range(3):
        random.shuffle(numbers)
        threads.append(threading.Thread(target=use, args=(list(numbers), wrong)))
    for thread in threads:
        thread.start()
    return threads, wrong
use([], [])
threads, wrong = run(range(1, count, 2))
children = []
while any(thread.is_alive() for thread in threads):
    time.sleep(random.random() * 0.004)
    child = os.fork()
    if child == 0:
        mine, bad = run(range(0, count, 2))
        for thread in mine:
            thread.join()
        os._exit(1 if bad else 0)
    children.append(child)
statuses = {os.waitpid(child, 0)[1] for child in children}
print(len(children))
sys.exit(f"wrong values {wrong}, children {statuses}" if wrong or statuses != {0} else 0)
"""


def make_modules(python, site):
    facts = output_of(python, "-c", "import sysconfig as s; print(s.get_path('include')); print(s.get_config_var('EXT_SUFFIX'))")
    include, suffix = facts.split()
    site.mkdir()

    def compile(compiler, text, output, *more):
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", f"-I{include}", "-x", "c" if compiler == "cc" else "c++", "-", "-o",
                        site / output, "-x", "none", f"-L{site}", "-Wl,-rpath,$ORIGIN", *more], input=text, text=True, check=True)

    for number in range(LIBRARIES):
        name = f"library{number}"
        compile("cc", LIBRARY, f"lib{name}.so", f"-DNAME={name}", f"-Wl,-soname,lib{name}.so")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda n: compile("c++", MODULE, f"m{n}{suffix}", f"-DNUMBER={n}", f"-DINIT=PyInit_m{n}",
                                            f"-DLIB=library{n % LIBRARIES}", f"-llibrary{n % LIBRARIES}"), range(MODULES)):
            pass


def run_round(program, site, seed):
    """(what it came to, how many children it had)"""
    process = subprocess.Popen([program, "-c", ROUND, str(seed), str(MODULES)], env={**os.environ, "PYTHONPATH": os.fspath(site)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return "hangs", 0
    outcome = "good" if process.returncode == 0 else f"status {process.returncode}: {errors.strip()[-300:]}"
    return outcome, int(said or 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    options, python = parser.parse_args(), choose_python()
    with tempfile.TemporaryDirectory() as directory:
        site, executable = pathlib.Path(directory) / "site", pathlib.Path(directory) / "app"
        make_modules(python, site)
        output_of(KILN, "link", "--quiet", "--python", python, "-o", executable, site)
        forms = {"from files": (python, site), "unlinked": (executable, pathlib.Path(directory))}
        outcomes, children = {form: collections.Counter() for form in forms}, collections.Counter()
        end, seed = time.monotonic() + options.seconds, 0
        while time.monotonic() < end:
            seed += 1
            for form, (program, path) in forms.items():
                outcome, count = run_round(program, path, seed)
                outcomes[form][outcome] += 1
                children[form] += count
    for form, counter in outcomes.items():
        print(f"{form}: {sum(counter.values())} rounds, {children[form]} children")
        for outcome, count in counter.most_common():
            print(f"    {count} {outcome}")
    new = {outcome.partition(":")[0] for outcome in outcomes["unlinked"]} - {outcome.partition(":")[0] for outcome in outcomes["from files"]}
    return bool(new - {"good"})


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"stress.py: {failure}")
