"""What `kiln link` tells about the extensions it has baked, and what can be kept visible."""

import json
import os

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension, suffix

VALUE = "PyUnicode_FromString(VALUE)"


def returning(expression, before=""):
    """C source whose value() is the C string EXPRESSION."""
    return before + MULTI_PHASE.replace(VALUE, f"PyUnicode_FromString({expression})")


DEFINES = returning("VALUE", """
#define NUMBER(name) int name = 1;
OWN
""")


def link(python, output, *args, check=True):
    return run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", output, *args, check=check)


def values(program, site, *names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    return json.loads(run(program, "-c", script % (names,), env=env).stdout)


@pytest.fixture(scope="module")
def reported(tmp_path_factory, python):
    """(the report as it was read, what was said with --verbose)."""
    root = tmp_path_factory.mktemp("report")
    site = root / "site"
    extension(site, "plain", python, compiler="cc")
    extension(site, "quiet", python)
    extension(site, "pkg.busy", python, more=["-lm"], source=returning('VALUE', """
        #include <math.h>
        volatile double x = 2;
        __attribute__((constructor)) static void one(void) { x = hypot(x, x); }
        __attribute__((constructor)) static void two(void) { x = hypot(x, x); }
    """))
    extension(site, "watcher", python, source=returning('dlsym(0, "x") ? "a" : (dladdr(value, &info), VALUE)', """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        static Dl_info info;
    """))
    said = link(python, root / "app", "--verbose", "--report", root / "report.json", site).stderr
    return json.loads((root / "report.json").read_text()), said


def module(reported, name):
    return next(module for module in reported[0]["modules"] if module["name"] == name)


def test_the_report_tells_of_every_module(reported):
    assert [m["name"] for m in reported[0]["modules"]] == ["pkg.busy", "quiet"]
    busy = module(reported, "pkg.busy")
    assert (busy["constructors"], busy["destructors"]) == (2, 0)
    assert busy["hidden"] > module(reported, "quiet")["hidden"]
    assert busy["size"] > 0 and any("libm" in library for library in busy["libraries"])
    assert (busy["way"], busy["not_objects"]) == ("objects", None)
    assert busy["distribution"] == "pkg" and module(reported, "quiet")["distribution"] is None


def test_what_sees_files_is_told_and_stays_one_without_unlinking(reported):
    files = {entry["name"]: entry["reason"] for entry in reported[0]["files"]}
    assert "its objects are not what its file is: it uses dl" in files["watcher"]
    assert "watcher is not baked from its objects: it uses dl" in reported[1]


def test_ls_lists_what_stayed_a_file(python, kiln, tmp_path):
    site = tmp_path / "site"
    for name in "pkg.a", "pkg.b", "top":
        extension(site, name, python, compiler="cc")
    extension(site, "fat", python)
    link(python, tmp_path / "app", site)
    files = {name: site / (name.replace(".", "/") + suffix(python)) for name in ("pkg.a", "pkg.b", "top")}
    reason = "it was built without Kiln (see `kiln help pip`)"
    listing = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)
    assert [m["name"] for m in listing["modules"]] == ["fat"]
    assert listing["files"] == [{"name": name, "file": str(file), "reason": reason} for name, file in files.items()]
    lines = kiln("ls", tmp_path / "app").stdout.splitlines()[-3:]
    assert [line.split(maxsplit=2) for line in lines] == [[name, "file", f"{file}: {reason}"] for name, file in files.items()]


def test_ls_of_what_has_no_files_has_an_empty_list(python, kiln, tmp_path):
    extension(tmp_path / "site", "fat", python)
    link(python, tmp_path / "app", tmp_path / "site")
    assert json.loads(kiln("ls", "--json", tmp_path / "app").stdout)["files"] == []


