"""The same inputs in two directories give the same bytes."""

import json
import os

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, SINGLE_PHASE, extension, suffix

# A path in its code, as of __FILE__, and a library.
SOURCE = MULTI_PHASE + "int count(void); const char *where(void) { return count() ? __FILE__ : 0; }\n"


def build(root, python):
    """Packages of fat extensions and of one with a library of its own, all of whose compilers were told to call ROOT /build."""
    (root / "src").mkdir(parents=True)
    site = root / "site"
    mapped = f"-ffile-prefix-map={root}=/build"
    (root / "src/count.c").write_text("static int n; int count(void) { return ++n; }")
    run("cc", "-g", "-fPIC", mapped, "-c", root / "src/count.c", "-o", root / "src/count.o")
    run("ar", "rcsD", root / "src/libcount.a", root / "src/count.o")
    extension(site, "pkg.fat", python, source=SOURCE, before=["-g", mapped, f"-ffile-prefix-map={root}/site=/build/sources"],
              more=[root / "src/libcount.a"])
    extension(site, "single", python, source=SINGLE_PHASE, before=[mapped])
    run("cc", "-shared", "-fPIC", mapped, root / "src/count.c", "-o", site / "pkg/libcount.so", "-Wl,-soname,libcount.so")
    extension(site, "pkg.plain", python, source=SOURCE, compiler="cc", before=[mapped],
              more=[f"-L{site}/pkg", "-lcount", "-Wl,-rpath,$ORIGIN"])
    return site


@pytest.fixture(scope="module")
def sites(python, tmp_path_factory):
    return [build(tmp_path_factory.mktemp(name) / "tree", python) for name in ("one", "another_with_a_longer_name")]


def files(site):
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*.so"))}


def test_kiln_cc_has_no_directory_that_the_compiler_is_told_to_call_otherwise(sites, python):
    one, other = map(files, sites)
    assert list(one) == list(other) and one == other
    told = json.loads(run(BUILD / "kiln", "ls", "--json", sites[0] / f"pkg/fat{suffix(python)}").stdout)
    # The last map that fits is the one.
    assert told["output"] == f"/build/sources/pkg/fat{suffix(python)}" and told["archives"] == ["/build/src/libcount.a"]


@pytest.mark.parametrize("options", [[], ["--strip"], ["--share", "count"], ["--from", "wheels"]])
def test_an_executable_has_no_directory_that_link_is_told_to_call_otherwise(options, sites, python, tmp_path):
    made = []
    for number, site in enumerate(sites):
        out = tmp_path / ("out" * (number + 1))
        out.mkdir()
        run(BUILD / "kiln", "link", "--python", python, *options, "--path-map", f"{site.parent}=/build", "--path-map", f"{out}=/out", "-o",
            out / "app", "--report", out / "report", site, env={**os.environ, "TMPDIR": str(out)})
        script = "import pkg.fat, pkg.plain; print(pkg.fat.value(), pkg.plain.value(), pkg.plain.__file__)"
        where = run(out / "app", "-c", script, env={**os.environ, "PYTHONPATH": str(site)}).stdout
        assert where == f"pkg.fat pkg.plain {site}/pkg/plain{suffix(python)}\n"
        made.append([(out / name).read_bytes() for name in ("app", "report")])
    assert made[0][1] == made[1][1] and made[0][0] == made[1][0]
    for site in sites:
        assert os.fsencode(site.parent) not in made[0][0] + made[0][1]
    modules = json.loads(run(BUILD / "kiln", "ls", "--json", tmp_path / "out/app").stdout)["modules"]
    assert f"/build/site/pkg/fat{suffix(python)}" in [module["file"] for module in modules]
    # Where the files are not, this is what the modules say.
    script = "import single; print(single.__file__)"
    assert run(tmp_path / "out/app", "-c", script).stdout == f"/build/site/single{suffix(python)}\n"


def test_a_map_without_two_sides_is_wrong_usage():
    result = run(BUILD / "kiln", "link", "--path-map", "/build", check=False)
    assert result.returncode == 2 and "--path-map is OLD=NEW, not /build" in result.stderr
