"""Shared libraries of one name in several packages: the dynamic loader would silently take one for all."""

import json
import os
import shutil

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension

NAME = "libshelf.so.1"


def library(path, source, *more, soname=NAME):
    path.parent.mkdir(parents=True, exist_ok=True)
    run("cc", "-x", "c", "-", "-shared", "-fPIC", "-o", path, f"-Wl,-soname,{soname}",
        "-x", "none", *more, input=source)
    return path


def package(root, name, python, function, built, *files, more=()):
    """The package NAME, whose extension calls FUNCTION of the library BUILT; FILES move into NAME.libs, where it
    finds them."""
    source = MULTI_PHASE.replace("#include <Python.h>", f"#include <Python.h>\nint {function}(void);").replace(
        "PyUnicode_FromString(VALUE)", f"PyLong_FromLong({function}())")
    extension(root / "site", f"{name}._native", python, source=source,
              more=[*more, built, f"-Wl,-rpath,$ORIGIN/../{name}.libs", "-Wl,--allow-shlib-undefined"])
    (root / "site" / f"{name}.libs").mkdir()
    for file in files:
        shutil.move(file, root / "site" / f"{name}.libs" / file.name)


def link(python, root, *args):
    return run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", root / "app", *args, root / "site", check=False)


def values(program, root):
    script = "import json, one._native as a, two._native as b; print(json.dumps([a.value(), b.value()]))"
    return json.loads(run(program, "-c", script, env={**os.environ, "PYTHONPATH": str(root / "site")}).stdout)


@pytest.fixture
def clashing(python, tmp_path):
    """Two packages with a different libshelf.so.1 each, that have no symbol in common."""
    for number, name in enumerate(["one", "two"], 1):
        built = library(tmp_path / "build" / name / NAME, f"int shelf_{name}(void) {{ return {number}; }}")
        package(tmp_path, name, python, f"shelf_{name}", built, built)
    return tmp_path


def test_different_libraries_of_one_name_are_an_error(clashing, python):
    result = link(python, clashing)
    assert result.returncode == 1 and result.stderr.count("error: ") == 1
    for text in ("one._native", "two._native", str(clashing / "site" / "one.libs" / NAME),
                 str(clashing / "site" / "two.libs" / NAME), "auditwheel"):
        assert text in result.stderr
    assert not (clashing / "app").exists()


def test_as_files_they_do_not_work_together_either(clashing, python):
    result = run(python, "-c", "import one._native, two._native", check=False,
                 env={**os.environ, "PYTHONPATH": str(clashing / "site")})
    assert result.returncode == 1 and "shelf_two" in result.stderr


def test_one_of_the_packages_alone_is_linked(clashing, python):
    shutil.rmtree(clashing / "site" / "two")
    assert link(python, clashing).returncode == 0


def test_libraries_that_the_libraries_need_are_looked_at(python, tmp_path):
    for number, name in enumerate(["one", "two"], 1):
        inner = library(tmp_path / "build" / name / NAME, f"int inner_{name}(void) {{ return {number}; }}")
        outer = library(tmp_path / "build" / name / f"lib{name}.so",
                        f"int inner_{name}(void); int outer_{name}(void) {{ return inner_{name}(); }}",
                        inner, "-Wl,-rpath,$ORIGIN", soname=f"lib{name}.so")
        package(tmp_path, name, python, f"outer_{name}", outer, inner, outer)
    result = link(python, tmp_path)
    assert result.returncode == 1 and result.stderr.count("error: ") == 1
    assert NAME in result.stderr and "one._native" in result.stderr and "two._native" in result.stderr


def test_equal_copies_are_as_good_as_one(python, tmp_path):
    for name in "one", "two":
        inner = library(tmp_path / "build" / name / NAME, "static int n; int count(void) { return ++n; }")
        outer = library(tmp_path / "build" / name / f"lib{name}.so",
                        f"int count(void); int outer_{name}(void) {{ return count(); }}",
                        inner, "-Wl,-rpath,$ORIGIN", soname=f"lib{name}.so")
        package(tmp_path, name, python, f"outer_{name}", outer, inner, outer)
    result = link(python, tmp_path)
    assert result.returncode == 0 and NAME not in result.stderr
    assert values(tmp_path / "app", tmp_path) == values(python, tmp_path) == [1, 2]


