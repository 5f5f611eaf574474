"""Two modules from the same sources, isolated, in one executable that needs no Python.

A source defines `void *PyInit_m(void)`, whose value, a number as a pointer, main() reports. V is 1
in the first module and 2 in the second. `void note(long)` reports a number at any time.
"""

import os
import platform
import shutil

import pytest

from conftest import ROOT, run

# KILN_TEST_TARGET: a machine to compile for by its cross toolchain, and to be played by qemu-user.
TARGET = os.environ.get("KILN_TEST_TARGET", "")
MACHINE = TARGET.partition("-")[0] or platform.machine()
PLAYER = [f"qemu-{MACHINE}", "-L", f"/usr/{TARGET}"] if TARGET else []


def tool(name):
    """The program of the name that works for the machine under test; a list, to be called."""
    if not TARGET or name.startswith("rustc"):
        return [name]
    return [name, f"--target={TARGET}"] if name.startswith("clang") else [f"{TARGET}-{name}"]


def has_linker(name):
    # These two link for every machine.
    return shutil.which(f"ld.{name}" if name in ("lld", "mold") else tool(f"ld.{name}")[0]) is not None


LINKERS = [name for name in ("bfd", "gold", "lld", "mold") if has_linker(name)]


def run_for_target(*argv, **kwargs):
    """Run a program that was made for the machine under test."""
    # What clang's profiles are written to, in the working directory otherwise.
    env = {"LLVM_PROFILE_FILE": os.devnull}
    if TARGET:
        # The leak sanitizer stops other threads as a debugger does, which qemu-user does not play.
        env["ASAN_OPTIONS"] = "detect_leaks=0"
    kwargs.setdefault("env", {**os.environ, **env})
    return run(*PLAYER, *argv, **kwargs)


only_x86 = pytest.mark.skipif(MACHINE != "x86_64", reason="this is of x86-64")
only_native = pytest.mark.skipif(TARGET != "", reason="under qemu-user it cannot be done")

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
extern void *kiln_init_p1_dm(void), *kiln_init_p2_dm(void);
void *slot; /* for modules to hand something to each other */
void note(long n) { printf("%ld ", n); fflush(stdout); }
/* Without this, code ends where mold 1.10 makes a program of it that cannot be loaded (PT_GNU_RELRO). */
void note_twice(long n) { note(n); note(n); }
int main(int argc, char **argv)
{
    note(-1);
    note((long)kiln_init_p1_dm());
    if (argc > 1) return 0;
    note((long)kiln_init_p2_dm());
    note((long)kiln_init_p1_dm());
    return 0;
}
"""


class Workshop:
    """Compiles, isolates and links in a directory of its own."""

    def __init__(self, kiln, directory):
        self.kiln = kiln
        self.dir = directory
        self.directories = {}

    def compile(self, name, text, *flags, cc=None, out=None):
        """An object of TEXT; NAME tells the language."""
        source = self.dir / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        cc = cc or ("g++" if name.endswith(".cc") else "gcc")
        out = self.dir / (out or f"{name}.o")
        out.parent.mkdir(parents=True, exist_ok=True)
        run(*tool(cc), "-c", "-fPIC", "-O1", *flags, "-o", out, name, cwd=self.dir)
        return out

    def isolate(self, name, *inputs, check=True, cwd=None, **kwargs):
        """`kiln isolate` to NAME.o, which is the value; without check, the finished process."""
        out = self.dir / f"{name}.o"
        result = self.kiln("isolate", "--name", name, "-o", out, *inputs, check=check,
                           cwd=cwd or self.dir, **kwargs)
        return out if check else result

    def modules(self, sources, flags=(), cc=None, arguments=()):
        """The two isolated modules of SOURCES, {file name: text}."""
        made = []
        for v in (1, 2):
            objects = [self.compile(name, text, f"-DV={v}", *flags, cc=cc, out=f"v{v}/{name}.o")
                       for name, text in sources.items()]
            made.append(self.isolate(f"p{v}.m", *arguments, *objects))
        return made

    def link(self, objects, linker="bfd", flags=(), driver="g++"):
        """An executable of MAIN, the runtime's constructors, and OBJECTS."""
        main = self.dir / "main.o"
        if not main.exists():
            self.compile("main.c", MAIN, out="main.o")
            self.compile("constructors.c", (ROOT / "runtime/machine/constructors.c").read_text(),
                         "-I", ROOT / "include", "-D_GNU_SOURCE", out="constructors.o")
        exe = self.dir / f"prog-{linker}"
        if linker == "lld":
            flags = (*flags, "-Wl,-z,nostart-stop-gc")
        run(*tool(driver), *self.find_linker(linker), "-o", exe, main, *objects, self.dir / "constructors.o",
            "-Wl,-export-dynamic", "-Wl,-z,noexecstack", "-pthread", *flags)
        return exe

    def find_linker(self, linker):
        """The arguments by which a compiler finds a linker: a cross gcc looks for its own only."""
        directory = self.dir / "linkers"
        if TARGET and linker in ("lld", "mold") and not directory.exists():
            directory.mkdir()
            for name in ("lld", "mold"):
                if has_linker(name):
                    (directory / f"ld.{name}").symlink_to(shutil.which(f"ld.{name}"))
        return [*([f"-B{directory}"] if directory.exists() else []), f"-fuse-ld={linker}"]

    @staticmethod
    def numbers(exe, *args):
        """What the executable reports, main()'s -1 included."""
        return [int(word) for word in run_for_target(exe, *args).stdout.split()]
