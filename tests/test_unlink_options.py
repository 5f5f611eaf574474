"""Options of `kiln link` for unlinked extensions, and the check of what the linker has made of them."""

import json
import os
import re
import shutil

import pytest

from conftest import BUILD, run
from constructs import MODULE_H
from extensions import include, suffix

SOURCE = MODULE_H + r"""
static const char text[] = "constant";
static int variable = 1;
F(f) { return Py_BuildValue("nnn", (Py_ssize_t)text, (Py_ssize_t)&variable, (Py_ssize_t)f); }
MODULE(M(f))
"""
PROGRAM = """
import json, _plain
def get_rights(address):
    for line in open("/proc/self/maps"):
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line.split()[1][:3]
print(json.dumps([get_rights(address) for address in _plain.f()]))
"""


@pytest.fixture
def site(python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "plain.c").write_text(SOURCE)
    run("gcc", "-shared", "-fPIC", "-Wl,-z,separate-code", f"-I{include(python)}", '-DMOD="_plain"', "-DINIT=PyInit__plain",
        tmp_path / "plain.c", "-o", site / f"_plain{suffix(python)}")
    return site


@pytest.mark.parametrize("options, constant", [([], "r-x"), (["--separate-code"], "r--")], ids=["default", "separate"])
def test_rights_of_an_images_pages(options, constant, python, site, tmp_path):
    run(BUILD / "kiln", "link", *options, "--python", python, "-o", tmp_path / "app", site)
    said = run(tmp_path / "app", "-c", PROGRAM, env={**os.environ, "PYTHONPATH": str(site)}).stdout
    assert json.loads(said) == [constant, "rw-", "r-x"]


def write_compiler(directory, flags):
    """A compiler driver that adds FLAGS to the final link."""
    compiler = directory / "cc"
    compiler.write_text(f"""#!/bin/sh
for arg; do
    case $arg in @*) grep -q images.o "${{arg#@}}" && exec gcc "$@" {flags};; esac
done
exec gcc "$@"
""")
    compiler.chmod(0o755)
    return compiler


def test_an_executable_with_text_relocations_is_an_error(python, site, tmp_path):
    if shutil.which("ld.lld") is None:
        pytest.skip("lld is not installed")
    compiler = write_compiler(tmp_path, "-Wl,-z,notext")
    result = run(BUILD / "kiln", "link", "--linker", "lld", "--python", python, "-o", tmp_path / "app", site, check=False,
                 env={**os.environ, "KILN_CC": str(compiler)})
    assert result.returncode != 0
    # Newer versions of lld mark the file without need.
    assert re.search(r"is not as expected: it has (a relocation at the read-only address 0x|text relocations \(DT_TEXTREL\))", result.stderr)
    assert not (tmp_path / "app").exists()


# --- Ways to link, to finish and to start the executable ---

USES_EVERYTHING = MODULE_H + r"""
#include <cmath>
#include <iostream>
#include <stdexcept>
#include <string>
extern "C" int of_library(int);
struct Counter { int n; Counter() : n(7) {} };
static Counter counter;
static int one(int x) { return x + 3; }  // the same code
static int two(int x) { return x + 3; }
int (*functions[])(int) = {one, two};
thread_local std::string text = "thread";
volatile double half = 0.5;
static int unused(void) { throw std::logic_error("unused"); }
int (*volatile never)(void) = nullptr;
extern "C" PyObject *f(PyObject *m, PyObject *a) {
    std::string caught;
    try { if (half < 1) throw std::runtime_error("thrown"); never = unused; } catch (const std::exception &error) { caught = error.what(); }
    return Py_BuildValue("iiNssd", counter.n++, of_library(functions[0](1)), PyBool_FromLong(functions[0] == functions[1]), text.c_str(),
                         caught.c_str(), std::pow(half, 2));
}
extern "C" { MODULE(M(f)) }
"""
CALL = """
import json, pkg._all, _json, decimal, hashlib
print(json.dumps([pkg._all.f(), pkg._all.f(), str(decimal.Decimal(1) / 3)[:6], hashlib.md5(b"x").hexdigest()[:6]]))
"""
EXPECTED = [[7, 8, False, "thread", "thrown", 0.25], [8, 8, False, "thread", "thrown", 0.25], "0.3333", "9dd4e4"]


