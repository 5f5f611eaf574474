"""kiln link: from fat extensions to an executable that is otherwise the Python it was made for."""

import json
import os
import pathlib
import platform
import re
import shutil
import zipfile

import pytest

from conftest import BUILD, run, small_disk
from extensions import MULTI_PHASE, SINGLE_PHASE, ask, extension, include, list_modules, snapshot, suffix


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """A directory of packages: two with a `_speedups` each, a dotted single-phase module, a package
    whose `__init__` is an extension, a top-level module, and one that was built without Kiln and
    cannot be unlinked."""
    root = tmp_path_factory.mktemp("site")
    extension(root, "alpha._speedups", python)
    extension(root, "beta._speedups", python)
    extension(root, "gamma.inner.single", python, source=SINGLE_PHASE)
    extension(root, "delta", python, package=True)
    (root / "delta" / "pure.py").write_text("from delta import value\nresult = value()\n")
    extension(root, "epsilon", python)
    extension(root, "plain._ext", python, compiler="cc", more=["-Wl,-z,initfirst"])
    return root


BAKED = ["alpha._speedups", "beta._speedups", "delta", "epsilon", "gamma.inner.single"]


@pytest.fixture(scope="module")
def baked(site, tmp_path_factory, kiln, python):
    """The executable made of `site`, in a directory of its own, and what `kiln link` said."""
    output = tmp_path_factory.mktemp("baked") / "app-python"
    said = kiln("link", "--python", python, "-o", output, site).stderr
    return output, said


def call(python, site, script, **kwargs):
    """Run SCRIPT with SITE on the path; the JSON value that it prints."""
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return json.loads(run(python, "-c", "import json\n" + script, env=env, **kwargs).stdout)


def test_every_fat_extension_is_imported_from_inside(baked, site):
    script = f"""
import importlib, sys
out = {{}}
for name in {BAKED!r}:
    m = importlib.import_module(name)
    out[name] = [m.value(), m.__name__, type(m.__spec__.loader).__module__]
print(json.dumps(out))
"""
    got = call(baked[0], site, script)
    assert got == {name: [name, name, "_kiln"] for name in BAKED}


def test_an_extension_that_cannot_be_unlinked_stays_a_file_and_is_listed(baked, site):
    assert "plain._ext stays a file: it has DF_1_INITFIRST" in baked[1]
    got = call(baked[0], site, "import plain._ext as m; print(json.dumps([m.value(), m.__file__]))")
    assert got[0] == "plain._ext" and got[1].startswith(str(site))


def test_an_extension_whose_object_could_not_be_made_stays_a_file_for_the_recorded_reason(kiln, python, tmp_path):
    extension(tmp_path / "site", "good", python)
    bad = extension(tmp_path / "site", "bad", python, more=["-Wl,-init,PyInit_bad"])
    reason = "-init PyInit_bad"
    said = kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", tmp_path / "site").stderr
    (line,) = [line for line in said.splitlines() if "bad stays a file" in line]
    assert reason in line and str(bad) in line
    said = kiln("link", "--python", python, "-o", tmp_path / "app", tmp_path / "site").stderr
    assert [line for line in said.splitlines() if reason in line][0].startswith("kiln: bad is unlinked: ")
    assert reason in kiln("ls", bad).stdout
    assert reason in json.loads(kiln("ls", "--json", bad).stdout)["failure"]


def test_a_package_that_is_an_extension_finds_its_pure_modules(baked, site):
    got = call(baked[0], site, "import delta.pure as p, delta; print(json.dumps([p.result, delta.__path__]))")
    assert got == ["delta", [str(site / "delta")]]


FACTS = """
import sys, os
answer = {name: getattr(sys, name) for name in
    ("prefix", "exec_prefix", "base_prefix", "path", "version", "platlibdir", "hexversion", "dont_write_bytecode")
    if hasattr(sys, name)}
answer["stdlib"] = os.__file__
answer["flags"] = repr(sys.flags)
"""


