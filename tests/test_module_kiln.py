"""The module kiln: what a program is told of the modules baked into it."""

import json
import os

import pytest

from conftest import run
from sources import multi, single

MODULES = {
    "flat": multi("PyInit_flat"),
    "pkg.multi": multi("PyInit_multi"),
    "pkg.static": single("PyInit_static", -1),
    "extpkg": multi("PyInit_extpkg", package=True),
    "pkg.größe": multi("PyInitU_gre_6ka8i"),
}


@pytest.fixture(scope="module")
def call(bakery, tmp_path_factory):
    """A function that runs code in a program that was linked by hand; the result is what it left in
    `answer`."""
    program = bakery.bake(tmp_path_factory.mktemp("kiln") / "app", MODULES)
    return caller(program)


def caller(program):
    def function(code, *options, path="", **env):
        code += "\nimport json\nprint('\\nANSWER', json.dumps(answer))"
        env = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", **env}
        result = run(program, *options, "-c", code, env=env)
        return json.loads(result.stdout.rpartition("\nANSWER ")[2])
    return function


def test_modules_are_all_names_sorted(call):
    assert call("import kiln; answer = kiln.modules()") == sorted(MODULES)


def test_modules_gives_a_list_of_its_own_each_time(call):
    assert call("import kiln; kiln.modules().clear(); answer = len(kiln.modules())") == len(MODULES)


def test_find_tells_of_a_module_without_importing_it(call):
    assert call("""
import kiln, sys
answer = [kiln.find("pkg.multi"), kiln.find("extpkg")["package"], "pkg" in sys.modules]
""") == [{"name": "pkg.multi", "package": False, "distribution": None, "version": None}, True, False]


def test_find_takes_names_that_are_not_ascii(call):
    assert call("import kiln; answer = kiln.find('pkg.größe')['name']", PYTHONUTF8="1") == "pkg.größe"


@pytest.mark.parametrize("name", ["missing", "pkg", "pkg.mult", "pkg.multi.x", "", "flat\0", "\ud800", pytest.param("a" * 100_000, id="long"), "kiln", "_kiln"])
def test_find_gives_none_for_what_is_not_baked(name, call):
    assert call(f"import kiln; answer = kiln.find({name!r})") is None


def test_find_wants_a_string(call):
    assert call("""
import kiln
answer = []
for args in ((), (3,), (None,), (b"flat",), ("flat", 1)):
    try:
        kiln.find(*args)
    except TypeError:
        answer.append("TypeError")
""") == ["TypeError"] * 5


def test_version_is_that_of_kiln(call, kiln):
    assert kiln("--version").stdout.split()[-1] == call("import kiln; answer = kiln.version")


def test_module_has_a_spec_and_a_loader_as_others_have(call):
    assert call("""
import importlib, importlib.util, kiln, sys
spec = importlib.util.find_spec("kiln")
first = kiln
answer = [repr(kiln), spec.name, spec.origin, kiln.__spec__.loader is kiln.__loader__, kiln.__package__, hasattr(kiln, "__file__")]
answer += [importlib.reload(kiln) is first]
del sys.modules["kiln"]
import kiln
answer += [kiln is first, kiln.modules() == first.modules()]
""") == ["<module 'kiln' (built-in)>", "kiln", "built-in", True, "", False, True, False, True]


def test_help_shows_the_functions_with_their_signatures(call):
    text = call("""
import contextlib, io, kiln
with contextlib.redirect_stdout(io.StringIO()) as out:
    help(kiln)
answer = out.getvalue()
""")
    assert "find(name, /)" in text and "modules()" in text and "version = '" in text


@pytest.mark.parametrize("options", [["-I", "-S"], ["-I"], ["-bb", "-W", "error"], ["-X", "dev", "-W", "error"]])
def test_options_of_python_leave_it_there(options, call):
    assert call("import kiln; answer = kiln.find('flat')['name']", *options) == "flat"


@pytest.mark.parametrize("file", ["kiln.py", "kiln/__init__.py"])
def test_package_of_that_name_is_the_programs_own(file, call, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine = True")
    assert call("import kiln; answer = kiln.mine", path=tmp_path) is True


def test_directory_of_that_name_is_not_in_the_way(call, tmp_path):
    (tmp_path / "kiln" / "sub").mkdir(parents=True)
    assert call("import kiln; answer = kiln.find('flat')['name']", path=tmp_path) == "flat"


def test_baked_module_of_that_name_is_the_programs_own(bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", {"kiln": multi("PyInit_kiln", "mine")})
    assert caller(program)("import kiln; answer = kiln.value()") == "mine"


def test_program_without_modules_has_none(bakery, tmp_path):
    program = bakery.bake(tmp_path / "app", {})
    assert caller(program)("import kiln; answer = [kiln.modules(), kiln.find('flat')]") == [[], None]


def test_importing_it_again_and_again_keeps_nothing(call):
    grown = call("""
import gc, sys
def again(count):
    for _ in range(count):
        import kiln
        kiln.modules(), kiln.find("flat"), kiln.find("x")
        del sys.modules["kiln"], kiln
    gc.collect()
    return sys.getallocatedblocks()
again(2000)
answer = -again(1000) + again(4000)
""")
    assert grown < 600  # of 3,000 modules; a debug build has more that comes and goes


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
"""


def test_sub_interpreters_have_it(call, tmp_path):
    out = tmp_path / "out"
    call(SUBINTERPRETER + f"""
import kiln
for _ in range(2):
    id = interpreters.create()
    interpreters.run_string(id, '''import kiln; open({str(out)!r}, "a").write(kiln.find("flat")["name"])''')
    interpreters.destroy(id)
answer = kiln.find("flat")['name']
""")
    assert out.read_text() == "flatflat"