def test_the_report_says_that_an_address_in_objects_is_in_no_file(python, tmp_path):
    """And says nothing of an image, of which it is not so: ctypes asks."""
    addresses = MULTI_PHASE.replace(VALUE, "PyLong_FromVoidPtr((void *)value)")
    files = {way: extension(tmp_path / "site", f"from_{way}", python, source=addresses, compiler=compiler)
             for way, compiler in {"objects": BUILD / "kiln-cc", "image": "cc"}.items()}
    run(BUILD / "kiln", "link", "--quiet", "--python", python, "-o", tmp_path / "app", "--report", tmp_path / "report", tmp_path / "site")
    limits = {m["way"]: m["limits"] for m in json.loads((tmp_path / "report").read_text())["modules"] if m["name"].startswith("from_")}
    assert limits["image"] is None and "dladdr() of an address in it answers the executable" in limits["objects"]
    said = run(tmp_path / "app", "-c", """
import ctypes, os, sys, from_image, from_objects
class Info(ctypes.Structure): _fields_ = [("path", ctypes.c_char_p), *((name, ctypes.c_void_p) for name in ("base", "name", "start"))]
for m in from_objects, from_image:
    info = Info()
    ctypes.CDLL(None).dladdr(ctypes.c_void_p(m.value()), ctypes.byref(info))
    try: there = ctypes.CDLL(m.__file__, os.RTLD_NOW | os.RTLD_NOLOAD) is not None
    except OSError: there = False
    print(os.path.basename(info.path.decode()), there)
""", env={"PYTHONPATH": str(tmp_path / "site")}).stdout
    assert said.splitlines() == ["app False", f"{files['image'].name} True"]


def test_the_report_lists_what_stayed_a_file(reported):
    files = {entry["name"]: entry["reason"] for entry in reported[0]["files"]}
    assert list(files) == ["plain", "watcher"] and "built without Kiln" in files["plain"]


def test_a_report_that_cannot_be_written_is_an_error(python, tmp_path):
    extension(tmp_path / "site", "quiet", python)
    result = link(python, tmp_path / "app", "--report", tmp_path / "missing" / "file", tmp_path / "site", check=False)
    assert result.returncode == 1 and "missing/file" in result.stderr


@pytest.fixture(scope="module")
def definers(tmp_path_factory, python):
    """Two modules, each with a variable of its own, and one that is called the same in both."""
    site = tmp_path_factory.mktemp("definers")
    for name in "one", "two":
        extension(site, name, python, source=DEFINES, more=[f"-DOWN=NUMBER(own_{name}) NUMBER(both)"])
    return site


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
@pytest.mark.parametrize("libpython", ["static", "shared"])
def test_an_exported_symbol_is_found_by_name_in_the_program(definers, linker, libpython, python, tmp_path):
    if run("which", f"ld.{linker}", check=False).returncode:
        pytest.skip(f"ld.{linker} is not installed")
    result = link(python, tmp_path / "app", "--linker", linker, "--libpython", libpython, "--export", "own_one",
                  definers, check=False)
    if f"no {libpython} libpython" in result.stderr:
        pytest.skip(f"no {libpython} libpython")
    script = "import ctypes; program = ctypes.CDLL(None); print(hasattr(program, 'own_one'), hasattr(program, 'own_two'))"
    assert run(tmp_path / "app", "-c", script).stdout == "True False\n"
    assert values(tmp_path / "app", definers, "one", "two") == ["one", "two"]


def test_a_symbol_that_two_modules_export_is_an_error(definers, python, tmp_path):
    result = link(python, tmp_path / "app", "--export", "both", definers, check=False)
    assert result.returncode == 1 and "--export both: one and two both define it" in result.stderr


def test_a_symbol_that_no_module_exports_is_an_error(definers, python, tmp_path):
    result = link(python, tmp_path / "app", "--export", "nothing", definers, check=False)
    assert result.returncode == 1 and "--export nothing: no extension that is baked from its objects defines" in result.stderr


@pytest.mark.parametrize("symbol", ["strfry", "PyOS_mystrnicmp"])
def test_an_extension_that_is_not_baked_from_objects_has_nothing_to_export(symbol, python, tmp_path):
    extension(tmp_path / "site", "one", python)
    extension(tmp_path / "site", "two", python, source=DEFINES, more=[f"-DOWN=int own __asm__(\"{symbol}\") = 1;"])
    result = link(python, tmp_path / "app", "--export", symbol, tmp_path / "site", check=False)
    assert result.returncode == 1 and f"--export {symbol}: no extension that is baked from its objects" in result.stderr
    assert not (tmp_path / "app").exists()
