"""How `kiln link` gets from fat extensions to objects: in parallel, and with a cache."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, run
from extensions import MULTI_PHASE, extension, suffix

# An extension with an object that is worth keeping.
LARGE = MULTI_PHASE + "const unsigned char filler[200000] = {1, 2, 3};\n" \
    "__attribute__((constructor)) static void early(void) { static volatile int n; n++; }\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory, python):
    """200 small extensions, of one file under many names, and two large ones."""
    root = tmp_path_factory.mktemp("site")
    first = extension(root, "pkg0.m0", python, value="small")
    for number in range(1, 200):
        package = root / f"pkg{number % 5}"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        shutil.copy(first, package / f"m{number}{suffix(python)}")
    for name in "big.one", "big.two":
        extension(root, name, python, source=LARGE)
    return root


@pytest.fixture(scope="module")
def cache_home(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(cache_home):
    """A function that runs `kiln link` with a cache that has the importer, perhaps, and nothing else."""
    def link(output, *args, check=True, **env):
        return run(BUILD / "kiln", "link", "-o", output, *args, check=check,
                   env={**os.environ, "XDG_CACHE_HOME": str(cache_home), **env})
    link.home = cache_home
    link.objects = cache_home / "kiln" / "objects"
    link.objects.unlink() if link.objects.is_file() else shutil.rmtree(link.objects, ignore_errors=True)
    return link


def entries(cache):
    return sorted(path for path in cache.objects.iterdir() if path.name != "lock")


def values(program, site, names):
    script = "import importlib, json; print(json.dumps([importlib.import_module(n).value() for n in %r]))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    return json.loads(run(program, "-c", script % (names,), env=env).stdout)


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
def test_hundreds_of_extensions_in_one_executable(linker, site, cache, python, tmp_path):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"ld.{linker} is not installed")
    cache(tmp_path / "app", "--python", python, "--linker", linker, site)
    assert values(tmp_path / "app", site, ["pkg0.m0", "pkg4.m199", "big.one", "big.two"]) == \
        ["small", "small", "big.one", "big.two"]
    listing = json.loads(run(BUILD / "kiln", "ls", "--json", tmp_path / "app").stdout)
    assert len(listing["modules"]) == 202


def test_a_second_link_uses_the_objects_of_the_first(site, cache, python, tmp_path):
    cache(tmp_path / "one", "--python", python, site / "big")
    kept = entries(cache)
    assert len(kept) == 2
    for path in kept:
        os.utime(path, (1000, 1000))
    inodes = [path.stat().st_ino for path in kept]
    cache(tmp_path / "two", "--python", python, site / "big")
    assert [path.stat().st_ino for path in entries(cache)] == inodes
    assert all(path.stat().st_mtime > 1000 for path in kept)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    listings = [run(BUILD / "kiln", "ls", "--json", tmp_path / name).stdout for name in ("one", "two")]
    assert listings[0] == listings[1]
    assert [m["constructors"] for m in json.loads(listings[1])["modules"]] == [1, 1]


def test_a_damaged_object_in_the_cache_is_made_again(site, cache, python, tmp_path):
    cache(tmp_path / "one", "--python", python, site / "big")
    for path in entries(cache):
        data = bytearray(path.read_bytes())
        data[1000] ^= 0xff
        path.write_bytes(data)
    cache(tmp_path / "two", "--python", python, site / "big")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_name_is_another_object(site, cache, python, tmp_path):
    cache(tmp_path / "one", "--python", python, site / "big")
    (tmp_path / "site" / "other").mkdir(parents=True)
    shutil.copy(site / "big" / f"one{suffix(python)}", tmp_path / "site" / "other")
    cache(tmp_path / "two", "--python", python, tmp_path / "site")
    assert len(entries(cache)) == 3
    assert values(tmp_path / "two", tmp_path / "site", ["other.one"]) == ["big.one"]


def test_a_cache_that_cannot_be_used_is_done_without(site, cache, python, tmp_path):
    cache.objects.parent.mkdir(parents=True, exist_ok=True)
    cache.objects.write_text("in the way")
    cache(tmp_path / "app", "--python", python, site / "big")
    assert values(tmp_path / "app", site, ["big.one"]) == ["big.one"]


def test_the_cache_stays_below_its_limit(site, cache, python, tmp_path):
    cache(tmp_path / "app", "--python", python, site / "big", KILN_CACHE_SIZE="300K")
    assert values(tmp_path / "app", site, ["big.one", "big.two"]) == ["big.one", "big.two"]
    assert sum(path.stat().st_size for path in entries(cache)) <= 300 * 1024


def test_links_at_the_same_time_do_not_disturb_each_other(site, cache, python, tmp_path):
    cache(tmp_path / "first", "--python", python, site)
    shutil.rmtree(cache.objects)
    env = {**os.environ, "XDG_CACHE_HOME": str(cache.home), "KILN_CACHE_SIZE": "1K"}
    running = [subprocess.Popen([BUILD / "kiln", "link", "--quiet", "--python", python, "-o", tmp_path / f"app{i}", site],
                                env=env) for i in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    for i in range(4):
        assert (tmp_path / f"app{i}").read_bytes() == (tmp_path / "first").read_bytes()


def test_all_that_is_wrong_is_said_in_the_order_of_the_names(site, cache, python, tmp_path):
    root = tmp_path / "site"
    for number in range(0, 200, 9):
        root.mkdir(exist_ok=True)
        path = root / f"m{number:03}{suffix(python)}"
        data = bytearray((site / "pkg0" / f"m0{suffix(python)}").read_bytes())
        at = data.index(b"KILNFAT\0")
        data[at + 100] ^= 1
        path.write_bytes(data)
    result = cache(tmp_path / "app", "--python", python, root, check=False)
    assert result.returncode == 1
    said = [line.partition("error: ")[2].partition(": ")[0] for line in result.stderr.splitlines()]
    assert said == sorted(str(path) for path in root.iterdir())
