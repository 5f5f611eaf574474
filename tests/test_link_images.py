"""kiln link with extensions that Kiln has not built: which way each goes into the executable, what the options say about
it, what stays a file, and what can be seen of it from outside."""

import json
import os
import pathlib
import re
import shutil
import zipfile

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, ask, extension, list_all_modules, list_modules, suffix

VALUE = "PyUnicode_FromString(VALUE)"

FACTS = r"""
import importlib, json, os, sys
answer = {}
for name in sys.argv[1:]:
    m = importlib.import_module(name)
    file = getattr(m, "__file__", None)
    with open("/proc/self/maps") as maps:
        answer[name] = [m.value(), m.__name__, file, f" {file}\n" in maps.read()]
print(json.dumps(answer))
"""


def link(python, output, *args, check=True):
    return run(BUILD / "kiln", "link", "--python", python, "-o", output, *args, check=check)


def list_ways(app):
    return {name: module["way"] for name, module in list_modules(app).items()}


def list_reasons(said, standard=False):
    """Why extensions stay files; with STANDARD those of the standard library instead."""
    return {name: reason for name, reason, path in re.findall(r"^kiln: (\S+) stays a file: (.*) \((/.*)\)$", said, re.M)
            if ("/lib-dynload/" in path) == standard}


def list_needed(app):
    return re.findall(r"\((NEEDED|RPATH|RUNPATH)\).*\[(.*)\]", run("readelf", "-dW", app).stdout)


