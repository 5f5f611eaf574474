"""Version skew: baked modules, and what is installed where the executable runs."""

import json
import os
import re
import shutil
import zipfile

import pytest

from conftest import run
from extensions import MULTI_PHASE, extension, suffix

pytestmark = pytest.mark.usefixtures("fast_path")


def write_metadata(root, directory, name, version, files=()):
    info = root / directory
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText.\n")
    lines = [f"{file.relative_to(root)},sha256=x,1\n" for file in files] + [f"{directory}/RECORD,,\n"]
    (info / "RECORD").write_text("".join(lines))
    return info


@pytest.fixture(scope="module")
def original(tmp_path_factory, python):
    """A site-packages with a distribution in a package, one at the top level, one of both, two in a
    namespace package, one that is an extension package, one inside of that, and a module of no
    distribution."""
    root = tmp_path_factory.mktemp("site")
    build = lambda name, **more: extension(root, name, python, **more)
    write_metadata(root, "Alpha_Pack-1.0.dist-info", "Alpha-Pack", "1.0", [build("alpha._a"), build("alpha.sub._b")])
    write_metadata(root, "top-1.0.dist-info", "top", "1.0", [build("top")])
    write_metadata(root, "mixed-1.0.dist-info", "mixed", "1.0", [build("_mixed"), build("mixed._ext")])
    write_metadata(root, "ns_one-1.0.dist-info", "ns.one", "1.0", [build("ns.one._x")])
    write_metadata(root, "ns_two-2.0.dist-info", "ns.two", "2.0", [build("ns.two._y")])
    (root / "ns" / "__init__.py").unlink()
    write_metadata(root, "whole-1.0.dist-info", "whole", "1.0", [build("whole", package=True)])
    write_metadata(root, "whole_child-3.0.dist-info", "whole-child", "3.0", [build("whole._child")])
    (root / "whole" / "__init__.py").unlink()
    build("unknown._u")
    return root


MODULES = ["_mixed", "alpha._a", "alpha.sub._b", "mixed._ext", "ns.one._x", "ns.two._y", "top", "unknown._u", "whole",
           "whole._child"]


@pytest.fixture(scope="module")
def program(original, tmp_path_factory, kiln, python):
    output = tmp_path_factory.mktemp("baked") / "app"
    kiln("link", "--from", "objects", "--python", python, "-o", output, original)
    return output


@pytest.fixture
def site(original, tmp_path):
    """A copy of the site-packages, to be changed after the link."""
    return shutil.copytree(original, tmp_path / "site")


PRELUDE = """
import importlib, json, sys
def kinds(*names):
    return [{"Loader": "baked", "ExtensionFileLoader": "file", "SourceFileLoader": "source"}[
        type(importlib.import_module(name).__loader__).__name__] for name in names]
"""


@pytest.fixture
def call(program, site):
    """A function that runs code in the program, with the site-packages on its path. The result is what
    it left in `answer`, and its ImportWarnings."""
    def function(code, *options, path=None, **env):
        options = options or ("-W", "always::ImportWarning")
        paths = os.pathsep.join(map(str, [site] if path is None else path))
        result = run(program, *options, "-c", PRELUDE + code + "\nprint('\\nANSWER', json.dumps(answer))",
                     env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **env})
        warnings = [line for line in result.stderr.splitlines() if "ImportWarning" in line]
        return json.loads(result.stdout.rpartition("\nANSWER ")[2]), warnings
    return function


def replace_version(site, old, new, version):
    """Let the metadata of another version be installed."""
    (site / old).rename(site / new)
    metadata = site / new / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", version))


def update_alpha(site):
    replace_version(site, "Alpha_Pack-1.0.dist-info", "alpha_pack-1.1.dist-info", "1.1")


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 20], ids=["magic", "version", "size", "count", "bucket_count"])
def test_damaged_table_of_modules_or_distributions_is_one_message(offset, program, tmp_path):
    data = program.read_bytes()
    places = [match.start() for match in re.finditer(re.escape(b"KILNTAB\0\1\0\0\0"), data)]
    assert len(places) == 2
    for place in places:
        damaged = bytearray(data)
        damaged[place + offset] ^= 0x40
        copy = tmp_path / f"app-{place}"
        copy.write_bytes(damaged)
        copy.chmod(0o755)
        result = run(copy, "-c", "0", check=False)
        assert result.returncode == 1 and "made by another version of Kiln" in result.stderr