def test_a_library_of_the_system_with_the_name_is_told(python, tmp_path):
    own = library(tmp_path / "build" / NAME, "int shelf_one(void) { return 1; }")
    system = library(tmp_path / "system" / NAME, "int shelf_one(void) { return 2; }")
    package(tmp_path, "one", python, "shelf_one", own, own)
    package(tmp_path, "two", python, "shelf_one", system)
    result = link(python, tmp_path)
    assert result.returncode == 0 and result.stderr.count("warning: ") == 1, result.stderr
    assert NAME in result.stderr and str(system) in result.stderr


@pytest.mark.parametrize("repaired", [False, True], ids=["as installed", "repaired"])
@pytest.mark.parametrize("how", ["by name", "by path"])
def test_a_library_is_found_by_the_name_it_has_in_the_package(how, repaired, python, tmp_path):
    """It was linked as libshelf.so, is called libshelf.so.1, and may have been given another name, as auditwheel
    does; the build tree is gone."""
    if repaired and not shutil.which("patchelf"):
        pytest.skip("no patchelf")
    for name in "one", "two":
        build = tmp_path / "build" / name
        library(build / f"lib{name}.so", f"int shelf_{name}(void) {{ return 7; }}", soname=f"lib{name}.so.1")
        linked = build / f"lib{name}.so"
        package(tmp_path, name, python, f"shelf_{name}", linked if how == "by path" else f"-l{name}",
                more=[f"-L{build}"])
        there = tmp_path / "site" / f"{name}.libs" / f"lib{name}.so.1"
        shutil.move(linked, there)
        if repaired:
            other = there.with_name(f"lib{name}-01ab23cd.so.1")
            there.rename(other)
            extension_file, = (tmp_path / "site" / name).glob("_native.*")
            run("patchelf", "--set-soname", other.name, other)
            run("patchelf", "--replace-needed", there.name, other.name, extension_file)
    shutil.rmtree(tmp_path / "build")
    result = link(python, tmp_path)
    assert result.returncode == 0, result.stderr
    assert values(tmp_path / "app", tmp_path) == values(python, tmp_path) == [7, 7]


def nested(root, python, tags):
    """A package whose library needs another one in its directory, which only the search path of the extension names."""
    libs = root / "site" / "pkg.libs"
    libs.mkdir(parents=True)
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", libs / "libinner.so", "-Wl,-soname,libinner.so",
        input="int inner(void) { return 5; }")
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", libs / "libouter.so", "-Wl,-soname,libouter.so",
        "-x", "none", libs / "libinner.so", input="int inner(void); int outer(void) { return inner(); }")
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nint outer(void);").replace(
        "PyUnicode_FromString(VALUE)", "PyLong_FromLong(outer())")
    extension(root / "site", "pkg.native", python, source=source,
              more=[f"-L{libs}", "-louter", f"-Wl,-rpath,$ORIGIN/../pkg.libs,{tags}", "-Wl,--allow-shlib-undefined"])
    return root / "site"


@pytest.mark.parametrize("linker", [name for name in ("bfd", "gold", "lld", "mold") if shutil.which(f"ld.{name}")])
def test_a_search_path_that_holds_for_the_libraries_too_does_in_the_executable(linker, python, tmp_path):
    site = nested(tmp_path, python, "--disable-new-dtags")
    said = run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "--linker", linker, "-o", tmp_path / "app", site).stderr
    assert "warning" not in said
    env = {**os.environ, "PYTHONPATH": str(site)}
    assert run(tmp_path / "app", "-c", "import pkg.native; print(pkg.native.value())", env=env).stdout == "5\n"


def test_a_library_that_the_loader_will_not_find_is_a_warning(python, tmp_path):
    site = nested(tmp_path, python, "--enable-new-dtags")
    said = run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", tmp_path / "app", site).stderr
    assert f"warning: {tmp_path / 'app'}: the dynamic loader does not find what it needs (libinner.so)" in said
    said = run(BUILD / "kiln", "link", "--from", "objects", "--python", python, "-o", tmp_path / "app", site,
               env={**os.environ, "LD_LIBRARY_PATH": str(site / "pkg.libs")}).stderr
    assert "warning" not in said
