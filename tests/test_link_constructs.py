"""Constructs that only show in a whole executable: interpreters beside the main one, threads, and an
extension file with several init functions."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, ask, extension, suffix


def link(python, output, site):
    run(BUILD / "kiln", "link", "--from", "objects", "--quiet", "--python", python, "-o", output, site)


def say(program, site, script):
    env = {**os.environ, "PYTHONPATH": str(site)}
    return run(program, "-c", script, env=env).stdout.split()


# value() tells how often the constructor has run, and counts calls of this thread.
COUNTING = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", "PyLong_FromLong(constructed * 100 + ++calls)").replace(
    "#include <Python.h>", """#include <Python.h>
static int constructed;
static __thread int calls;
__attribute__((constructor)) static void construct(void) { constructed++; }
""")


@pytest.fixture(scope="module")
def counting(tmp_path_factory, python):
    root = tmp_path_factory.mktemp("counting")
    for name in "one", "two":
        extension(root / "site", name, python, source=COUNTING)
    link(python, root / "app", root / "site")
    return root


def test_constructors_run_once_for_all_interpreters(counting, python):
    names = ask(python, "import sys; answer = [n for n in ('_interpreters', '_xxsubinterpreters') "
                        "if __import__('importlib.util').util.find_spec(n)]")
    if not names:
        pytest.skip("this Python has no module for interpreters")
    got = say(counting / "app", counting / "site", f"""
import {names[0]} as interpreters, os
import one
os.write(1, b"%d " % one.value())
for _ in range(2):
    try:
        id = interpreters.create("legacy") if {names[0] == "_interpreters"} else interpreters.create(isolated=False)
    except TypeError:
        id = interpreters.create()
    assert interpreters.run_string(id, "import os, one, two; os.write(1, b'%d %d ' % (one.value(), two.value()))") is None
    interpreters.destroy(id)
""")
    assert got[0] == "101"
    assert [int(value) // 100 for value in got] == [1, 1, 1, 1, 1]


def test_thread_local_variables_are_each_threads_own_in_every_module(counting):
    got = say(counting / "app", counting / "site", """
import threading, one, two
print(one.value(), one.value(), two.value())
thread = threading.Thread(target=lambda: print(one.value(), two.value()))
thread.start()
thread.join()
print(one.value())
""")
    assert got == ["101", "102", "101", "101", "101", "103"]


def test_a_file_with_several_init_functions_gives_each_name_its_own(python, tmp_path):
    """As compilers of whole packages do it: one file, under the name of each module in it."""
    second = MULTI_PHASE.replace("INIT(void)", "PyInit_other(void)").replace("VALUE", '"the other"') \
        .replace("#include <Python.h>", "").replace("value", "value2").replace('"value2"', '"value"') \
        .replace("methods", "methods2").replace("slots[]", "slots2[]").replace(", slots,", ", slots2,").replace("def", "def2") \
        .replace("PyModuleDef2", "PyModuleDef")
    first = extension(tmp_path / "site", "pkg.first", python, source=MULTI_PHASE + second)
    shutil.copy(first, first.parent / f"other{suffix(python)}")
    link(python, tmp_path / "app", tmp_path / "site")
    got = say(tmp_path / "app", tmp_path / "site",
              "import json, pkg.first, pkg.other; print(json.dumps([pkg.first.value(), pkg.other.value()]))")
    assert json.loads(" ".join(got)) == ["pkg.first", "the other"]


# What <sys/sdt.h> of SystemTap makes of a probe: a nop, and a note that is measured from one place of the program.
PROBE = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", 'PyUnicode_FromString((probe(), VALUE))').replace("#include <Python.h>", r"""#include <Python.h>
__attribute__((noinline)) static void probe(void)
{
    __asm__ volatile(
        "990: nop\n"
        ".pushsection .note.stapsdt, \"?\", \"note\"\n"
        ".balign 4\n.4byte 992f - 991f, 994f - 993f, 3\n"
        "991: .asciz \"stapsdt\"\n992: .balign 4\n"
        "993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n"
        ".asciz \"provider\"\n.asciz \"" NAME "\"\n.asciz \"\"\n"
        "994: .balign 4\n.popsection\n"
        ".ifndef _.stapsdt.base\n"
        ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"
        "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n.endif\n");
}
""")


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_user_space_probes_are_measured_from_one_place(linker, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    for name in "one", "two":
        extension(tmp_path / "site", name, python, source=PROBE)
    run(BUILD / "kiln", "link", "--quiet", "--linker", linker, "--python", python, "-o", tmp_path / "app", tmp_path / "site")
    sections = run("readelf", "-SW", tmp_path / "app").stdout
    base = int(re.search(r"\.stapsdt\.base\s+PROGBITS\s+(\w+)", sections)[1], 16)
    probes = re.findall(r"Provider: provider\s+Name: (\w+)\s+Location: 0x\w+, Base: 0x(\w+)", run("readelf", "-nW", tmp_path / "app").stdout)
    assert {name: int(at, 16) for name, at in probes} == {"one": base, "two": base}
    assert say(tmp_path / "app", tmp_path / "site", "import one, two; print(one.value(), two.value())") == ["one", "two"]