# --- What is recorded -----------------------------------------------------------------------------

def test_ls_tells_the_distribution_of_each_module(program, kiln):
    listing = json.loads(kiln("ls", "--json", program).stdout)["modules"]
    got = {m["name"]: (m.get("distribution"), m.get("distribution_version")) for m in listing}
    assert got == {"_mixed": ("mixed", "1.0"), "alpha._a": ("Alpha-Pack", "1.0"), "alpha.sub._b": ("Alpha-Pack", "1.0"),
                   "mixed._ext": ("mixed", "1.0"), "ns.one._x": ("ns.one", "1.0"), "ns.two._y": ("ns.two", "2.0"),
                   "top": ("top", "1.0"), "unknown._u": (None, None), "whole": ("whole", "1.0"),
                   "whole._child": ("whole-child", "3.0")}
    assert "Alpha-Pack 1.0" in kiln("ls", program).stdout


def test_module_kiln_tells_the_distribution_of_each_module(call):
    answer, _ = call("""
import kiln
answer = [[m["distribution"], m["version"]] for m in map(kiln.find, kiln.modules())]
""")
    assert answer == [["mixed", "1.0"], ["Alpha-Pack", "1.0"], ["Alpha-Pack", "1.0"], ["mixed", "1.0"], ["ns.one", "1.0"],
                      ["ns.two", "2.0"], ["top", "1.0"], [None, None], ["whole", "1.0"], ["whole-child", "3.0"]]


def list_distributions(kiln, program):
    listing = json.loads(kiln("ls", "--json", program).stdout)["modules"]
    return [m.get("distribution") for m in listing]


def test_wheel_tells_its_distribution(original, kiln, python, tmp_path):
    wheel = tmp_path / "top-1.0-cp3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in (original / ("top" + suffix(python)), *(original / "top-1.0.dist-info").iterdir()):
            archive.write(path, path.relative_to(original))
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", wheel)
    assert list_distributions(kiln, tmp_path / "app") == ["top"]


@pytest.mark.parametrize("record", [None, b"", b"\xff\xfe\0,,\n\n,\n\"top", b"top"])
def test_record_that_does_not_list_the_file_is_no_error(record, site, kiln, python, tmp_path):
    file = site / "top-1.0.dist-info" / "RECORD"
    file.unlink() if record is None else file.write_bytes(record)
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", site / ("top" + suffix(python)))
    assert list_distributions(kiln, tmp_path / "app") == [None]


def test_directory_tells_what_the_metadata_do_not(site, kiln, python, tmp_path):
    (site / "top-1.0.dist-info" / "METADATA").write_bytes(b"\xff\n\nName: other\n")
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", site / ("top" + suffix(python)))
    module, = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)["modules"]
    assert (module["distribution"], module["distribution_version"]) == ("top", "1.0")


# --- The version that was baked -------------------------------------------------------------------

def test_modules_are_baked_where_their_version_is_installed(call):
    assert call(f"answer = kinds(*{MODULES})") == (["baked"] * len(MODULES), [])