def import_all(program, site, *names, **env):
    """[value(), __name__, __file__, whether the file is mapped] of each module."""
    env = {**os.environ, "PYTHONPATH": os.fspath(site), **env}
    return json.loads(run(program, "-c", FACTS, *names, env=env).stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """A fat extension and plain ones: in a package, in a package below it, of the stable ABI, and a top-level one."""
    root = tmp_path_factory.mktemp("images") / "site"
    extension(root, "pkg.fat", python)
    for name in "pkg.plain", "pkg.inner.plain", "top", "pkgs":
        extension(root, name, python, compiler="cc")
    stable = extension(root, "pkg.stable", python, compiler="cc")
    stable.rename(stable.with_name("stable.abi3.so"))
    return root


NAMES = ["pkg.fat", "pkg.inner.plain", "pkg.plain", "pkg.stable", "pkgs", "top"]
PLAIN = [name for name in NAMES if name != "pkg.fat"]


@pytest.fixture(scope="module")
def baked(site, python, tmp_path_factory):
    """The executable, and what `kiln link` said."""
    app = tmp_path_factory.mktemp("baked") / "app"
    return app, link(python, app, site).stderr


def check_modules(app, python, site, files):
    """Each module is as from its file, and mapped from there only if it is one of FILES."""
    stock = import_all(python, site, *NAMES)
    got = import_all(app, site, *NAMES)
    assert {name: facts[:3] for name, facts in got.items()} == {name: facts[:3] for name, facts in stock.items()}
    assert {name for name, facts in got.items() if facts[3]} == set(files)
    assert all(facts[3] for facts in stock.values())


# --- Which way ---

@pytest.mark.parametrize("way", [[], ["--from", "auto"]])
def test_auto_bakes_fat_extensions_from_objects_and_unlinks_the_others(way, site, python, tmp_path):
    app = tmp_path / "app"
    said = link(python, app, *way, site).stderr
    assert list_ways(app) == {"pkg.fat": "objects", **dict.fromkeys(PLAIN, "image")}
    assert list_reasons(said) == {}
    assert f"{app}: 6 extensions baked, 5 of them unlinked, {len(get_staying(said))} left as files" in said
    check_modules(app, python, site, [])


def test_from_objects_leaves_plain_extensions_as_files(site, python, tmp_path):
    app = tmp_path / "app"
    said = link(python, app, "--from", "objects", "--verbose", site).stderr
    assert list_ways(app) == {"pkg.fat": "objects"}
    assert list_reasons(said) == dict.fromkeys(PLAIN, "it was built without Kiln (see `kiln help pip`)")
    assert f"{app}: 1 extension baked, 5 left as files" in said
    check_modules(app, python, site, PLAIN)


def test_from_wheels_unlinks_fat_extensions_too(site, python, tmp_path):
    app = tmp_path / "app"
    said = link(python, app, "--from", "wheels", site).stderr
    assert list_ways(app) == dict.fromkeys(NAMES, "image")
    assert f"{app}: 6 extensions baked, unlinked, {len(get_staying(said))} left as files" in said
    check_modules(app, python, site, [])


def test_from_objects_without_a_fat_extension_is_an_error(site, python, tmp_path):
    path = site / ("top" + suffix(python))
    result = link(python, tmp_path / "app", "--from", "objects", path, check=False)
    assert result.returncode == 1 and f"{path}: top cannot be baked: it was built without Kiln" in result.stderr
    only = tmp_path / "site"
    only.mkdir()
    shutil.copy(path, only)
    result = link(python, tmp_path / "app", "--from", "objects", only, check=False)
    assert result.returncode == 1 and "nothing to bake: all extensions that were found stay files" in result.stderr
    assert not (tmp_path / "app").exists()


def test_a_fat_extension_whose_object_could_not_be_made_is_unlinked(python, tmp_path):
    """The linker refuses to make the object, but the extension is an ordinary one."""
    script = tmp_path / "layout.ld"
    script.write_text("SECTIONS { .mine : { *(.mine) } }\n")
    extension(tmp_path / "site", "scripted", python, more=[script])
    app = tmp_path / "app"
    said = link(python, app, "--from", "objects", tmp_path / "site", check=False)
    assert said.returncode == 1 and "a linker script" in list_reasons(said.stderr)["scripted"]
    link(python, app, tmp_path / "site")
    assert list_ways(app) == {"scripted": "image"}
    assert import_all(app, tmp_path / "site", "scripted")["scripted"][0] == "scripted"


@pytest.mark.parametrize("args", [["--from", "nonsense"], ["--from", ""], ["--from"], ["--keep"]])
def test_a_bad_way_is_a_usage_error(args, python, tmp_path):
    result = run(BUILD / "kiln", "link", "--python", python, "-o", tmp_path / "app", *args, check=False)
    assert result.returncode == 2 and args[0] in result.stderr
    assert not (tmp_path / "app").exists()


# --- What the user wants to stay a file ---

@pytest.mark.parametrize("keeps, files", [
    (["pkg"], ["pkg.fat", "pkg.inner.plain", "pkg.plain", "pkg.stable"]),
    (["pkg.inner"], ["pkg.inner.plain"]),
    (["pkg.plain"], ["pkg.plain"]),
    (["pkg.fat", "top"], ["pkg.fat", "top"]),
])
def test_a_module_or_a_package_may_stay_a_file(keeps, files, site, python, tmp_path):
    app = tmp_path / "app"
    keep = [arg for name in keeps for arg in ("--keep", name)]
    said = link(python, app, "--verbose", *keep, site).stderr
    assert list_reasons(said) == dict.fromkeys(files, "--keep says so")
    # A line for each package, without --verbose.
    said = link(python, app, *keep, site).stderr
    assert said.count("--keep says so") == len({name.partition(".")[0] for name in files})
    together = [name for name in files if name.startswith("pkg.")]
    assert len(together) < 2 or (f"kiln: pkg: {len(together)} extensions stay files (--verbose lists them); "
                                 f"{together[0]}: --keep says so (") in said
    assert set(list_ways(app)) == set(NAMES) - set(files)
    check_modules(app, python, site, files)


@pytest.mark.parametrize("name", ["pk", "pkg.pla", "plain", "Top", "pkg.*", ""])
def test_what_is_to_stay_a_file_has_to_be_there(name, site, python, tmp_path):
    result = link(python, tmp_path / "app", "--keep", "top", "--keep", name, site, check=False)
    assert result.returncode == 1 and not (tmp_path / "app").exists()
    assert result.stderr == f"kiln: error: --keep {name}: no extension that was found is or is in a module of this name\n"


@pytest.mark.parametrize("option", ["--report", "--bindings"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(option, site, python, tmp_path):
    app = tmp_path / "app"
    app.write_text("as it was")
    for place, reason in (tmp_path / "none" / "file", "No such file or directory"), (tmp_path, "Is a directory"):
        result = link(python, app, option, place, site, check=False)
        assert result.returncode == 1 and result.stderr == f"kiln: error: {place}: cannot write: {reason}\n"
    assert app.read_text() == "as it was"


def test_bindings_are_written_only_with_the_executable(site, python, tmp_path):
    for name in "one", "two":
        link(python, tmp_path / "app", "--bindings", tmp_path / name, site)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() and "/kiln-" not in (tmp_path / "one").read_text()
    (tmp_path / "directory").mkdir()
    result = link(python, tmp_path / "directory", "--bindings", tmp_path / "three", site, check=False)
    assert result.returncode == 1 and not (tmp_path / "three").exists()


def test_an_executable_of_kiln_is_not_the_python_of_another(site, python, tmp_path):
    link(python, tmp_path / "app", site)
    result = link(tmp_path / "app", tmp_path / "other", site, check=False)
    assert result.returncode == 1 and not (tmp_path / "other").exists()
    assert result.stderr == f"kiln: error: {tmp_path / 'app'}: was made by Kiln; name the Python that it was made of\n"


def test_when_everything_stays_a_file_there_is_an_executable_with_the_standard_library(site, python, tmp_path):
    said = link(python, tmp_path / "app", "--keep", "pkg", "--keep", "pkgs", "--keep", "top", site).stderr
    assert "0 extensions baked, 6 left as files" in said
    check_modules(tmp_path / "app", python, site, NAMES)


@pytest.mark.parametrize("option, kind", [("--pie", 3), ("--no-pie", 2)])
def test_pie_or_not(option, kind, site, python, tmp_path):
    app = tmp_path / "app"
    said = link(python, app, option, site).stderr
    assert int.from_bytes(app.read_bytes()[16:18], "little") == kind
    (line,) = [line for line in said.splitlines() if f"{app}: " in line]
    assert ("PIE" in line) == (option == "--pie")
    check_modules(app, python, site, [])


def test_gold_makes_no_pie_and_says_so(site, python, tmp_path):
    said = run(BUILD / "kiln", "link", "--python", python, "--pie", "--linker", "gold", "-o", tmp_path / "app", site, check=False)
    assert said.returncode == 1 and "--pie: gold relocates absolute symbols" in said.stderr
    assert not (tmp_path / "app").exists()


# --- Bad input ---

def write_cut(path, good):
    path.write_bytes(good[:len(good) * 2 // 3])


def write_cut_in_the_header(path, good):
    path.write_bytes(good[:40])


def write_nothing(path, good):
    path.write_bytes(b"")


def write_text(path, good):
    path.write_text("import sys\n" * 100)


def write_32_bit(path, good):
    path.write_bytes(good[:4] + b"\1" + good[5:])


def write_arm64(path, good):
    path.write_bytes(good[:18] + b"\xb7\0" + good[20:])


def write_riscv(path, good):
    path.write_bytes(good[:18] + b"\xf3\0" + good[20:])


BAD = {
    "cut": (write_cut, "cut short"),
    "header": (write_cut_in_the_header, "cut short|ends inside its ELF header"),
    "empty": (write_nothing, "not an ELF file|empty"),
    "text": (write_text, "not an ELF file"),
    "bits": (write_32_bit, "32-bit"),
    "arm": (write_arm64, "made for the machine arm64"),
    "riscv": (write_riscv, "made for the machine riscv"),
}


@pytest.fixture(scope="module")
def bad_files(python, tmp_path_factory):
    """A directory with a good extension, fat and plain, and bad files with names of extensions."""
    root = tmp_path_factory.mktemp("bad") / "site"
    extension(root, "fat", python)
    good = extension(root, "plain", python, compiler="cc").read_bytes()
    for name, (write, _) in BAD.items():
        write(root / (name + suffix(python)), good)
    return root


@pytest.mark.parametrize("way", ["auto", "objects", "wheels"])
def test_bad_files_in_a_directory_stay_files_for_a_reason_and_fail_nothing(way, bad_files, python, tmp_path):
    app = tmp_path / "app"
    said = link(python, app, "--from", way, bad_files).stderr
    reasons = list_reasons(said)
    good = ["fat"] if way == "objects" else ["fat", "plain"]
    assert sorted(list_ways(app)) == good
    assert set(reasons) == set(BAD) | ({"plain"} if way == "objects" else set())
    for name, (_, reason) in BAD.items():
        assert re.search(reason, reasons[name]), (name, reasons[name])
    assert "kiln: error" not in said
    assert [facts[0] for facts in import_all(app, bad_files, *good).values()] == good


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_that_is_named_is_an_error(name, bad_files, python, tmp_path):
    path, good = bad_files / (name + suffix(python)), bad_files / ("plain" + suffix(python))
    result = link(python, tmp_path / "app", good, path, check=False)
    assert result.returncode == 1
    assert re.search(f"^kiln: error: {re.escape(str(path))}: {name} cannot be baked: .*({BAD[name][1]})", result.stderr, re.M)
    assert not (tmp_path / "app").exists()


def test_a_directory_of_bad_files_only_is_no_error(bad_files, python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    for name in BAD:
        shutil.copy(bad_files / (name + suffix(python)), site)
    said = link(python, tmp_path / "app", site).stderr
    assert set(list_reasons(said)) == set(BAD) and f"0 extensions baked, {len(BAD)} left as files" in said


# --- The standard library ---

STANDARD = r"""
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
answer = {}
for name in sys.argv[1:]:
    try:
        answer[name] = [getattr(importlib.import_module(name), "__file__", None)]
    except ImportError as error:
        answer[name] = str(error)
with open("/proc/self/maps") as maps:
    print(json.dumps([answer, "/lib-dynload/" in maps.read()]))
"""


def find_dynload(python):
    """Where PYTHON has the extensions of its standard library, and their names."""
    script = "import sys; answer = [p for p in sys.path if p.endswith('/lib-dynload')]"
    directory = pathlib.Path(ask(python, script)[0])
    names = sorted(file.name.partition(".")[0] for file in directory.iterdir() if file.name.endswith(".so"))
    if not names:
        pytest.skip("this Python has all of its standard library inside")
    return directory, names


def get_staying(said):
    """Those of the standard library that stay files, of which one kind is known: _ctypes of Python 3.8 defines what libffi
    refers to."""
    reasons = list_reasons(said, standard=True)
    assert all(reason.endswith(" which this file defines before it") for reason in reasons.values())
    return set(reasons)


def test_extensions_of_the_standard_library_are_baked_too(python, tmp_path):
    directory, names = find_dynload(python)
    extension(tmp_path / "site", "plain", python, compiler="cc")
    objects, app = tmp_path / "objects", tmp_path / "app"
    extension(tmp_path / "fat", "fat", python)
    link(python, objects, "--from", "objects", tmp_path / "fat")
    said = link(python, app, tmp_path / "site").stderr
    stay = get_staying(said)
    assert re.search(rf"app: 1 extension baked, unlinked, {len(stay)} left as files, with {len(names) - len(stay)} of the standard library, ",
                     said)
    modules = list_all_modules(app)
    assert sorted(modules) == sorted({*names, "plain"} - stay)
    assert {module["way"] for module in modules.values()} == {"image"}
    assert modules[names[0]]["file"].startswith(f"{directory}/{names[0]}.")
    # Their libraries are not the program's.
    assert list_needed(app) == list_needed(objects) and list(list_modules(objects)) == ["fat"]
    baked, stock = (json.loads(run(program, "-c", STANDARD, *names).stdout) for program in (app, python))
    assert baked[0] == stock[0] and (baked[1], stock[1]) == (bool(stay), True)
    assert sum(isinstance(came, list) for came in baked[0].values()) > len(names) / 2


def test_modules_of_the_standard_library_work_unlinked(python, tmp_path):
    _, names = find_dynload(python)
    extension(tmp_path / "site", "plain", python, compiler="cc")
    link(python, tmp_path / "app", tmp_path / "site")
    answers = [ask(program, r"""
import ctypes, decimal, hashlib, json, sqlite3, ssl, multiprocessing.shared_memory as shm
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
ctypes.CDLL(None).qsort(numbers, 4, 4, compare(lambda a, b: a[0] - b[0]))
block = shm.SharedMemory(create=True, size=10)
block.buf[:3] = b"abc"
base = sqlite3.connect(":memory:")
base.create_function("twice", 1, lambda n: 2 * n)
answer = [list(numbers), str(decimal.Decimal(1) / 7), hashlib.sha3_256(b"x").hexdigest(), hashlib.new("sha512", b"x").hexdigest(),
          base.execute("select twice(21)").fetchall(), bytes(block.buf[:3]).decode(), ssl.create_default_context().verify_mode.name,
          len(ctypes.pythonapi.Py_GetVersion.__name__), json.loads('{"a": [1.5]}'), hasattr(ctypes.pythonapi, "Py_IncRef")]
block.close(); block.unlink()
""") for program in (tmp_path / "app", python)]
    assert answers[0] == answers[1] and answers[0][0] == [1, 2, 3, 4] and answers[0][4] == [[42]]


def test_an_extension_with_a_name_of_the_standard_library_stays_a_file(python, tmp_path):
    directory, names = find_dynload(python)
    name = names[0]
    for more in name, "plain":
        extension(tmp_path / "site", more, python, compiler="cc")
    said = link(python, tmp_path / "app", tmp_path / "site").stderr
    assert list_reasons(said)[name] == "the standard library has a module of this name, which Python prefers"
    assert list_all_modules(tmp_path / "app")[name]["file"].rpartition("/")[0] == str(directory)


@pytest.mark.parametrize("fast", ["0", "1"])
def test_what_comes_before_the_standard_library_hides_its_extensions_as_ever(fast, python, tmp_path):
    """A script's own modules, and those of PYTHONPATH; not those of site-packages, which come after it."""
    _, names = find_dynload(python)
    extension(tmp_path / "site", "plain", python, compiler="cc")
    link(python, tmp_path / "app", tmp_path / "site")
    for directory, module in ("script", "audioop"), ("path", "_queue"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / f"{module}.py").write_text("own = True\n")
    (tmp_path / "script" / "main.py").write_text("""
import importlib, json, sys
answer = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        answer[name] = [getattr(module, "own", False), getattr(module, "__file__", None)]
    except ImportError as error:
        answer[name] = str(error)
print(json.dumps(answer))
""")
    chosen = sorted({"audioop", "_queue", "_json", "_ctypes", "_decimal"} | set(names[:3]))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "path"), "KILN_FAST": fast}
    baked, stock = (json.loads(run(program, tmp_path / "script" / "main.py", *chosen, env=env).stdout) for program in (tmp_path / "app", python))
    assert baked == stock
    assert stock["audioop"] == [True, str(tmp_path / "script" / "audioop.py")] and stock["_queue"][0] is True


def test_the_standard_library_alone_is_baked_if_no_path_is_named_or_its_own(python, tmp_path):
    directory, names = find_dynload(python)
    run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    stay = get_staying(link(tmp_path / "venv" / "bin" / "python", tmp_path / "app").stderr)
    assert set(list_all_modules(tmp_path / "app")) == set(names) - stay
    said = link(python, tmp_path / "named", directory).stderr
    assert f"named: 0 extensions baked, {len(stay)} left as files, with " in said
    assert set(list_all_modules(tmp_path / "named")) == set(names) - stay
    (tmp_path / "empty").mkdir()
    result = link(python, tmp_path / "none", tmp_path / "empty", check=False)
    assert result.returncode == 1 and "nothing to bake: no extension was found" in result.stderr


# --- What can be seen of it ---

@pytest.fixture(scope="module")
def with_libraries(python, tmp_path_factory):
    """An extension with a library that its package brings, which has another one, and a library from outside of the PATHs;
    and a fat one. Returns the directory and the executable."""
    root = tmp_path_factory.mktemp("libraries")
    site, libs, elsewhere = root / "site", root / "site" / "pkg.libs", root / "elsewhere"
    libs.mkdir(parents=True)
    elsewhere.mkdir()

    def library(path, source, *more):
        run("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, f"-Wl,-soname,{path.name}", "-x", "none", *more, input=source)
    library(libs / "libinner.so.2", "int inner(void) { return 40; }")
    library(libs / "libouter.so.1", "int inner(void); int outer(void) { return inner() + 2; }", libs / "libinner.so.2", "-Wl,-rpath,$ORIGIN")
    library(elsewhere / "libsystem.so.3", "int of_system(void) { return 100; }")
    source = MULTI_PHASE.replace("#include <Python.h>", "#include <Python.h>\nint outer(void), of_system(void);").replace(
        VALUE, "PyLong_FromLong(outer() + of_system())")
    extension(site, "pkg.native", python, source=source, compiler="cc",
              more=[libs / "libouter.so.1", elsewhere / "libsystem.so.3", f"-Wl,-rpath,$ORIGIN/../pkg.libs:{elsewhere}", f"-Wl,-rpath-link,{libs}"])
    extension(site, "fat", python)
    link(python, root / "app", "--report", root / "report.json", site)
    return root, site, root / "app"


def test_ls_and_report_tell_of_images_and_libraries(with_libraries):
    root, site, app = with_libraries
    fat, native = list_modules(app)["fat"], list_modules(app)["pkg.native"]
    assert (fat["way"], fat["images"]) == ("objects", [])
    assert native["way"] == "image"
    assert sorted(map(os.path.normpath, native["images"])) == [str(site / "pkg.libs" / name) for name in ("libinner.so.2", "libouter.so.1")]
    assert any("libsystem.so.3" in name for name in native["libraries"])
    assert not any("libouter" in name or "libinner" in name for name in native["libraries"])
    assert native["file"].startswith(str(site / "pkg" / "native.")) and re.fullmatch("[0-9a-f]{32}", native["xxh128"])
    reported = {module["name"]: module for module in json.loads((root / "report.json").read_text())["modules"]}
    for module in fat, native:
        assert {key: reported[module["name"]][key] for key in ("way", "images", "libraries", "file")} == \
            {key: module[key] for key in ("way", "images", "libraries", "file")}


def test_ls_has_a_column_for_the_way(with_libraries):
    root, site, app = with_libraries
    lines = [line.split() for line in run(BUILD / "kiln", "ls", app).stdout.splitlines()]
    assert next(line for line in lines if "MODULE" in line)[:2] == ["MODULE", "AS"]
    assert {line[0]: line[1] for line in lines if line and line[0] in ("fat", "pkg.native")} == {"fat": "objects", "pkg.native": "image"}
    assert {os.path.normpath(line[1]) for line in lines if line and line[0] == "brings"} == \
        {str(site / "pkg.libs" / name) for name in ("libinner.so.2", "libouter.so.1")}


def test_images_add_nothing_to_what_the_executable_needs(with_libraries, python, tmp_path):
    root, site, app = with_libraries
    link(python, tmp_path / "app", site / ("fat" + suffix(python)))
    assert list_needed(app) == list_needed(tmp_path / "app")
    assert not any("libouter" in name or "libinner" in name or "libsystem" in name for _, name in list_needed(app))
    assert import_all(app, site, "pkg.native")["pkg.native"][0] == 142


@pytest.mark.parametrize("names", [["top"], ["pkg.stable"], NAMES], ids=str)
def test_a_module_has_the_place_of_its_file(names, baked, site, python, fast_path):
    stock = import_all(python, site, *names)
    assert {name: facts[:3] for name, facts in import_all(baked[0], site, *names).items()} == \
        {name: facts[:3] for name, facts in stock.items()}
    files = {"top": site / ("top" + suffix(python)), "pkg.stable": site / "pkg" / "stable.abi3.so"}
    assert all(stock[name][2] == str(files[name]) for name in names if name in files)


def test_a_module_has_its_place_without_its_file_too(baked, site, python, tmp_path, fast_path):
    """In a package the place is in the directory of the package."""
    moved = shutil.copytree(site, tmp_path / "moved")
    for file in moved.rglob("*.so"):
        file.unlink()
    got = import_all(baked[0], moved, *NAMES)
    assert got["pkg.stable"][2] == str(moved / "pkg" / "stable.abi3.so")
    assert got["pkg.plain"][2] == str(moved / "pkg" / ("plain" + suffix(python)))
    assert got["top"][2] == str(site / ("top" + suffix(python)))
    assert not any(facts[3] for facts in got.values())


def test_spec_and_loader_are_the_same_with_the_fast_path_and_without(baked, site, fast_path):
    script = """
import importlib, json
def tell(m): return [m.__spec__.origin, m.__spec__.has_location, m.__spec__.parent, type(m.__loader__).__module__, m.__package__]
import top, pkg.stable
import importlib.util
print(json.dumps([tell(top), tell(pkg.stable), importlib.util.find_spec("pkg.plain").origin]))
"""
    got = json.loads(run(baked[0], "-c", script, env={**os.environ, "PYTHONPATH": os.fspath(site)}).stdout)
    assert got[0] == [import_all(baked[0], site, "top")["top"][2], True, "", "_kiln", ""]
    assert got[1] == [str(site / "pkg" / "stable.abi3.so"), True, "pkg", "_kiln", "pkg"]
    assert got[2].startswith(str(site / "pkg" / "plain."))


def test_files_of_a_wheel_are_called_by_the_wheel(python, tmp_path):
    file = extension(tmp_path / "site", "top", python, compiler="cc")
    wheel = tmp_path / "top-1.0-cp3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(file, file.name)
    for name in ("one", "two"):
        link(python, tmp_path / name, wheel)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list_modules(tmp_path / "one")["top"]["file"] == f"{wheel}/{file.name}"
    assert run(tmp_path / "one", "-c", "import top; print(top.__file__)").stdout == f"{wheel}/{file.name}\n"


# --- Warnings ---

WARNING = r"""
#include <Python.h>
static int blame(int level) { return PyErr_WarnFormat(PyExc_DeprecationWarning, level, "%s at %d", VALUE, level); }
static int exec(PyObject *m) { return blame(6); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, NAME, NULL, 0, NULL, slots, 0, 0, 0};
PyMODINIT_FUNC INIT(void) {
    if (blame(7) < 0 || PyErr_WarnEx(PyExc_DeprecationWarning, "WarnEx", 7) < 0 ||
        PyErr_ResourceWarning(Py_None, 7, "%s", "resource") < 0) return NULL;
    return PyModuleDef_Init(&def);
}
"""


@pytest.mark.parametrize("compiler", [None, "cc"])
def test_a_module_that_warns_blames_the_line_that_imports_it(compiler, fast_path, python, tmp_path):
    """From objects and unlinked."""
    extension(tmp_path / "site", "pkg.warns", python, source=WARNING, compiler=compiler)
    app = tmp_path / "app"
    link(python, app, tmp_path / "site")
    assert list_ways(app) == {"pkg.warns": "image" if compiler else "objects"}
    script = tmp_path / "script.py"
    script.write_text("import importlib\ndef load():\n    import pkg.warns\nload()\n"
                      "import sys\ndel sys.modules['pkg.warns']\nimport pkg.warns\n")
    env = {**os.environ, "PYTHONPATH": os.fspath(tmp_path / "site")}
    stock, baked = (run(program, "-W", "always", script, env=env).stderr for program in (python, app))
    assert f"{script}:3: DeprecationWarning: pkg.warns at 6" in stock and f"{script}:7: ResourceWarning: resource" in stock
    assert baked == stock