def test_prefixes_and_path_are_those_of_the_python(baked, python):
    assert ask(baked[0], FACTS) == ask(python, FACTS)


def test_the_executable_may_be_moved(baked, python, tmp_path):
    moved = tmp_path / "bin" / "another-name"
    moved.parent.mkdir()
    shutil.copy(baked[0], moved)
    assert ask(moved, FACTS) == ask(python, FACTS)


def test_sys_executable_is_the_executable_itself(baked):
    assert ask(baked[0], "import sys; answer = sys.executable") == str(baked[0])


def test_children_have_the_extensions_too(baked, site):
    script = """
import subprocess, sys
out = subprocess.check_output([sys.executable, "-c", "import epsilon; print(epsilon.__loader__.__class__.__module__)"])
print(json.dumps(out.decode().strip()))
"""
    assert call(baked[0], site, script) == "_kiln"


def test_multiprocessing_spawns_the_executable(baked, site, tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text("""
import multiprocessing
def work(_):
    import epsilon
    return [type(epsilon.__loader__).__module__, epsilon.value()]
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    with multiprocessing.Pool(1) as pool:
        print(pool.map(work, [0]))
""")
    env = {**os.environ, "PYTHONPATH": str(site)}
    assert run(baked[0], script, env=env).stdout.strip() == "[['_kiln', 'epsilon']]"


def test_extensions_of_the_standard_library_load_from_their_files(baked, python):
    script = """
import importlib, os, sysconfig
names = {f.split(".")[0] for f in os.listdir(os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload"))}
names = sorted(n for n in names if not n.startswith(("_test", "_xx", "xx", "_tkinter", "_ctypes_test")))
answer = []
for name in names:
    try:
        importlib.import_module(name)
        answer.append(name)
    except ImportError:
        pass
"""
    names = ask(python, script)
    assert names and ask(baked[0], script) == names


@pytest.mark.parametrize("args", [["-m", "this"], ["-V"], ["-I", "-c", "import sys; print(sys.flags)"],
                                  ["-S", "-E", "-c", "import sys; print(sys.path)"],
                                  ["-OO", "-B", "-X", "dev", "-W", "error", "-c", "import sys; print(sys.flags, sys.warnoptions)"],
                                  ["-c", "import sys; print(sys.argv)", "a", "-b"], ["-"], ["--no-such-option"]])
def test_options_mean_what_they_mean_to_the_python(baked, python, args):
    want = run(python, *args, check=False, input="print(6 * 7)")
    got = run(baked[0], *args, check=False, input="print(6 * 7)")
    assert (got.returncode, got.stdout) == (want.returncode, want.stdout)


@pytest.mark.parametrize("change, works", [("the version", True), ("the code", False)])
def test_code_that_was_compiled_for_another_python_is_not_used(change, works, baked, python, tmp_path):
    version = ask(python, "import sys; answer = sys.version").encode() + b"\0"
    program = baked[0].read_bytes()
    at = program.index(version)
    edit = at if change == "the version" else at + len(version) + 4  # the length of the first comes before it
    (tmp_path / "app").write_bytes(program[:edit] + b"?" + program[edit + 1:])
    (tmp_path / "app").chmod(0o755)
    result = run(tmp_path / "app", "-c", "import _kiln; print(_kiln.finder)", check=False)
    assert (result.returncode == 0) == works
    assert works or "marshal" in result.stderr



@pytest.mark.parametrize("interpreter", ["bin/python", ""], ids=["its-python", "its-directory"])
def test_a_venv_is_the_venv_of_the_executable(interpreter, site, kiln, python, tmp_path):
    venv = tmp_path / "v"
    run(python, "-m", "venv", "--without-pip", venv)
    packages = ask(venv / "bin" / "python", "import sysconfig; answer = sysconfig.get_path('platlib')")
    extension_path = site / ("epsilon" + suffix(python))
    shutil.copy(extension_path, packages)
    output = tmp_path / "elsewhere" / "app"
    output.parent.mkdir()
    kiln("link", "--python", venv / interpreter, "-o", output)
    facts = "import sys; answer = [sys.prefix, sys.base_prefix, sys.path]"
    assert ask(output, facts) == ask(venv / "bin" / "python", facts)
    assert ask(output, "import epsilon; answer = type(epsilon.__loader__).__module__") == "_kiln"


# Editable installs.

FINDER = """
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import spec_from_file_location
MAPPING = {mapping}
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        place = MAPPING.get(name)
        for file in [place + "/__init__.py", *(place + suffix for suffix in EXTENSION_SUFFIXES)] if place else []:
            spec = spec_from_file_location(name, file)
            if spec and __import__("os").path.isfile(file):
                return spec
sys.meta_path.append(Finder)
"""


@pytest.fixture
def editable(python, tmp_path):
    """A virtual environment with a project in project/lib (the package shop, with a subpackage) and project/top, and a
    function that makes it import a finder as that of setuptools."""
    venv, project = tmp_path / "v", tmp_path / "project"
    run(python, "-m", "venv", "--without-pip", venv)
    extension(project, "lib.sub._ext", python, value="shop")
    extension(project, "top", python)
    packages = pathlib.Path(ask(venv / "bin" / "python", "import sysconfig; answer = sysconfig.get_path('platlib')"))

    def install(name="__editable___shop_1_0_finder", text=FINDER):
        mapping = {"shop": f"{project}/lib", "top": f"{project}/top"}
        (packages / f"{name}.py").write_text(text.replace("{mapping}", repr(mapping)))
        (packages / "shop.pth").write_text(f"import {name}\n")
        return venv
    install.packages, install.project = packages, project
    return install


def test_extensions_of_an_editable_install_are_found_where_its_finder_has_them(editable, kiln, tmp_path):
    kiln("link", "--python", editable(), "-o", tmp_path / "app")
    assert list(list_modules(tmp_path / "app")) == ["shop.sub._ext", "top"]
    script = ("import shop.sub._ext as a, top as b; "
              "answer = [a.value(), b.value(), *(type(m.__loader__).__module__ for m in (a, b))]")
    assert ask(tmp_path / "app", script) == ["shop", "top", "_kiln", "_kiln"]


def test_what_is_installed_comes_before_an_editable_install_of_that_name(editable, kiln, python, tmp_path):
    extension(editable.packages, "shop._ext", python)
    kiln("link", "--python", editable(), "-o", tmp_path / "app")
    assert list(list_modules(tmp_path / "app")) == ["shop._ext", "top"]


def test_an_editable_install_by_a_path_file_is_searched(editable, kiln, tmp_path):
    (editable.packages / "project.pth").write_text(f"{editable.project}\n")
    kiln("link", "--python", editable(text=""), "-o", tmp_path / "app")
    assert list(list_modules(tmp_path / "app")) == ["lib.sub._ext", "top"]


def test_an_editable_install_that_does_not_tell_its_files_is_named(editable, kiln, tmp_path):
    venv = editable("_shop_editable_loader", FINDER.replace("MAPPING", "FILES"))
    said = kiln("link", "--python", venv, "-o", tmp_path / "app").stderr
    assert "warning: _shop_editable_loader: an editable install that does not tell which files it has" in said


def test_a_fat_extension_file_gets_its_name_from_its_packages(site, kiln, python, tmp_path):
    kiln("link", "--python", python, "-o", tmp_path / "app",
         site / "gamma" / "inner" / ("single" + suffix(python)))
    assert list(list_modules(tmp_path / "app")) == ["gamma.inner.single"]


@pytest.mark.parametrize("path, names", [
    ("gamma", ["gamma.inner.single"]), ("gamma/inner/", ["gamma.inner.single"]), ("gamma/inner/../../delta/.", ["delta"]),
    ("alpha/", ["alpha._speedups"])])
def test_a_package_is_searched_under_its_name(path, names, site, kiln, python, tmp_path):
    kiln("link", "--python", python, "-o", tmp_path / "app", f"{site}/{path}")
    assert list(list_modules(tmp_path / "app")) == names
    (tmp_path / "link").symlink_to(site / "alpha")
    kiln("link", "--python", python, "-o", tmp_path / "app", tmp_path / "link")
    assert list(list_modules(tmp_path / "app")) == ["link._speedups"]


def test_a_wheel_is_searched_as_it_would_be_installed(site, kiln, python, tmp_path):
    wheel = tmp_path / "alpha-1.0-cp3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in (site / "alpha").iterdir():
            archive.write(path, f"alpha/{path.name}")
    kiln("link", "--python", python, "-o", tmp_path / "app", wheel)
    assert list(list_modules(tmp_path / "app")) == ["alpha._speedups"]


def test_the_shared_libpython_can_be_asked_for(site, kiln, python, tmp_path):
    found = ask(python, "import sysconfig as s; answer = s.get_config_var('Py_ENABLE_SHARED') or s.get_config_var('INSTSONAME')")
    result = kiln("link", "--python", python, "--libpython", "shared", "-o", tmp_path / "app", site, check=False)
    if result.returncode != 0 and "no shared libpython" in result.stderr:
        pytest.skip(f"no shared libpython for this Python ({found})")
    assert result.returncode == 0, result.stderr
    assert "libpython" in run("ldd", tmp_path / "app").stdout
    assert call(tmp_path / "app", site, "import gamma.inner.single as m; print(json.dumps(m.__name__))") == "gamma.inner.single"


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_every_linker_makes_a_working_executable(linker, site, kiln, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    kiln("link", "--from", "objects", "--python", python, "--linker", linker, "-o", tmp_path / "app", site)
    names = call(tmp_path / "app", site, "import alpha._speedups as a, beta._speedups as b; print(json.dumps([a.value(), b.value()]))")
    assert names == ["alpha._speedups", "beta._speedups"]


def test_the_compiler_may_come_with_arguments(site, kiln, python, tmp_path):
    """Every step that runs it takes its words apart: the importer is compiled here, too."""
    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/log\nexec "$@"\n')
    launcher.chmod(0o755)
    kiln("link", "--python", python, "-o", tmp_path / "app", site,
         env={**os.environ, "KILN_CC": f"{launcher} gcc -pipe", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    said = (tmp_path / "log").read_text()
    assert all(line.startswith("gcc -pipe ") for line in said.splitlines())
    for step in "-x c -", "-std=c11", "-c -x assembler", "@":
        assert step in said
    assert call(tmp_path / "app", site, "import epsilon as m; print(json.dumps(m.value()))") == "epsilon"


def test_a_compiler_that_does_not_exist_is_named_with_its_arguments(site, kiln, python, tmp_path, monkeypatch):
    monkeypatch.setenv("KILN_CC", "no-such-launcher gcc")
    assert "no-such-launcher gcc: no such compiler" in fails(kiln, tmp_path, site, python=python)


def test_the_same_inputs_give_the_same_bytes(site, kiln, python, tmp_path):
    for name in "first", "second":
        kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / name, site)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_two_vendored_copies_of_a_library_stay_apart(kiln, python, tmp_path):
    uses_library = MULTI_PHASE.replace("PyUnicode_FromString(VALUE)", "PyUnicode_FromFormat(\"%d\", lib_version())").replace(
        "#include <Python.h>", "#include <Python.h>\nint lib_version(void);\n")
    for package, version in ("one", 1), ("two", 2):
        (tmp_path / f"lib{version}.c").write_text(
            f"static int v = {version}; int lib_state = {version}; int lib_version(void) {{ return v * 10 + lib_state; }}")
        run("cc", "-c", "-fPIC", tmp_path / f"lib{version}.c", "-o", tmp_path / f"lib{version}.o")
        run("ar", "rc", tmp_path / f"libvendored{version}.a", tmp_path / f"lib{version}.o")
        extension(tmp_path / "site", f"{package}._native", python, source=uses_library,
                  more=[f"-L{tmp_path}", f"-lvendored{version}"])
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", tmp_path / "site")
    got = call(tmp_path / "app", tmp_path / "site",
               "import one._native as a, two._native as b; print(json.dumps([a.value(), b.value()]))")
    assert got == ["11", "22"]


@pytest.mark.parametrize("place", ["pkg", "pkg/lib"])
def test_a_library_whose_file_could_be_an_extensions_is_none(place, kiln, python, tmp_path):
    """Python takes every NAME.so for an extension, but only one with an init function is."""
    site = tmp_path / "site"
    (site / place).mkdir(parents=True)
    run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", site / place / "libhelper.so", "-Wl,-soname,libhelper.so",
        input="int help(void) { return 7; }")
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nint help(void);").replace(
        "PyUnicode_FromString(VALUE)", "PyLong_FromLong(help())")
    extension(site, "pkg.native", python, source=source,
              more=[f"-L{site / place}", "-lhelper", "-Wl,-rpath,$ORIGIN" + place.removeprefix("pkg")])
    said = kiln("link", "--python", python, "-o", tmp_path / "app", site).stderr
    assert "1 extension baked, unlinked, 0 left as files" in said and "libhelper" not in said
    assert call(tmp_path / "app", site, "import pkg.native; print(json.dumps(pkg.native.value()))") == 7
    said = fails(kiln, tmp_path, site / place / "libhelper.so", python=python)
    assert "it is a library, without an init function" in said


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the assembly is of x86-64")
@pytest.mark.parametrize("linker", [name for name in ("bfd", "gold", "lld", "mold") if shutil.which(f"ld.{name}")])
def test_addresses_in_read_only_sections_are_filled_in(linker, kiln, python, tmp_path):
    """Tables of assembly, which GNU ld lets a shared object have (DT_TEXTREL)."""
    table = """
        .section .rodata
        .p2align 3
table:  .quad text
text:   .asciz "from a table"
        .text
        .globl get
        .type get, @function
get:    leaq table(%rip), %rax
        movq (%rax), %rax
        ret
        .section .note.GNU-stack, "", @progbits
    """
    run("as", "-o", tmp_path / "table.o", "-", input=table)
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nconst char *get(void);").replace("(VALUE)", "(get())")
    extension(tmp_path / "site", "one", python, source=source, more=[tmp_path / "table.o"])
    kiln("link", "--from", "objects", "--python", python, "--linker", linker, "-o", tmp_path / "app", tmp_path / "site")
    assert call(tmp_path / "app", tmp_path / "site", "import one; print(json.dumps(one.value()))") == "from a table"


@pytest.mark.parametrize("linker", [name for name in ("bfd", "gold", "lld", "mold") if shutil.which(f"ld.{name}")])
def test_what_does_not_move_with_the_program_stays_where_it_is(linker, kiln, python, tmp_path):
    """Absolute symbols, and hidden ones that nobody defines, which are 0."""
    (tmp_path / "blob").write_text("0123456789")
    run("ld", "-r", "-b", "binary", "-z", "noexecstack", "-o", "blob.o", "blob", cwd=tmp_path)
    source = MULTI_PHASE.replace("#include <Python.h>", """#include <Python.h>
extern char _binary_blob_start[], _binary_blob_size[], given[];
extern int missing(void) __attribute__((weak, visibility("hidden")));
""").replace("PyUnicode_FromString(VALUE)", 'Py_BuildValue("s#nni", _binary_blob_start, (Py_ssize_t)4, (Py_ssize_t)_binary_blob_size, '
                                            "(Py_ssize_t)given, missing != NULL)")
    source = "#define PY_SSIZE_T_CLEAN\n" + source
    extension(tmp_path / "site", "one", python, source=source, more=[tmp_path / "blob.o", "-Wl,--defsym=given=0x1234"])
    kiln("link", "--from", "objects", "--python", python, "--linker", linker, "-o", tmp_path / "app", tmp_path / "site")
    script = "import one; print(json.dumps(one.value()))"
    assert call(tmp_path / "app", tmp_path / "site", script) == call(python, tmp_path / "site", script) == ["0123", 10, 0x1234, 0]


def test_a_library_of_the_system_is_linked_and_listed(kiln, python, tmp_path):
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\n#include <math.h>").replace(
        "PyUnicode_FromString(VALUE)", "PyFloat_FromDouble(hypot(3.0 + (m == NULL), 4.0))")
    extension(tmp_path / "site", "rooted", python, source=source, more=["-lm"])
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", tmp_path / "site")
    assert call(tmp_path / "app", tmp_path / "site", "import rooted; print(json.dumps(rooted.value()))") == 5.0
    module, = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)["modules"]
    assert any("libm" in library for library in module["libraries"])