@pytest.fixture(scope="module")
def everything(python, tmp_path_factory):
    """A package with a library of its own, and a library that answers for pow() in its place."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    root = tmp_path_factory.mktemp("everything")
    libs = root / "site" / "pkg" / "libs"
    libs.mkdir(parents=True)
    (root / "all.cc").write_text(USES_EVERYTHING)
    (root / "library.c").write_text("int of_library(int x) { return 2 * x; }\n")
    (root / "preload.c").write_text("double pow(double x, double y) { return x + y; }\n")
    run("gcc", "-shared", "-fPIC", root / "library.c", "-o", libs / "libown.so", "-Wl,-soname,libown.so")
    run("gcc", "-shared", "-fPIC", root / "preload.c", "-o", root / "preload.so")
    # Sections of their own and -O0: each function, and the call of pow(), is there.
    run("g++", "-shared", "-fPIC", "-O0", "-g", "-ffunction-sections", f"-I{include(python)}", '-DMOD="_all"', "-DINIT=PyInit__all", root / "all.cc",
        "-o", root / "site" / "pkg" / f"_all{suffix(python)}", f"-L{libs}", "-lown", "-Wl,-rpath,$ORIGIN/libs")
    assert call_everything(python, root) == EXPECTED
    return root


def call_everything(program, root, **env):
    return json.loads(run(program, "-c", CALL, env={**os.environ, "PYTHONPATH": str(root / "site"), **env}).stdout)


def link_everything(python, root, app, *options, flags=""):
    """The executable APP; the final link has the linker's FLAGS, too."""
    compiler = write_compiler(app.parent, flags)
    run(BUILD / "kiln", "link", "--python", python, "-o", app, *options, root / "site",
        env={**os.environ, "KILN_CC": str(compiler)})
    return app


@pytest.mark.parametrize("options, flags", [
    ([], "-Wl,-z,now"), ([], "-Wl,--gc-sections"), ([], "-Wl,-z,separate-code"), (["--linker", "lld"], "-Wl,--icf=all"),
    (["--linker", "gold"], "-Wl,--icf=all"), (["--linker", "bfd"], "-Wl,--gc-sections,-z,now"), (["--pie"], "-Wl,-z,now,--gc-sections"),
    (["--strip"], ""), (["--split-debug"], "")], ids=lambda value: " ".join(value) if isinstance(value, list) else value)
def test_linkers_options_change_nothing(options, flags, everything, python, tmp_path):
    if "--linker" in options and shutil.which(f"ld.{options[1]}") is None:
        pytest.skip(f"ld.{options[1]} is not installed")
    app = link_everything(python, everything, tmp_path / "app", *options, flags=flags)
    assert call_everything(app, everything) == EXPECTED


@pytest.mark.parametrize("options", [["--no-pie"], ["--pie"]], ids=["no-pie", "pie"])
def test_the_executable_may_be_stripped_and_started_in_every_way(options, everything, python, tmp_path):
    app = link_everything(python, everything, tmp_path / "app", *options)
    assert call_everything(app, everything, LD_BIND_NOW="1") == EXPECTED
    preloaded = call_everything(python, everything, LD_PRELOAD=str(everything / "preload.so"))
    assert [answer[-1] for answer in preloaded[:2]] == [2.5, 2.5]
    assert call_everything(app, everything, LD_PRELOAD=str(everything / "preload.so")) == preloaded
    for arguments in (["-g"], ["-s"], ["--strip-unneeded"]):
        run("strip", *arguments, app)
        assert call_everything(app, everything) == EXPECTED
    shutil.copyfile(app, tmp_path / "copy")  # the holes are filled
    os.chmod(tmp_path / "copy", 0o755)
    assert call_everything(tmp_path / "copy", everything) == EXPECTED