COUNTER = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void count(const char *what, const char *path) {
    FILE *file = strstr(path, ".dist-info") || *what == 'o' ? fopen(getenv("COUNTER_FILE"), "a") : NULL;
    if (file) { fprintf(file, "%s %s\n", what, path); fclose(file); }
}
#define WRAP_STAT(name) int name(const char *path, void *st) { \
    count("stat", path); return ((int (*)(const char *, void *))dlsym(RTLD_NEXT, #name))(path, st); }
WRAP_STAT(stat)
WRAP_STAT(stat64)
int __xstat(int v, const char *path, void *st) {
    count("stat", path); return ((int (*)(int, const char *, void *))dlsym(RTLD_NEXT, "__xstat"))(v, path, st); }
void *opendir(const char *path) {
    count("opendir", path); return ((void *(*)(const char *))dlsym(RTLD_NEXT, "opendir"))(path); }
"""


def test_a_distribution_costs_one_stat_and_a_directory_is_read_once(call, site, tmp_path):
    source, library, log = tmp_path / "counter.c", tmp_path / "counter.so", tmp_path / "log"
    source.write_text("#define _GNU_SOURCE\n" + COUNTER)
    run("cc", "-shared", "-fPIC", "-w", source, "-o", library, "-ldl")
    log.write_text("")
    answer, _ = call("""
import alpha.sub, mixed, os
log = open(os.environ["COUNTER_FILE"], "r+")
log.truncate()
answer = kinds("alpha._a", "alpha.sub._b", "mixed._ext", "alpha._a") * 2
answer = open(log.name).read().splitlines()
""", LD_PRELOAD=str(library), COUNTER_FILE=str(log))
    assert answer == [f"stat {site}/Alpha_Pack-1.0.dist-info", f"opendir {site}/", f"stat {site}/mixed-1.0.dist-info"]


@pytest.mark.parametrize("name", ["alpha.pack-1.0.dist-info", "ALPHA_PACK-1.0.dist-info", "Alpha__Pack-1.0-py3.11.egg-info",
                                  "alpha_pack-1.0.egg-info"])
def test_spelling_of_the_name_makes_no_difference(name, call, site):
    (site / "Alpha_Pack-1.0.dist-info").rename(site / name)
    assert call("answer = kinds('alpha._a', 'alpha.sub._b')") == (["baked"] * 2, [])


def test_source_tree_tells_its_version_in_an_egg_info(call, site):
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    (site / "alpha_pack.egg-info").mkdir()
    (site / "alpha_pack.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: Alpha-Pack\nVersion: 1.0\n")
    assert call("answer = kinds('alpha._a')") == (["baked"], [])


def test_distributions_of_a_namespace_package_may_be_in_several_directories(call, site, tmp_path):
    other = tmp_path / "other"
    (other / "ns").mkdir(parents=True)
    (site / "ns" / "two").rename(other / "ns" / "two")
    (site / "ns_two-2.0.dist-info").rename(other / "ns_two-2.0.dist-info")
    assert call("answer = kinds('ns.one._x', 'ns.two._y')", path=[site, other]) == (["baked"] * 2, [])


def test_path_may_be_relative(call, site):
    assert call(f"""
import os
os.chdir({str(site)!r})
sys.path.insert(0, "")
answer = kinds("alpha._a", "top")
""", path=[]) == (["baked"] * 2, [])


@pytest.mark.parametrize("options", [["-I", "-S"], ["-I"], ["-S"], ["-E"]])
def test_options_of_python_leave_the_check_there(options, call, site):
    update_alpha(site)
    code = f"sys.path.insert(0, {str(site)!r}); answer = kinds('alpha._a', 'mixed._ext', 'top')"
    assert call(code, *options)[0] == ["file", "baked", "baked"]


def test_environment_made_by_the_program_sees_packages_elsewhere(program, site, tmp_path):
    run(program, "-m", "venv", "--without-pip", tmp_path / "v")
    packages, = (tmp_path / "v" / "lib").glob("python*/site-packages")
    (packages / "system.pth").write_text(f"{site}\n")
    said = run(tmp_path / "v" / "bin" / "python", "-W", "error::ImportWarning", "-c",
               "import alpha._a, top; print(type(alpha._a.__loader__).__name__, type(top.__loader__).__name__)").stdout
    assert said == "Loader Loader\n"


# --- Another version ------------------------------------------------------------------------------

def test_extension_beside_the_package_is_used_in_the_place_of_another_version(call, site):
    update_alpha(site)
    answer, warnings = call("answer = kinds('alpha.sub._b', 'alpha._a', 'mixed._ext')")
    assert answer == ["file", "file", "baked"] and len(warnings) == 1


def test_warning_names_module_versions_and_remedy_where_the_import_is(call, site):
    update_alpha(site)
    _, (warning,) = call("\n\nimport alpha._a  # here\nanswer = 0")
    line = (PRELUDE + "\n\n").count("\n") + 1
    assert warning.startswith(f"<string>:{line}: ImportWarning: alpha._a: ")
    assert "Alpha-Pack 1.0" in warning and "version 1.1" in warning and "link the program again" in warning
    assert str(site / "alpha_pack-1.1.dist-info") in warning


def test_warning_is_where_import_module_is_called(call, site):
    update_alpha(site)
    _, (warning,) = call("\n\n\nimportlib.import_module('alpha._a')\nanswer = 0")
    line = (PRELUDE + "\n\n\n").count("\n") + 1
    assert warning.startswith(f"<string>:{line}: ImportWarning: alpha._a: ")


IMPORT_ERROR = """
try:
    importlib.import_module(name)
except ImportError as error:
    answer = [type(error).__name__, str(error), error.name, error.path, name in sys.modules]
"""


def test_without_a_file_the_import_error_says_both_versions(call, site, python):
    update_alpha(site)
    (site / "alpha" / ("_a" + suffix(python))).unlink()
    answer, warnings = call("name = 'alpha._a'" + IMPORT_ERROR)
    path = str(site / "alpha_pack-1.1.dist-info")
    assert answer[0] == "ImportError" and answer[2:] == ["alpha._a", path, False] and warnings == []
    assert "Alpha-Pack 1.0" in answer[1] and "version 1.1" in answer[1] and path in answer[1]


def test_without_a_file_find_spec_raises_what_the_import_would_and_pkgutil_lists_the_module(call, site, python):
    update_alpha(site)
    (site / "alpha" / ("_a" + suffix(python))).unlink()
    answer, _ = call("""
import alpha, importlib.util, pkgutil
try: importlib.util.find_spec("alpha._a")
except ImportError as error: answer = [str(error), error.name]
answer += sorted(m.name for m in pkgutil.iter_modules(alpha.__path__))
""")
    assert "version 1.1" in answer[0] and answer[1:] == ["alpha._a", "_a", "sub"]


def test_import_error_comes_each_time(call, site, python):
    update_alpha(site)
    (site / "alpha" / ("_a" + suffix(python))).unlink()
    code = "name = 'alpha._a'" + IMPORT_ERROR
    assert call(code + code)[0] == call(code)[0]


def test_other_version_may_have_the_module_in_python(call, site, python):
    update_alpha(site)
    (site / "alpha" / ("_a" + suffix(python))).rename(site / "alpha" / "_a.py")
    (site / "alpha" / "_a.py").write_text("")
    assert call("answer = kinds('alpha._a', 'alpha.sub._b')")[0] == ["source", "file"]


def test_other_version_is_seen_at_the_top_level(call, site, python):
    replace_version(site, "top-1.0.dist-info", "top-2.0.dist-info", "2.0")
    answer, (warning,) = call("answer = kinds('top')")
    assert answer == ["file"] and "top 1.0" in warning and "version 2.0" in warning
    (site / ("top" + suffix(python))).unlink()
    answer, _ = call("name = 'top'" + IMPORT_ERROR)
    assert answer[0] == "ImportError" and "version 2.0" in answer[1]


def test_other_version_of_an_extension_package_is_used(call, site):
    replace_version(site, "whole-1.0.dist-info", "whole-1.5.dist-info", "1.5")
    assert call("answer = kinds('whole', 'whole._child')")[0] == ["file", "baked"]


def test_copy_that_python_would_find_first_counts(call, site, tmp_path, python):
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(site / ("top" + suffix(python)), first)
    write_metadata(first, "top-3.0.dist-info", "top", "3.0")
    answer, (warning,) = call("answer = kinds('top')", path=[first, site])
    assert answer == ["file"] and "version 3.0" in warning
    assert call("answer = kinds('top')", path=[site, first]) == (["baked"], [])


@pytest.mark.parametrize("egg_info", ["Alpha_Pack-1.1.egg-info", "alpha_pack-1.1-py3.11.egg-info", "alpha_pack.egg-info"])
def test_other_version_may_be_told_by_an_egg_info(egg_info, call, site):
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    (site / egg_info).write_text("Metadata-Version: 2.1\nName: Alpha-Pack\nVersion: 1.1\n")
    answer, (warning,) = call("answer = kinds('alpha._a')")
    assert answer == ["file"] and "version 1.1" in warning


def test_find_spec_tells_what_an_import_would_use(call, site):
    update_alpha(site)
    answer, _ = call("import importlib.util; answer = [importlib.util.find_spec('alpha._a').origin]")
    assert answer[0].startswith(str(site / "alpha"))


def test_asking_the_finder_without_a_path_decides_nothing(call, site):
    update_alpha(site)
    answer, _ = call("import _kiln; answer = [type(_kiln.finder.find_spec('alpha._a').loader) is _kiln.Loader] + kinds('alpha._a')")
    assert answer == [True, "file"]


def test_warning_as_an_error_is_raised_once(call, site):
    update_alpha(site)
    answer, _ = call("""
try:
    import alpha._a
except ImportWarning as warning:
    answer = ["raised", *kinds("alpha._a", "alpha.sub._b")]
""", "-W", "error::ImportWarning")
    assert answer == ["raised", "file", "file"]


def test_module_warnings_is_not_needed(call, site, bakery):
    if bakery.config.get("Py_DEBUG"):
        pytest.skip("a debug build shows the warning by default, and imports the module for that")
    update_alpha(site)
    answer, _ = call(f"""
sys.path.insert(0, {str(site)!r})
sys.modules.pop("warnings", None)
answer = kinds("alpha._a") + ["warnings" in sys.modules]
""", "-I", "-S")
    assert answer == ["file", False]


def test_threads_agree(call, site):
    update_alpha(site)
    answer, warnings = call("""
import threading, alpha.sub
sys.setswitchinterval(1e-6)
got = []
barrier = threading.Barrier(8)
def work(name):
    barrier.wait()
    got.extend(kinds(name))
threads = [threading.Thread(target=work, args=(["alpha._a", "alpha.sub._b"][i % 2],)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
answer = got
""")
    assert answer == ["file"] * 8 and len(warnings) == 1


def test_answer_holds_for_the_process(call, site, tmp_path):
    """A path that changes later does not mix baked modules with files."""
    answer, warnings = call(f"""
import alpha._a, os
os.rename({str(site / "Alpha_Pack-1.0.dist-info")!r}, {str(site / "Alpha_Pack-1.1.dist-info")!r})
answer = kinds("alpha._a", "alpha.sub._b")
""")
    assert answer == ["baked"] * 2 and warnings == []


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
interpreters.run_string(interpreters.create(), code)
"""


def test_sub_interpreters_are_checked_too(call, site, tmp_path):
    update_alpha(site)
    out = tmp_path / "out"
    call(f"""code = '''
import importlib.util
open({str(out)!r}, "w").write(type(importlib.util.find_spec("alpha._a").loader).__name__)
'''""" + SUBINTERPRETER + "answer = 0")
    assert out.read_text() == "ExtensionFileLoader"


# --- Metadata of an older version, left behind ----------------------------------------------------

def leave_behind(site, new, version, seconds):
    """Let metadata of another version of Alpha-Pack be there, installed SECONDS after those of 1.0."""
    info = write_metadata(site, new, "Alpha-Pack", version)
    set_time(info, site / "Alpha_Pack-1.0.dist-info", seconds)
    return info


def set_time(path, other, seconds):
    """Let PATH have been written SECONDS after OTHER."""
    then = other.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(then, then))


@pytest.mark.parametrize("name", ["alpha_pack-0.9.dist-info", "Alpha_Pack-1.1.dist-info", "alpha_pack-1.1-py3.11.egg-info"])
def test_metadata_that_an_installer_left_behind_do_not_count(name, call, site):
    """As `pip install --ignore-installed` and `--target --upgrade` do: what was installed last counts, be it older or newer."""
    version = "0.9" if "0.9" in name else "1.1"
    info = leave_behind(site, name, version, 10)
    answer, (warning,) = call("answer = kinds('alpha._a', 'alpha.sub._b')")
    assert answer == ["file"] * 2 and f"version {version} is installed ({info})" in warning
    set_time(info, info, -20)
    assert call("answer = kinds('alpha._a', 'alpha.sub._b')") == (["baked"] * 2, [])


def test_of_two_versions_installed_at_one_time_the_other_counts(call, site):
    leave_behind(site, "alpha_pack-1.1.dist-info", "1.1", 0)
    answer, (warning,) = call("answer = kinds('alpha._a')")
    assert answer == ["file"] and "version 1.1" in warning


def test_metadata_left_behind_count_at_the_top_level_and_without_a_file(call, site, python):
    info = write_metadata(site, "top-2.0.dist-info", "top", "2.0")
    set_time(info, site / "top-1.0.dist-info", 10)
    assert call("answer = kinds('top')")[0] == ["file"]
    (site / ("top" + suffix(python))).unlink()
    answer, _ = call("name = 'top'" + IMPORT_ERROR)
    assert answer[0] == "ImportError" and "version 2.0 is installed" in answer[1]


def test_what_is_installed_while_the_program_runs_is_seen(call, site):
    """The names in a directory are read again when it has changed."""
    answer, _ = call(f"""
import os, shutil, pathlib
first = kinds("mixed._ext")
site = pathlib.Path({str(site)!r})
os.rename(site / "Alpha_Pack-1.0.dist-info", site / "alpha_pack-1.1.dist-info")
answer = first + kinds("alpha._a")
""")
    assert answer == ["baked", "file"]


@pytest.mark.parametrize("left", ["0.9", "1.1"])
def test_link_takes_what_was_installed_last(left, site, kiln, python, tmp_path):
    info = leave_behind(site, f"alpha_pack-{left}.dist-info", left, -10)
    (info / "RECORD").write_text((site / "Alpha_Pack-1.0.dist-info/RECORD").read_text())
    set_time(info, site / "Alpha_Pack-1.0.dist-info", -10)
    kiln("link", "--from", "objects", "--python", python, "-o", tmp_path / "app", site)
    listing = json.loads(kiln("ls", "--json", tmp_path / "app").stdout)["modules"]
    assert [m["distribution_version"] for m in listing if m["name"].startswith("alpha.")] == ["1.0", "1.0"]


# --- No metadata ----------------------------------------------------------------------------------

def test_file_is_used_where_nothing_tells_the_version(call, site):
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    answer, (warning,) = call("answer = kinds('alpha._a', 'alpha.sub._b')")
    assert answer == ["file"] * 2
    assert "alpha._a: Alpha-Pack 1.0 " in warning and "not known" in warning


def test_baked_module_is_used_where_nothing_tells_the_version_and_there_is_no_file(call, site, python):
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    (site / "alpha" / ("_a" + suffix(python))).unlink()
    answer, (warning,) = call("answer = kinds('alpha._a', 'alpha.sub._b')")
    assert answer == ["baked"] * 2
    assert "alpha._a: Alpha-Pack 1.0 " in warning and "not known" in warning


def test_modules_of_one_distribution_are_not_mixed(call, site, python):
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    (site / "alpha" / "sub" / ("_b" + suffix(python))).unlink()
    answer, _ = call("kinds('alpha._a'); name = 'alpha.sub._b'" + IMPORT_ERROR)
    assert answer[0] == "ImportError" and answer[2:] == ["alpha.sub._b", None, False]
    assert "Alpha-Pack 1.0" in answer[1]


def test_what_is_not_installed_is_baked(call, tmp_path):
    assert call("answer = kinds('top', 'whole', 'whole._child')", path=[]) == (["baked"] * 3, [])


def test_package_found_after_a_top_level_module_is_checked(call, site):
    replace_version(site, "mixed-1.0.dist-info", "mixed-1.1.dist-info", "1.1")
    answer, (warning,) = call(f"answer = kinds('_mixed'); sys.path.insert(0, {str(site)!r}); answer += kinds('mixed._ext')",
                              path=[])
    assert answer == ["baked", "file"] and "version 1.1" in warning


def test_modules_of_no_distribution_are_not_checked(call, site):
    assert call("answer = kinds('unknown._u')") == (["baked"], [])


@pytest.mark.parametrize("path", ["__init__.py", "more.py"])
def test_package_of_other_python_files_without_metadata_is_not_mixed(path, call, site, tmp_path, python):
    """A source tree in front on sys.path; its extension has not been built."""
    tree = tmp_path / "tree"
    shutil.copytree(site / "alpha", tree / "alpha")
    (tree / "alpha" / ("_a" + suffix(python))).unlink()
    (tree / "alpha" / path).write_text("# another version\n")
    answer, _ = call("name = 'alpha._a'" + IMPORT_ERROR, path=[tree, site])
    assert answer[0] == "ImportError" and answer[2:] == ["alpha._a", None, False]
    assert "has other Python files" in answer[1] and "link the program again" in answer[1]


@pytest.mark.parametrize("has_file", [True, False])
@pytest.mark.parametrize("differs", [True, False])
def test_module_of_no_distribution_is_not_mixed_with_a_package_in_front(differs, has_file, original, call, tmp_path, python):
    """It was baked where it still is, behind on sys.path."""
    tree = tmp_path / "tree"
    shutil.copytree(original / "unknown", tree / "unknown")
    if not has_file:
        (tree / "unknown" / ("_u" + suffix(python))).unlink()
    if differs:
        (tree / "unknown/__init__.py").write_text("version = 2\n")
    paths = [tree, original]
    if not differs:
        assert call("answer = kinds('unknown._u')", path=paths) == (["baked"], [])
    elif has_file:
        answer, (warning,) = call("answer = kinds('unknown._u')", path=paths)
        assert answer == ["file"] and "unknown._u: " in warning and "has other Python files" in warning
    else:
        answer, _ = call("name = 'unknown._u'" + IMPORT_ERROR, path=paths)
        assert answer[0] == "ImportError" and "has other Python files" in answer[1] and answer[2:] == ["unknown._u", None, False]


def test_module_of_no_distribution_may_move_with_its_package(call, site):
    """The place where it was baked is not on sys.path: only this one counts, whatever has been done to it."""
    (site / "unknown/__init__.py").write_text("edited = True\n")
    assert call("answer = kinds('unknown._u')") == (["baked"], [])


def test_package_without_python_files_has_nothing_to_compare(call, site, python):
    """Compiled files alone, say."""
    shutil.rmtree(site / "Alpha_Pack-1.0.dist-info")
    for path in "alpha/__init__.py", "alpha/_a" + suffix(python):
        (site / path).unlink()
    answer, (warning,) = call("answer = kinds('alpha._a')")
    assert answer == ["baked"] and "not known" in warning


EDITABLE = """
import importlib.util
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "alpha":
            return importlib.util.spec_from_file_location(name, FILE, submodule_search_locations=[FILE.rpartition("/")[0]])
sys.meta_path.append(Finder)
"""


@pytest.mark.parametrize("has_file", [True, False])
def test_editable_install_works(has_file, call, site, tmp_path, python):
    source = tmp_path / "project" / "lib"
    source.parent.mkdir()
    (site / "alpha").rename(source)
    if not has_file:
        (source / ("_a" + suffix(python))).unlink()
    answer, (warning,) = call(f"FILE = {str(source / '__init__.py')!r}" + EDITABLE + "answer = kinds('alpha._a')")
    assert answer == ["file" if has_file else "baked"] and "not known" in warning


def test_finder_behind_ours_is_asked_for_the_file(call, site, tmp_path, python):
    """As the editable installs of build backends that compile at import are."""
    update_alpha(site)
    moved = tmp_path / ("built" + suffix(python))
    (site / "alpha" / ("_a" + suffix(python))).rename(moved)
    answer, _ = call(f"""
import importlib.util
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "alpha._a":
            return importlib.util.spec_from_file_location(name, {str(moved)!r})
sys.meta_path.append(Finder)
answer = kinds("alpha._a")
""")
    assert answer == ["file"]


# --- Files of unlinked extensions, which dlopen() is asked for ---

LIBRARY = "#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\nchar version[] = TEXT(VERSION);\nconst char *get_version(void) { return version; }\n"
UPGRADED = """
import ctypes, shop._ext, shop
library = ctypes.CDLL(shop.__path__[0] + "/libshop.so")
library.get_version.restype = ctypes.c_char_p
answer = [shop._ext.value(), library.get_version().decode(), *kinds("shop._ext")]
"""


def install_shop(root, python, version, *flags):
    """A package with an extension and a library for ctypes, both of which have data only that tell their version."""
    shutil.rmtree(root, ignore_errors=True)
    source = MULTI_PHASE.replace("FromString(VALUE)", "FromString(version)").replace("static", "static char version[] = VALUE;\nstatic", 1)
    file = extension(root, "shop._ext", python, source=source, value=version, compiler="cc", more=flags)
    write_metadata(root, f"shop-{version}.dist-info", "shop", version, [file])
    source = root.parent / "library.c"
    source.write_text(LIBRARY)
    run("cc", "-shared", "-fPIC", f"-DVERSION={version}", *flags, source, "-o", root / "shop" / "libshop.so")


@pytest.mark.parametrize("build_id", ["sha1", "none"])
def test_files_of_another_version_are_opened(build_id, python, kiln, tmp_path):
    site, flag = tmp_path / "site", f"-Wl,--build-id={build_id}"
    install_shop(site, python, "1.0", flag)
    kiln("link", "--python", python, "-o", tmp_path / "app", site)

    def ask(program):
        result = run(program, "-c", PRELUDE + UPGRADED + "print(json.dumps(answer))", env={**os.environ, "PYTHONPATH": str(site)})
        return json.loads(result.stdout)

    assert ask(tmp_path / "app") == ["1.0", "1.0", "baked"]
    install_shop(site, python, "2.0", flag)
    assert ask(tmp_path / "app") == ["2.0", "2.0", "file"] == ask(python)
    install_shop(site, python, "1.0", flag)
    for file in (site / "shop").glob("*.so"):
        run("strip", file)
    script = PRELUDE + UPGRADED + """
with open("/proc/self/maps") as maps:
    answer.append("/shop/" in maps.read())
print(json.dumps(answer))
"""
    result = run(tmp_path / "app", "-c", script, env={**os.environ, "PYTHONPATH": str(site)})
    assert json.loads(result.stdout) == ["1.0", "1.0", "baked", False]


@pytest.mark.parametrize("name", ["shop._ext", "shop"])
def test_a_rebuilt_file_of_no_distribution_is_loaded(name, python, kiln, tmp_path):
    """As an .egg-info or a build in place leaves it: nothing tells the version."""
    site = tmp_path / "site"
    extension(site, name, python, value="old", compiler="cc")
    kiln("link", "--python", python, "-o", tmp_path / "app", site)

    def ask(program, *options):
        script = f"import {name} as module, sys; print(module.value(), 'baked' in repr(module.__loader__))"
        result = run(program, *options, "-c", script, env={**os.environ, "PYTHONPATH": str(site)})
        return result.stdout.split(), result.stderr

    assert ask(tmp_path / "app")[0] == ["old", "True"]
    extension(site, name, python, value="new", compiler="cc")
    answer, said = ask(tmp_path / "app", "-W", "always")
    assert answer == ["new", "False"] == ask(python)[0]
    assert f"{name}: it is linked into the program, but another file is in its place now; it is loaded from its file" in said
    if "." not in name:  # where Python does not find the file, there is nothing to mix with
        script = f"import {name} as module; print(module.value())"
        assert run(tmp_path / "app", "-c", script, cwd=tmp_path).stdout == "old\n"
    for file in site.rglob("*.so"):
        file.unlink()
    assert ask(tmp_path / "app")[0] == ["old", "True"]