def test_ls_tells_name_init_size_and_origin(baked, site, kiln):
    by_name = list_modules(baked[0])
    assert list(by_name) == BAKED
    assert {m["way"] for m in by_name.values()} == {"objects"}
    assert by_name["alpha._speedups"]["init"] == "PyInit__speedups"
    assert by_name["delta"]["package"] is True and by_name["epsilon"]["package"] is False
    assert all(m["size"] > 0 and m["file"].startswith(str(site)) for m in by_name.values())
    assert "gamma.inner.single" in kiln("ls", baked[0]).stdout


def test_ls_works_on_a_stripped_executable(baked, kiln, tmp_path):
    stripped = tmp_path / "stripped"
    run("strip", "-o", stripped, baked[0])
    assert list(list_modules(stripped)) == BAKED


# Bad input.

def fails(kiln, tmp_path, *args, python=None):
    """Run `kiln link` in the expectation of exit status 1, one error or more, and no output."""
    output = tmp_path / "out" / "app"
    output.parent.mkdir(exist_ok=True)
    result = kiln("link", *(["--python", python] if python else []), "-o", output, *args, check=False)
    assert result.returncode == 1, result.stderr
    assert "error: " in result.stderr
    assert list(output.parent.iterdir()) == []
    return result.stderr


@pytest.mark.parametrize("way, reason", [("auto", "it has DF_1_INITFIRST"), ("objects", "it was built without Kiln")])
def test_an_extension_named_on_the_command_line_must_not_stay_a_file(way, reason, site, kiln, python, tmp_path):
    path = site / "plain" / ("_ext" + suffix(python))
    said = fails(kiln, tmp_path, "--from", way, path, python=python)
    assert f"{path}: plain._ext cannot be baked: {reason}" in said


