"""Importing every extension of an environment by one form of its interpreter: what each import comes to."""

import concurrent.futures
import json
import os
import re
import subprocess
import threading

# What the interpreter runs: the modules in argv, one after the other. A line of JSON for each before and after. Then
# it stays as it is until standard input ends.
IMPORTER = r"""
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
def tell(*what):
    os.write(int(sys.argv[1]), json.dumps(what).encode() + b"\n")
for name in sys.argv[2:]:
    tell("start", name)
    try:
        importlib.import_module(name)
    except BaseException as error:
        tell("end", name, f"{type(error).__name__}: {error}"[:1000])
    else:
        tell("end", name, "imported")
tell("mapped", sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}))
sys.stdin.read()
os._exit(0)
"""
SECONDS = 300  # for the modules of one top-level package
IMPORTED = "imported"


def clean(text):
    """Without what is not the same in two processes."""
    return re.sub(r"0x[0-9a-f]+|kiln-\w{6}|_id_\w+", "...", text)


class Import:
    """A process that has imported NAMES and is still there, as a context manager. `said` is {name: what its import
    came to}, `mapped` the shared objects in its memory, `left` the names that it did not come to: it ended before."""

    def __init__(self, python, names, environment=None):
        reading, writing = os.pipe()
        self.process = subprocess.Popen([os.path.abspath(python), "-c", IMPORTER, str(writing), *names], pass_fds=[writing],
                                        cwd="/", env={**os.environ, **(environment or {})},
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        os.close(writing)
        self.said, self.mapped = {}, set()
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        running = None
        with open(reading) as lines:
            for kind, *what in map(json.loads, lines):
                if kind == "mapped":
                    self.mapped = set(what[0])
                    break
                running = what[0] if kind == "start" else None
                if kind == "end":
                    self.said[what[0]] = what[1]
        timer.cancel()
        if running is not None:
            self.process.wait()
            self.said[running] = f"ended the process, status {self.process.returncode}"
        self.left = [name for name in names if name not in self.said]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def group_by_package(names):
    packages = {}
    for name in names:
        packages.setdefault(name.partition(".")[0], []).append(name)
    return list(packages.values())


def import_all(python, names, jobs=2, environment=None, look=None):
    """({name: what its import came to}, shared objects that were mapped) of processes that import NAMES, one for each
    top-level package. LOOK is called with each while it is there, and those that have said all."""
    said, mapped = {}, set()

    def import_group(group):
        while group:
            with Import(python, group, environment) as process:
                said.update(process.said)
                mapped.update(process.mapped)
                if look and not process.left:
                    look(process)
                group = process.left

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(import_group, group_by_package(names)))
    return said, mapped