@pytest.fixture
def damage(site, python, tmp_path):
    """A function that copies a fat extension, lets EDIT change the bytes of its section, and returns
    the copy's path."""
    def call(edit):
        path = tmp_path / "site" / ("epsilon" + suffix(python))
        path.parent.mkdir()
        shutil.copy(site / path.name, path)
        section = tmp_path / "section"
        run("objcopy", "-O", "binary", "--only-section=.kiln", "--set-section-flags", ".kiln=alloc", path, section)
        data = bytearray(section.read_bytes())
        edit(data)
        section.write_bytes(data)
        run("objcopy", "--update-section", f".kiln={section}", path)
        return path
    return call


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_damaged_section_is_told_with_the_file(where, damage, kiln, python, tmp_path):
    def edit(data):
        data[{"start": 2, "middle": len(data) // 2, "end": len(data) - 1}[where]] ^= 0x55
    path = damage(edit)
    before = snapshot(path.parent)
    said = fails(kiln, tmp_path, "--from", "objects", path.parent, python=python)
    (line,) = [line for line in said.splitlines() if "epsilon stays a file: " in line]
    assert str(path) in line and "damaged" in line
    assert str(path) in fails(kiln, tmp_path, "--from", "objects", path, python=python)
    # Nothing else of the file is damaged.
    said = kiln("link", "--python", python, "-o", tmp_path / "app", path.parent).stderr
    assert said.splitlines()[0].startswith("kiln: epsilon is unlinked: ") and str(path) in said and "damaged" in said
    assert call(tmp_path / "app", tmp_path, "import epsilon; print(json.dumps(epsilon.value()))") == "epsilon"
    assert snapshot(path.parent) == before


def test_a_section_of_a_newer_version_says_to_upgrade(damage, kiln, python, tmp_path):
    def edit(data):
        data[8:12] = (99).to_bytes(4, "little")
    path = damage(edit)
    said = fails(kiln, tmp_path, "--from", "objects", path.parent, python=python)
    (line,) = [line for line in said.splitlines() if "epsilon stays a file: " in line]
    assert str(path) in line and "newer" in line


def test_a_name_that_is_there_twice_is_an_error_naming_both(site, kiln, python, tmp_path):
    shutil.copytree(site, tmp_path / "copy")
    said = fails(kiln, tmp_path, site, tmp_path / "copy", python=python)
    assert "alpha._speedups" in said and str(site) in said and str(tmp_path / "copy") in said


def test_a_file_whose_name_is_no_identifier_is_an_error(site, kiln, python, tmp_path):
    path = tmp_path / ("not-a-name" + suffix(python))
    shutil.copy(site / ("epsilon" + suffix(python)), path)
    said = fails(kiln, tmp_path, path, python=python)
    assert "not-a-name" in said


def test_an_extension_with_a_linker_script_stays_a_file_and_is_told_with_script_and_remedy(kiln, python, tmp_path):
    script = tmp_path / "layout.ld"
    script.write_text("SECTIONS { .mine : { *(.mine) } }\n")
    extension(tmp_path / "site", "good", python)
    path = extension(tmp_path / "site", "scripted", python, more=[script])
    said = kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", tmp_path / "site").stderr
    (line,) = [line for line in said.splitlines() if "scripted stays a file" in line]
    assert f"{script}: a linker script" in line and "link without it" in line and str(path) in line


def test_an_undefined_symbol_is_named_with_its_module_and_file(site, kiln, python, tmp_path):
    source = "int nope_nowhere(void);\n" + MULTI_PHASE.replace(
        "PyUnicode_FromString(VALUE)", "PyLong_FromLong(nope_nowhere())")
    path = extension(tmp_path / "site", "broken", python, source=source)
    said = fails(kiln, tmp_path, path, python=python)
    assert "nope_nowhere" in said and "broken" in said and str(path) in said


def test_an_unreadable_path_is_an_error(kiln, python, tmp_path):
    said = fails(kiln, tmp_path, tmp_path / "missing", python=python)
    assert str(tmp_path / "missing") in said


def test_a_damaged_wheel_is_one_message(kiln, python, tmp_path):
    wheel = tmp_path / "pkg-1.0-py3-none-any.whl"
    wheel.write_bytes(b"no archive")
    said = fails(kiln, tmp_path, wheel, python=python)
    assert said.startswith(f"kiln: error: {wheel}: ") and said.count("\n") == 1


def test_a_file_that_may_not_be_read_stays_one(site, build, python, tmp_path):
    path = tmp_path / "site" / ("epsilon" + suffix(python))
    path.parent.mkdir()
    shutil.copy(site / path.name, path)
    path.chmod(0)
    # Root may read it without these capabilities, too; others have none.
    bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if bounded and run(*bounded, "true", check=False).returncode != 0:
        pytest.skip("no setpriv that can drop capabilities")
    result = run(*bounded, build / "kiln", "link", "--python", python, "-o", tmp_path / "app", path.parent, check=False)
    assert result.returncode == 0
    assert f"kiln: epsilon stays a file: cannot read: Permission denied ({path})\n" in result.stderr


@pytest.mark.parametrize("edit, text", [
    ((18, b"\xb7"), "arm64"),
    ((4, b"\1"), "32-bit"),
    ((0, b"x"), "not an ELF file"),
])
def test_an_extension_for_another_machine_stays_a_file(edit, text, site, kiln, python, tmp_path):
    path = tmp_path / "site" / ("epsilon" + suffix(python))
    path.parent.mkdir()
    data = bytearray((site / path.name).read_bytes())
    data[edit[0]:edit[0] + 1] = edit[1]
    path.write_bytes(data)
    said = kiln("link", "--python", python, "-o", tmp_path / "app", path.parent).stderr
    assert re.search(rf"epsilon stays a file: .*{text}.*{re.escape(str(path))}", said)
    assert str(path) in fails(kiln, tmp_path, path, python=python)
    assert path.read_bytes() == data


def test_a_directory_without_extensions_is_an_error(kiln, python, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no extension was found" in fails(kiln, tmp_path, tmp_path / "empty", python=python)


def test_a_program_that_is_no_python_is_an_error(kiln, tmp_path):
    said = fails(kiln, tmp_path, tmp_path, python="/bin/true")
    assert "/bin/true" in said


def test_an_older_output_survives_a_failed_link(kiln, python, tmp_path):
    output = tmp_path / "app"
    output.write_text("precious")
    assert kiln("link", "--python", python, "-o", output, tmp_path, check=False).returncode == 1
    assert output.read_text() == "precious"


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_a_full_disk_is_an_error_without_output(linker, site, kiln, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    with small_disk(tmp_path / "small", "1m") as small:
        result = kiln("link", "--python", python, "--linker", linker, "--libpython", "static", "-o", small / "app",
                      site, check=False)
        if "no static libpython" in result.stderr:
            pytest.skip("no static libpython: the executable would fit")
        assert result.returncode == 1
        assert f"{small}/app: cannot write: the disk is probably full" in result.stderr
        assert list(small.iterdir()) == []


@pytest.mark.parametrize("size", ["4k", "64k", "1m"])
def test_a_full_disk_for_temporary_files_is_one_message(size, site, kiln, python, tmp_path):
    with small_disk(tmp_path / "small", size) as small:
        result = kiln("link", "--python", python, "--libpython", "static", "-o", tmp_path / "app", site, check=False,
                      env={**os.environ, "TMPDIR": str(small), "XDG_CACHE_HOME": str(tmp_path / "cache")})
        if "no static libpython" in result.stderr:
            pytest.skip("no static libpython: the files would fit")
        assert result.returncode == 1
        assert str(small) in result.stderr and "the disk is probably full" in result.stderr
        assert "install" not in result.stderr
    assert not (tmp_path / "app").exists()


def test_an_empty_name_of_the_output_is_an_error(site, kiln, python, tmp_path):
    result = kiln("link", "--python", python, "-o", "", site, check=False, cwd=tmp_path)
    assert result.returncode == 1 and "empty" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_the_python_is_an_error(site, kiln, python, tmp_path):
    (tmp_path / "python").symlink_to(os.path.realpath(python))
    result = kiln("link", "--python", python, "-o", tmp_path / "python", site, check=False)
    assert result.returncode == 1 and "it is the Python that the executable is for" in result.stderr
    assert (tmp_path / "python").is_symlink()


def test_an_output_that_is_a_directory_is_an_error(site, kiln, python, tmp_path):
    result = kiln("link", "--python", python, "-o", tmp_path, site, check=False)
    assert result.returncode == 1 and str(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["link", "--nonsense"], ["link", "--linker", "nonsense"], ["link", "--libpython", "x"], ["ls"], ["nonsense"]])
def test_a_wrong_command_line_exits_with_2(kiln, args):
    result = kiln(*args, check=False)
    assert result.returncode == 2 and result.stderr
